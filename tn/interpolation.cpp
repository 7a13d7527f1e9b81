#include <metatt/tn/interpolation.hpp>

#include <metatt/tn/error.hpp>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numeric>

namespace metatt::tn {

template <class T>
Interpolation<T> interpolate(HostMatrix<T> matrix, double tolerance, std::size_t most) {
  const std::size_t rows = matrix.rows, columns = matrix.columns;
  if (rows == 0 || columns == 0) fail("interpolate: expected a matrix, found an empty one");
  std::vector<std::size_t> row_order(rows), column_order(columns);
  std::iota(row_order.begin(), row_order.end(), 0);
  std::iota(column_order.begin(), column_order.end(), 0);
  Interpolation<T> result;
  std::size_t rank = 0;
  while (true) {
    std::size_t p = rank, q = rank;
    double best = 0;
    for (std::size_t i = rank; i < rows; ++i)
      for (std::size_t j = rank; j < columns; ++j)
        if (const double a = std::abs(matrix.at(row_order[i], column_order[j])); a > best)
          best = a, p = i, q = j;
    result.rest = best;
    if (best <= tolerance || rank >= most || rank == std::min(rows, columns)) break;
    std::swap(row_order[rank], row_order[p]);
    std::swap(column_order[rank], column_order[q]);
    const T pivot = matrix.at(row_order[rank], column_order[rank]);
    for (std::size_t i = rank + 1; i < rows; ++i) {
      T& factor = matrix.at(row_order[i], column_order[rank]);
      factor /= pivot;
      if (factor == T(0)) continue;
      for (std::size_t j = rank + 1; j < columns; ++j)
        matrix.at(row_order[i], column_order[j]) -=
            factor * matrix.at(row_order[rank], column_order[j]);
    }
    ++rank;
  }
  const std::size_t kept = std::max<std::size_t>(1, rank);
  result.rows.assign(row_order.begin(), row_order.begin() + static_cast<std::ptrdiff_t>(kept));
  result.columns.assign(column_order.begin(),
                        column_order.begin() + static_cast<std::ptrdiff_t>(kept));
  // Below the diagonal now stands L; the rows that are not kept are L₂·L₁⁻¹ times those that are.
  result.weights = {rows, kept, std::vector<T>(rows * kept)};
  for (std::size_t i = 0; i < kept; ++i) result.weights.at(row_order[i], i) = T(1);
  for (std::size_t i = kept; i < rows; ++i)
    for (std::size_t j = rank; j-- > 0;) {
      T weight = matrix.at(row_order[i], column_order[j]);
      for (std::size_t m = j + 1; m < rank; ++m)
        weight -= result.weights.at(row_order[i], m) * matrix.at(row_order[m], column_order[j]);
      result.weights.at(row_order[i], j) = weight;
    }
  return result;
}

template Interpolation<float> interpolate(HostMatrix<float>, double, std::size_t);
template Interpolation<double> interpolate(HostMatrix<double>, double, std::size_t);
template Interpolation<std::complex<float>> interpolate(HostMatrix<std::complex<float>>, double,
                                                        std::size_t);
template Interpolation<std::complex<double>> interpolate(HostMatrix<std::complex<double>>, double,
                                                         std::size_t);

}  // namespace metatt::tn
