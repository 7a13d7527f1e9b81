#pragma once
/// An encoder that predicts hidden tokens (Devlin et al., arXiv:1810.04805,
/// section 3.1).

#include <metatt/transformer/backbone.hpp>
#include <metatt/transformer/tokenizers/wordpiece.hpp>

#include <span>
#include <string>

namespace metatt::transformer {

/// An encoder with the head that predicts tokens: dense, GELU and layer norm, then the word
/// embeddings again as the output matrix (tied) and a bias, as Hugging Face's BertForMaskedLM.
template <class T>
class MaskedLanguageModel {
 public:
  using Id = typename Weights<T>::Id;

  /// Adds the head to the encoder's weights; the values come from initial(name, shape). Throws
  /// Error for other families than BERT.
  MaskedLanguageModel(const Backbone<T>& backbone, const InitialWeight<T>& initial);

  const Backbone<T>& backbone() const { return backbone_; }
  /// Weights of the head without the tied matrix.
  std::vector<Id> head_ids() const;

  /// Mean cross-entropy of `labels` at the token rows `rows` of the batch.
  Variable<T> loss(autodiff::Tape<T>& tape, const Batch& batch, const autodiff::Indices& rows,
                   const autodiff::Indices& labels, const DropoutRates& dropout,
                   double smoothing = 0) const;

 private:
  const Backbone<T>& backbone_;
  Id dense_weight_, dense_bias_, norm_gamma_, norm_beta_, output_bias_;
};

template <class T>
MaskedLanguageModel<T>::MaskedLanguageModel(const Backbone<T>& backbone,
                                            const InitialWeight<T>& initial)
    : backbone_(backbone) {
  if (backbone.config().model_type != "bert")
    tn::fail("MaskedLanguageModel: expected the family \"bert\", whose head it has, found \"",
             backbone.config().model_type, "\"");
  const Index d = backbone.config().hidden_size;
  const std::string head = "cls.predictions.";
  const auto add = [&](const std::string& name, const Shape& shape) {
    return backbone.weights().add(head + name, initial(head + name, shape));
  };
  dense_weight_ = add("transform.dense.weight", {d, d});
  dense_bias_ = add("transform.dense.bias", {d});
  norm_gamma_ = add("transform.LayerNorm.weight", {d});
  norm_beta_ = add("transform.LayerNorm.bias", {d});
  output_bias_ = add("bias", {backbone.config().vocab_size});
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

}  // namespace metatt::transformer
