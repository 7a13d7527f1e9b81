#pragma once
/// Pretraining an encoder from scratch on the lines of a corpus.

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/masked_language_model.hpp>
#include <metatt/transformer/trainer.hpp>

namespace metatt::transformer {

/// Trains all weights of a model that predicts hidden tokens on the lines of a corpus, in a new
/// order every time all have been seen. A line with a tab is a pair of texts. Everything that it
/// refers to must outlive it.
class MaskedObjective final : public Objective<float> {
 public:
  /// `validation` may be empty. `mask_share`: of the tokens, to predict. Lines are cut at
  /// `max_seq_length` tokens. Throws Error if there is no line.
  MaskedObjective(const MaskedLanguageModel<float>& model, const Tokenizer& tokenizer,
                  std::span<const std::string> lines, std::span<const std::string> validation,
                  const TrainSettings& settings, double mask_share, Index max_seq_length);

  Weights<float>& weights() const override { return model_.backbone().weights(); }
  Index steps_per_epoch() const override { return 0; }
  std::vector<Index> batch(Index step) const override;
  BatchLoss<float> loss(autodiff::Tape<float>& tape, std::span<const Index> examples,
                        std::uint64_t pass) const override;
  std::string described(std::span<const Index> examples) const override;
  std::vector<std::string> metrics() const override;
  /// The same tokens are hidden every time.
  std::optional<Evaluation> evaluate() const override;

 private:
  MaskedBatch masked(std::span<const std::string* const> lines, std::uint64_t stream) const;

  const MaskedLanguageModel<float>& model_;
  const Tokenizer& tokenizer_;
  std::span<const std::string> lines_, validation_;
  TokenMasker masker_;
  DropoutRates rates_;
  double label_smoothing_;
  Index max_seq_length_, examples_per_step_, eval_batch_size_;
  ExampleOrder order_;
};

/// The lines of a text file that are not blank. Throws Error if there is none.
std::vector<std::string> read_corpus(const std::filesystem::path& file);

/// config.json and model.safetensors in Hugging Face layout.
void write_masked_model(const tn::OutputFolder& folder, const MaskedLanguageModel<float>& model);

}  // namespace metatt::transformer
