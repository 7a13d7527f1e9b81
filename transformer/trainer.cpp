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
        plan_(plan_training(settings, static_cast<Index>(examples.size()))),
        optimiser_(model.weights(), settings.optimiser, plan_.schedule),
        rates_(settings.dropout ? DropoutRates::of(model.config()) : DropoutRates{}) {}

  bool finished() const { return result_.steps >= plan_.schedule.total_steps; }
  TrainResult& result() { return result_; }

  void run_epoch(Index epoch) {
    const auto order = epoch_order(static_cast<Index>(examples_.size()), settings_.seed,
                                   static_cast<std::uint64_t>(epoch));
    for (Index s = 0; s < plan_.steps_per_epoch && !finished(); ++s) {
      const auto begin = static_cast<std::size_t>(s * settings_.batch_size);
      const auto count =
          std::min(static_cast<std::size_t>(settings_.batch_size), order.size() - begin);
      run_step(epoch, std::span(order).subspan(begin, count));
    }
  }

  void sweep(Index epoch, Index rank) {
    const auto probe = examples_.first(std::min<std::size_t>(examples_.size(), 256));
    const double before = finite_evaluation(probe, "before the sweep").loss;
    keep_good_state();
    const auto start = Clock::now();
    RankSweep done = adapted(epoch, rank);
    result_.seconds += seconds_since(start);
    const double after = finite_evaluation(probe, "after the sweep").loss;
    keep_good_state();
    if (observer_.sweep) observer_.sweep({epoch, std::move(done), before, after});
  }

  /// Loss and metrics; throws Diverged if the loss is not finite.
  Evaluation finite_evaluation(std::span<const Example> examples, const std::string& when) {
    Evaluation evaluation = evaluate(model_, task_, examples, settings_.eval_batch_size);
    if (!std::isfinite(evaluation.loss)) {
      model_.weights().restore(good_);
      throw Diverged("training stopped after step " + std::to_string(result_.steps) + ": " + when +
                     " the loss is " + std::to_string(evaluation.loss));
    }
    return evaluation;
  }

 private:
  RankSweep adapted(Index epoch, Index rank) {
    try {
      return adapt_ranks(*model_.train(), model_.weights(), optimiser_, rank, settings_.sweep,
                         settings_.optimizer_state);
    } catch (const tn::Error& error) {
      model_.weights().restore(good_);
      throw Diverged("training stopped at the sweep before epoch " + std::to_string(epoch) + ": " +
                     error.what());
    }
  }

  void keep_good_state() { good_ = model_.weights().trainable_values(); }

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
    if (good_.empty() || result_.steps % settings_.logging_steps == 0) keep_good_state();
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
      observer_.step({result_.steps, plan_.schedule.total_steps, epoch, value, rate, norm,
                      step.batch.sequences.tokens(), result_.seconds});
  }

  [[noreturn]] void diverge(const std::string& what, Index epoch, std::span<const Index> picked) {
    model_.weights().restore(good_);
    throw Diverged("training stopped at step " + std::to_string(result_.steps + 1) + " (epoch " +
                   std::to_string(epoch) + "): " + what + "; the batch holds training examples " +
                   counted_from_one(picked));
  }

  ClassifierModel<T>& model_;
  const GlueTask& task_;
  const TrainSettings& settings_;
  std::span<const Example> examples_;
  const TrainObserver& observer_;
  TrainPlan plan_;
  AdamW<T> optimiser_;
  DropoutRates rates_;
  TrainResult result_;
  std::vector<NamedTensor<T>> good_;
};

void check_number(const char* name, double value, double least, double most) {
  if (!(value >= least && value <= most))
    tn::fail(name, ": expected ", least, " … ", most, ", found ", value);
}

void check_numbers(const TrainSettings& settings) {
  constexpr double many = 1e9;
  check_number("num_train_epochs", static_cast<double>(settings.epochs), 1, 1e5);
  check_number("per_device_train_batch_size", static_cast<double>(settings.batch_size), 1, 1e5);
  check_number("per_device_eval_batch_size", static_cast<double>(settings.eval_batch_size), 1, 1e5);
  check_number("max_steps", static_cast<double>(settings.max_steps), 0, many);
  check_number("logging_steps", static_cast<double>(settings.logging_steps), 1, many);
  check_number("warmup_ratio", settings.warmup_ratio, 0, 1);
  check_number("learning_rate", settings.optimiser.learning_rate, 0, 1e38);
  check_number("head_learning_rate", settings.optimiser.head_learning_rate, 0, 1e38);
  check_number("weight_decay", settings.optimiser.weight_decay, 0, 1e3);
  check_number("max_grad_norm", settings.optimiser.max_gradient_norm, 0, many);
}

/// Every sweep must be reached, and the adapter have left zero before the first one.
void check_rank_schedule(const TrainSettings& settings, const TrainPlan& plan) {
  for (std::size_t i = 1; i < settings.rank_schedule.size(); ++i) {
    const Index epoch = settings.rank_schedule[i].epoch;
    const Index steps_before = epoch * plan.steps_per_epoch;
    if (epoch >= settings.epochs || steps_before >= plan.schedule.total_steps)
      tn::fail("rank_schedule: epoch ", epoch, " is never reached in ", plan.schedule.total_steps,
               " steps of ", plan.steps_per_epoch, " an epoch");
    // With a warm-up the first step has learning rate zero.
    if (steps_before < (plan.schedule.warmup_steps > 0 ? 2 : 1))
      tn::fail("rank_schedule: only ", steps_before, " steps come before the sweep of epoch ",
               epoch, ", in which the adapter does not leave zero");
  }
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

TrainPlan plan_training(const TrainSettings& settings, Index examples) {
  if (examples < 1) tn::fail("train: there are no training examples");
  check_numbers(settings);
  TrainPlan plan;
  plan.steps_per_epoch = (examples + settings.batch_size - 1) / settings.batch_size;
  Index steps = settings.epochs * plan.steps_per_epoch;
  if (settings.max_steps > 0) steps = std::min(steps, settings.max_steps);
  plan.schedule = LearningRateSchedule::with_warmup(steps, settings.warmup_ratio);
  check_rank_schedule(settings, plan);
  return plan;
}

template <class T>
TrainResult train(ClassifierModel<T>& model, const GlueTask& task, const TrainSettings& settings,
                  std::span<const Example> train, std::span<const Example> development,
                  const TrainObserver& observer) {
  if (settings.rank_schedule.size() > 1 && !model.train())
    tn::fail("rank_schedule: only an adapter that is a tensor train (metatt4d) has ranks to adapt");
  Training<T> training(model, task, settings, train, observer);
  for (Index epoch = 0; epoch < settings.epochs && !training.finished(); ++epoch) {
    for (std::size_t i = 1; i < settings.rank_schedule.size(); ++i)
      if (settings.rank_schedule[i].epoch == epoch)
        training.sweep(epoch, settings.rank_schedule[i].rank);
    training.run_epoch(epoch);
    training.result().evaluation = training.finite_evaluation(
        development, "on the development examples after epoch " + std::to_string(epoch));
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
