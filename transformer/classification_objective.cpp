#include <metatt/transformer/classification_objective.hpp>

#include <algorithm>
#include <numeric>

namespace metatt::transformer {

namespace {

using autodiff::Tape;

/// Texts and labels of one pass.
struct Labelled {
  Batch batch;
  std::vector<double> labels;
};

Labelled pack(std::span<const Example> examples, std::span<const Index> picked) {
  std::vector<const EncodedText*> texts;
  std::vector<double> labels;
  for (const Index i : picked) {
    texts.push_back(&examples[static_cast<std::size_t>(i)].text);
    labels.push_back(examples[static_cast<std::size_t>(i)].label);
  }
  return {Batch::pack(texts), std::move(labels)};
}

/// Calls take(batch, tape, logits) with the examples, batch_size at a time.
template <class T, class Take>
void for_each_batch(const ClassifierModel<T>& model, std::span<const Example> examples,
                    Index batch_size, const Take& take) {
  const auto count = static_cast<Index>(examples.size());
  for (Index begin = 0; begin < count; begin += batch_size) {
    std::vector<Index> picked(static_cast<std::size_t>(std::min(batch_size, count - begin)));
    std::iota(picked.begin(), picked.end(), begin);
    const Labelled part = pack(examples, picked);
    Tape<T> tape;
    take(part, tape, model.classifier().logits(tape, part.batch, model.adapter(), {}));
  }
}

void append(std::vector<double>& to, const std::vector<double>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

template <class T>
std::vector<double> predict(const ClassifierModel<T>& model, std::span<const Example> examples,
                            Index batch_size) {
  std::vector<double> result;
  for_each_batch(model, examples, batch_size, [&](const auto&, auto&, const auto& logits) {
    if (!tn::backend::all_finite(tn::backend::queue(), logits.value.size(), logits.value.data()))
      tn::fail("predict: a logit is not finite: weights or adapter are too large");
    append(result, predictions(logits.value));
  });
  return result;
}

template <class T>
Evaluation evaluate(const ClassifierModel<T>& model, const GlueTask& task,
                    std::span<const Example> examples, Index batch_size) {
  Evaluation result;
  std::vector<double> labels;
  for_each_batch(
      model, examples, batch_size, [&](const Labelled& part, auto& tape, const auto& logits) {
        const auto loss = model.classifier().loss(tape, logits, part.labels).value.item();
        result.loss += static_cast<double>(loss) * static_cast<double>(part.labels.size()) /
                       static_cast<double>(examples.size());
        append(result.predictions, predictions(logits.value));
        append(labels, part.labels);
      });
  for (const auto& [metric, value] : glue_metrics(task, result.predictions, labels))
    result.metrics.emplace_back(metric_name(metric), value);
  return result;
}

template <class T>
ClassificationObjective<T>::ClassificationObjective(ClassifierModel<T>& model, const GlueTask& task,
                                                    const TrainSettings& settings,
                                                    std::span<const Example> train,
                                                    std::span<const Example> development)
    : EpochObjective<T>(model, settings, train.size()),
      model_(model),
      task_(task),
      train_(train),
      development_(development) {}

template <class T>
BatchLoss<T> ClassificationObjective<T>::loss(Tape<T>& tape, std::span<const Index> examples,
                                              std::uint64_t /*pass*/) const {
  const Labelled step = pack(train_, examples);
  const Variable<T> logits =
      model_.classifier().logits(tape, step.batch, model_.adapter(), this->pass_.rates);
  return {model_.classifier().loss(tape, logits, step.labels, this->pass_.label_smoothing),
          static_cast<Index>(examples.size()), step.batch.sequences.tokens()};
}

template <class T>
std::string ClassificationObjective<T>::described(std::span<const Index> examples) const {
  return "training examples " + counted_from_one(examples);
}

template <class T>
std::vector<std::string> ClassificationObjective<T>::metrics() const {
  std::vector<std::string> names{"loss"};
  for (const Metric metric : task_.metrics) names.push_back(metric_name(metric));
  return names;
}

template <class T>
std::optional<Evaluation> ClassificationObjective<T>::evaluate() const {
  return transformer::evaluate(model_, task_, development_, this->pass_.eval_batch_size);
}

template <class T>
double ClassificationObjective<T>::probe_loss() const {
  const auto probe = train_.first(std::min<std::size_t>(train_.size(), 256));
  return transformer::evaluate(model_, task_, probe, this->pass_.eval_batch_size).loss;
}

#define METATT_INSTANTIATE(T)                                                               \
  template Evaluation evaluate(const ClassifierModel<T>&, const GlueTask&,                  \
                               std::span<const Example>, Index);                            \
  template std::vector<double> predict(const ClassifierModel<T>&, std::span<const Example>, \
                                       Index);                                              \
  template class ClassificationObjective<T>;
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::transformer
