#pragma once
/// Sequence classification and regression: an encoder, its pooler and a linear head.

#include <metatt/transformer/encoder.hpp>

namespace metatt::transformer {

/// logits = W·dropout(tanh(P·h + p)) + w with h the hidden state of the first token, as Hugging
/// Face's BertForSequenceClassification. With one output it is a regression.
template <class T>
class Classifier {
 public:
  using Id = typename Weights<T>::Id;

  /// Adds pooler and head to the encoder's weights; the values come from initial(name, shape).
  template <class Initial>
  Classifier(const Encoder<T>& encoder, Index outputs, Initial&& initial);

  Index outputs() const { return outputs_; }
  const Encoder<T>& encoder() const { return encoder_; }
  std::vector<Id> pooler_ids() const { return {pooler_weight_, pooler_bias_}; }
  std::vector<Id> head_ids() const { return {head_weight_, head_bias_}; }

  /// Sequences × outputs.
  Variable<T> logits(autodiff::Tape<T>& tape, const Batch& batch, const Adapter<T>* adapter,
                     const DropoutRates& dropout) const;
  /// Cross-entropy of the classes, or mean squared error of the scores for one output.
  Variable<T> loss(autodiff::Tape<T>& tape, const Variable<T>& logits,
                   std::span<const double> labels) const;

 private:
  const Encoder<T>& encoder_;
  Index outputs_;
  Id pooler_weight_, pooler_bias_, head_weight_, head_bias_;
};

template <class T>
template <class Initial>
Classifier<T>::Classifier(const Encoder<T>& encoder, Index outputs, Initial&& initial)
    : encoder_(encoder), outputs_(outputs) {
  const Index d = encoder.config().hidden_size;
  const auto add = [&](const std::string& name, const Shape& shape) {
    return encoder.weights().add(name, initial(name, shape));
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
