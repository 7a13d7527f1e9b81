#include <metatt/tn/chain/evolution_operator.hpp>
#include <metatt/tn/chain/vectors.hpp>

#include <algorithm>
#include <cmath>
#include <map>

namespace metatt::tn {

namespace {

using Complex = std::complex<double>;
using Elements = std::vector<Complex>;

Elements product(const Elements& a, const Elements& b, std::size_t n) {
  Elements result(n * n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t k = 0; k < n; ++k) result[i * n + k] += a[i * n + j] * b[j * n + k];
  return result;
}

/// exp(A) of any n × n matrix: a Taylor series of A / 2^s, squared s times.
Elements exponential(Elements A, std::size_t n) {
  double size = 0;
  for (const Complex& x : A) size += std::abs(x);
  const int squarings = size > 0.5 ? static_cast<int>(std::ceil(std::log2(size / 0.5))) : 0;
  for (Complex& x : A) x = std::ldexp(1.0, -squarings) * x;
  Elements result(n * n), power(n * n);
  for (std::size_t i = 0; i < n; ++i) result[i * n + i] = power[i * n + i] = 1;
  for (int order = 1; order <= 18; ++order) {  // 0.5^18 / 18! is far below rounding
    power = product(power, A, n);
    for (std::size_t i = 0; i < n * n; ++i) {
      power[i] /= order;
      result[i] += power[i];
    }
  }
  for (int s = 0; s < squarings; ++s) result = product(result, result, n);
  return result;
}

/// The operators of one site of H by what stands left and right of them.
template <class T>
class SiteParts {
 public:
  SiteParts(const MatrixProductOperator<T>& mpo, Index k)
      : dimension_(static_cast<std::size_t>(mpo.core(k).dimension)) {
    const auto left_start = mpo.identities_left_of(k), right_start = mpo.identities_left_of(k + 1);
    const auto left_end = mpo.identities_right_of(k - 1), right_end = mpo.identities_right_of(k);
    for (const auto& entry : mpo.core(k).entries) {
      // What only hands identities on is not part of a term. (Where no term begins further right,
      // the constant one alone may look as if.)
      if (left_start == entry.left && right_start == entry.right && right_start != right_end)
        continue;
      if (k > 0 && left_end == entry.left && right_end == entry.right) continue;
      const Index row = left_start == entry.left ? start : entry.left;
      const Index column = right_end == entry.right ? start : entry.right;
      Elements& sum = parts_[{row, column}];
      sum.resize(dimension_ * dimension_);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += Complex(entry.matrix[i]);
    }
  }

  static constexpr Index start = -1;  ///< nothing but identities on that side

  std::size_t dimension() const { return dimension_; }
  Elements part(Index row, Index column) const {
    const auto found = parts_.find({row, column});
    return found == parts_.end() ? Elements(dimension_ * dimension_) : found->second;
  }

