#pragma once
/// Pretraining a decoder from scratch on a stream of tokens.

#include <metatt/transformer/causal_language_model.hpp>
#include <metatt/transformer/trainer.hpp>

namespace metatt::transformer {

/// Trains all weights of a decoder on blocks at random places of a stream; an example is the
/// position of its first token. Everything that it refers to must outlive it.
class StreamObjective final : public Objective<float> {
 public:
  /// `validation` may be empty. Throws Error if a stream is shorter than a block and one more token
  /// or has a token that the model does not know.
  StreamObjective(const CausalLanguageModel<float>& model, std::span<const std::int32_t> train,
                  std::span<const std::int32_t> validation, const TrainSettings& settings,
                  Index block_size);

  Weights<float>& weights() const override { return model_.backbone().weights(); }
  Index steps_per_epoch() const override { return 0; }
  std::vector<Index> batch(Index step) const override;
  BatchLoss<float> loss(autodiff::Tape<float>& tape, std::span<const Index> examples,
                        std::uint64_t pass) const override;
  std::string described(std::span<const Index> examples) const override;
  std::vector<std::string> metrics() const override;
  std::optional<Evaluation> evaluate() const override;

 private:
  const CausalLanguageModel<float>& model_;
  std::span<const std::int32_t> train_, validation_;
  PassSettings pass_;
  Index block_size_;
};

/// Mean loss of the model on a stream cut into blocks (what is behind the last whole one is left
/// out), dropout off.
double causal_loss(const CausalLanguageModel<float>& model, std::span<const std::int32_t> tokens,
                   Index block_size, Index batch_size);

}  // namespace metatt::transformer
