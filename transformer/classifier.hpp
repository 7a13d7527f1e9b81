#pragma once
/// Sequence classification and regression: a backbone and the head of its family.

#include <metatt/transformer/backbone.hpp>

namespace metatt::transformer {

/// Logits of whole texts, as transformers' …ForSequenceClassification of the family has them
/// (ClassifierHead in family.hpp). With one output it is a regression.
template <class T>
class Classifier {
 public:
  using Id = typename Weights<T>::Id;

  /// Adds the head's weights to the backbone's, under names behind `prefix`; the values come from
  /// initial(name, shape). A pooler, which is a part of the base model, has no prefix and is
  /// shared: it is not added where it is there already.
  Classifier(const Backbone<T>& backbone, Index outputs, const InitialWeight<T>& initial,
             const std::string& prefix = {});

  Index outputs() const { return outputs_; }
  const Backbone<T>& backbone() const { return backbone_; }
  /// Of a matrix before the output that is a part of the base model: BERT's pooler.
  std::vector<Id> pooler_ids() const;
  std::vector<Id> head_ids() const;
  /// Backbone<T>::none where the output has no bias.
  Id output_bias() const { return output_.bias; }

  /// Sequences × outputs.
  Variable<T> logits(autodiff::Tape<T>& tape, const Batch& batch, const Adapter<T>* adapter,
                     const DropoutRates& dropout) const;
  /// Cross-entropy of the classes (smoothed: ops_loss.hpp), or mean squared error of the scores for
  /// one output.
  Variable<T> loss(autodiff::Tape<T>& tape, const Variable<T>& logits,
                   std::span<const double> labels, double smoothing = 0) const;

 private:
  using Linear = typename Backbone<T>::Linear;
  Variable<T> product(autodiff::Tape<T>& tape, const Variable<T>& x, const Linear& linear) const;

  const Backbone<T>& backbone_;
  const ClassifierHead& head_;
  Index outputs_;
  Linear dense_, output_;
};

/// Classes (position of the largest logit) or, for one output, the score itself.
template <class T>
std::vector<double> predictions(const Tensor<T>& logits);

}  // namespace metatt::transformer
