#pragma once
/// The training loop of a classifier, with rank adaptation at epoch boundaries.

#include <metatt/transformer/glue.hpp>
#include <metatt/transformer/model.hpp>
#include <metatt/transformer/rank_adaptation.hpp>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace metatt::transformer {

struct TrainSettings {
  Index epochs = 3;
  Index batch_size = 16;
  Index eval_batch_size = 32;
  Index max_steps = 0;  ///< stop after so many steps; 0: no limit
  double warmup_ratio = 0.06;
  AdamWSettings optimiser;
  bool dropout = true;  ///< with the probabilities of config.json
  std::uint64_t seed = 42;
  Index logging_steps = 50;
  std::vector<RankStep> rank_schedule;  ///< empty: the rank stays
  tn::SweepMode sweep = tn::SweepMode::rounding;
  OptimizerState optimizer_state = OptimizerState::reset;
};

/// How many steps a run has.
struct TrainPlan {
  Index steps_per_epoch = 0;
  LearningRateSchedule schedule;
};

/// Checks the settings and counts the steps for so many training examples. Throws Error naming the
/// setting, what was expected and found: a number that is out of range or not finite, a sweep that
/// is never reached or comes before the adapter can have left zero.
TrainPlan plan_training(const TrainSettings& settings, Index examples);

/// One training step, for a progress display.
struct StepReport {
  Index step, total_steps, epoch;
  double loss, learning_rate, gradient_norm;
  Index tokens;    ///< of this step
  double seconds;  ///< in training steps and sweeps, without evaluations
};

using Metrics = std::vector<std::pair<std::string, double>>;

/// Loss and metrics on a labelled set.
struct Evaluation {
  double loss = 0;
  Metrics metrics;
  std::vector<double> predictions;
};

/// A sweep, and the mean loss on the first training examples before and after it.
struct SweepReport {
  Index epoch;
  RankSweep sweep;
  double loss_before, loss_after;
};

/// Whom the trainer tells; any of them may be empty.
struct TrainObserver {
  std::function<void(const StepReport&)> step;
  std::function<void(Index epoch, const Evaluation&)> epoch;
  std::function<void(const SweepReport&)> sweep;
};

struct TrainResult {
  Index steps = 0;
  double seconds = 0;     ///< in training steps and sweeps
  double train_loss = 0;  ///< mean over all steps
  Evaluation evaluation;  ///< of the last epoch
  std::int64_t tokens = 0;
};

/// Loss and the task's metrics, dropout off.
template <class T>
Evaluation evaluate(const ClassifierModel<T>& model, const GlueTask& task,
                    std::span<const Example> examples, Index batch_size);

/// Trains on `train`, evaluates on `development` after every epoch. The order of the examples, the
/// dropout masks and so every bit of the result follow from the seed (at one number of threads).
/// Throws Diverged on a loss, on a batch or in an evaluation, or a gradient that is not finite,
/// naming step and examples; the weights are then the last ones that were kept (every logging_steps
/// steps) with a finite loss.
template <class T>
TrainResult train(ClassifierModel<T>& model, const GlueTask& task, const TrainSettings& settings,
                  std::span<const Example> train, std::span<const Example> development,
                  const TrainObserver& observer);

}  // namespace metatt::transformer
