#include "model_testing.hpp"

#include <metatt/tn/decompositions.hpp>
#include <metatt/transformer/two_site_sweep.hpp>

#include <cmath>

using namespace metatt;
using namespace metatt::testing;

namespace {

using Train = tn::TensorTrain<double>;

TrainWithMoments random_train(std::initializer_list<Index> modes,
                              std::initializer_list<Index> ranks) {
  return without_moments(Train::random(std::vector<Index>(modes), std::vector<Index>(ranks), 3));
}

double distance(const Train& a, const Train& b) {
  return testing::distance(a.to_dense(), b.to_dense());
}

/// The cores of a train as weights on their own: no transformer.
struct TrainProblem {
  Weights<double> weights;
  TrainIds<double> ids;

  explicit TrainProblem(const Train& train) {
    for (const Tensor<double>& core : stored_cores(train)) {
      ids.push_back(weights.add("core" + std::to_string(ids.size() + 1), core));
      weights.train(ids.back(), WeightGroup::decayed);
    }
    weights.build_arena();
  }
  Train train() { return WeightTrain<double>(ids, weights).read().train; }
  /// A gradient of ones everywhere.
  void give_gradients() {
    auto& arena = weights.arena();
    for (Index p = 0; p < arena.count(); ++p)
      tn::backend::fill(tn::backend::queue(), arena.value(p).size(), 1.0,
                        arena.gradient_target(p).data);
  }
};

BOOST_AUTO_TEST_SUITE(two_site)

BOOST_AUTO_TEST_CASE(merging_leaves_the_tensor_and_fills_the_bond) {
  const TrainWithMoments original = random_train({7, 3, 2, 6}, {4, 5, 3});
  for (Index bond = 0; bond < 3; ++bond) {
    TrainWithMoments merged = original;
    const Index core = merge_pair(merged, bond);
    BOOST_TEST(distance(merged.train, original.train) < 1e-12 * original.train.norm());
    const auto left = merged.train.core(bond).shape(), right = merged.train.core(bond + 1).shape();
    BOOST_TEST(left[2] == std::min(left[0] * left[1], right[1] * right[2]));
    BOOST_TEST(core == (right[1] * right[2] <= left[0] * left[1] ? bond : bond + 1));
    // All that the train is worth is in the merged core: the others are orthonormal.
    const auto values = merged.train.dense_core(core).to_vector();
    double squares = 0;
    for (const double value : values) squares += value * value;
    BOOST_TEST(std::sqrt(squares) == original.train.norm(), boost::test_tools::tolerance(1e-12));
  }
}

BOOST_AUTO_TEST_CASE(a_split_loses_what_the_discarded_values_say_and_no_split_loses_less) {
  const TrainWithMoments original = random_train({7, 3, 2, 6}, {4, 5, 3});
  for (Index bond = 0; bond < 3; ++bond) {
    TrainWithMoments merged = original;
    merge_pair(merged, bond);
    TrainWithMoments same = merged;
    const BondChange whole = split_pair(same, bond, {});
    BOOST_TEST(distance(same.train, original.train) < 1e-12 * original.train.norm());
    BOOST_TEST(whole.discarded_norm == 0);
    const BondChange cut = split_pair(merged, bond, {.maximum_rank = 2});
    BOOST_TEST(merged.train.ranks()[static_cast<std::size_t>(bond)] == 2);
    BOOST_TEST(distance(merged.train, original.train) == cut.discarded_norm,
               boost::test_tools::tolerance(1e-10));
    // Eckart and Young: the dense matrix of the bond has the same singular values.
    Index rows = 1;
    for (Index k = 0; k <= bond; ++k) rows *= original.train.modes()[static_cast<std::size_t>(k)];
    const auto dense = tn::svd(original.train.to_dense().reshaped({rows, 252 / rows}));
    BOOST_TEST(cut.spectrum[0] == dense.singular_values[0], boost::test_tools::tolerance(1e-12));
    BOOST_TEST(cut.spectrum[2] == dense.singular_values[2], boost::test_tools::tolerance(1e-11));
  }
}

BOOST_AUTO_TEST_CASE(a_pair_of_zeros_keeps_the_rank_that_it_may_have) {
  TrainWithMoments zero = random_train({7, 3, 2, 6}, {4, 5, 3});
  zero.train.scale(0);
  merge_pair(zero, 1);
  BOOST_TEST(split_pair(zero, 1, {.maximum_rank = 4}).rank_after == 4);
  BOOST_TEST(zero.train.ranks()[1] == 4);
}

BOOST_AUTO_TEST_CASE(pairs_go_to_the_right_end_and_back) {
  TrainProblem problem(random_train({7, 3, 2, 6}, {4, 5, 3}).train);
  AdamW<double> optimiser(problem.weights, {}, {0, 100});
  TwoSiteSweep<double> sweep(problem.ids, problem.weights, 1);
  std::vector<Index> bonds;
  for (int pair = 0; pair < 9; ++pair) {
    bonds.push_back(sweep.bond());
    const Index rank = problem.train().ranks()[static_cast<std::size_t>(bonds.back())];
    sweep.merge(optimiser);
    const BondChange change = sweep.split(optimiser, {{4}}).bonds.front();
    BOOST_TEST(change.bond == bonds.back());
    BOOST_TEST(change.rank_before == rank);
    BOOST_TEST(change.left_core == "core" + std::to_string(bonds.back() + 1));
  }
  BOOST_TEST(bonds == (std::vector<Index>{0, 1, 2, 1, 0, 1, 2, 1, 0}),
             boost::test_tools::per_element());
}

// As every adapter is before its first step: with the zeros in any core.
BOOST_AUTO_TEST_CASE(a_train_with_a_core_of_zeros_keeps_its_other_cores) {
  for (Index zero = 0; zero < 4; ++zero) BOOST_TEST_CONTEXT("core " << zero) {
      Train train = random_train({7, 3, 2, 6}, {4, 5, 3}).train;
      train.set_core(zero,
                     tn::BlockTensor<double>(Tensor<double>::zeros(train.core(zero).shape())));
      TrainProblem problem(train);
      AdamW<double> optimiser(problem.weights, {}, {0, 100});
      TwoSiteSweep<double> sweep(problem.ids, problem.weights, 1);
      const Index first = std::max<Index>(zero - 1, 0);
      // Two splits before anything is trained.
      for (int pair = 0; pair < 2; ++pair) {
        BOOST_TEST(sweep.bond() == first);
        sweep.merge(optimiser);
        sweep.split(optimiser, {{4, 5, 3}});
      }
      sweep.merge(optimiser);
      problem.give_gradients();
      sweep.keep_others_fixed();
      optimiser.step();
      sweep.split(optimiser, {{4, 5, 3}});
      BOOST_TEST(sweep.bond() != first);
      // What the cores outside of the pair span is what they spanned before.
      const Train after = problem.train();
      if (first > 0) {
        const auto span = [](const Train& of) {
          return tn::svd(of.dense_core(0).reshaped({7, 4})).u;
        };
        const auto overlap = tn::matrix_product(tn::adjoint(span(train)), span(after));
        for (const double value : tn::svd(overlap).singular_values)
          BOOST_TEST(value == 1, boost::test_tools::tolerance(1e-10));
      }
      if (first < 2) {
        const auto span = [](const Train& of) {
          return tn::svd(of.dense_core(3).reshaped({3, 6})).vh;
        };
        const auto overlap = tn::matrix_product(span(train), tn::adjoint(span(after)));
        for (const double value : tn::svd(overlap).singular_values)
          BOOST_TEST(value == 1, boost::test_tools::tolerance(1e-10));
      }
    }
}

BOOST_AUTO_TEST_CASE(a_step_moves_the_merged_core_alone) {
  TrainProblem problem(random_train({7, 3, 2, 6}, {4, 5, 3}).train);
  AdamW<double> optimiser(problem.weights, {}, {0, 100});
  TwoSiteSweep<double> sweep(problem.ids, problem.weights, 3);
  for (int pair = 0; pair < 5; ++pair) {
    sweep.merge(optimiser);
    const Train before = problem.train();
    const Index merged = merged_core(before, sweep.bond());
    for (bool over = false; !over;) {
      problem.give_gradients();
      sweep.keep_others_fixed();
      optimiser.step();
      over = sweep.count_step();
    }
    BOOST_TEST(sweep.state().steps == 3);
    const Train after = problem.train();
    for (Index k = 0; k < 4; ++k)
      BOOST_TEST((before.dense_core(k).to_vector() == after.dense_core(k).to_vector()) ==
                 (k != merged));
    sweep.split(optimiser, {{3}});
  }
}

BOOST_AUTO_TEST_CASE(a_sweep_goes_on_from_its_state_in_the_middle_of_a_pair) {
  const auto run = [](bool interrupted) {
    TrainProblem problem(random_train({7, 3, 2, 6}, {4, 5, 3}).train);
    AdamW<double> optimiser(problem.weights, {}, {0, 100});
    auto sweep = std::make_unique<TwoSiteSweep<double>>(problem.ids, problem.weights, 4);
    for (int step = 0; step < 14; ++step) {
      if (!sweep->merged()) sweep->merge(optimiser);
      problem.give_gradients();
      sweep->keep_others_fixed();
      optimiser.step();
      if (sweep->count_step()) sweep->split(optimiser, {{3}});
      if (interrupted) {
        const TwoSiteState state = sweep->state();
        sweep = std::make_unique<TwoSiteSweep<double>>(problem.ids, problem.weights, 4);
        sweep->set_state(state);
      }
    }
    return problem.train().to_dense().to_vector();
  };
  BOOST_TEST(run(false) == run(true), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_pairs_cannot_have_is_refused) {
  TrainProblem problem(random_train({7, 3, 2, 6}, {4, 5, 3}).train);
  AdamW<double> optimiser(problem.weights, {}, {0, 100});
  check_error([&] { TwoSiteSweep<double>(problem.ids, problem.weights, 0); },
              {"two_site_steps", "at least 1", "0"});
  TwoSiteSweep<double> sweep(problem.ids, problem.weights, 1);
  sweep.merge(optimiser);
  check_error(
      [&] {
        sweep.split(optimiser, {{}, {.maximum_parameters = 50}});
      },
      {"two_site_steps", "budget"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
