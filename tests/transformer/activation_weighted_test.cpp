#include "model_testing.hpp"

#include <metatt/tn/contract.hpp>
#include <metatt/tn/decompositions.hpp>

#include <cmath>

using namespace metatt;
using namespace metatt::testing;

namespace {

using Train = tn::TensorTrain<double>;

const RankAdaptation adaptation(tn::SweepMode::rounding, OptimizerState::reset);

/// Inputs of which some directions are much larger than others.
Tensor<double> uneven_inputs(Index rows, Index width) {
  auto values = tn::random_normal<double>({rows, width}, 8).to_vector();
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] *= std::pow(0.5, static_cast<double>(i % static_cast<std::size_t>(width)));
  return Tensor<double>::from({rows, width}, std::span<const double>(values));
}

Tensor<double> gram_of(const Tensor<double>& x) {
  InputGram<double> inputs(x.extent(1));
  inputs.add(x);
  return inputs.mean();
}

/// The first mode × all others.
Tensor<double> as_matrix(const Train& train) {
  const auto dense = train.to_dense();
  return dense.reshaped({dense.extent(0), dense.size() / dense.extent(0)});
}

double output_error(const Tensor<double>& x, const Train& a, const Train& b) {
  return distance(tn::matrix_product(x, as_matrix(a)), tn::matrix_product(x, as_matrix(b)));
}

BOOST_AUTO_TEST_SUITE(activation_weighted)

BOOST_AUTO_TEST_CASE(the_cut_of_a_matrix_is_the_best_for_its_outputs) {
  // Eckart and Young for X·W: no W' of rank r has outputs nearer to X·W than the tail of its
  // singular values.
  const Train matrix = Train::random(std::vector<Index>{6, 9}, std::vector<Index>{6}, 4);
  const Tensor<double> x = uneven_inputs(40, 6);
  const auto values = tn::svd(tn::matrix_product(x, as_matrix(matrix))).singular_values;
  for (const Index rank : {1, 2, 4}) {
    double tail = 0;
    for (std::size_t i = static_cast<std::size_t>(rank); i < values.size(); ++i)
      tail = std::hypot(tail, values[i]);
    TrainWithMoments weighted = without_moments(matrix), plain = without_moments(matrix);
    const RankSweep sweep = adaptation.truncate(weighted, {{rank}}, gram_of(x));
    adaptation.truncate(plain, {{rank}});
    BOOST_TEST(output_error(x, weighted.train, matrix) == tail, boost::test_tools::tolerance(1e-4));
    BOOST_TEST(output_error(x, plain.train, matrix) > 1.1 * tail);
    // The report is in units of one row of the inputs.
    BOOST_TEST(sweep.error_bound * std::sqrt(40) == tail, boost::test_tools::tolerance(1e-3));
  }
}

BOOST_AUTO_TEST_CASE(a_longer_train_loses_less_of_its_outputs_and_more_of_itself) {
  const Train train = Train::random(std::vector<Index>{6, 3, 2, 5}, std::vector<Index>{6, 6, 5}, 4);
  const Tensor<double> x = uneven_inputs(40, 6);
  TrainWithMoments weighted = without_moments(train), plain = without_moments(train);
  const RankSweep sweep = adaptation.truncate(weighted, {{3}}, gram_of(x));
  adaptation.truncate(plain, {{3}});
  const double error = output_error(x, weighted.train, train);
  BOOST_TEST(error < output_error(x, plain.train, train));
  BOOST_TEST(error == sweep.error_bound * std::sqrt(40), boost::test_tools::tolerance(1e-4));
  BOOST_TEST(distance(weighted.train.to_dense(), train.to_dense()) >
             distance(plain.train.to_dense(), train.to_dense()));
}

