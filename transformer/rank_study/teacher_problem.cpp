#include <metatt/transformer/rank_study/teacher_problem.hpp>

#include <metatt/autodiff/ops_activation.hpp>
#include <metatt/autodiff/ops_loss.hpp>
#include <metatt/autodiff/ops_normalisation.hpp>
#include <metatt/transformer/adapters/meta_tt.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace metatt::transformer {

namespace {

using autodiff::Tape;

constexpr std::uint64_t weight_stream = 2000, input_stream = 3000, output_noise_stream = 3002;
constexpr double update_size = 0.5;  ///< of the weights

Tensor<double> scaled(Tensor<double> tensor, double factor) {
  tn::backend::scale(tn::backend::queue(), tensor.size(), factor, tensor.mutable_data());
  return tensor;
}

/// The frozen part, and the update of each matrix by an adapter.
class ResidualNetwork {
 public:
  ResidualNetwork(Index layers, Index width, std::uint64_t seed) {
    for (Index i = 0; i < 2 * layers; ++i)
      weights_.push_back(
          scaled(tn::random_normal<double>({width, width}, seed,
                                           weight_stream + static_cast<std::uint64_t>(i)),
                 1 / std::sqrt(static_cast<double>(width))));
  }
  Variable<double> outputs(Tape<double>& tape, const Tensor<double>& inputs,
                           const UpdateTable<double>& updates) const {
    Variable<double> h = autodiff::constant(inputs);
    const auto product = [&](const Variable<double>& x, std::size_t layer, std::size_t matrix) {
      const auto* update = updates.of(static_cast<Index>(layer), types[matrix]);
      return autodiff::linear(tape, x, autodiff::constant(weights_[2 * layer + matrix]), {},
                              std::span(update, update ? 1 : 0));
    };
    for (std::size_t layer = 0; layer < weights_.size() / 2; ++layer)
      h = autodiff::residual_add(
          tape, product(autodiff::tanh(tape, product(h, layer, 0)), layer, 1), h, 0.0);
    return h;
  }
  /// Two square matrices of a layer, whatever they are called.
  static constexpr std::array types{MatrixType::query, MatrixType::attention_output};

 private:
  std::vector<Tensor<double>> weights_;
};

AdapterSettings adapter_settings(const std::vector<Index>& ranks, std::uint64_t seed) {
  AdapterSettings settings;
  settings.ranks = ranks;
  settings.rank = *std::ranges::max_element(ranks);
  settings.targets.assign(ResidualNetwork::types.begin(), ResidualNetwork::types.end());
  settings.seed = seed;
  return settings;
}

ModelConfig config_of(const std::vector<Index>& modes) {
  if (modes.size() != 4 || modes[0] != modes[3] || modes[2] != 2)
    tn::fail("modes: expected D,L,2,D (width, layers, matrices of a layer, width) for a teacher");
  ModelConfig config;
  config.hidden_size = modes[0];
  config.num_hidden_layers = modes[1];
  config.num_attention_heads = 1;
  return config;
}

class TeacherProblem : public RankProblem {
 public:
  TeacherProblem(const RankProblemSettings& settings, const std::vector<Index>& ranks,
                 std::uint64_t seed)
      : RankProblem(planted_train(settings, seed)),
        config_(config_of(truth_.modes())),
        network_(config_.num_hidden_layers, config_.hidden_size, seed),
        inputs_(
            tn::random_normal<double>({settings.samples, config_.hidden_size}, seed, input_stream)),
        test_inputs_(tn::random_normal<double>(inputs_.shape(), seed, input_stream + 1)) {
    truth_.scale(update_size / std::sqrt(static_cast<double>(config_.hidden_size)));
    set_targets(settings.noise, seed);
    adapter_ = make_adapter(adapter_settings(capped_ranks("rank", truth_.modes(), ranks), seed),
                            config_, weights_);
    ids_ = adapter_->trains().front();
    weights_.build_arena();
  }

  double loss_and_gradients() override {
    Tape<double> tape(weights_.arena(), 0, 0);
    const auto loss = autodiff::mean_squared_error(
        tape, network_.outputs(tape, inputs_, adapter_->updates(tape, 0)), targets_);
    tape.backward(loss, 1 / unit_);
    return loss.value.item() / unit_;
  }
  double test_error() override {
    Tape<double> tape;
    const auto loss = autodiff::mean_squared_error(
        tape, network_.outputs(tape, test_inputs_, adapter_->updates(tape, 0)), test_targets_);
    return std::sqrt(loss.value.item() / test_unit_);
  }

 private:
  void set_targets(double noise, std::uint64_t seed) {
    Weights<double> weights;
    const auto adapter = make_adapter(adapter_settings(truth_.ranks(), seed), config_, weights);
    const auto ids = adapter->trains().front();
    for (std::size_t k = 0; k < ids.size(); ++k)
      weights.set_value(ids[k],
                        truth_.dense_core(static_cast<Index>(k)).reshaped(weights.shape(ids[k])));
    Tape<double> tape;
    const auto run = [&](const Tensor<double>& inputs, Tensor<double>& targets) {
      targets = network_.outputs(tape, inputs, adapter->updates(tape, 0)).value;
      const auto plain = network_.outputs(tape, inputs, {});
      return autodiff::mean_squared_error(tape, plain, targets).value.item();
    };
    unit_ = run(inputs_, targets_);
    test_unit_ = run(test_inputs_, test_targets_);
    const auto random = tn::random_normal<double>(targets_.shape(), seed, output_noise_stream);
    tn::backend::add_scaled(tn::backend::queue(), targets_.size(), noise * std::sqrt(unit_),
                            random.data(), targets_.mutable_data());
  }

  ModelConfig config_;
  ResidualNetwork network_;
  Tensor<double> inputs_, test_inputs_, targets_, test_targets_;
  double unit_ = 1, test_unit_ = 1;
  std::unique_ptr<Adapter<double>> adapter_;
};

}  // namespace

std::unique_ptr<RankProblem> make_teacher_problem(const RankProblemSettings& settings,
                                                  const std::vector<Index>& ranks,
                                                  std::uint64_t seed) {
  return std::make_unique<TeacherProblem>(settings, ranks, seed);
}

}  // namespace metatt::transformer
