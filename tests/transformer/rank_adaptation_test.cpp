#include "model_testing.hpp"

#include <tuple>

using namespace metatt;
using namespace metatt::testing;

namespace {

using Model = AssembledModel<double>;

/// A metatt4d adapter on all matrix types, as if trained.
std::unique_ptr<Model> trained_model(Index rank) {
  Method method = small_adapter("metatt4d");
  method.adapter.rank = rank;
  auto model = std::make_unique<Model>(small_config(), 2, method, random_weight<double>);
  randomise_adapter(*model->adapter, model->weights);
  return model;
}

const MetaTT<double>& train_of(const Model& model) {
  return dynamic_cast<const MetaTT<double>&>(*model.adapter);
}

AdamW<double> optimiser_of(Model& model) {
  return {model.weights, {}, {0, Index{1} << 40}};
}

RankSweep sweep(Model& model, Index rank, tn::SweepMode mode) {
  AdamW<double> optimiser = optimiser_of(model);
  return adapt_ranks(train_of(model), model.weights, optimiser, rank, mode, OptimizerState::reset);
}

double distance(const Tensor<double>& a, const Tensor<double>& b) {
  Tensor<double> difference = a;
  auto& queue = tn::backend::queue();
  tn::backend::add_scaled(queue, b.size(), -1.0, b.data(), difference.mutable_data());
  return tn::backend::norm(queue, difference.size(), difference.data());
}

/// Replaces the train by one whose ranks are really `rank`, padded with zeros to the ranks it has.
void cut_to_true_rank(Model& model, Index rank) {
  for (Index k = 0; k < 4; ++k) {
    const auto id = train_of(model).core(k);
    const Shape shape = model.weights.shape(id);
    auto values = model.weights.value(id).to_vector();
    const Index left = k > 0 ? rank : shape.front(), right = k < 3 ? rank : shape.back();
    const Index columns = shape.back(), block = static_cast<Index>(values.size()) / shape.front();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto place = static_cast<Index>(i);
      if (place / block >= left || place % columns >= right) values[i] = 0;
    }
    model.weights.set_value(id, Tensor<double>::from(shape, std::span<const double>(values)));
  }
}

constexpr std::array<tn::SweepMode, 2> modes{tn::SweepMode::paper, tn::SweepMode::rounding};

BOOST_AUTO_TEST_SUITE(rank_adaptation)