BOOST_AUTO_TEST_CASE(inputs_that_are_the_same_in_all_directions_change_nothing) {
  const Train train = Train::random(std::vector<Index>{5, 3, 4}, std::vector<Index>{4, 4}, 2);
  std::vector<double> identity(25, 0.0);
  for (std::size_t i = 0; i < 5; ++i) identity[6 * i] = 3;
  TrainWithMoments weighted = without_moments(train), plain = without_moments(train);
  adaptation.truncate(weighted, {{2}},
                      Tensor<double>::from({5, 5}, std::span<const double>(identity)));
  adaptation.truncate(plain, {{2}});
  BOOST_TEST(distance(weighted.train.to_dense(), plain.train.to_dense()) < 1e-12 * train.norm());
}

BOOST_AUTO_TEST_CASE(inputs_without_some_directions_leave_the_train_finite) {
  const Train train = Train::random(std::vector<Index>{5, 3, 4}, std::vector<Index>{4, 4}, 2);
  std::vector<double> one(25, 0.0);
  one[0] = 1;
  TrainWithMoments weighted = without_moments(train);
  adaptation.truncate(weighted, {{2}}, Tensor<double>::from({5, 5}, std::span<const double>(one)));
  BOOST_TEST(std::isfinite(weighted.train.norm()));
  check_error(
      [&] {
        adaptation.truncate(weighted, {{2}}, Tensor<double>::zeros({5, 5}));
      },
      {"all zero"});
  check_error([&] { adaptation.truncate(weighted, {{2}}, gram_of(uneven_inputs(9, 6))); },
              {"Gram matrix of 5 inputs", "6×6"});
}

BOOST_AUTO_TEST_CASE(inputs_in_single_precision_have_a_gram_matrix_to_the_precision_of_double) {
  // The sums of a product in single precision would not be symmetric enough for an eigensolver.
  InputGram<float> inputs(64);
  for (std::uint64_t stream = 0; stream < 4; ++stream)
    inputs.add(tn::random_normal<float>({300, 64}, 8, stream));
  const auto mean = inputs.mean().to_vector();
  for (std::size_t i = 0; i < 64; ++i)
    for (std::size_t j = 0; j < i; ++j)
      BOOST_TEST(std::abs(mean[64 * i + j] - mean[64 * j + i]) < 1e-14);
  const Train train =
      Train::random(std::vector<Index>{64, 3, 2, 5}, std::vector<Index>{6, 6, 5}, 4);
  TrainWithMoments weighted = without_moments(train);
  adaptation.truncate(weighted, {{3}}, inputs.mean());
  BOOST_TEST(weighted.train.ranks() == (std::vector<Index>{3, 3, 3}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_model_notes_the_inputs_of_its_adapted_matrices) {
  // With gains of one and no biases the rows behind a layer norm have the squared norm of their
  // width; so have the inputs of the query of the first layer, the only ones here.
  ModelConfig config = small_config();
  config.num_hidden_layers = 1;
  Method method = small_adapter("metatt4d");
  method.adapter.targets = {MatrixType::query};
  AssembledModel<double> model(config, 2, method, [](const std::string& name, const Shape& shape) {
    if (name.ends_with("LayerNorm.bias")) return Tensor<double>::zeros(shape);
    if (!name.ends_with("LayerNorm.weight")) return random_weight<double>(name, shape);
    const std::vector<double> ones(static_cast<std::size_t>(shape[0]), 1.0);
    return Tensor<double>::from(shape, std::span<const double>(ones));
  });
  const Batch batch = pack(random_examples(5, 1));
  InputGram<double> inputs(8);
  model.adapter->note_inputs(&inputs);
  logits_of(model, batch);
  model.adapter->note_inputs(nullptr);
  logits_of(model, batch);
  BOOST_TEST(inputs.rows() == batch.sequences.tokens());
  const auto mean = inputs.mean().to_vector();
  double trace = 0;
  for (std::size_t i = 0; i < 8; ++i) trace += mean[9 * i];
  BOOST_TEST(trace == 8, boost::test_tools::tolerance(1e-9));
  for (std::size_t i = 0; i < 8; ++i)
    for (std::size_t j = 0; j < i; ++j)
      BOOST_TEST(mean[8 * i + j] == mean[8 * j + i], boost::test_tools::tolerance(1e-10));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
