#include "model_testing.hpp"

#include <metatt/tn/decompositions.hpp>
#include <metatt/transformer/bond_importance.hpp>
#include <metatt/transformer/rank_study/rank_study.hpp>
#include <metatt/transformer/rank_study/recovery_problem.hpp>

#include <cmath>

using namespace metatt;
using namespace metatt::testing;

namespace {

using Train = tn::TensorTrain<double>;
using Ranks = std::vector<Index>;

RankStudySettings small_study(const std::string& problem) {
  RankStudySettings settings;
  settings.problem.kind = problem;
  settings.problem.modes = problem == "teacher" ? Ranks{6, 2, 2, 6} : Ranks{6, 3, 2, 5};
  settings.problem.samples = 60;
  settings.start_rank = 4;
  settings.steps = 40;
  settings.two_site_steps = 4;
  settings.cutoff = 0.1;
  return settings;
}

/// Puts the planted train into a problem.
void solve(RankProblem& problem) {
  for (std::size_t k = 0; k < problem.train_ids().size(); ++k) {
    const auto id = problem.train_ids()[k];
    problem.weights().set_value(
        id,
        problem.truth().dense_core(static_cast<Index>(k)).reshaped(problem.weights().shape(id)));
  }
}

BOOST_AUTO_TEST_SUITE(rank_study)

BOOST_AUTO_TEST_CASE(degrees_of_freedom_are_the_rank_of_the_jacobian) {
  const Ranks modes{4, 3, 2, 4};
  for (const Ranks& ranks : {Ranks{1, 1, 1}, Ranks{2, 2, 2}, Ranks{2, 4, 3}}) {
    const Train train = Train::random(modes, ranks, 7);
    // The rows of the Jacobian: gradients of every element of the tensor by all numbers of the
    // cores.
    const Index elements = train.to_dense().size();
    std::vector<double> jacobian;
    for (Index i = 0; i < elements; ++i) {
      std::vector<double> unit(static_cast<std::size_t>(elements), 0.0);
      unit[static_cast<std::size_t>(i)] = 1;
      for (const auto& gradient :
           core_gradients(train, Tensor<double>::from(modes, std::span<const double>(unit))))
        for (const double value : gradient.to_vector()) jacobian.push_back(value);
    }
    const auto svd = tn::svd(Tensor<double>::from({elements, train.parameter_count()},
                                                  std::span<const double>(jacobian)));
    const auto rank = std::ranges::count_if(
        svd.singular_values, [&](double value) { return value > 1e-10 * svd.singular_values[0]; });
    BOOST_TEST(rank == degrees_of_freedom(modes, ranks));
  }
}

BOOST_AUTO_TEST_CASE(a_planted_train_has_its_ranks_and_elements_of_variance_one) {
  RankProblemSettings settings;
  settings.modes = {8, 3, 2, 8};
  settings.true_ranks = {3, 4, 2};
  const Train train = planted_train(settings, 3);
  BOOST_TEST(train.ranks() == (Ranks{3, 4, 2}), boost::test_tools::per_element());
  BOOST_TEST(train.norm() * train.norm() == 8 * 3 * 2 * 8, boost::test_tools::tolerance(1e-10));
  settings.spectrum = {1, 1e-3, 1e-6, 1e-9};
  Train falling = planted_train(settings, 3);
  const auto report = tn::sweep(falling, tn::TruncationPolicy{}, tn::SweepMode::rounding);
  BOOST_TEST(report.bonds[1].spectrum[1] == 1e-3 * report.bonds[1].spectrum[0],
             boost::test_tools::tolerance(1e-6));
}

BOOST_AUTO_TEST_CASE(every_bond_of_a_planted_train_has_its_spectrum) {
  RankProblemSettings settings;
  settings.modes = {8, 3, 2, 8};
  settings.true_ranks = {3, 4, 2};
  const std::vector<double> own{1, 0.5, 0.25, 4, 2, 2, 1, 1, 0.7};
  for (const auto& given : {std::vector<double>{}, {1, 0.5, 0.2, 0.1}, own}) {
    settings.spectrum = given;
    Train train = planted_train(settings, 5);
    const auto report = tn::sweep(train, tn::TruncationPolicy{}, tn::SweepMode::rounding);
    std::size_t first = 0;
    for (const auto& bond : report.bonds) {
      for (std::size_t i = 0; i < bond.spectrum.size(); ++i) {
        const double expected = given.empty() ? 1 : given[first + i] / given[first];
        BOOST_TEST(bond.spectrum[i] / bond.spectrum[0] == expected,
                   boost::test_tools::tolerance(1e-6));
      }
      if (given.size() == own.size()) first += bond.spectrum.size();
    }
  }
}

BOOST_AUTO_TEST_CASE(the_planted_train_solves_every_problem) {
  for (const std::string& kind : rank_problems()) {
    const auto settings = small_study(kind);
    const auto problem = make_rank_problem(settings.problem, {2}, 5);
    BOOST_TEST(problem->tensor_error() > 0.5);
    solve(*problem);
    BOOST_TEST(problem->tensor_error() < 1e-12);
    BOOST_TEST(problem->test_error() < 1e-10);
    BOOST_TEST(problem->loss_and_gradients() < 1e-20);
    auto noisy = settings.problem;
    noisy.noise = 0.1;
    const auto other = make_rank_problem(noisy, {2}, 5);
    solve(*other);
    const double loss = other->loss_and_gradients();
    BOOST_TEST(loss > 0.2 * 0.01);
    BOOST_TEST(loss < 2 * 0.01);
  }
}

BOOST_AUTO_TEST_CASE(gradients_of_the_problems_are_those_of_differences) {
  for (const std::string& kind : rank_problems()) {
    const auto problem = make_rank_problem(small_study(kind).problem, {3}, 5);
    auto& weights = problem->weights();
    for (const auto id : problem->train_ids()) {
      auto core = tn::random_normal<double>(weights.shape(id), 9, static_cast<std::uint64_t>(id));
      tn::backend::scale(tn::backend::queue(), core.size(), 0.3, core.mutable_data());
      weights.set_value(id, core);
    }
    weights.arena().clear_gradients();
    problem->loss_and_gradients();
    std::map<Index, std::vector<double>> gradients;
    for (const auto id : problem->train_ids())
      gradients[id] = weights.arena().gradient(weights.arena().find(weights.name(id))).to_vector();
    for (const auto& [id, gradient] : gradients) {
      const auto [low, high] = std::ranges::minmax(gradient);
      const double largest = std::max(-low, high);
      const auto values = weights.value(id).to_vector();
      for (const std::size_t place : {std::size_t{0}, values.size() / 2, values.size() - 1}) {
        const auto loss_at = [&, id = id](double shift) {
          auto moved = values;
          moved[place] += shift;
          weights.set_value(
              id, Tensor<double>::from(weights.shape(id), std::span<const double>(moved)));
          weights.arena().clear_gradients();
          return problem->loss_and_gradients();
        };
        constexpr double h = 1e-4;
        const double difference = (loss_at(h) - loss_at(-h)) / (2 * h);
        weights.set_value(id,
                          Tensor<double>::from(weights.shape(id), std::span<const double>(values)));
        BOOST_TEST(gradient[place] - difference < 1e-7 * largest);
        BOOST_TEST(difference - gradient[place] < 1e-7 * largest);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(every_strategy_ends_with_the_same_ranks_and_the_same_bits_for_a_seed) {
  for (const std::string& kind : rank_problems()) {
    const auto settings = small_study(kind);
    for (const std::string& strategy : rank_strategies()) {
      BOOST_TEST_CONTEXT(kind << ", " << strategy) {
        const StudyRun run = run_strategy(strategy, settings, 3);
        const Index parameters = run.curve.back().parameters;
        if (strategy == "shrink_budget") {  // what {2, 2, 2} has, or a little less
          const Index budget = kind == "teacher" ? 40 : 42;
          BOOST_TEST(parameters <= budget);
          BOOST_TEST(parameters > budget - 12);
        } else if (strategy == "shrink_cutoff")
          BOOST_TEST(parameters < run.curve.front().parameters);
        else
          BOOST_TEST(run.ranks == (Ranks{2, 2, 2}), boost::test_tools::per_element());
        BOOST_TEST(run.curve.back().step == 40);
        BOOST_TEST(run.sweeps.empty() == (strategy == "fixed"));
        BOOST_TEST(run_strategy(strategy, settings, 3).curve.back().tensor_error ==
                   run.curve.back().tensor_error);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(every_change_of_ranks_has_a_step_of_its_own_before_it) {
  auto settings = small_study("teacher");
  settings.start_rank = 6;
  for (const Index changes : {3, 6, 12, 21}) {
    settings.changes = changes;
    settings.steps = least_steps(changes);
    for (const std::string& strategy : rank_strategies()) {
      Index last = 0;
      for (const RankStep& change : plan_strategy(strategy, settings).changes) {
        BOOST_TEST(change.when > last);
        last = change.when;
      }
    }
  }
  settings.steps = 40;
  settings.changes = 13;
  for (const char* strategy : {"shrink", "shrink_budget", "shrink_cutoff", "grow"})
    check_error([&] { plan_strategy(strategy, settings); },
                {"max_steps", "at least 44", "changes = 13", "found 40"});
  plan_strategy("fixed", settings);
}

BOOST_AUTO_TEST_CASE(ranks_go_the_way_that_the_name_says) {
  const auto settings = small_study("recovery");
  std::vector<Index> budgets;
  for (const RankStep& step : plan_strategy("shrink_budget", settings).changes)
    budgets.push_back(step.target.budget.maximum_parameters);
  // From 6·4 + 4·3·4 + 4·2·4 + 4·5 to 6·2 + 2·3·2 + 2·2·2 + 2·5 in four steps.
  BOOST_TEST(budgets == (Ranks{103, 83, 62, 42}), boost::test_tools::per_element());
  const auto way = [&](const char* strategy) {
    const StrategyPlan plan = plan_strategy(strategy, settings);
    std::vector<Index> ranks{plan.start_ranks[1]};
    for (const RankStep& step : plan.changes) ranks.push_back(step.target.ranks[1]);
    return ranks;
  };
  BOOST_TEST(way("fixed") == (Ranks{2}), boost::test_tools::per_element());
  BOOST_TEST(way("shrink").front() == 4);
  BOOST_TEST(way("shrink").back() == 2);
  BOOST_TEST(way("grow").front() == 1);
  BOOST_TEST(way("grow").back() == 2);
  for (const char* strategy : {"shrink", "grow", "prune"}) {  // a change to the same is none
    const auto ranks = way(strategy);
    BOOST_TEST((std::ranges::adjacent_find(ranks) == ranks.end()));
  }
  BOOST_TEST(std::ranges::max(way("grow_then_shrink")) == 4);
  BOOST_TEST(way("grow_then_shrink").back() == 2);
  BOOST_TEST(std::ranges::is_sorted(way("prune"), std::greater{}));
  BOOST_TEST(way("train_large_then_cut") == (Ranks{4}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(enough_samples_without_noise_find_the_train_and_too_few_cannot) {
  auto settings = small_study("recovery");
  settings.steps = 3000;
  settings.learning_rate = 3e-2;
  const Index degrees = degrees_of_freedom({6, 3, 2, 5}, {2, 2, 2});
  settings.problem.samples = 6 * degrees;
  for (const std::string& strategy : rank_strategies()) {
    const StudyRun found = run_strategy(strategy, settings, 3);
    BOOST_TEST_CONTEXT(strategy) {
      BOOST_TEST(found.recovered);
      // Two-site steps restart the moments, and the cut of a large train comes after the last step.
      const bool exact = strategy != "two_site" && strategy != "train_large_then_cut";
      BOOST_TEST(found.curve.back().tensor_error < (exact ? 1e-6 : 1e-3));
      BOOST_TEST(found.ranks == (Ranks{2, 2, 2}), boost::test_tools::per_element());
      BOOST_TEST(found.significant_ranks == (Ranks{2, 2, 2}), boost::test_tools::per_element());
    }
  }
  // With fewer targets than degrees of freedom a whole family of trains fits.
  settings.problem.samples = degrees / 2;
  const StudyRun lost = run_strategy("fixed", settings, 3);
  BOOST_TEST(lost.curve.back().loss < 1e-6);
  BOOST_TEST(!lost.recovered);
}

BOOST_AUTO_TEST_CASE(pruning_drops_the_directions_that_the_loss_does_not_need) {
  // Direction 1 of each bond carries nothing: its column and row are small.
  Train train = Train::random(Ranks{5, 3, 4}, Ranks{3, 3}, 2);
  std::vector<Tensor<double>> cores, gradients;
  for (Index k = 0; k < 3; ++k) {
    const Tensor<double> core = train.dense_core(k);
    auto values = core.to_vector();
    const auto left = static_cast<std::size_t>(core.extent(0)),
               right = static_cast<std::size_t>(core.extent(2));
    for (std::size_t i = 0; i < values.size(); ++i)
      if ((right > 1 && i % right == 1) || (left > 1 && i / (values.size() / left) == 1))
        values[i] *= 1e-3;
    cores.push_back(Tensor<double>::from(core.shape(), std::span<const double>(values)));
    gradients.push_back(tn::random_normal<double>(core.shape(), 4, static_cast<std::uint64_t>(k)));
  }
  TrainWithMoments trained{Train(cores), gradients, gradients};
  BondImportance importance;
  check_error([&] { importance.scores(0); }, {"BondImportance", "before the first pruning"});
  for (int step = 0; step < 3; ++step) importance.observe(trained.train, gradients);
  const RankSweep sweep = importance.prune(trained, {2, 2});
  BOOST_TEST(sweep.ranks_after() == (Ranks{2, 2}), boost::test_tools::per_element());
  // What is left is the train without that direction, up to its size, and moments go with it.
  BOOST_TEST(distance(trained.train.to_dense(), Train(cores).to_dense()) <
             1e-2 * Train(cores).norm());
  BOOST_TEST(trained.first_moments[1].shape() == (Shape{2, 3, 2}),
             boost::test_tools::per_element());
  const auto all = gradients[0].to_vector(), kept = trained.first_moments[0].to_vector();
  for (std::size_t row = 0; row < 5; ++row) {
    BOOST_TEST(kept[2 * row] == all[3 * row]);
    BOOST_TEST(kept[2 * row + 1] == all[3 * row + 2]);
  }
}

BOOST_AUTO_TEST_CASE(what_a_study_cannot_have_is_refused) {
  auto settings = small_study("recovery");
  check_error([&] { plan_strategy("guess", settings); }, {"strategy", "fixed, shrink", "guess"});
  settings.start_rank = 1;
  check_error([&] { plan_strategy("shrink", settings); }, {"start_rank", "at least", "found 1"});
  plan_strategy("fixed", settings);  // which does not come by there
  settings = small_study("recovery");
  settings.start_rank = 31;  // 6·3 = 18 left of the second bond, 2·5 right of it
  check_error([&] { plan_strategy("prune", settings); }, {"start_rank", "at most 10", "found 31"});
  settings.start_rank = 8;
  settings.ranks = {2, 7, 2};
  check_error([&] { plan_strategy("fixed", settings); }, {"rank", "bond 2", "at most rank 4"});
  settings = small_study("recovery");
  settings.problem.spectrum = {1};
  check_error([&] { planted_train(settings.problem, 1); }, {"spectrum", "2 values", "found 1"});
  settings.problem.spectrum = {3, 2, 1};  // neither those of a bond nor those of all
  check_error([&] { planted_train(settings.problem, 1); }, {"spectrum", "2 values", "found 3"});
  settings.problem = {.modes = {5, 1, 5}, .spectrum = {1, 0.5, 1, 0.1}};
  check_error([&] { planted_train(settings.problem, 1); },
              {"spectrum", "found no train", "off by"});
  settings.problem.kind = "puzzle";
  check_error([&] { problem_modes(settings.problem); }, {"problem", "recovery, teacher", "puzzle"});
  settings = small_study("teacher");
  settings.problem.modes = {6, 2, 3, 6};
  check_error([&] { make_rank_problem(settings.problem, {2}, 1); }, {"modes", "D,L,2,D"});
  settings = small_study("recovery");
  settings.problem.true_ranks = {2, 2};
  check_error([&] { make_rank_problem(settings.problem, {2}, 1); },
              {"true_ranks", "or 3", "found 2"});
  settings.problem = {.samples = 0};
  check_error([&] { make_rank_problem(settings.problem, {2}, 1); }, {"samples", "found 0"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