 private:
  std::size_t dimension_;
  std::map<std::pair<Index, Index>, Elements> parts_;
};

/// The coefficient of the strings `row` (ending here) and `column` (beginning here) in the
/// exponential of everything that acts on the site: with two-level systems for the strings, column
/// 0 of exp of a triangular matrix of 4 × 4 blocks (arXiv:1407.1832). z
/// goes with the ends of the strings.
template <class T>
Elements strung(const SiteParts<T>& parts, Index row, Index column, Complex z) {
  const std::size_t d = parts.dimension(), n = 4 * d;
  constexpr Index none = SiteParts<T>::start;
  Elements M(n * n);
  const auto add = [&](std::size_t to, std::size_t from, const Elements& block, Complex factor) {
    for (std::size_t i = 0; i < d; ++i)
      for (std::size_t j = 0; j < d; ++j)
        M[(to * d + i) * n + from * d + j] += factor * block[i * d + j];
  };
  const Elements D = parts.part(none, none);
  for (std::size_t level = 0; level < 4; ++level) add(level, level, D, z);
  // Levels: 0 no string, 1 the row's, 2 the column's, 3 both.
  if (row != none)
    for (const auto& [to, from] : {std::pair{1, 0}, {3, 2}})
      add(static_cast<std::size_t>(to), static_cast<std::size_t>(from), parts.part(row, none), z);
  if (column != none)
    for (const auto& [to, from] : {std::pair{2, 0}, {3, 1}})
      add(static_cast<std::size_t>(to), static_cast<std::size_t>(from), parts.part(none, column),
          1);
  if (row != none && column != none) add(3, 0, parts.part(row, column), 1);
  const Elements all = exponential(std::move(M), n);
  const std::size_t level = (row != none ? 1U : 0U) + (column != none ? 2U : 0U);
  Elements result(d * d);
  for (std::size_t i = 0; i < d; ++i)
    for (std::size_t j = 0; j < d; ++j) result[i * d + j] = all[(level * d + i) * n + j];
  return result;
}

/// The same of W-I: the site's own term, or the string that ends, begins or passes, never two.
template <class T>
Elements alone(const SiteParts<T>& parts, Index row, Index column, Complex z) {
  constexpr Index none = SiteParts<T>::start;
  Elements result = parts.part(row, column);
  if (column == none)
    for (Complex& x : result) x *= z;
  if (row == none && column == none)
    for (std::size_t i = 0; i < parts.dimension(); ++i) result[i * parts.dimension() + i] += 1;
  return result;
}

/// The indices of the left bond of site k that strings cross, "no string" first.
template <class T>
std::vector<Index> strings(const MatrixProductOperator<T>& mpo, Index k) {
  std::vector<Index> result{SiteParts<T>::start};
  if (k == 0 || k == mpo.length()) return result;
  const auto first = mpo.identities_left_of(k), last = mpo.identities_right_of(k - 1);
  for (Index i = 0; i < mpo.bond_leg(k).dimension(); ++i)
    if (first != i && last != i) result.push_back(i);
  return result;
}

template <class T>
MatrixProductOperator<T> evolution_operator(const MatrixProductOperator<T>& mpo, const Sites& sites,
                                            Complex z, EvolutionMethod method) {
  const auto coefficient = method == EvolutionMethod::w1 ? alone<T> : strung<T>;
  std::vector<typename MatrixProductOperator<T>::Core> cores;
  for (Index k = 0; k < mpo.length(); ++k) {
    const SiteParts<T> parts(mpo, k);
    const auto rows = strings(mpo, k), columns = strings(mpo, k + 1);
    cores.push_back({static_cast<Index>(rows.size()),
                     mpo.core(k).dimension,
                     static_cast<Index>(columns.size()),
                     {}});
    for (std::size_t i = 0; i < rows.size(); ++i)
      for (std::size_t j = 0; j < columns.size(); ++j) {
        std::vector<T> matrix;
        for (const Complex& x : coefficient(parts, rows[i], columns[j], z))
          matrix.push_back(scalar_of<T>(x));
        if (std::ranges::any_of(matrix, [](const T& x) { return x != T(0); }))
          cores.back().entries.push_back(
              {static_cast<Index>(i), static_cast<Index>(j), std::move(matrix)});
      }
  }
  return MatrixProductOperator<T>(std::move(cores), sites, mpo.largest_dropped());
}

}  // namespace

template <class T>
std::vector<MatrixProductOperator<T>> evolution_operators(const OperatorSum& sum,
                                                          const Sites& sites, Complex z, int order,
                                                          EvolutionMethod method) {
  if (order != 1 && order != 2) fail("evolution_operators: expected order 1 or 2, found ", order);
  if (std::is_same_v<T, Real<T>> && (z.imag() != 0 || order == 2))
    fail("evolution_operators: expected a complex type for the step ", z, " of order ", order);
  const auto mpo = matrix_product_operator<T>(sum, sites);
  if (order == 1) return {evolution_operator(mpo, sites, z, method)};
  return {evolution_operator(mpo, sites, z * Complex(0.5, 0.5), method),
          evolution_operator(mpo, sites, z * Complex(0.5, -0.5), method)};
}

#define METATT_INSTANTIATE(T)                                         \
  template std::vector<MatrixProductOperator<T>> evolution_operators( \
      const OperatorSum&, const Sites&, Complex, int, EvolutionMethod);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
