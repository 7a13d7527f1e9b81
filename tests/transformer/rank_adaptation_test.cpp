#include "model_testing.hpp"

#include <metatt/tn/contract.hpp>
#include <metatt/tn/decompositions.hpp>
#include <metatt/transformer/adapters/meta_tt.hpp>

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

/// Where no bond may grow.
void no_growth() {
  BOOST_FAIL("no gradient is needed");
}

RankSweep sweep(Model& model, Index rank, tn::SweepMode mode) {
  AdamW<double> optimiser = optimiser_of(model);
  return adapt_ranks<double>(model.adapter->trains(), model.weights, optimiser, {{rank}},
                             {mode, OptimizerState::reset}, no_growth);
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
      BOOST_TEST(report.ranks_before() == (std::vector<Index>{5, 5, 5}));
      BOOST_TEST(report.ranks_after() == (std::vector<Index>{true_rank, true_rank, true_rank}));
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
    BOOST_TEST(second.ranks_before() == second.ranks_after(), boost::test_tools::per_element());
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
      for (const auto& bond : report.bonds) BOOST_TEST(bond.rank_after == rank);
      BOOST_TEST(model->weights.arena().size() == model->weights.trainable_count());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_train_that_is_zero_is_refused) {
  Method method = small_adapter("metatt4d");
  Model fresh(small_config(), 2, method, random_weight<double>);
  check_error([&] { sweep(fresh, 2, tn::SweepMode::rounding); }, {"still zero", "train it"});
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
    adapt_ranks<double>(model->adapter->trains(), model->weights, optimiser, {{4}},
                        {mode, OptimizerState::project}, no_growth);
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

// The train diag(3, 1), as the product of (2 1; 2 −1) and (¾ ¼; 3/2 −½), loses its second singular
// value. On paper: the new first core is g·(1, 0)ᵀ, with g = ±1 after rounding and ±3 after the
// paper's sweep, so that expand = g·(¼, ½)ᵀ, and reduce = (2, 1)/g, since it takes the old second
// core to (3, 0)/g. First moments go the way of gradients, m₁·reduceᵀ and expandᵀ·m₂, second ones
// with the squares.
BOOST_AUTO_TEST_CASE(moments_that_are_projected_to_a_lower_rank_by_hand) {
  const auto left = [](std::initializer_list<double> values) {
    return Tensor<double>::from({1, 2, 2}, values);
  };
  const auto right = [](std::initializer_list<double> values) {
    return Tensor<double>::from({2, 2, 1}, values);
  };
  for (const auto mode : modes) {
    TrainWithMoments trained{
        tn::TensorTrain<double>({left({2, 1, 2, -1}), right({.75, .25, 1.5, -.5})}),
        {left({1, 2, 3, 4}), right({5, 6, 7, 8})},
        {left({1, 2, 3, 4}), right({5, 6, 7, 8})}};
    RankAdaptation(mode, OptimizerState::project).truncate(trained, {{1}});
    const double g = trained.train.dense_core(0).to_vector()[0];
    BOOST_TEST(std::abs(g) == (mode == tn::SweepMode::paper ? 3.0 : 1.0),
               boost::test_tools::tolerance(1e-14));
    const auto check = [](const Tensor<double>& found, double first, double second) {
      BOOST_TEST(relative_error(std::vector{first, second}, found.to_vector()) < 1e-14);
    };
    check(trained.first_moments[0], 4 / g, 10 / g);
    check(trained.first_moments[1], 4.75 * g, 5.5 * g);
    check(trained.second_moments[0], 6 / (g * g), 16 / (g * g));
    check(trained.second_moments[1], 2.0625 * g * g, 2.375 * g * g);
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
  adapt_ranks<double>(model->adapter->trains(), weights, optimiser, {{2}},
                      {tn::SweepMode::rounding, OptimizerState::reset}, no_growth);
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
    adapt_ranks<double>(model->adapter->trains(), model->weights, optimiser, {{4}},
                        {tn::SweepMode::rounding, state}, no_growth);
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
        adapt_ranks<double>(model->adapter->trains(), model->weights, optimiser, {{3}},
                            {tn::SweepMode::rounding, state}, no_growth);
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
  const RankSweep report =
      adapt_ranks<float>(model.adapter->trains(), model.weights, optimiser, {{3}},
                         {tn::SweepMode::rounding, OptimizerState::reset}, no_growth);
  BOOST_TEST(distance(train.train().to_dense(), before) <
             report.error_bound + 1e-6 * report.norm_before);
}

BOOST_AUTO_TEST_CASE(ranks_together_with_a_budget_are_refused) {
  const auto model = trained_model(6);
  AdamW<double> optimiser = optimiser_of(*model);
  check_error(
      [&] {
        adapt_ranks<double>(model->adapter->trains(), model->weights, optimiser,
                            {{4}, {.cutoff = 0.1}},
                            {tn::SweepMode::rounding, OptimizerState::reset}, no_growth);
      },
      {"adapt_ranks", "both"});
}

// At a bond further right the sweep sees a train that it has cut already.
BOOST_AUTO_TEST_CASE(spectra_and_entropies_are_those_of_the_train_before_the_sweep) {
  for (const tn::SweepMode mode : modes) {
    const auto model = trained_model(5);
    const Tensor<double> dense = train_of(*model).train().to_dense();
    const RankSweep report = sweep(*model, 1, mode);
    Index rows = 1;
    for (std::size_t k = 0; k < 3; ++k) {
      rows *= dense.extent(static_cast<int>(k));
      const auto values = tn::svd(dense.reshaped({rows, dense.size() / rows})).singular_values;
      double squares = 0, entropy = 0;
      for (const double value : values) squares += value * value;
      for (std::size_t i = 0; i < 5; ++i) {
        BOOST_TEST(report.bonds[k].spectrum.at(i) == values[i],
                   boost::test_tools::tolerance(1e-10));
        const double p = values[i] * values[i] / squares;
        entropy -= p * std::log(p);
      }
      BOOST_TEST(report.bonds[k].spectrum.size() == 5U);
      BOOST_TEST(report.bonds[k].entropy == entropy, boost::test_tools::tolerance(1e-10));
      BOOST_TEST(report.norm_before == std::sqrt(squares), boost::test_tools::tolerance(1e-10));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_train_shrinks_to_a_rank_a_rank_for_each_bond_a_cutoff_or_a_budget) {
  const auto ranks_with = [](const RankTarget& target) {
    const auto model = trained_model(6);
    AdamW<double> optimiser = optimiser_of(*model);
    const RankSweep report =
        adapt_ranks<double>(model->adapter->trains(), model->weights, optimiser, target,
                            {tn::SweepMode::rounding, OptimizerState::reset}, no_growth);
    BOOST_TEST(report.ranks_after() == train_of(*model).ranks(), boost::test_tools::per_element());
    double weight = 0;
    for (const BondChange& bond : report.bonds) weight += bond.discarded_weight;
    return std::tuple(report.ranks_after(), weight, train_of(*model).train().parameter_count());
  };
  BOOST_TEST(std::get<0>(ranks_with({{4}})) == (std::vector<Index>{4, 4, 4}));
  BOOST_TEST(std::get<0>(ranks_with({{4, 2, 5}})) == (std::vector<Index>{4, 2, 5}));
  RankTarget cutoff;
  cutoff.budget.cutoff = 0.3;
  BOOST_TEST(std::get<1>(ranks_with(cutoff)) <= 0.3);
  BOOST_TEST(std::get<1>(ranks_with(cutoff)) > 0.05);
  RankTarget budget;
  budget.budget.maximum_parameters = 100;
  BOOST_TEST(std::get<2>(ranks_with(budget)) <= 100);
  BOOST_TEST(std::get<2>(ranks_with(budget)) > 80);
}

// At random rows the gradient by the new columns is that of the merged pair of cores times the
// rows.
BOOST_AUTO_TEST_CASE(a_bond_grows_where_the_gradient_points_and_the_function_stays) {
  const Batch batch = pack(random_examples(5, 1));
  const std::vector<double> labels{0, 1, 1, 0, 1};
  for (const auto state : {OptimizerState::reset, OptimizerState::project}) {
    const auto model = trained_model(2);
    AdamW<double> optimiser = optimiser_of(*model);
    model->loss_and_gradients(batch, labels);
    optimiser.step();
    const auto before = logits_of(*model, batch);
    int calls = 0;
    const RankSweep report =
        adapt_ranks<double>(model->adapter->trains(), model->weights, optimiser, {{4, 3, 5}},
                            {tn::SweepMode::rounding, state}, [&] {
                              ++calls;
                              BOOST_TEST(relative_error(before, logits_of(*model, batch)) < 1e-11);
                              model->loss_and_gradients(batch, labels);
                            });
    BOOST_TEST(calls == 3);
    BOOST_TEST(report.ranks_before() == (std::vector<Index>{2, 2, 2}));
    BOOST_TEST(report.ranks_after() == (std::vector<Index>{4, 3, 5}));
    BOOST_TEST(train_of(*model).ranks() == (std::vector<Index>{4, 3, 5}));
    BOOST_TEST(relative_error(before, logits_of(*model, batch)) < 1e-11);
    // The rows behind the new columns are zero, and what they can do is what the spectrum says.
    const double loss = model->loss_and_gradients(batch, labels);
    const auto& arena = model->weights.arena();
    const Tensor<double> gradient = arena.gradient(arena.find("adapter.G4"));
    double size = 0;
    for (Index row = 2; row < 5; ++row)
      size += std::pow(tn::backend::norm(tn::backend::queue(), 12, gradient.data() + row * 12), 2);
    const Tensor<double> left = model->weights.value(train_of(*model).core(2));
    double columns = 0;  // of the squared norms of the new ones, all the same
    for (Index row = 0; row < left.size() / 5; ++row)
      for (Index column = 2; column < 5; ++column)
        columns += std::pow(left.data()[row * 5 + column], 2) / 3;
    double spectrum = 0;
    for (std::size_t k = 0; k < 3; ++k) spectrum += std::pow(report.bonds[2].spectrum[k], 2);
    BOOST_TEST(size >= 0.99 * columns * spectrum);
    BOOST_TEST(spectrum > 0);
    optimiser.step();
    BOOST_TEST(model->loss_and_gradients(batch, labels) < loss);
  }
}

// Beside rank one at bond 2 there is room for rank two at bond 1, and for more once that has grown.
BOOST_AUTO_TEST_CASE(a_bond_that_grows_twice_tells_of_both_times) {
  const Batch batch = pack(random_examples(5, 1));
  const std::vector<double> labels{0, 1, 1, 0, 1};
  const auto growth = [&](const std::vector<Index>& ranks) {
    const auto model = trained_model(1);
    AdamW<double> optimiser = optimiser_of(*model);
    return adapt_ranks<double>(model->adapter->trains(), model->weights, optimiser, {ranks},
                               {tn::SweepMode::rounding, OptimizerState::reset},
                               [&] { model->loss_and_gradients(batch, labels); })
        .bonds.front();
  };
  const BondChange once = growth({2, 1, 1}), twice = growth({4, 4, 4});
  BOOST_TEST(twice.rank_before == 1);
  BOOST_TEST(twice.rank_after == 4);
  BOOST_TEST(twice.spectrum.size() > once.spectrum.size());
  BOOST_TEST(std::ranges::any_of(twice.spectrum, [&](double value) {
    return std::abs(value - once.spectrum.front()) < 1e-9 * value;
  }));
  BOOST_TEST(std::ranges::is_sorted(twice.spectrum, std::greater{}));
  BOOST_TEST(std::isnan(twice.entropy));
  BOOST_TEST(once.entropy == 0);  // of one value
}

// A planted update of rank two under a train of rank one: the direction that is missing is found.
BOOST_AUTO_TEST_CASE(growth_finds_the_direction_that_is_missing) {
  const RankAdaptation adaptation(tn::SweepMode::rounding, OptimizerState::reset);
  const std::vector<Index> modes{30, 3, 20};
  const auto present = tn::TensorTrain<double>::random(modes, std::vector<Index>{1, 1}, 1);
  const auto missing = tn::TensorTrain<double>::random(modes, std::vector<Index>{1, 1}, 2);
  const auto zeros = [](const tn::TensorTrain<double>& train) {
    std::vector<Tensor<double>> moments;
    for (Index k = 0; k < train.length(); ++k)
      moments.push_back(Tensor<double>::zeros(train.core(k).shape()));
    return moments;
  };
  TrainWithMoments trained{present, zeros(present), zeros(present)};
  const TrainWithMoments probed = adaptation.probe(trained, 0, 1, 7);
  BOOST_TEST(distance(probed.train.to_dense(), present.to_dense()) < 1e-14);
  // Of the loss 〈missing, train〉: its gradient by core 0 is missing, contracted with the other
  // cores.
  const Tensor<double> rest =
      tn::contract("ajb,bkc->ajkc", probed.train.dense_core(1), probed.train.dense_core(2));
  const Tensor<double> gradient =
      tn::contract("ijk,ajk->ia", missing.to_dense(),
                   rest.reshaped({rest.extent(0), rest.extent(1), rest.extent(2)}));
  const BondChange change = adaptation.grow(
      trained, 0, 1, gradient.reshaped({1, gradient.extent(0), gradient.extent(1)}));
  BOOST_TEST(change.rank_after == 2);
  BOOST_TEST(distance(trained.train.to_dense(), present.to_dense()) < 1e-14);
  // The new column spans, with the old one, the left factor of what is missing.
  const auto columns = tn::qr(trained.train.dense_core(0).reshaped({30, 2})).q;
  Tensor<double> left = missing.dense_core(0).reshaped({30, 1});
  const auto inside = tn::matrix_product(columns, tn::matrix_product(tn::adjoint(columns), left));
  BOOST_TEST(distance(inside, left) < 1e-12);
}

// AdamW's first steps there, lr·m̂/√v̂, are then no longer than the others.
BOOST_AUTO_TEST_CASE(what_has_grown_begins_with_the_mean_second_moment_of_its_core) {
  const RankAdaptation adaptation(tn::SweepMode::rounding, OptimizerState::project);
  const auto train =
      tn::TensorTrain<double>::random(std::vector<Index>{4, 3}, std::vector<Index>{1}, 1);
  const auto of = [](Shape shape, std::vector<double> values) {
    return Tensor<double>::from(std::move(shape), std::span<const double>(values));
  };
  TrainWithMoments trained{train,
                           {of({1, 4, 1}, {1, 1, 1, 1}), of({1, 3, 1}, {1, 1, 1})},
                           {of({1, 4, 1}, {1, 2, 3, 6}), of({1, 3, 1}, {4, 5, 9})}};
  const Index wide = adaptation.probe(trained, 0, 1, 7).train.ranks().front();
  adaptation.grow(trained, 0, 1, tn::random_normal<double>({1, 4, wide}, 5, 0));
  BOOST_TEST(trained.second_moments[0].to_vector() == (std::vector<double>{1, 3, 2, 3, 3, 3, 6, 3}),
             boost::test_tools::per_element());
  BOOST_TEST(trained.second_moments[1].to_vector() == (std::vector<double>{4, 5, 9, 6, 6, 6}),
             boost::test_tools::per_element());
  BOOST_TEST(trained.first_moments[1].to_vector() == (std::vector<double>{1, 1, 1, 0, 0, 0}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(cutting_lora_is_the_best_approximation_of_every_update) {
  AssembledModel<double> model(small_config(), 2, small_adapter("lora"), random_weight<double>);
  randomise_adapter(*model.adapter, model.weights);
  const auto before = dense_update<double>(lora_factors(*model.adapter, 1, MatrixType::key, 0));
  AdamW<double> optimiser(model.weights, {}, {0, 100});
  const RankSweep report =
      adapt_ranks<double>(model.adapter->trains(), model.weights, optimiser, {{2}},
                          {tn::SweepMode::rounding, OptimizerState::reset}, no_growth);
  BOOST_TEST(report.bonds.size() == 12U);
  const auto after = dense_update<double>(lora_factors(*model.adapter, 1, MatrixType::key, 0));
  // The third singular value is what is lost (Eckart and Young).
  BOOST_TEST(distance(before, after) == tn::svd(before).singular_values.at(2),
             boost::test_tools::tolerance(1e-10));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
