/// Elementwise products, completion and budgets of tensor trains.

#include "compare.hpp"

#include <metatt/tn/completion.hpp>
#include <metatt/tn/train_arithmetic.hpp>

#include <random>

namespace metatt::tn {
namespace {

using namespace testing;

struct RandomShape {
  std::vector<Index> modes, ranks;
};

RandomShape random_shape(std::mt19937_64& generator, Index most_modes, Index most) {
  const auto draw = [&](Index low, Index high) {
    return std::uniform_int_distribution<Index>(low, high)(generator);
  };
  RandomShape shape{std::vector<Index>(static_cast<std::size_t>(draw(1, most_modes))), {}};
  for (Index& mode : shape.modes) mode = draw(1, most);
  for (std::size_t k = 1; k < shape.modes.size(); ++k) shape.ranks.push_back(draw(1, 4));
  return shape;
}

/// So many different-looking points of a tensor, and what it is there.
template <class T>
struct Sampled {
  std::vector<std::vector<Index>> points;
  std::vector<T> values;

  Sampled(const TensorTrain<T>& train, Index count, std::uint64_t seed) {
    std::mt19937_64 generator(seed);
    for (Index i = 0; i < count; ++i) {
      points.emplace_back();
      for (const Index mode : train.modes())
        points.back().push_back(std::uniform_int_distribution<Index>(0, mode - 1)(generator));
      values.push_back(train.element(points.back()));
    }
  }
};

/// No bond has a rank that it cannot hold, and none can have one more within the limit.
void check_nothing_more_fits(const TensorTrain<double>& train, const std::vector<Index>& most,
                             Index limit) {
  const auto modes = train.modes();
  const auto ranks = train.ranks();
  for (std::size_t k = 0; k < ranks.size(); ++k) {
    const Index left = (k > 0 ? ranks[k - 1] : 1) * modes[k];
    const Index right = modes[k + 1] * (k + 1 < ranks.size() ? ranks[k + 1] : 1);
    BOOST_TEST(ranks[k] <= std::min(left, right));
    if (ranks[k] == std::min({left, right, most[k]})) continue;
    BOOST_TEST(train.parameter_count() + left + right > limit);
  }
}

BOOST_AUTO_TEST_SUITE(train_numerics)

BOOST_AUTO_TEST_CASE_TEMPLATE(the_hadamard_product_is_that_of_the_elements, T, Types) {
  std::mt19937_64 generator(1);
  for (int i = 0; i < 20; ++i) {
    const RandomShape a = random_shape(generator, 5, 5);
    RandomShape b = a;
    for (Index& rank : b.ranks) rank = 1 + rank % 3;
    const auto x = TensorTrain<T>::random(a.modes, a.ranks, 2),
               y = TensorTrain<T>::random(b.modes, b.ranks, 3);
    const auto p = x.to_dense().to_vector(), q = y.to_dense().to_vector();
    std::vector<T> expected;
    for (std::size_t k = 0; k < p.size(); ++k) expected.push_back(p[k] * q[k]);
    const auto product = hadamard(x, y);
    BOOST_TEST(relative_distance(product.to_dense(),
                                 Tensor<T>::from(Shape(a.modes), std::span<const T>(expected))) <
               100 * epsilon<T>);
    for (std::size_t k = 0; k < a.ranks.size(); ++k)
      BOOST_TEST(product.ranks()[k] == a.ranks[k] * b.ranks[k]);
  }
  const auto x = TensorTrain<T>::random(Shape{2, 3}, Shape{1}, 1),
             y = TensorTrain<T>::random(Shape{3, 2}, Shape{1}, 1);
  BOOST_TEST(message_of([&] { hadamard(x, y); }).find("2×3 and 3×2") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(completion_finds_a_train_from_some_of_its_elements) {
  const std::vector<Index> modes{8, 7, 6, 8, 7}, ranks{2, 3, 3, 2};
  const auto check = [&]<class T>(T) {
    const auto planted = TensorTrain<T>::random(modes, ranks, 5);
    const Sampled<T> seen(planted, 12 * planted.parameter_count(), 6);
    const auto result =
        complete<T>(seen.points, seen.values, TensorTrain<T>::random(modes, ranks, 7));
    BOOST_TEST(result.converged);
    BOOST_TEST(result.error < 1e-9);
    BOOST_TEST(seen.points.size() < 18816u / 9);  // of all elements
    BOOST_TEST(relative_distance(result.train.to_dense(), planted.to_dense()) < 1e-7);
  };
  check(double());
  check(std::complex<double>());
}

BOOST_AUTO_TEST_CASE(the_error_of_a_completion_never_rises) {
  const std::vector<Index> modes{6, 5, 6, 5};
  const auto planted = TensorTrain<double>::random(modes, Shape{4, 4, 4}, 1);
  const Sampled<double> seen(planted, 300, 2);
  const auto start = TensorTrain<double>::random(modes, Shape{2, 3, 2}, 3);  // too small to fit
  double before = std::numeric_limits<double>::infinity();
  for (Index sweeps = 1; sweeps < 12; ++sweeps) {
    const auto result = complete<double>(seen.points, seen.values, start, {.sweeps = sweeps});
    BOOST_TEST(result.error <= before * (1 + 1e-12));
    before = result.error;
    double squares = 0, all = 0;
    for (std::size_t p = 0; p < seen.points.size(); ++p) {
      squares += std::pow(result.train.element(seen.points[p]) - seen.values[p], 2);
      all += std::pow(seen.values[p], 2);
    }
    BOOST_TEST(std::abs(result.error - std::sqrt(squares / all)) < 1e-12);
  }
  BOOST_TEST(before > 0.01);
}

BOOST_AUTO_TEST_CASE(what_the_points_do_not_say_stays_as_it_was) {
  const auto start = TensorTrain<double>::random(Shape{4, 3}, Shape{1}, 1);
  const std::vector<std::vector<Index>> points{{0, 0}, {0, 1}};
  const std::vector<double> values{1, 2};
  const auto result = complete<double>(points, values, start);
  BOOST_TEST(std::abs(result.train.element(points[0]) - 1) < 1e-9);
  // Rows 1 to 3 keep their ratios.
  const auto element = [](const TensorTrain<double>& train, Index i) {
    return train.element(std::vector<Index>{i, 2});
  };
  BOOST_TEST(std::abs(element(result.train, 2) / element(result.train, 1) -
                      element(start, 2) / element(start, 1)) < 1e-9);
  const auto refused = [&](std::vector<std::vector<Index>> p, std::vector<double> v) {
    BOOST_CHECK_THROW(complete<double>(p, v, start), Error);
  };
  refused({}, {});
  refused({{0, 0}}, {1, 2});
  refused({{0, 3}}, {1});
  refused({{0}}, {1});
  refused({{0, 0}}, {std::numeric_limits<double>::infinity()});
  refused({{0, 0}}, {0});
}

/// A train whose spectra fall, faster at some bonds than at others.
TensorTrain<double> falling_train(std::uint64_t seed) {
  const std::vector<Index> modes{6, 5, 4, 6, 5};
  auto sum = TensorTrain<double>::random(modes, Shape{1, 1, 1, 1}, seed);
  for (std::uint64_t i = 1; i < 8; ++i) {
    auto next = TensorTrain<double>::random(modes, Shape{2, 1, 1, 2}, seed + i);
    next.scale(std::pow(0.2, static_cast<double>(i)));
    sum = sum + next;
  }
  return sum;
}

BOOST_AUTO_TEST_CASE(a_budget_bounds_the_error_of_the_whole_train) {
  for (std::uint64_t seed = 0; seed < 10; ++seed)
    for (const double cutoff : {1e-2, 1e-4, 1e-7}) {
      const auto train = falling_train(100 * seed);
      auto rounded = train;
      const auto report = sweep_within(rounded, {.cutoff = cutoff}, SweepMode::rounding);
      BOOST_TEST(report.error_bound <= std::sqrt(cutoff) * train.norm());
      BOOST_TEST(relative_distance(rounded.to_dense(), train.to_dense()) <= std::sqrt(cutoff));
      // The same bound with an equal share for each bond needs more parameters.
      auto equal = train;
      sweep(equal, {.cutoff = cutoff / 4}, SweepMode::rounding);
      BOOST_TEST(rounded.parameter_count() <= equal.parameter_count());
    }
}

BOOST_AUTO_TEST_CASE(a_budget_of_parameters_is_kept_and_spent_where_it_counts) {
  const auto train = falling_train(7);
  for (const Index limit : {400, 200, 100, 40})
    for (const SweepMode mode : {SweepMode::rounding, SweepMode::paper}) {
      auto rounded = train;
      const auto report = sweep_within(rounded, {.maximum_parameters = limit}, mode);
      BOOST_TEST(rounded.parameter_count() <= limit);
      BOOST_TEST(rounded.parameter_count() > limit / 2);
      BOOST_TEST(distance(rounded.to_dense(), train.to_dense()) <= 1.0001 * report.error_bound);
      if (mode == SweepMode::rounding) check_nothing_more_fits(rounded, train.ranks(), limit);
    }
  auto least = train;
  sweep_within(least, {.maximum_parameters = 1}, SweepMode::rounding);
  BOOST_TEST(least.ranks() == (Shape{1, 1, 1, 1}), boost::test_tools::per_element());
  BOOST_CHECK_THROW(ranks_within(train, {.cutoff = 2}), Error);
  BOOST_CHECK_THROW(ranks_within(train, {.maximum_parameters = -1}), Error);
}

/// Σᵢ σᵢ · eᵢ ⊗ eᵢ ⊗ … with unit vectors eᵢ, σ = 1, 1/2, 1/4, …: every bond carries the same
/// directions.
TensorTrain<double> diagonal_train(const std::vector<Index>& modes, Index rank) {
  std::vector<Tensor<double>> cores;
  for (std::size_t k = 0; k < modes.size(); ++k) {
    const Index left = k == 0 ? 1 : rank, right = k + 1 == modes.size() ? 1 : rank;
    std::vector<double> core(static_cast<std::size_t>(left * modes[k] * right), 0.0);
    for (Index i = 0; i < rank; ++i) {
      const Index place = ((left == 1 ? 0 : i) * modes[k] + i) * right + (right == 1 ? 0 : i);
      core[static_cast<std::size_t>(place)] = k == 0 ? std::pow(0.5, static_cast<double>(i)) : 1;
    }
    cores.push_back(Tensor<double>::from({left, modes[k], right}, std::span<const double>(core)));
  }
  return TensorTrain<double>(std::move(cores));
}

BOOST_AUTO_TEST_CASE(a_direction_that_one_bond_has_lost_is_dropped_at_the_others) {
  const std::vector<Index> modes{20, 8, 9, 30};
  const auto train = diagonal_train(modes, 8);
  for (const Index rank : {1, 3, 5, 7}) {
    const Shape uniform{rank, rank, rank};
    // The squared error of the best train of that rank: what is left of a geometric series.
    const double rest = std::pow(0.25, static_cast<double>(rank)),
                 error = (rest - std::pow(0.25, 8)) / (1 - std::pow(0.25, 8));
    const Index parameters = train_parameters(modes, uniform);
    BOOST_TEST(ranks_within(train, {.maximum_parameters = parameters}) == uniform,
               boost::test_tools::per_element());
    // Some numbers more hold no further direction, which all bonds together have to carry.
    BOOST_TEST(ranks_within(train, {.maximum_parameters = parameters + 60}) == uniform,
               boost::test_tools::per_element());
    BOOST_TEST(ranks_within(train, {.cutoff = 1.001 * error}) == uniform,
               boost::test_tools::per_element());
    auto rounded = train;
    const auto report = sweep_within(rounded, {.cutoff = 1.001 * error}, SweepMode::rounding);
    BOOST_TEST(std::abs(report.error_bound / train.norm() - std::sqrt(error)) < 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(values_that_are_zero_to_rounding_need_no_budget) {
  // Its ranks are twice what its elements need.
  const auto once = falling_train(3);
  const auto twice = once + once;
  const auto ranks = ranks_within(twice, {});
  auto exact = once;
  sweep(exact, {.cutoff = 1e-28}, SweepMode::rounding);
  BOOST_TEST(ranks == exact.ranks(), boost::test_tools::per_element());
  auto zero = once;
  zero.scale(0);
  BOOST_TEST(ranks_within(zero, {}) == (Shape{1, 1, 1, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace metatt::tn
