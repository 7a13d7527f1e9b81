#include "backend_testing.hpp"

#include <algorithm>
#include <numeric>

using namespace metatt::tn;
using namespace metatt::tn::testing;

BOOST_AUTO_TEST_SUITE(backend_permute)

namespace {

template <class T>
void check_permutation(const std::vector<Index>& extents, const std::vector<int>& order,
                       std::mt19937_64& generator) {
  const Index count = element_count(extents);
  const auto values = random_values<T>(count, generator);
  const Tensor<T> in = on_device(values);
  Tensor<T> out({count});
  backend::permute<T>(backend::queue(), in.data(), extents, order, out.mutable_data());
  std::vector<T> expected(values.size());
  Queue host;
  reference::permute<T>(host, values.data(), extents, order, expected.data());
  BOOST_TEST((out.to_vector() == expected), "extents " << shape_text(extents));
}

}  // namespace

BOOST_AUTO_TEST_CASE(mode_k_of_the_result_is_mode_order_k) {
  // in[i][j][k] = 100·i + 10·j + k with extents 2, 3, 2; out[k][i][j] = in[i][j][k].
  const Tensor<float> in =
      Tensor<float>::from({2, 3, 2}, {0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121});
  const std::vector<Index> extents = {2, 3, 2};
  const std::vector<int> order = {2, 0, 1};
  const std::vector<float> expected = {0, 10, 20, 100, 110, 120, 1, 11, 21, 101, 111, 121};
  Tensor<float> out({12});
  backend::permute<float>(backend::queue(), in.data(), extents, order, out.mutable_data());
  BOOST_TEST((out.to_vector() == expected));
  std::vector<float> from_reference(12);
  Queue host;
  const std::vector<float> host_in = in.to_vector();
  reference::permute<float>(host, host_in.data(), extents, order, from_reference.data());
  BOOST_TEST((from_reference == expected));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(every_order_of_up_to_four_modes_agrees_with_the_reference, T, Types) {
  std::mt19937_64 generator(31);
  const std::vector<std::vector<Index>> shapes = {
      {}, {5}, {3, 0}, {7, 1}, {65, 33}, {2, 3, 5}, {1, 40, 34}, {4, 1, 6, 3}, {3, 35, 2, 37}};
  for (const auto& extents : shapes) {
    std::vector<int> order(extents.size());
    std::iota(order.begin(), order.end(), 0);
    do check_permutation<T>(extents, order, generator);
    while (std::next_permutation(order.begin(), order.end()));
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(large_arrays_and_many_modes_agree_with_the_reference, T, Types) {
  std::mt19937_64 generator(32);
  check_permutation<T>({301, 257}, {1, 0}, generator);
  check_permutation<T>({17, 5000}, {1, 0}, generator);
  check_permutation<T>({3, 9001, 2}, {1, 0, 2}, generator);
  check_permutation<T>({41, 3, 10, 43}, {2, 0, 1, 3}, generator);
  check_permutation<T>({2, 5, 3, 4, 2, 3, 7, 11}, {7, 0, 5, 2, 1, 6, 4, 3}, generator);
}

BOOST_AUTO_TEST_SUITE_END()
