#include "compare.hpp"

#include <metatt/tn/contract.hpp>
#include <metatt/tn/decompositions.hpp>

#include <limits>
#include <string>

namespace metatt::tn {
namespace {

using namespace testing;

const Shape shapes[] = {{1, 1}, {7, 3}, {3, 7}, {5, 5}, {40, 6}, {1, 9}, {9, 1}};

template <class T>
double tolerance() {
  return sizeof(Real<T>) == 4 ? 2e-6 : 1e-14;
}

template <class T>
Tensor<T> scaled_columns(Tensor<T> matrix, const std::vector<double>& factors) {
  const std::vector<Real<T>> host(factors.begin(), factors.end());
  backend::scale_columns(backend::queue(), matrix.extent(0), matrix.extent(1), host.data(),
                         matrix.mutable_data());
  return matrix;
}

template <class T>
void check_orthonormal_columns(const Tensor<T>& q) {
  const Index k = q.extent(1);
  const auto product = matrix_product(q, q, Transpose::conjugate, Transpose::no);
  BOOST_TEST(distance(product, identity<T>(k, k)) < 10 * tolerance<T>());
}

template <class T>
void check_orthonormal_rows(const Tensor<T>& q) {
  const Index k = q.extent(0);
  const auto product = matrix_product(q, q, Transpose::no, Transpose::conjugate);
  BOOST_TEST(distance(product, identity<T>(k, k)) < 10 * tolerance<T>());
}

template <class T>
void check_diagonal(const Tensor<T>& triangle) {
  for (Index i = 0; i < std::min(triangle.extent(0), triangle.extent(1)); ++i) {
    const std::complex<double> value = triangle.at({i, i});
    BOOST_TEST(value.real() >= 0);
    BOOST_TEST(value.imag() == 0);
  }
}

BOOST_AUTO_TEST_SUITE(decompositions_suite)

BOOST_AUTO_TEST_CASE_TEMPLATE(qr_and_lq_give_the_matrix_back, T, Types) {
  for (const Shape& shape : shapes) {
    const auto matrix = random_normal<T>(shape, 3);
    const auto [q, r] = qr(matrix);
    BOOST_TEST(relative_distance(matrix_product(q, r), matrix) < tolerance<T>());
    check_orthonormal_columns(q);
    check_diagonal(r);
    for (Index i = 1; i < r.extent(0); ++i)
      for (Index j = 0; j < std::min(i, r.extent(1)); ++j) BOOST_TEST(r.at({i, j}) == T(0));
    const auto [l, rows] = lq(matrix);
    BOOST_TEST(relative_distance(matrix_product(l, rows), matrix) < tolerance<T>());
    check_orthonormal_rows(rows);
    check_diagonal(l);
    for (Index i = 0; i < l.extent(0); ++i)
      for (Index j = i + 1; j < l.extent(1); ++j) BOOST_TEST(l.at({i, j}) == T(0));
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(svd_gives_the_matrix_back, T, Types) {
  for (const Shape& shape : shapes) {
    const auto matrix = random_normal<T>(shape, 4);
    const auto [u, values, vh] = svd(matrix);
    BOOST_TEST(relative_distance(matrix_product(scaled_columns(u, values), vh), matrix) <
               2 * tolerance<T>());
    check_orthonormal_columns(u);
    check_orthonormal_rows(vh);
    BOOST_TEST(std::is_sorted(values.rbegin(), values.rend()));
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_discarded_norm_is_the_norm_that_truncation_loses, T, Types) {
  const auto matrix = random_normal<T>({12, 9}, 5);
  for (Index rank = 1; rank <= 9; ++rank) {
    const auto cut = truncated_svd(matrix, {.maximum_rank = rank});
    BOOST_TEST(cut.u.extent(1) == rank);
    BOOST_TEST(cut.vh.extent(0) == rank);
    BOOST_TEST(cut.spectrum.size() == 9u);
    const auto low_rank = matrix_product(scaled_columns(cut.u, cut.singular_values), cut.vh);
    const double lost = distance(low_rank, matrix), size = frobenius_norm(matrix);
    BOOST_TEST(std::abs(lost - cut.truncation.discarded_norm) < 10 * tolerance<T>() * size);
    BOOST_TEST(std::abs(lost * lost / (size * size) - cut.truncation.discarded_weight) <
               10 * tolerance<T>());
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(eigh_gives_the_matrix_back, T, Types) {
  const auto factor = random_normal<T>({8, 6}, 6);
  const auto matrix = matrix_product(factor, factor, Transpose::conjugate, Transpose::no);
  const auto [values, vectors] = eigh(matrix);
  const auto product =
      matrix_product(scaled_columns(vectors, values), vectors, Transpose::no, Transpose::conjugate);
  BOOST_TEST(relative_distance(product, matrix) < 2 * tolerance<T>());
  check_orthonormal_columns(vectors);
  BOOST_TEST(std::is_sorted(values.begin(), values.end()));
}

// The eigenvalues of the second difference on n points are 2 − 2 cos(πk/(n+1)).
BOOST_AUTO_TEST_CASE(the_spectrum_of_the_second_difference_is_known) {
  const Index n = 6;
  std::vector<double> elements(n * n, 0.0);
  for (Index i = 0; i < n; ++i) {
    elements[i * n + i] = 2;
    if (i + 1 < n) elements[i * n + i + 1] = elements[(i + 1) * n + i] = -1;
  }
  const auto matrix = Tensor<double>::from({n, n}, elements);
  const auto ascending = eigh(matrix).values;
  const auto descending = svd(matrix).singular_values;
  for (Index k = 0; k < n; ++k) {
    const double exact = 2 - 2 * std::cos(std::acos(-1.0) * (k + 1) / (n + 1));
    BOOST_TEST(ascending[k] == exact, boost::test_tools::tolerance(1e-13));
    BOOST_TEST(descending[n - 1 - k] == exact, boost::test_tools::tolerance(1e-13));
  }
}

BOOST_AUTO_TEST_CASE(what_has_no_factorisation_is_refused) {
  auto matrix = Tensor<double>::zeros({3, 4});
  matrix.mutable_data()[5] = std::numeric_limits<double>::quiet_NaN();
  const std::string tail = ": the 3×4 matrix has NaN or infinite elements";
  BOOST_TEST(message_of([&] { svd(matrix); }) == "svd" + tail);
  BOOST_TEST(message_of([&] { qr(matrix); }) == "qr" + tail);
  BOOST_TEST(message_of([&] { lq(matrix); }) == "lq" + tail);
  matrix.mutable_data()[5] = std::numeric_limits<double>::infinity();
  BOOST_TEST(message_of([&] { truncated_svd(matrix, {}); }) == "svd" + tail);
  const auto cube = Tensor<double>::zeros({2, 2, 2});
  BOOST_TEST(message_of([&] { svd(cube); }) ==
             "svd: expected a matrix with at least one element, found 2×2×2");
  BOOST_CHECK_THROW(qr(Tensor<double>()), Error);
  BOOST_CHECK_THROW(lq(Tensor<double>::zeros({0, 3})), Error);
  BOOST_TEST(message_of([&] {
               eigh(Tensor<double>::zeros({3, 4}));
             }) == "eigh: expected a square matrix, found 3×4");
  BOOST_TEST(message_of([&] {
               eigh(Tensor<double>::from({2, 2}, {1, 2, 3, 4}));
             }).find("expected a Hermitian matrix") != std::string::npos);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_randomized_svd_finds_the_leading_values, T, Types) {
  for (const Shape& shape : {Shape{60, 40}, Shape{40, 60}, Shape{30, 30}, Shape{5, 3}}) {
    const Index most = std::min(shape[0], shape[1]);
    std::vector<double> values;
    for (Index i = 0; i < most; ++i) values.push_back(std::pow(0.5, static_cast<double>(i)));
    const auto left = qr(random_normal<T>({shape[0], most}, 1)).q,
               right = qr(random_normal<T>({shape[1], most}, 2)).q;
    const auto matrix =
        matrix_product(scaled_columns(left, values), right, Transpose::no, Transpose::conjugate);
    for (const Index rank : {Index{1}, Index{3}, Index{8}, most}) {
      const auto found = randomized_svd(matrix, rank);
      const Index kept = std::min(rank, most);
      BOOST_REQUIRE(static_cast<Index>(found.singular_values.size()) == kept);
      for (Index i = 0; i < kept; ++i)
        BOOST_TEST(std::abs(found.singular_values[static_cast<std::size_t>(i)] -
                            values[static_cast<std::size_t>(i)]) < 100 * tolerance<T>());
      check_orthonormal_columns(found.u);
      check_orthonormal_rows(found.vh);
      const auto back = matrix_product(scaled_columns(found.u, found.singular_values), found.vh);
      // The error is a root of a difference of squares, each of which is rounded.
      const double rounding = std::sqrt(100 * double{std::numeric_limits<Real<T>>::epsilon()});
      BOOST_TEST(std::abs(found.error - distance(back, matrix)) < rounding);
    }
  }
  const auto matrix = random_normal<T>({6, 4}, 1);
  BOOST_CHECK_THROW(randomized_svd(matrix, 0), Error);
  BOOST_CHECK_THROW(randomized_svd(matrix, 2, {.oversampling = -1}), Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace metatt::tn
