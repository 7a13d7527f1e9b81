#pragma once
/// An encoder that predicts hidden tokens (Devlin et al., arXiv:1810.04805,
/// section 3.1).

#include <metatt/transformer/backbone.hpp>
#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <set>
#include <span>

namespace metatt::transformer {

/// An encoder under its family's MaskedHead, whose output matrix is the word embeddings again
/// (tied).
template <class T>
class MaskedLanguageModel {
 public:
  using Id = typename Weights<T>::Id;

  /// Adds the head to the encoder's weights; the values come from initial(name, shape). Throws
  /// Error if the family has no such head, or the config an output matrix of its own.
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

/// A batch whose tokens are partly hidden: the rows to predict and what stood there.
struct MaskedBatch {
  Batch batch;
  autodiff::Indices rows, labels;
};

/// Picks tokens of texts to predict: of those that are not special the given share, at least one in
/// each text that has any. 80 % of the picked become the mask, 10 % a random token, 10 % stay.
class TokenMasker {
 public:
  /// Throws Error unless 0 < share < 1 and the tokenizer has an entry `[MASK]` or `<mask>`.
  TokenMasker(const Tokenizer& tokenizer, double share);

  /// Whether a text has a token that is not special.
  bool can_predict(const EncodedText& text) const;
  /// What becomes of text i is a function of it, of the seed and of first_stream + i (below 2^61)
  /// alone, whatever else is in the batch. Throws Error if there is no token to predict.
  MaskedBatch mask(std::span<const EncodedText* const> texts, std::uint64_t seed,
                   std::uint64_t first_stream) const;

 private:
  bool special(TokenId id) const { return special_.contains(id); }

  TokenId mask_id_;
  std::uint32_t vocabulary_;
  std::set<TokenId> special_;
  double share_;
};

}  // namespace metatt::transformer
