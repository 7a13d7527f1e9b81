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

Labelled pack(std::span<const Example> examples, std::span<const Index> picked, Index place) {
  std::vector<const EncodedText*> texts;
  std::vector<double> labels;
  for (const Index i : picked) {
    texts.push_back(&examples[static_cast<std::size_t>(i)].text);
    labels.push_back(examples[static_cast<std::size_t>(i)].label);
  }
  Labelled packed{Batch::pack(texts), std::move(labels)};
  packed.batch.task = place;
  return packed;
}

/// Calls take(batch, tape, logits) with the examples, batch_size at a time.
template <class T, class Take>
void for_each_batch(const ClassifierModel<T>& model, std::span<const Example> examples,
                    Index batch_size, Index place, const Take& take) {
  const auto count = static_cast<Index>(examples.size());
  for (Index begin = 0; begin < count; begin += batch_size) {
    std::vector<Index> picked(static_cast<std::size_t>(std::min(batch_size, count - begin)));
    std::iota(picked.begin(), picked.end(), begin);
    const Labelled part = pack(examples, picked, place);
    Tape<T> tape;
    take(part, tape, model.classifier(place).logits(tape, part.batch, model.adapter(), {}));
  }
}

void append(std::vector<double>& to, const std::vector<double>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

template <class T>
std::vector<double> predict(const ClassifierModel<T>& model, std::span<const Example> examples,
                            Index batch_size, Index place) {
  std::vector<double> result;
  for_each_batch(model, examples, batch_size, place, [&](const auto&, auto&, const auto& logits) {
    if (!tn::backend::all_finite(tn::backend::queue(), logits.value.size(), logits.value.data()))
      tn::fail("predict: a logit is not finite: weights or adapter are too large");
    append(result, predictions(logits.value));
  });
  return result;
}

template <class T>
Evaluation evaluate(const ClassifierModel<T>& model, const GlueTask& task,
                    std::span<const Example> examples, Index batch_size, Index place) {
  Evaluation result;
  std::vector<double> labels;
  for_each_batch(
      model, examples, batch_size, place,
      [&](const Labelled& part, auto& tape, const auto& logits) {
        const auto loss = model.classifier(place).loss(tape, logits, part.labels).value.item();
        result.loss += static_cast<double>(loss) * static_cast<double>(part.labels.size()) /
                       static_cast<double>(examples.size());
        append(result.predictions, predictions(logits.value));
        append(labels, part.labels);
      });
  for (const auto& [metric, value] : glue_metrics(task, result.predictions, labels))
    result.metrics.emplace_back(metric_name(metric), value);
  return result;
}

namespace {

/// How many training examples each task has.
std::vector<Index> sizes(std::span<const TaskData> tasks) {
  std::vector<Index> counts;
  for (const TaskData& data : tasks) counts.push_back(static_cast<Index>(data.train.size()));
  return counts;
}

double mean_of(const Metrics& metrics) {
  double sum = 0;
  for (const auto& [name, value] : metrics) sum += value;
  return sum / static_cast<double>(metrics.size());
}

/// What a metric of one task of so many is called.
std::string joined_name(const GlueTask& task, std::size_t tasks, const std::string& metric) {
  return tasks > 1 ? task.name + "_" + metric : metric;
}

}  // namespace

Evaluation joined_evaluation(std::span<const TaskEvaluation> tasks) {
  Evaluation all;
  double average = 0;
  const double share = 1 / static_cast<double>(tasks.size());
  for (const auto& [task, one] : tasks) {
    all.loss += share * one.loss;
    average += share * mean_of(one.metrics);
    for (const auto& [name, value] : one.metrics)
      all.metrics.emplace_back(joined_name(task, tasks.size(), name), value);
    append(all.predictions, one.predictions);
  }
  if (tasks.size() > 1) all.metrics.emplace(all.metrics.begin(), average_metric, average);
  return all;
}

template <class T>
ClassificationObjective<T>::ClassificationObjective(ClassifierModel<T>& model,
                                                    std::span<const TaskData> tasks,
                                                    const TrainSettings& settings)
    : EpochObjective<T>(model, settings, sizes(tasks)),
      model_(model),
      tasks_(tasks.begin(), tasks.end()) {}

template <class T>
BatchLoss<T> ClassificationObjective<T>::loss(Tape<T>& tape, std::span<const Index> examples,
                                              std::uint64_t /*pass*/) const {
  std::vector<Index> own;
  for (const Index example : examples) own.push_back(this->mixture_.place(example).example);
  const std::size_t task = this->mixture_.place(examples.front()).task;
  const auto place = static_cast<Index>(task);
  const Labelled step = pack(tasks_[task].train, own, place);
  const Classifier<T>& head = model_.classifier(place);
  const Variable<T> logits = head.logits(tape, step.batch, model_.adapter(), this->pass_.rates);
  const double smoothing = tasks_[task].task.regression() ? 0 : this->pass_.label_smoothing;
  return {head.loss(tape, logits, step.labels, smoothing), static_cast<Index>(examples.size()),
          step.batch.sequences.tokens()};
}

template <class T>
std::vector<typename Weights<T>::Id> ClassificationObjective<T>::unreached(
    std::span<const Index> examples) const {
  const std::size_t own = this->mixture_.place(examples.front()).task;
  std::vector<typename Weights<T>::Id> others;
  for (std::size_t task = 0; task < tasks_.size(); ++task)
    if (task != own)
      for (const auto id : model_.classifier(static_cast<Index>(task)).head_ids())
        others.push_back(id);
  return others;
}

template <class T>
std::string ClassificationObjective<T>::described(std::span<const Index> examples) const {
  std::vector<Index> own;
  for (const Index example : examples) own.push_back(this->mixture_.place(example).example);
  const TaskData& data = tasks_[this->mixture_.place(examples.front()).task];
  return (tasks_.size() > 1 ? data.task.name + "'s training examples " : "training examples ") +
         counted_from_one(own);
}

template <class T>
std::vector<std::string> ClassificationObjective<T>::metrics() const {
  std::vector<std::string> names{"loss"};
  if (tasks_.size() > 1) names.emplace_back(average_metric);
  for (const TaskData& data : tasks_)
    for (const Metric metric : data.task.metrics)
      names.push_back(joined_name(data.task, tasks_.size(), metric_name(metric)));
  return names;
}

template <class T>
std::optional<Evaluation> ClassificationObjective<T>::evaluate() const {
  std::vector<TaskEvaluation> evaluations;
  for (const TaskData& data : tasks_)
    evaluations.push_back(
        {data.task, transformer::evaluate(model_, data.task, data.development,
                                          this->pass_.eval_batch_size, std::ssize(evaluations))});
  return joined_evaluation(evaluations);
}

template <class T>
double ClassificationObjective<T>::probe_loss() const {
  double sum = 0;
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    const auto probe = tasks_[i].train.first(std::min<std::size_t>(tasks_[i].train.size(), 256));
    sum += transformer::evaluate(model_, tasks_[i].task, probe, this->pass_.eval_batch_size,
                                 static_cast<Index>(i))
               .loss;
  }
  return sum / static_cast<double>(tasks_.size());
}

#define METATT_INSTANTIATE(T)                                                                      \
  template Evaluation evaluate(const ClassifierModel<T>&, const GlueTask&,                         \
                               std::span<const Example>, Index, Index);                            \
  template std::vector<double> predict(const ClassifierModel<T>&, std::span<const Example>, Index, \
                                       Index);                                                     \
  template class ClassificationObjective<T>;
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::transformer
