#include "backend_testing.hpp"

#include <algorithm>

using namespace metatt::tn;
using namespace metatt::tn::testing;

// Every property is checked for the backend and for the reference, and the singular values and
// eigenvalues, R and (from LAPACK against Jacobi rotations) those of the two against each other.

BOOST_AUTO_TEST_SUITE(backend_factorisations)

namespace {

/// Tall, wide, square, and the degenerate ones.
constexpr Index shapes[][2] = {{1, 1},  {1, 8},  {9, 1},   {6, 6},
                               {40, 7}, {7, 40}, {33, 32}, {64, 65}};

/// op(A) · B with op given, on the host: rows × columns.
template <class T>
std::vector<T> product(Transpose a, const std::vector<T>& A, Index lda, const std::vector<T>& B,
                       Index rows, Index columns, Index inner) {
  std::vector<T> C(static_cast<std::size_t>(rows * columns));
  Queue host;
  reference::gemm(host, a, Transpose::no, rows, columns, inner, T(1), A.data(), lda, B.data(),
                  columns, T(0), C.data(), columns);
  return C;
}

template <class T>
std::vector<T> unit_matrix(Index n) {
  std::vector<T> result(static_cast<std::size_t>(n * n), T(0));
  for (Index i = 0; i < n; ++i) result[static_cast<std::size_t>(i * n + i)] = T(1);
  return result;
}

/// The distance of Aᴴ·A from the unit matrix, for A rows × columns.
template <class T>
double deviation_from_orthonormal(const std::vector<T>& A, Index rows, Index columns) {
  return largest_difference(product(Transpose::conjugate, A, columns, A, columns, columns, rows),
                            unit_matrix<T>(columns));
}

/// rows × columns of rank `rank`, as a product of two random matrices.
template <class T>
std::vector<T> matrix_of_rank(Index rank, Index rows, Index columns, std::mt19937_64& generator) {
  return product(Transpose::no, random_values<T>(rows * rank, generator), rank,
                 random_values<T>(rank * columns, generator), rows, columns, rank);
}

template <class T>
struct Svd {
  bool converged;
  std::vector<T> U, Vh;
  std::vector<Real<T>> S;
};

template <class T>
Svd<T> backend_svd(const std::vector<T>& A, Index rows, Index columns) {
  const Index k = std::min(rows, columns);
  Tensor<T> device_A = on_device(A), U({rows * k}), Vh({k * columns});
  std::vector<Real<T>> S(static_cast<std::size_t>(k));
  const bool converged = backend::svd(backend::queue(), rows, columns, device_A.mutable_data(),
                                      U.mutable_data(), S.data(), Vh.mutable_data());
  return {converged, U.to_vector(), Vh.to_vector(), S};
}

template <class T>
Svd<T> reference_svd(std::vector<T> A, Index rows, Index columns) {
  const auto m = static_cast<std::size_t>(rows), n = static_cast<std::size_t>(columns);
  const std::size_t k = std::min(m, n);
  Svd<T> result{false, std::vector<T>(m * k), std::vector<T>(k * n), std::vector<Real<T>>(k)};
  Queue host;
  result.converged = reference::svd(host, rows, columns, A.data(), result.U.data(), result.S.data(),
                                    result.Vh.data());
  return result;
}

template <class T>
void check_svd(const Svd<T>& svd, const std::vector<T>& A, Index rows, Index columns) {
  const Index k = std::min(rows, columns);
  const double tolerance = 20.0 * static_cast<double>(rows + columns) * epsilon<T>;
  BOOST_REQUIRE(svd.converged);
  BOOST_TEST(std::is_sorted(svd.S.rbegin(), svd.S.rend()));
  BOOST_TEST(svd.S.back() >= 0);
  BOOST_TEST(deviation_from_orthonormal(svd.U, rows, k) <= tolerance);
  std::vector<T> V(svd.Vh.size()), scaled = svd.U;
  for (Index i = 0; i < k; ++i)
    for (Index j = 0; j < columns; ++j) {
      const T value = svd.Vh[static_cast<std::size_t>(i * columns + j)];
      V[static_cast<std::size_t>(j * k + i)] = number<T>(std::real(value), -std::imag(value));
    }
  BOOST_TEST(deviation_from_orthonormal(V, columns, k) <= tolerance);
  Queue host;
  reference::scale_columns(host, rows, k, svd.S.data(), scaled.data());
  BOOST_TEST(largest_difference(product(Transpose::no, scaled, k, svd.Vh, rows, columns, k), A) <=
             tolerance * (1 + svd.S[0]));
}

template <class T>
void check_qr(const std::vector<T>& Q, const std::vector<T>& R, const std::vector<T>& A, Index rows,
              Index columns) {
  const Index k = std::min(rows, columns);
  const double tolerance = 20.0 * static_cast<double>(rows + columns) * epsilon<T>;
  BOOST_TEST(deviation_from_orthonormal(Q, rows, k) <= tolerance);
  BOOST_TEST(largest_difference(product(Transpose::no, Q, k, R, rows, columns, k), A) <= tolerance);
  for (Index i = 0; i < k; ++i) {
    for (Index j = 0; j < i; ++j)
      BOOST_TEST((R[static_cast<std::size_t>(i * columns + j)] == T(0)));
    const T diagonal = R[static_cast<std::size_t>(i * columns + i)];
    BOOST_TEST(std::real(diagonal) >= 0);
    BOOST_TEST(std::imag(diagonal) == 0);
  }
}

template <class T>
std::pair<std::vector<T>, std::vector<T>> backend_qr(const std::vector<T>& A, Index rows,
                                                     Index columns) {
  const Index k = std::min(rows, columns);
  Tensor<T> device_A = on_device(A), Q({rows * k}), R({k * columns});
  backend::qr(backend::queue(), rows, columns, device_A.mutable_data(), Q.mutable_data(),
              R.mutable_data());
  return {Q.to_vector(), R.to_vector()};
}

template <class T>
std::pair<std::vector<T>, std::vector<T>> reference_qr(std::vector<T> A, Index rows,
                                                       Index columns) {
  const auto m = static_cast<std::size_t>(rows), n = static_cast<std::size_t>(columns);
  std::vector<T> Q(m * std::min(m, n)), R(std::min(m, n) * n);
  Queue host;
  reference::qr(host, rows, columns, A.data(), Q.data(), R.data());
  return {Q, R};
}

template <class T>
void check_eigenvectors(const std::vector<T>& V, const std::vector<Real<T>>& w,
                        const std::vector<T>& A, Index n) {
  const double tolerance = 20.0 * static_cast<double>(n) * epsilon<T> * (1 + std::abs(w.back()));
  BOOST_TEST(std::is_sorted(w.begin(), w.end()));
  BOOST_TEST(deviation_from_orthonormal(V, n, n) <= tolerance);
  std::vector<T> scaled = V;
  Queue host;
  reference::scale_columns(host, n, n, w.data(), scaled.data());
  BOOST_TEST(largest_difference(product(Transpose::no, A, n, V, n, n, n), scaled) <= tolerance);
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_reference_finds_factors_worked_out_by_hand) {
  // [[3, 0], [4, 5]]: singular values √45 and √5; R = [[5, 4], [0, 3]]. [[2, i], [−i, 2]]:
  // eigenvalues 1 and 3.
  const auto svd = reference_svd<double>({3, 0, 4, 5}, 2, 2);
  BOOST_TEST(std::abs(svd.S[0] - std::sqrt(45.0)) < 1e-14);
  BOOST_TEST(std::abs(svd.S[1] - std::sqrt(5.0)) < 1e-14);
  const auto [Q, R] = reference_qr<double>({3, 0, 4, 5}, 2, 2);
  BOOST_TEST(largest_difference(R, {5, 4, 0, 3}) < 1e-14);
  using C = std::complex<double>;
  std::vector<C> A = {C(2), C(0, 1), C(0, -1), C(2)};
  double w[2];
  Queue host;
  BOOST_TEST(reference::eigh(host, 2, A.data(), w));
  BOOST_TEST(std::abs(w[0] - 1) < 1e-14);
  BOOST_TEST(std::abs(w[1] - 3) < 1e-14);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(svd_gives_the_matrix_back_from_orthonormal_factors, T, Types) {
  std::mt19937_64 generator(51);
  for (const auto& [rows, columns] : shapes) {
    const auto A = random_values<T>(rows * columns, generator);
    const Svd<T> found = backend_svd(A, rows, columns), golden = reference_svd(A, rows, columns);
    check_svd(found, A, rows, columns);
    check_svd(golden, A, rows, columns);
    BOOST_TEST(largest_difference(found.S, golden.S) <=
               20.0 * static_cast<double>(rows + columns) * epsilon<T>);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(svd_of_a_matrix_of_low_rank_keeps_its_factors_orthonormal, T, Types) {
  std::mt19937_64 generator(52);
  for (const auto& [rows, columns] : {std::pair<Index, Index>{20, 12}, {12, 20}}) {
    const auto A = matrix_of_rank<T>(3, rows, columns, generator);
    const std::vector<T> zero(A.size(), T(0));
    for (const Svd<T>& svd : {backend_svd(A, rows, columns), reference_svd(A, rows, columns)}) {
      check_svd(svd, A, rows, columns);
      BOOST_TEST(svd.S[2] > 0.1);
      BOOST_TEST(svd.S[3] <= 100 * epsilon<T> * svd.S[0]);
    }
    check_svd(backend_svd(zero, rows, columns), zero, rows, columns);
    check_svd(reference_svd(zero, rows, columns), zero, rows, columns);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(qr_is_unique_through_its_non_negative_diagonal, T, Types) {
  std::mt19937_64 generator(53);
  for (const auto& [rows, columns] : shapes) {
    const auto A = random_values<T>(rows * columns, generator);
    const auto [Q, R] = backend_qr(A, rows, columns);
    const auto [golden_Q, golden_R] = reference_qr(A, rows, columns);
    check_qr(Q, R, A, rows, columns);
    check_qr(golden_Q, golden_R, A, rows, columns);
    // Square random matrices are nearly singular, which the factors feel.
    const double tolerance = 1e4 * static_cast<double>(rows + columns) * epsilon<T>;
    BOOST_TEST(largest_difference(R, golden_R) <= tolerance);
    BOOST_TEST(largest_difference(Q, golden_Q) <= tolerance);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(qr_of_a_matrix_of_low_rank_keeps_q_orthonormal, T, Types) {
  std::mt19937_64 generator(54);
  for (const auto& [rows, columns] : {std::pair<Index, Index>{20, 12}, {12, 20}}) {
    const auto A = matrix_of_rank<T>(3, rows, columns, generator);
    const std::vector<T> zero(A.size(), T(0));
    for (const auto& matrix : {A, zero}) {
      const auto [Q, R] = backend_qr(matrix, rows, columns);
      check_qr(Q, R, matrix, rows, columns);
      const auto [golden_Q, golden_R] = reference_qr(matrix, rows, columns);
      check_qr(golden_Q, golden_R, matrix, rows, columns);
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(eigh_gives_orthonormal_eigenvectors_in_columns, T, Types) {
  std::mt19937_64 generator(55);
  for (const Index n : {1, 2, 5, 33, 64}) {
    const auto half = random_values<T>(n * n, generator);
    auto A = half;
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j) {
        const T mirrored = half[static_cast<std::size_t>(j * n + i)];
        A[static_cast<std::size_t>(i * n + j)] +=
            number<T>(std::real(mirrored), -std::imag(mirrored));
      }
    Tensor<T> device_A = on_device(A);
    std::vector<T> V = A;
    std::vector<Real<T>> w(static_cast<std::size_t>(n)), golden = w;
    Queue host;
    BOOST_REQUIRE(backend::eigh(backend::queue(), n, device_A.mutable_data(), w.data()));
    BOOST_REQUIRE(reference::eigh(host, n, V.data(), golden.data()));
    check_eigenvectors(device_A.to_vector(), w, A, n);
    check_eigenvectors(V, golden, A, n);
    BOOST_TEST(largest_difference(w, golden) <= 100.0 * static_cast<double>(n) * epsilon<T>);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(empty_matrices_have_empty_factors, T, Types) {
  for (const auto& [rows, columns] : {std::pair<Index, Index>{0, 4}, {4, 0}, {0, 0}}) {
    BOOST_TEST(backend_svd<T>({}, rows, columns).converged);
    BOOST_TEST(reference_svd<T>({}, rows, columns).converged);
    BOOST_TEST(backend_qr<T>({}, rows, columns).second.empty());
    BOOST_TEST(reference_qr<T>({}, rows, columns).second.empty());
  }
  BOOST_TEST(backend::eigh<T>(backend::queue(), 0, nullptr, nullptr));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_matrix_that_is_not_finite_does_not_converge, T, Types) {
  for (const T& bad : {not_a_number<T>(), T(std::numeric_limits<Real<T>>::infinity())}) {
    const std::vector<T> A = {T(1), bad, bad, T(2)};
    BOOST_TEST(!backend_svd(A, 2, 2).converged);
    BOOST_TEST(!reference_svd(A, 2, 2).converged);
    Tensor<T> device_A = on_device(A);
    Real<T> w[2];
    BOOST_TEST(!backend::eigh(backend::queue(), 2, device_A.mutable_data(), w));
  }
}

BOOST_AUTO_TEST_SUITE_END()
