#include "compare.hpp"

#include <metatt/tn/backend/cpu/eigen_views.hpp>
#include <metatt/tn/contract.hpp>

namespace metatt::tn {
namespace {

using namespace testing;

BOOST_AUTO_TEST_SUITE(eigen_views)

BOOST_AUTO_TEST_CASE_TEMPLATE(tensors_and_matrices_share_their_memory, T, Types) {
  auto tensor = random_normal<T>({3, 5}, 1);
  const auto view = eigen_view(tensor);
  BOOST_TEST(view.data() == tensor.data());
  BOOST_TEST((view(1, 4) == tensor.at({1, 4})));
  writable_eigen_view(tensor)(2, 0) = T(7);
  BOOST_TEST((tensor.at({2, 0}) == T(7)));
  EigenMatrix<T> matrix = EigenMatrix<T>::Ones(3, 5);
  Tensor<T> seen = tensor_view(matrix);
  BOOST_TEST(seen.data() == matrix.data());
  matrix(0, 1) = T(2);
  BOOST_TEST((seen.at({0, 1}) == T(2)));
  const auto product = matrix_product(tensor, seen, Transpose::no, Transpose::yes);
  BOOST_TEST((eigen_view(product) - eigen_view(tensor) * matrix.transpose()).norm() <
             100 * epsilon<T>);
  seen.mutable_data()[2] = T(3);
  BOOST_TEST((matrix(0, 2) == T(3)));
  const Tensor<T> second = seen;
  BOOST_CHECK_THROW(seen.mutable_data(), Error);
  const Tensor<T> shared = tensor;
  writable_eigen_view(tensor)(0, 0) = T(9);  // has its own memory by now
  BOOST_TEST(!(shared.at({0, 0}) == T(9)));
}

BOOST_AUTO_TEST_CASE(columns_are_the_first_mode_of_a_column_major_matrix) {
  Eigen::MatrixXd matrix(2, 3);
  matrix << 1, 2, 3, 4, 5, 6;
  const Tensor<double> seen = tensor_view(matrix);
  BOOST_TEST((seen.shape() == Shape{3, 2}));
  BOOST_TEST((seen.to_vector() == std::vector<double>{1, 4, 2, 5, 3, 6}));
  Eigen::VectorXd column(3);
  column << 7, 8, 9;
  Eigen::RowVectorXd row = column.transpose();
  for (const Tensor<double>& vector : {tensor_view(column), tensor_view(row)}) {
    BOOST_TEST((vector.shape() == Shape{3}));
    BOOST_TEST((vector.to_vector() == std::vector<double>{7, 8, 9}));
  }
  Eigen::Map<Eigen::VectorXd, 0, Eigen::InnerStride<>> every_other(matrix.data(), 3,
                                                                   Eigen::InnerStride<>(2));
  BOOST_CHECK_THROW(tensor_view(every_other), Error);
}

BOOST_AUTO_TEST_CASE(maps_with_gaps_are_refused) {
  std::vector<double> numbers(12);
  Eigen::Map<EigenMatrix<double>> whole(numbers.data(), 3, 4);
  BOOST_TEST(tensor_view(whole).data() == numbers.data());
  Eigen::Map<EigenMatrix<double>, 0, Eigen::OuterStride<>> gaps(numbers.data(), 3, 3,
                                                                Eigen::OuterStride<>(4));
  BOOST_CHECK_THROW(tensor_view(gaps), Error);
  const auto cube = Tensor<double>::zeros({2, 2, 2});
  BOOST_CHECK_THROW(eigen_view(cube), Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace metatt::tn
