#pragma once
/// Fine-tuning a decoder on texts.

#include <metatt/transformer/causal_model_files.hpp>
#include <metatt/transformer/epoch_objective.hpp>
#include <metatt/transformer/text_data.hpp>

namespace metatt::transformer {

/// Mean loss of the tokens that are not given, dropout off.
template <class T>
Evaluation evaluate(const CausalModelFolder<T>& model, std::span<const TokenText> texts,
                    Index batch_size);

/// The next tokens of texts, packed one after the other without padding; none sees those of
/// another text. Everything that it refers to must outlive it.
template <class T>
class TextObjective final : public EpochObjective<T> {
 public:
  /// `development` may be empty.
  TextObjective(CausalModelFolder<T>& model, const TrainSettings& settings,
                std::span<const TokenText> train, std::span<const TokenText> development);

  BatchLoss<T> loss(autodiff::Tape<T>& tape, std::span<const Index> examples,
                    std::uint64_t pass) const override;
  std::string described(std::span<const Index> examples) const override;
  std::vector<std::string> metrics() const override;
  std::optional<Evaluation> evaluate() const override;
  double probe_loss() const override;

 private:
  const CausalModelFolder<T>& model_;
  std::span<const TokenText> train_, development_;
};

}  // namespace metatt::transformer
