#pragma once
/// Sequence classification and regression: an encoder, its pooler and a linear head.

#include <metatt/transformer/backbone.hpp>

namespace metatt::transformer {

/// logits = W·dropout(tanh(P·h + p)) + w with h the hidden state of the first token, as Hugging
/// Face's BertForSequenceClassification. With one output it is a regression.
template <class T>
class Classifier {
 public:
  using Id = typename Weights<T>::Id;

  /// Adds pooler and head to the encoder's weights; the values come from initial(name, shape).
  Classifier(const Backbone<T>& backbone, Index outputs, const InitialWeight<T>& initial);

  Index outputs() const { return outputs_; }
  const Backbone<T>& backbone() const { return backbone_; }
  std::vector<Id> pooler_ids() const { return {pooler_weight_, pooler_bias_}; }
  std::vector<Id> head_ids() const { return {head_weight_, head_bias_}; }

  /// Sequences × outputs.
  Variable<T> logits(autodiff::Tape<T>& tape, const Batch& batch, const Adapter<T>* adapter,
                     const DropoutRates& dropout) const;
  /// Cross-entropy of the classes, or mean squared error of the scores for one output.
  Variable<T> loss(autodiff::Tape<T>& tape, const Variable<T>& logits,
                   std::span<const double> labels) const;

 private:
  const Backbone<T>& backbone_;
  Index outputs_;
  Id pooler_weight_, pooler_bias_, head_weight_, head_bias_;
};

template <class T>
Classifier<T>::Classifier(const Backbone<T>& backbone, Index outputs,
                          const InitialWeight<T>& initial)
    : backbone_(backbone), outputs_(outputs) {
  const Index d = backbone.config().hidden_size;
  const auto add = [&](const std::string& name, const Shape& shape) {
    return backbone.weights().add(name, initial(name, shape));
  };
  pooler_weight_ = add("pooler.dense.weight", {d, d});
  pooler_bias_ = add("pooler.dense.bias", {d});
  head_weight_ = add("classifier.weight", {outputs, d});
  head_bias_ = add("classifier.bias", {outputs});
}

/// Classes (position of the largest logit) or, for one output, the score itself.
template <class T>
std::vector<double> predictions(const Tensor<T>& logits);

}  // namespace metatt::transformer
