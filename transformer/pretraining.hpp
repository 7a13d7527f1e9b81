#pragma once
/// Pretraining an encoder from scratch on the lines of a corpus.

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/masked_language_model.hpp>
#include <metatt/transformer/optimiser.hpp>

#include <functional>

namespace metatt::transformer {

struct PretrainSettings {
  Index steps = 4500;
  Index batch_size = 32;
  Index max_seq_length = 64;
  double warmup_ratio = 0.06;
  double mask_share = 0.4;  ///< what a small encoder needs (docs/language-suite.md)
  AdamWSettings optimiser;
  std::uint64_t seed = 42;
};

struct PretrainStep {
  Index step, total_steps;
  double loss;
  Index tokens;
  double seconds;
};

/// Trains all weights of the model on the lines of a corpus, in a new order every epoch, and
/// returns the mean loss of the last tenth of the steps. A line with a tab is a pair of texts.
/// Writes nothing. Throws Diverged on a loss, gradient or weight that is not finite, naming step
/// and lines; the weights are then those of an earlier step whose loss was finite.
double pretrain(MaskedLanguageModel<float>& model, const WordPiece& tokenizer,
                std::span<const std::string> lines, const PretrainSettings& settings,
                const std::function<void(const PretrainStep&)>& observer);

/// The lines of a text file that are not blank. Throws Error if there is none.
std::vector<std::string> read_corpus(const std::filesystem::path& file);

/// config.json, model.safetensors and vocab.txt in Hugging Face layout (BertForMaskedLM).
void write_pretrained(const tn::OutputFolder& folder, const MaskedLanguageModel<float>& model,
                      const WordPiece& tokenizer);

}  // namespace metatt::transformer
