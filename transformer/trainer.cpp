#include <metatt/transformer/trainer.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace metatt::transformer {

namespace {

using Clock = std::chrono::steady_clock;
using autodiff::Tape;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Texts and labels of one step.
struct Step {
  Batch batch;
  std::vector<double> labels;
};

Step make_step(std::span<const Example> examples, std::span<const Index> picked) {
  std::vector<const EncodedText*> texts;
  std::vector<double> labels;
  for (const Index i : picked) {
    texts.push_back(&examples[static_cast<std::size_t>(i)].text);
    labels.push_back(examples[static_cast<std::size_t>(i)].label);
  }
  return {Batch::pack(texts), std::move(labels)};
}

std::string listed(std::span<const Index> picked) {
  std::string text;
  for (const Index i : picked) text += (text.empty() ? "" : ", ") + std::to_string(i + 1);
  return text;
}

/// The state of one call of train().
template <class T>
class Training {
 public:
  Training(ClassifierModel<T>& model, const GlueTask& task, const TrainSettings& settings,
           std::span<const Example> examples, const TrainObserver& observer)
      : model_(model),
        task_(task),
        settings_(settings),
        examples_(examples),
        observer_(observer),
        steps_per_epoch_((static_cast<Index>(examples.size()) + settings.batch_size - 1) /
                         settings.batch_size),
        schedule_(make_schedule()),
        optimiser_(model.weights(), settings.optimiser, schedule_),
        rates_(settings.dropout ? DropoutRates::of(model.config()) : DropoutRates{}) {}

  bool finished() const { return result_.steps >= schedule_.total_steps; }
  TrainResult& result() { return result_; }

  void run_epoch(Index epoch) {
    const auto order = epoch_order(static_cast<Index>(examples_.size()), settings_.seed,
                                   static_cast<std::uint64_t>(epoch));
    for (Index s = 0; s < steps_per_epoch_ && !finished(); ++s) {
      const auto begin = static_cast<std::size_t>(s * settings_.batch_size);
      const auto count =
          std::min(static_cast<std::size_t>(settings_.batch_size), order.size() - begin);
      run_step(epoch, std::span(order).subspan(begin, count));
    }
  }

  void sweep(Index epoch, Index rank) {
    const auto probe = examples_.first(std::min<std::size_t>(examples_.size(), 256));
    const auto start = Clock::now();
    const double before = evaluate(model_, task_, probe, settings_.eval_batch_size).loss;
    RankSweep done = adapt_ranks(*model_.train(), model_.weights(), optimiser_, rank,
                                 settings_.sweep, settings_.optimizer_state);
    const double after = evaluate(model_, task_, probe, settings_.eval_batch_size).loss;
    result_.seconds += seconds_since(start);
    good_.clear();  // the old shapes are gone
    if (observer_.sweep) observer_.sweep({epoch, std::move(done), before, after});
  }

 private:
  LinearSchedule make_schedule() const {
    LinearSchedule schedule;
    schedule.total_steps = settings_.epochs * steps_per_epoch_;
    if (settings_.max_steps > 0)
      schedule.total_steps = std::min(schedule.total_steps, settings_.max_steps);
    schedule.warmup_steps = static_cast<Index>(
        std::ceil(settings_.warmup_ratio * static_cast<double>(schedule.total_steps)));
    return schedule;
  }

  void run_step(Index epoch, std::span<const Index> picked) {
    const auto start = Clock::now();
    const Step step = make_step(examples_, picked);
    Tape<T> tape(model_.weights().arena(), settings_.seed,
                 static_cast<std::uint64_t>(result_.steps));
    const Variable<T> logits =
        model_.classifier().logits(tape, step.batch, model_.adapter(), rates_);
    const Variable<T> loss = model_.classifier().loss(tape, logits, step.labels);
    const auto value = static_cast<double>(loss.value.item());
    if (!std::isfinite(value)) diverge("the loss is " + std::to_string(value), epoch, picked);
    if (good_.empty() || result_.steps % settings_.logging_steps == 0)
      good_ = model_.weights().trainable_values();
    tape.backward(loss);
    const double rate = optimiser_.learning_rate();
    double norm = 0;
    try {
      norm = optimiser_.step();
    } catch (const tn::Error& error) {
      diverge(error.what(), epoch, picked);
    }
    ++result_.steps;
    result_.seconds += seconds_since(start);
    result_.tokens += step.batch.sequences.tokens();
    result_.train_loss += (value - result_.train_loss) / static_cast<double>(result_.steps);
    if (observer_.step)
      observer_.step({result_.steps, schedule_.total_steps, epoch, value, rate, norm,
                      step.batch.sequences.tokens(), result_.seconds});
  }

