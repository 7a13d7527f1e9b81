#include <metatt/tn/decompositions.hpp>

#include <metatt/tn/contract.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <limits>

namespace metatt::tn {
namespace {

template <class T>
void check_matrix(const char* function, const Tensor<T>& matrix) {
  if (matrix.order() != 2 || matrix.size() == 0)
    fail(function, ": expected a matrix with at least one element, found ",
         matrix.empty() ? "an empty tensor" : shape_text(matrix.shape()));
  if (!backend::all_finite(backend::queue(), matrix.size(), matrix.data()))
    fail(function, ": the ", shape_text(matrix.shape()), " matrix has NaN or infinite elements");
}

}  // namespace

template <class T>
Tensor<T> adjoint(const Tensor<T>& matrix) {
  if (matrix.order() != 2)
    fail("adjoint: expected a matrix, found a tensor of ", shape_text(matrix.shape()));
  Tensor<T> result = permute(matrix, std::array{1, 0});
  backend::conjugate(backend::queue(), result.size(), result.mutable_data());
  return result;
}

template <class T>
Qr<T> qr(const Tensor<T>& matrix) {
  check_matrix("qr", matrix);
  const Index rows = matrix.extent(0), columns = matrix.extent(1), k = std::min(rows, columns);
  Tensor<T> work = matrix;
  Qr<T> result{Tensor<T>({rows, k}), Tensor<T>({k, columns})};
  backend::qr(backend::queue(), rows, columns, work.mutable_data(), result.q.mutable_data(),
              result.r.mutable_data());
  return result;
}

template <class T>
Lq<T> lq(const Tensor<T>& matrix) {
  check_matrix("lq", matrix);
  const Qr<T> factors = qr(adjoint(matrix));
  return {adjoint(factors.r), adjoint(factors.q)};
}

template <class T>
Svd<T> svd(const Tensor<T>& matrix) {
  check_matrix("svd", matrix);
  const Index rows = matrix.extent(0), columns = matrix.extent(1), k = std::min(rows, columns);
  Tensor<T> work = matrix;
  Tensor<T> u({rows, k}), vh({k, columns});
  std::vector<Real<T>> values(static_cast<std::size_t>(k));
  if (!backend::svd(backend::queue(), rows, columns, work.mutable_data(), u.mutable_data(),
                    values.data(), vh.mutable_data()))
    fail("svd: no convergence for a ", shape_text(matrix.shape()), " matrix");
  return {std::move(u), std::vector<double>(values.begin(), values.end()), std::move(vh)};
}

template <class T>
TruncatedSvd<T> truncated_svd(const Tensor<T>& matrix, const TruncationPolicy& policy) {
  Svd<T> full = svd(matrix);
  const Truncation truncation = truncate(full.singular_values, policy);
  TruncatedSvd<T> result;
  result.u = leading_columns(full.u, truncation.kept);
  result.singular_values.assign(full.singular_values.begin(),
                                full.singular_values.begin() + truncation.kept);
  result.vh = full.vh.slice(0, truncation.kept);
  result.spectrum = std::move(full.singular_values);
  result.truncation = truncation;
  return result;
}

template <class T>
RandomizedSvd<T> randomized_svd(const Tensor<T>& matrix, Index rank,
                                const RandomizedSvdSettings& settings) {
  check_matrix("randomized_svd", matrix);
  if (rank < 1 || settings.oversampling < 0 || settings.power_iterations < 0)
    fail("randomized_svd: expected a rank of at least 1 and no negative setting, found ", rank,
         ", ", settings.oversampling, ", ", settings.power_iterations);
  const Index most = std::min(matrix.extent(0), matrix.extent(1));
  const Index vectors = std::min(most, std::min(rank, most) + settings.oversampling);
  // The range of the matrix, as far as the random vectors reach it.
  Tensor<T> range =
      qr(matrix_product(matrix, random_normal<T>({matrix.extent(1), vectors}, settings.seed))).q;
  for (Index i = 0; i < settings.power_iterations; ++i) {
    const Tensor<T> other =
        qr(matrix_product(matrix, range, Transpose::conjugate, Transpose::no)).q;
    range = qr(matrix_product(matrix, other)).q;
  }
  Svd<T> small = svd(matrix_product(range, matrix, Transpose::conjugate, Transpose::no));
  const Index kept = std::min(rank, most);
  RandomizedSvd<T> result;
  result.u = matrix_product(range, leading_columns(small.u, kept));
  result.singular_values.assign(small.singular_values.begin(),
                                small.singular_values.begin() + kept);
  result.vh = small.vh.slice(0, kept);
  // What is kept is a projection, so the squares of what is left add up.
  const double norm =
      static_cast<double>(backend::norm(backend::queue(), matrix.size(), matrix.data()));
  double rest = norm * norm;
  for (const double value : result.singular_values) rest -= value * value;
  result.error = std::sqrt(std::max(rest, 0.0));
  return result;
}

template <class T>
Eigh<T> eigh(const Tensor<T>& matrix) {
  check_matrix("eigh", matrix);
  const Index n = matrix.extent(0);
  if (matrix.extent(1) != n)
    fail("eigh: expected a square matrix, found ", shape_text(matrix.shape()));
  auto& queue = backend::queue();
  Tensor<T> vectors = adjoint(matrix);
  backend::add_scaled(queue, vectors.size(), T(-1), matrix.data(), vectors.mutable_data());
  const Real<T> asymmetry = backend::norm(queue, vectors.size(), vectors.data());
  const Real<T> size = backend::norm(queue, matrix.size(), matrix.data());
  if (asymmetry > std::sqrt(std::numeric_limits<Real<T>>::epsilon()) * size)
    fail("eigh: expected a Hermitian matrix, found a ", shape_text(matrix.shape()),
         " matrix A with |A - A^H| / |A| = ", asymmetry / size);
  vectors = matrix;
  std::vector<Real<T>> values(static_cast<std::size_t>(n));
  if (!backend::eigh(queue, n, vectors.mutable_data(), values.data()))
    fail("eigh: no convergence for a ", shape_text(matrix.shape()), " matrix");
  return {std::vector<double>(values.begin(), values.end()), std::move(vectors)};
}

#define METATT_DECOMPOSITIONS(T)                                                                   \
  template Tensor<T> adjoint(const Tensor<T>&);                                                    \
  template Qr<T> qr(const Tensor<T>&);                                                             \
  template Lq<T> lq(const Tensor<T>&);                                                             \
  template Svd<T> svd(const Tensor<T>&);                                                           \
  template TruncatedSvd<T> truncated_svd(const Tensor<T>&, const TruncationPolicy&);               \
  template RandomizedSvd<T> randomized_svd(const Tensor<T>&, Index, const RandomizedSvdSettings&); \
  template Eigh<T> eigh(const Tensor<T>&);
METATT_DECOMPOSITIONS(float)
METATT_DECOMPOSITIONS(double)
METATT_DECOMPOSITIONS(std::complex<float>)
METATT_DECOMPOSITIONS(std::complex<double>)
#undef METATT_DECOMPOSITIONS

}  // namespace metatt::tn