BOOST_AUTO_TEST_CASE(a_sweep_to_the_same_or_to_the_true_rank_leaves_the_function) {
  const Batch batch = pack(random_examples(5, 1));
  for (const auto mode : modes) {
    for (const Index true_rank : {5, 3}) {
      const auto model = trained_model(5);
      cut_to_true_rank(*model, true_rank);
      const auto before = logits_of(*model, batch);
      const RankSweep report = sweep(*model, true_rank, mode);
      BOOST_TEST(report.ranks_before == (std::vector<Index>{5, 5, 5}));
      BOOST_TEST(report.ranks_after == (std::vector<Index>{true_rank, true_rank, true_rank}));
      BOOST_TEST(report.error_bound < 1e-12 * report.norm_before);
      BOOST_TEST(relative_error(before, logits_of(*model, batch)) < 1e-11);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_second_sweep_of_the_same_mode_and_rank_changes_nothing) {
  const Batch batch = pack(random_examples(5, 1));
  for (const auto mode : modes) {
    const auto model = trained_model(6);
    sweep(*model, 3, mode);
    const auto train = train_of(*model).train().to_dense();
    const auto logits = logits_of(*model, batch);
    const RankSweep second = sweep(*model, 3, mode);
    BOOST_TEST(second.ranks_before == second.ranks_after, boost::test_tools::per_element());
    BOOST_TEST(distance(train_of(*model).train().to_dense(), train) < 1e-13 * second.norm_before);
    BOOST_TEST(relative_error(logits, logits_of(*model, batch)) < 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(the_change_of_the_train_stays_within_the_bound) {
  for (const auto mode : modes) {
    for (const Index rank : {1, 2, 4}) {
      const auto model = trained_model(6);
      const auto before = train_of(*model).train().to_dense();
      const RankSweep report = sweep(*model, rank, mode);
      const double error = distance(train_of(*model).train().to_dense(), before);
      BOOST_TEST(error > 1e-3 * report.norm_before);
      BOOST_TEST(error <= report.error_bound * (1 + 1e-12));
      if (mode == tn::SweepMode::rounding)
        BOOST_TEST(error == report.error_bound, boost::test_tools::tolerance(1e-10));
      BOOST_TEST(report.bonds.size() == 3u);
      for (const auto& bond : report.bonds) BOOST_TEST(bond.truncation.kept == rank);
      BOOST_TEST(model->weights.arena().size() == model->weights.trainable_count());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_train_that_is_zero_or_has_too_small_a_rank_is_refused) {
  Method method = small_adapter("metatt4d");
  Model fresh(small_config(), 2, method, random_weight<double>);
  check_error([&] { sweep(fresh, 2, tn::SweepMode::rounding); }, {"still zero", "train it"});
  const auto model = trained_model(3);
  check_error([&] { sweep(*model, 4, tn::SweepMode::rounding); }, {"rank 4", "rank 3"});
}

/// Gradients of 〈G, ΔW〉-like losses: those of the model's own loss.
std::map<std::string, std::vector<double>> gradients_of(Model& model, const Batch& batch,
                                                        const std::vector<double>& labels) {
  model.loss_and_gradients(batch, labels);
  std::map<std::string, std::vector<double>> result;
  auto& arena = model.weights.arena();
  for (Index p = 0; p < arena.count(); ++p) result[arena.name(p)] = arena.gradient(p).to_vector();
  return result;
}

BOOST_AUTO_TEST_CASE(a_projected_first_moment_is_that_of_the_gradients_after_the_sweep) {
  // One AdamW step whose rate is zero leaves m = (1 − β₁)·g. A sweep to the same rank is a change
  // of gauge alone, after which the carried m must be (1 − β₁) times the gradient of the new
  // cores, here computed anew by a backward pass.
  const Batch batch = pack(random_examples(5, 1));
  const std::vector<double> labels{0, 1, 1, 0, 1};
  for (const auto mode : modes) {
    const auto model = trained_model(4);
    AdamWSettings settings;
    settings.learning_rate = settings.head_learning_rate = 0;
    settings.max_gradient_norm = 0;
    AdamW<double> optimiser(model->weights, settings, {0, 100});
    model->loss_and_gradients(batch, labels);
    optimiser.step();
    adapt_ranks(train_of(*model), model->weights, optimiser, 4, mode, OptimizerState::project);
    const auto after = gradients_of(*model, batch, labels);
    const auto& arena = model->weights.arena();
    for (Index p = 0; p < arena.count(); ++p) {
      BOOST_TEST_CONTEXT(arena.name(p)) {
        auto carried = arena.first_moment(p).to_vector();
        for (double& m : carried) m /= 1 - settings.beta1;
        BOOST_TEST(relative_error(after.at(arena.name(p)), carried) < 1e-10);
        for (const double v : arena.second_moment(p).to_vector()) BOOST_TEST(v >= 0);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_reset_clears_the_moments_of_the_cores_and_spares_those_of_the_head) {
  const Batch batch = pack(random_examples(5, 1));
  const std::vector<double> labels{0, 1, 1, 0, 1};
  const auto model = trained_model(4);
  AdamW<double> optimiser = optimiser_of(*model);
  for (int step = 0; step < 3; ++step) {
    model->loss_and_gradients(batch, labels);
    optimiser.step();
  }
  auto& weights = model->weights;
  const auto moments = [&](const std::string& name) {
    const Index p = weights.arena().find(name);
    return std::pair(weights.arena().first_moment(p).to_vector(),
                     weights.arena().second_moment(p).to_vector());
  };
  const auto head = moments("classifier.weight");
  adapt_ranks(train_of(*model), weights, optimiser, 2, tn::SweepMode::rounding,
              OptimizerState::reset);
  BOOST_TEST((moments("classifier.weight") == head));
  for (const char* core : {"adapter.G1", "adapter.G2", "adapter.G3", "adapter.G4"}) {
    const auto [first, second] = moments(core);
    BOOST_TEST(first == std::vector<double>(first.size(), 0.0), boost::test_tools::per_element());
    BOOST_TEST(second == std::vector<double>(second.size(), 0.0), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(after_a_reset_the_bias_correction_starts_again) {
  // The first step of AdamW, m̂ = g and v̂ = g², moves every weight by the rate (if ε is small).
  const Batch batch = pack(random_examples(5, 1));
  const std::vector<double> labels{0, 1, 1, 0, 1};
  const auto moved_by = [&](OptimizerState state) {
    const auto model = trained_model(4);
    AdamWSettings settings;
    settings.learning_rate = 1e-3;
    settings.epsilon = 1e-12;
    AdamW<double> optimiser(model->weights, settings, {0, Index{1} << 40});
    for (int step = 0; step < 3; ++step) {
      model->loss_and_gradients(batch, labels);
      optimiser.step();
    }
    adapt_ranks(train_of(*model), model->weights, optimiser, 4, tn::SweepMode::rounding, state);
    const auto id = train_of(*model).core(0);
    const auto before = model->weights.value(id).to_vector();
    model->loss_and_gradients(batch, labels);
    optimiser.step();
    const auto after = model->weights.value(id).to_vector();
    double smallest = 1, largest = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      smallest = std::min(smallest, std::abs(after[i] - before[i]));
      largest = std::max(largest, std::abs(after[i] - before[i]));
    }
    return std::pair(smallest, largest);
  };
  const auto [smallest, largest] = moved_by(OptimizerState::reset);
  BOOST_TEST(smallest == 1e-3, boost::test_tools::tolerance(1e-5));
  BOOST_TEST(largest == 1e-3, boost::test_tools::tolerance(1e-5));
  BOOST_TEST(moved_by(OptimizerState::project).first < 0.9e-3);
}

BOOST_AUTO_TEST_CASE(training_goes_on_after_a_sweep_with_either_state) {
  const Batch batch = pack(random_examples(6, 1));
  const std::vector<double> labels{0, 1, 1, 0, 1, 0};
  for (const auto state : {OptimizerState::reset, OptimizerState::project}) {
    const auto model = trained_model(5);
    AdamW<double> optimiser = optimiser_of(*model);
    const double start = model->loss_and_gradients(batch, labels);
    for (int step = 0; step < 20; ++step) {
      if (step == 10)
        adapt_ranks(train_of(*model), model->weights, optimiser, 3, tn::SweepMode::rounding, state);
      model->loss_and_gradients(batch, labels);
      optimiser.step();
    }
    BOOST_TEST(optimiser.counts().steps == 20);
    BOOST_TEST(train_of(*model).ranks() == (std::vector<Index>{3, 3, 3}),
               boost::test_tools::per_element());
    BOOST_TEST(model->loss_and_gradients(batch, labels) < start);
  }
}

BOOST_AUTO_TEST_CASE(a_sweep_of_floats_stays_within_its_bound_to_rounding) {
  Method method = small_adapter("metatt4d");
  method.adapter.rank = 6;
  AssembledModel<float> model(small_config(), 2, method, random_weight<float>);
  randomise_adapter(*model.adapter, model.weights);
  const auto& train = dynamic_cast<const MetaTT<float>&>(*model.adapter);
  const auto before = train.train().to_dense();
  AdamW<float> optimiser(model.weights, {}, {0, 100});
  const RankSweep report = adapt_ranks(train, model.weights, optimiser, 3, tn::SweepMode::rounding,
                                       OptimizerState::reset);
  BOOST_TEST(distance(train.train().to_dense(), before) <
             report.error_bound + 1e-6 * report.norm_before);
}

BOOST_AUTO_TEST_CASE(a_schedule_is_read_as_it_is_written) {
  const auto steps = parse_rank_schedule("0:10,3:8,7:4", 8);
  BOOST_REQUIRE(steps.size() == 3u);
  BOOST_TEST(steps[1].epoch == 3);
  BOOST_TEST(steps[1].rank == 8);
  BOOST_TEST(steps[2].epoch == 7);
  BOOST_TEST(steps[2].rank == 4);
  BOOST_TEST(parse_rank_schedule("0:1", 1).size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_bad_schedule_is_refused_with_what_is_wrong) {
  const auto check = [](const char* text, std::string_view what) {
    BOOST_TEST_CONTEXT(text) {
      check_error([&] { parse_rank_schedule(text, 6); },
                  {"rank_schedule", "EPOCH:RANK", text, what});
    }
  };
  check("", "has no \":\"");
  check("0:8,", "\"\" has no \":\"");
  check("0:8,3", "\"3\" has no \":\"");
  check("0:x", "\"x\" is no number");
  check("0:8 ,2:4", "\"8 \" is no number");
  check("0:-3", "\"-3\" is no number");
  check("0:99999999999999999999", "is no number");
  check("0:1:2", "\"1:2\" is no number");
  check("0:0", "a rank below 1");
  check("1:8", "the first epoch is not 0");
  check("0:8,3:4,3:2", "epoch 3 does not come after 3");
  check("0:8,3:4,2:2", "epoch 2 does not come after 3");
  check("0:8,3:8", "rank 8 is not below 8");
  check("0:8,6:4", "epoch 6 is never reached in 6 epochs");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
