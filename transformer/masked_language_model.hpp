#pragma once
/// Pretraining an encoder by masked-token prediction (Devlin et al., arXiv:1810.04805,
/// section 3.1).

#include <metatt/transformer/encoder.hpp>
#include <metatt/transformer/file.hpp>
#include <metatt/transformer/optimiser.hpp>

#include <functional>
#include <span>
#include <string>

namespace metatt::transformer {

/// An encoder with the head that predicts tokens: dense, GELU and layer norm, then the word
/// embeddings again as the output matrix (tied) and a bias, as Hugging Face's BertForMaskedLM.
template <class T>
class MaskedLanguageModel {
 public:
  using Id = typename Weights<T>::Id;

  /// Adds the head to the encoder's weights; the values come from initial(name, shape).
  template <class Initial>
  MaskedLanguageModel(const Encoder<T>& encoder, Initial&& initial);

  const Encoder<T>& encoder() const { return encoder_; }
  /// Weights of the head without the tied matrix.
  std::vector<Id> head_ids() const;

  /// Mean cross-entropy of `labels` at the token rows `rows` of the batch.
  Variable<T> loss(autodiff::Tape<T>& tape, const Batch& batch, const autodiff::Indices& rows,
                   const autodiff::Indices& labels, const DropoutRates& dropout) const;

 private:
  const Encoder<T>& encoder_;
  Id dense_weight_, dense_bias_, norm_gamma_, norm_beta_, output_bias_;
};

template <class T>
template <class Initial>
MaskedLanguageModel<T>::MaskedLanguageModel(const Encoder<T>& encoder, Initial&& initial)
    : encoder_(encoder) {
  const Index d = encoder.config().hidden_size;
  const std::string head = "cls.predictions.";
  const auto add = [&](const std::string& name, const Shape& shape) {
    return encoder.weights().add(head + name, initial(head + name, shape));
  };
  dense_weight_ = add("transform.dense.weight", {d, d});
  dense_bias_ = add("transform.dense.bias", {d});
  norm_gamma_ = add("transform.LayerNorm.weight", {d});
  norm_beta_ = add("transform.LayerNorm.bias", {d});
  output_bias_ = add("bias", {encoder.config().vocab_size});
}

/// A batch whose tokens are partly hidden: the rows to predict and what stood there.
struct MaskedBatch {
  Batch batch;
  autodiff::Indices rows, labels;
};

/// Picks the given share of the tokens that are not special (at least one in the batch); 80 % of
/// the picked become [MASK], 10 % a random token, 10 % stay. A function of (seed, step) alone.
MaskedBatch mask_tokens(const WordPiece& tokenizer, std::span<const EncodedText* const> texts,
                        double share, std::uint64_t seed, std::uint64_t step);

struct PretrainSettings {
  Index steps = 1500;
  Index batch_size = 64;
  Index max_seq_length = 64;
  double warmup_ratio = 0.06;
  double mask_share = 0.15;
  AdamWSettings optimiser;
  std::uint64_t seed = 42;
};

struct PretrainStep {
  Index step, total_steps;
  double loss;
  Index tokens;
  double seconds;
};

/// Trains a fresh encoder of `config` on the lines of a corpus and returns the mean loss of the
/// last tenth of the steps. A line with a tab is a pair of texts. Writes
/// nothing. Throws Error on a loss that is not finite.
double pretrain(MaskedLanguageModel<float>& model, const WordPiece& tokenizer,
                std::span<const std::string> lines, const PretrainSettings& settings,
                const std::function<void(const PretrainStep&)>& observer);

/// The lines of a text file that are not empty. Throws Error if there is none.
std::vector<std::string> read_lines(const std::filesystem::path& file);

/// config.json, model.safetensors and vocab.txt in Hugging Face layout (BertForMaskedLM).
void write_pretrained(const OutputFolder& folder, const MaskedLanguageModel<float>& model,
                      const WordPiece& tokenizer);

}  // namespace metatt::transformer
