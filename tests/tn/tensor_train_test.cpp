#include "compare.hpp"

#include <metatt/tn/contract.hpp>
#include <metatt/tn/tensor_train.hpp>

#include <limits>
#include <numeric>
#include <string>

namespace metatt::tn {
namespace {

using namespace testing;

const std::vector<Index> modes{6, 4, 3, 5, 7};
const std::vector<Index> ranks{4, 6, 6, 5};

template <class T>
double tolerance() {
  return 500 * epsilon<T>;
}

template <class T>
TensorTrain<T> random_train(std::uint64_t seed = 1) {
  return TensorTrain<T>::random(modes, ranks, seed);
}

/// f(i_0 + i_1 + …) on a grid of `extent` points in each of `order` directions.
template <class Function>
Tensor<double> function_of_the_sum(int order, Index extent, Function function) {
  const Shape shape(order, extent);
  std::vector<double> elements(element_count(shape));
  for (std::size_t n = 0; n < elements.size(); ++n) {
    Index sum = 0;
    for (Index rest = n; rest > 0; rest /= extent) sum += rest % extent;
    elements[n] = function(static_cast<double>(sum));
  }
  return Tensor<double>::from(shape, elements);
}

BOOST_AUTO_TEST_SUITE(tensor_train_suite)

BOOST_AUTO_TEST_CASE(a_train_knows_its_sizes) {
  const auto train = random_train<double>();
  BOOST_TEST(train.length() == 5);
  BOOST_TEST(train.modes() == modes, boost::test_tools::per_element());
  BOOST_TEST(train.ranks() == ranks, boost::test_tools::per_element());
  BOOST_TEST(train.parameter_count() == 6 * 4 + 4 * 4 * 6 + 6 * 3 * 6 + 6 * 5 * 5 + 5 * 7);
  BOOST_TEST(maximal_ranks(modes) == (std::vector<Index>{6, 24, 35, 7}),
             boost::test_tools::per_element());
  BOOST_TEST(maximal_ranks(std::vector<Index>{9}).empty());
  BOOST_TEST(maximal_ranks(std::vector<Index>(4, Index(1) << 40))[1] == unlimited);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(elements_agree_with_the_dense_tensor, T, Types) {
  const auto train = random_train<T>();
  const auto dense = train.to_dense();
  for (const std::vector<Index>& at :
       {std::vector<Index>{0, 0, 0, 0, 0}, {5, 3, 2, 4, 6}, {1, 2, 0, 3, 5}})
    BOOST_TEST(std::abs(train.element(at) - dense.at({at[0], at[1], at[2], at[3], at[4]})) <
               tolerance<T>());
}

BOOST_AUTO_TEST_CASE(random_trains_repeat_with_their_seed_and_have_elements_of_variance_one) {
  const auto train = TensorTrain<double>::random(modes, ranks, 11);
  BOOST_TEST(distance(train.to_dense(), TensorTrain<double>::random(modes, ranks, 11).to_dense()) ==
             0);
  double squares = 0;
  for (int seed = 0; seed < 200; ++seed)
    squares += std::pow(TensorTrain<double>::random(modes, ranks, seed).norm(), 2);
  BOOST_TEST(squares / 200 / (6 * 4 * 3 * 5 * 7) == 1, boost::test_tools::tolerance(0.2));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_canonical_form_has_orthonormal_cores_and_the_same_tensor, T,
                              Types) {
  auto train = random_train<T>();
  const auto dense = train.to_dense();
  for (Index center : {2, 4, 0, 3}) {
    train.orthogonalise(center);
    BOOST_TEST(train.center().value() == center);
    BOOST_TEST(relative_distance(train.to_dense(), dense) < tolerance<T>());
    for (Index k = 0; k < train.length(); ++k) {
      if (k == center) continue;
      const Tensor<T> core = train.dense_core(k);
      const std::vector<int> summed = k < center ? std::vector<int>{0, 1} : std::vector<int>{1, 2};
      auto conjugated = core;
      backend::conjugate(backend::queue(), core.size(), conjugated.mutable_data());
      const Index bond = core.extent(k < center ? 2 : 0);
      BOOST_TEST(distance(contract(conjugated, summed, core, summed), identity<T>(bond, bond)) <
                 tolerance<T>());
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(norms_and_inner_products_are_those_of_the_dense_tensors, T, Types) {
  const auto a = random_train<T>(1),
             b = TensorTrain<T>::random(modes, std::vector<Index>{2, 3, 1, 4}, 2);
  const auto x = a.to_dense(), y = b.to_dense();
  const T expected = backend::dot(backend::queue(), x.size(), x.data(), y.data());
  BOOST_TEST(std::abs(inner(a, b) - expected) <
             tolerance<T>() * frobenius_norm(x) * frobenius_norm(y));
  BOOST_TEST(a.norm() == frobenius_norm(x), boost::test_tools::tolerance(tolerance<T>()));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(ranks_add_in_a_sum_and_so_do_the_tensors, T, Types) {
  const auto a = random_train<T>(1);
  auto b = TensorTrain<T>::random(modes, std::vector<Index>{2, 3, 1, 4}, 2);
  b.scale(number<T>(2, 1));
  auto expected = a.to_dense();
  const auto y = TensorTrain<T>::random(modes, std::vector<Index>{2, 3, 1, 4}, 2).to_dense();
  backend::add_scaled(backend::queue(), y.size(), number<T>(2, 1), y.data(),
                      expected.mutable_data());
  const auto sum = a + b;
  BOOST_TEST(sum.ranks() == (std::vector<Index>{6, 9, 7, 9}), boost::test_tools::per_element());
  BOOST_TEST(relative_distance(sum.to_dense(), expected) < tolerance<T>());
  const auto vector = TensorTrain<T>::random(std::vector<Index>{3}, {}, 1);
  BOOST_TEST((vector + vector).to_dense().at({2}) == T(2) * vector.to_dense().at({2}));
}

BOOST_AUTO_TEST_CASE(only_the_centre_may_be_replaced_without_losing_the_canonical_form) {
  auto train = random_train<double>();
  train.orthogonalise(2);
  train.set_core(2, random_normal<double>(train.core(2).shape(), 5));
  BOOST_TEST(train.center().value() == 2);
  BOOST_TEST(train.norm() == frobenius_norm(train.to_dense()), boost::test_tools::tolerance(1e-13));
  train.set_core(1, random_normal<double>(train.core(1).shape(), 6));
  BOOST_TEST(!train.center().has_value());
  BOOST_TEST(train.norm() == frobenius_norm(train.to_dense()), boost::test_tools::tolerance(1e-13));
}

BOOST_AUTO_TEST_CASE(cores_that_form_no_train_are_refused) {
  const auto core = [](Shape shape) { return Tensor<double>::zeros(std::move(shape)); };
  const auto refusal = [](std::vector<Tensor<double>> cores) {
    return message_of([&] { TensorTrain<double>(std::move(cores)); });
  };
  BOOST_TEST(refusal({}) == "TensorTrain: expected at least one core, found none");
  BOOST_TEST(refusal({core({1, 2, 3}), core({2, 2, 1})}) ==
             "TensorTrain: core 1 must have left bond 3, found 2");
  BOOST_TEST(refusal({core({1, 2, 3})}) ==
             "TensorTrain: the last core must have right bond 1, found 3");
  BOOST_TEST(refusal({core({1, 2})}) ==
             "TensorTrain: core 0 must have shape (left bond, mode, right bond), found 1×2");
  auto train = random_train<double>();
  BOOST_CHECK_THROW(train.core(5), Error);
  BOOST_CHECK_THROW(train.orthogonalise(-1), Error);
  BOOST_CHECK_THROW(train.set_core(1, core({4, 4, 5})), Error);
  BOOST_CHECK_THROW(train.element(std::vector<Index>{0, 0, 0, 0, 7}), Error);
  BOOST_CHECK_THROW(TensorTrain<double>::random(modes, modes, 1), Error);
  const auto other =
      TensorTrain<double>::random(std::vector<Index>{2, 2}, std::vector<Index>{1}, 1);
  BOOST_CHECK_THROW(train + other, Error);
  BOOST_CHECK_THROW(inner(train, other), Error);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(tt_svd_finds_the_ranks_of_a_train_and_gives_the_tensor_back, T,
                              Types) {
  const auto dense = random_train<T>().to_dense();
  const double relative = 100 * epsilon<T>;
  const auto decomposition = TensorTrain<T>::from_dense(dense, {.cutoff = relative * relative});
  BOOST_TEST(decomposition.train.ranks() == ranks, boost::test_tools::per_element());
  BOOST_TEST(relative_distance(decomposition.train.to_dense(), dense) < tolerance<T>());
  BOOST_TEST(decomposition.train.norm() == frobenius_norm(dense),
             boost::test_tools::tolerance(tolerance<T>()));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_error_of_tt_svd_is_the_one_it_reports, T, Types) {
  const auto dense = random_train<T>().to_dense();
  for (const TruncationPolicy& policy :
       {TruncationPolicy{.maximum_rank = 3}, {.cutoff = 0.01 / 4}, {.cutoff = 0.25 / 4}}) {
    const auto decomposition = TensorTrain<T>::from_dense(dense, policy);
    const double error = distance(decomposition.train.to_dense(), dense);
    BOOST_TEST(std::abs(error - decomposition.error_bound) <
               tolerance<T>() * frobenius_norm(dense));
    if (policy.maximum_rank == unlimited)
      BOOST_TEST(error <= std::sqrt(4 * policy.cutoff) * frobenius_norm(dense));
  }
}

// Oseledets 2011: sums of one-dimensional functions have rank 2, exponentials of sums rank 1.
BOOST_AUTO_TEST_CASE(functions_of_the_sum_of_coordinates_have_their_known_ranks) {
  const auto ranks_of = [](auto function) {
    const auto dense = function_of_the_sum(5, 6, function);
    return TensorTrain<double>::from_dense(dense, {.cutoff = 1e-24}).train.ranks();
  };
  const auto check = [&](auto function, Index expected) {
    BOOST_TEST(ranks_of(function) == std::vector<Index>(4, expected),
               boost::test_tools::per_element());
  };
  check([](double x) { return x; }, 2);
  check([](double x) { return std::sin(x); }, 2);
  check([](double x) { return std::exp(0.1 * x); }, 1);
  check([](double x) { return x + std::cos(x); }, 4);
}

// Norm, singular values of the first two unfoldings and ranks at δ = ε‖A‖/2, computed with NumPy.
BOOST_AUTO_TEST_CASE(the_hilbert_tensor_has_its_known_spectra) {
  const auto dense = function_of_the_sum(5, 8, [](double x) { return 1 / (1 + x); });
  const auto exact = TensorTrain<double>::from_dense(dense, {});
  BOOST_TEST(exact.train.norm() == 11.633625451393241, boost::test_tools::tolerance(1e-14));
  const std::vector<std::vector<double>> expected{
      {11.581992830, 1.0808961966, 0.17327749038, 1.7884735317e-2, 1.2967128102e-3,
       6.8349227129e-5},
      {11.559876157, 1.2827280896, 0.25283730539, 3.4266316491e-2, 3.4738529151e-3,
       2.8031432329e-4}};
  for (int bond = 0; bond < 2; ++bond)
    for (int i = 0; i < 6; ++i)
      BOOST_TEST(exact.bonds[bond].spectrum[i] == expected[bond][i],
                 boost::test_tools::tolerance(1e-9));
  const auto ranks_at = [&](double relative) {
    return TensorTrain<double>::from_dense(dense, {.cutoff = relative * relative / 4})
        .train.ranks();
  };
  BOOST_TEST(ranks_at(1e-2) == std::vector<Index>(4, 3), boost::test_tools::per_element());
  BOOST_TEST(ranks_at(1e-4) == std::vector<Index>(4, 5), boost::test_tools::per_element());
  BOOST_TEST(ranks_at(1e-6) == (std::vector<Index>{6, 7, 7, 6}), boost::test_tools::per_element());
  BOOST_TEST(ranks_at(1e-8) == std::vector<Index>(4, 8), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_pair_of_cores_is_replaced_with_its_bond) {
  const std::vector<Index> modes{3, 2, 4}, ranks{2, 3};
  auto train = TensorTrain<double>::random(modes, ranks, 5);
  train.orthogonalise(1);
  const auto left = random_normal<double>({2, 2, 5}, 1),
             right = random_normal<double>({5, 4, 1}, 2);
  train.set_pair(1, left, right, 2);
  BOOST_TEST(train.ranks() == (std::vector<Index>{2, 5}), boost::test_tools::per_element());
  BOOST_TEST(train.center().value() == 2);
  BOOST_CHECK_THROW(train.set_pair(1, right, left, 2), Error);
  BOOST_CHECK_THROW(train.set_pair(1, left, right, 0), Error);
  BOOST_CHECK_THROW(train.set_pair(2, left, right, 2), Error);
  auto elsewhere = TensorTrain<double>::random(modes, ranks, 5);
  elsewhere.orthogonalise(0);
  elsewhere.set_pair(1, left, right, 1);
  BOOST_TEST(!elsewhere.center().has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace metatt::tn
