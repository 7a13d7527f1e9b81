#pragma once
/// Pretraining an encoder from scratch on the lines of a corpus.

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/masked_language_model.hpp>
#include <metatt/transformer/trainer.hpp>

namespace metatt::transformer {

/// A line of a corpus as the model reads it, or a piece of a long one.
struct CorpusLine {
  EncodedText text;
  Index place = 0;  ///< among the lines of its file, from 0
};

struct Corpus {
  std::vector<CorpusLine> lines;
  Index blank = 0;  ///< lines of the file that were left out
};

/// The lines of a text file that are not blank, one text or two with a tab between them. One of
/// more than `max_seq_length` tokens becomes several, two are cut. Throws Error naming file and
/// place: no UTF-8, a zero, no line.
Corpus read_corpus(const std::filesystem::path& file, const Tokenizer& tokenizer,
                   Index max_seq_length);

/// The loss on lines, dropout off. The same tokens are hidden every time, by whatever seed and
/// batch. Throws Error on a line without a token to predict or with a token type that the model
/// does not know.
Evaluation evaluate(const MaskedLanguageModel<float>& model, const TokenMasker& masker,
                    std::span<const CorpusLine> lines, Index batch_size);

/// Trains all weights of a model that predicts hidden tokens on the lines of a corpus, in a new
/// order every time all have been seen. Everything that it refers to must outlive it.
class MaskedObjective final : public Objective<float> {
 public:
  /// `validation` may be empty. Throws Error if there is no line, or on a line without a token to
  /// predict or with a token type that the model does not know.
  MaskedObjective(const MaskedLanguageModel<float>& model, const TokenMasker& masker,
                  std::span<const CorpusLine> lines, std::span<const CorpusLine> validation,
                  const TrainSettings& settings);

  Weights<float>& weights() const override { return model_.backbone().weights(); }
  Index steps_per_epoch() const override { return 0; }
  std::vector<Index> batch(Index step) const override;
  BatchLoss<float> loss(autodiff::Tape<float>& tape, std::span<const Index> examples,
                        std::uint64_t pass) const override;
  std::string described(std::span<const Index> examples) const override;
  std::vector<std::string> metrics() const override;
  std::optional<Evaluation> evaluate() const override;

 private:
  const MaskedLanguageModel<float>& model_;
  const TokenMasker& masker_;
  std::span<const CorpusLine> lines_, validation_;
  PassSettings pass_;
  ExampleOrder order_;
};

/// config.json and model.safetensors in Hugging Face layout.
void write_masked_model(const tn::OutputFolder& folder, const MaskedLanguageModel<float>& model);

}  // namespace metatt::transformer
