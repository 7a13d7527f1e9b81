#pragma once
/// A backbone that predicts the next token.

#include <metatt/transformer/backbone.hpp>

#include <span>

namespace metatt::transformer {

/// logits = W·h with the hidden states h, W the word embeddings again (tied) or a matrix of its
/// own.
template <class T>
class CausalLanguageModel {
 public:
  using Id = typename Weights<T>::Id;

  /// Adds the head ("lm_head.weight") to the backbone's weights unless it is tied. Throws Error if
  /// the family's tokens see those behind them.
  CausalLanguageModel(const Backbone<T>& backbone, const InitialWeight<T>& initial);

  const Backbone<T>& backbone() const { return backbone_; }
  /// Weights of the head; none if it is tied.
  std::vector<Id> head_ids() const;

  /// rows × vocabulary from hidden states rows × width.
  Variable<T> logits(autodiff::Tape<T>& tape, const Variable<T>& hidden) const;
  /// Mean cross-entropy of `labels` (tokens that the model knows), which come behind the token rows
  /// `rows` of the batch, no row twice; empty: behind all. `adapter` may be null.
  Variable<T> loss(autodiff::Tape<T>& tape, const Batch& batch, const autodiff::Indices& rows,
                   const autodiff::Indices& labels, const Adapter<T>* adapter,
                   const DropoutRates& dropout, double smoothing = 0) const;
  /// log p of each of `labels` (tokens that the model knows), which come behind the token rows
  /// `rows` of the batch, at least one. Outside training.
  Tensor<T> log_probabilities(const Batch& batch, const autodiff::Indices& rows,
                              const autodiff::Indices& labels, const Adapter<T>* adapter) const;

 private:
  const Backbone<T>& backbone_;
  Id head_;
};

}  // namespace metatt::transformer