  [[noreturn]] void diverge(const std::string& what, Index epoch, std::span<const Index> picked) {
    model_.weights().restore(good_);
    throw Diverged("training stopped at step " + std::to_string(result_.steps + 1) + " (epoch " +
                   std::to_string(epoch) + "): " + what + "; the batch holds training examples " +
                   listed(picked));
  }

  ClassifierModel<T>& model_;
  const GlueTask& task_;
  const TrainSettings& settings_;
  std::span<const Example> examples_;
  const TrainObserver& observer_;
  Index steps_per_epoch_;
  LinearSchedule schedule_;
  AdamW<T> optimiser_;
  DropoutRates rates_;
  TrainResult result_;
  std::vector<NamedTensor<T>> good_;
};

void check(const TrainSettings& settings, std::span<const Example> train, bool has_train) {
  if (settings.epochs < 1)
    tn::fail("num_train_epochs: expected at least 1, found ", settings.epochs);
  if (settings.batch_size < 1)
    tn::fail("per_device_train_batch_size: expected at least 1, found ", settings.batch_size);
  if (settings.eval_batch_size < 1)
    tn::fail("per_device_eval_batch_size: expected at least 1, found ", settings.eval_batch_size);
  if (!(settings.warmup_ratio >= 0 && settings.warmup_ratio <= 1))
    tn::fail("warmup_ratio: expected 0 … 1, found ", settings.warmup_ratio);
  if (train.empty()) tn::fail("train: there are no training examples");
  if (settings.rank_schedule.size() > 1 && !has_train)
    tn::fail("rank_schedule: only an adapter that is a tensor train (metatt4d) has ranks to adapt");
}

}  // namespace

template <class T>
Evaluation evaluate(const ClassifierModel<T>& model, const GlueTask& task,
                    std::span<const Example> examples, Index batch_size) {
  Evaluation result;
  std::vector<double> labels;
  for (std::size_t begin = 0; begin < examples.size();
       begin += static_cast<std::size_t>(batch_size)) {
    const auto part = examples.subspan(
        begin, std::min(static_cast<std::size_t>(batch_size), examples.size() - begin));
    std::vector<Index> all(part.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<Index>(i);
    const Step step = make_step(part, all);
    Tape<T> tape;
    const Variable<T> logits = model.classifier().logits(tape, step.batch, model.adapter(), {});
    const auto loss =
        static_cast<double>(model.classifier().loss(tape, logits, step.labels).value.item());
    result.loss += loss * static_cast<double>(part.size()) / static_cast<double>(examples.size());
    const auto predicted = predictions(logits.value);
    result.predictions.insert(result.predictions.end(), predicted.begin(), predicted.end());
    labels.insert(labels.end(), step.labels.begin(), step.labels.end());
  }
  for (const auto& [metric, value] : glue_metrics(task, result.predictions, labels))
    result.metrics.emplace_back(metric_name(metric), value);
  return result;
}

template <class T>
TrainResult train(ClassifierModel<T>& model, const GlueTask& task, const TrainSettings& settings,
                  std::span<const Example> train, std::span<const Example> development,
                  const TrainObserver& observer) {
  check(settings, train, model.train() != nullptr);
  Training<T> training(model, task, settings, train, observer);
  for (Index epoch = 0; epoch < settings.epochs && !training.finished(); ++epoch) {
    for (std::size_t i = 1; i < settings.rank_schedule.size(); ++i)
      if (settings.rank_schedule[i].epoch == epoch)
        training.sweep(epoch, settings.rank_schedule[i].rank);
    training.run_epoch(epoch);
    training.result().evaluation = evaluate(model, task, development, settings.eval_batch_size);
    if (observer.epoch) observer.epoch(epoch, training.result().evaluation);
  }
  return training.result();
}

#define METATT_INSTANTIATE(T)                                                            \
  template Evaluation evaluate(const ClassifierModel<T>&, const GlueTask&,               \
                               std::span<const Example>, Index);                         \
  template TrainResult train(ClassifierModel<T>&, const GlueTask&, const TrainSettings&, \
                             std::span<const Example>, std::span<const Example>,         \
                             const TrainObserver&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::transformer
