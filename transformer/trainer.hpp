#pragma once
/// The training loop of every objective: steps, evaluations, rank adaptation, checkpoints.

#include <metatt/transformer/backbone.hpp>
#include <metatt/transformer/checkpoint.hpp>
#include <metatt/transformer/objective.hpp>
#include <metatt/transformer/training_plan.hpp>
#include <metatt/transformer/triplet_pruning.hpp>
#include <metatt/transformer/two_site_sweep.hpp>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace metatt::transformer {

/// What the forward passes of an objective take from the settings and the model.
struct PassSettings {
  PassSettings(const TrainSettings& settings, const ModelConfig& config)
      : rates(settings.dropout ? DropoutRates::of(config) : DropoutRates{}),
        label_smoothing(settings.label_smoothing),
        batch_size(settings.batch_size),
        examples_per_step(settings.examples_per_step()),
        eval_batch_size(settings.eval_batch_size),
        seed(settings.seed) {}

  DropoutRates rates;
  double label_smoothing;
  Index batch_size, examples_per_step, eval_batch_size;
  std::uint64_t seed;
};

/// Whether of two values of a metric the smaller one is better.
bool is_cost(const std::string& metric);

/// Positions counted from 0 as text, counted from 1: "3, 17, 4".
std::string counted_from_one(std::span<const Index> positions);

/// One training step, for a progress display.
struct StepReport {
  Index step, total_steps, epoch;
  double loss, learning_rate, gradient_norm;
  Index tokens;    ///< of this step
  double seconds;  ///< in training steps and sweeps, without evaluations
};

/// A sweep or the split of a pair, and the mean loss on some training examples before and after it.
struct SweepReport {
  Index step, epoch;  ///< before which it came, from 0
  RankSweep sweep;
  double loss_before, loss_after;
  double seconds;     ///< without the losses before and after
  bool pair = false;  ///< the split of a pair of cores; its one bond stands alone in the sweep
};

/// Whom the trainer tells; any of them may be empty.
struct TrainObserver {
  std::function<void(const StepReport&)> step;
  std::function<void(Index step, Index epoch, const Evaluation&)> evaluation;
  std::function<void(const SweepReport&)> sweep;
  std::function<void(Index step)> saving;  ///< before a checkpoint is written
  std::function<bool()> interrupted;       ///< asked after every step
};

enum class TrainingEnd { finished, stopped_early, interrupted };

struct TrainResult {
  TrainState state;
  Evaluation evaluation;  ///< the last one, or that of the best weights if they were loaded
  TrainingEnd end = TrainingEnd::finished;
};

/// Trains the weights of an objective. The order of the examples, the dropout masks and so every
/// bit of the result follow from the seed (at one number of threads), also if the run goes on from
/// one of its checkpoints.
template <class T>
class Trainer {
 public:
  /// The objective must outlive the trainer. `checkpoints` without a folder: none are written.
  Trainer(const Objective<T>& objective, TrainSettings settings, TrainObserver observer = {},
          CheckpointSettings checkpoints = {});

  const TrainPlan& plan() const { return plan_; }
  const TrainState& state() const { return state_; }
  /// Goes on where a checkpoint of this run was written. Throws Error naming file and field if it
  /// is damaged or of a run with other settings; nothing has changed then.
  void resume(const std::filesystem::path& checkpoint);
  /// Throws Diverged on a loss, on a batch or in an evaluation, or a gradient that is not finite,
  /// naming step and examples; the weights are then the last ones that were kept (every
  /// logging_steps steps and after every checkpoint) with a finite loss.
  TrainResult run();

 private:
  bool over() const { return state_.steps >= plan_.schedule.total_steps; }
  /// Whether `steps` steps are the whole of some epochs.
  bool epoch_boundary() const {
    return plan_.steps_per_epoch > 0 && state_.steps % plan_.steps_per_epoch == 0;
  }
  Index epoch() const {
    return plan_.steps_per_epoch > 0 ? state_.steps / plan_.steps_per_epoch : 0;
  }
  void sweep_if_due();
  bool due(const RankStep& step) const;
  void gradients_of(Index step);
  RankSweep adapted(const RankTarget& target);
  Tensor<double> input_gram() const;
  void begin_two_site();
  bool sweep_due() const;
  void merge_pair();
  void split_pair();
  void tell_sweep(const std::function<RankSweep()>& sweep, bool pair);
  void step();
  double accumulate(Index step, std::span<const Index> examples, Index& targets, Index& tokens);
  void add_penalty(Index targets);
  void count_step(double loss, Index tokens);
  bool weights_finite() const;
  void log_if_due(double gradient_norm);
  bool evaluation_due() const;
  /// Returns whether it is the best one so far.
  bool evaluate();
  bool save_due(bool best) const;
  void save();
  bool patience_over() const;
  void keep_good_state() { good_ = objective_.weights().trainable_values(); }
  [[noreturn]] void diverge(const std::string& when, const std::string& what);

  const Objective<T>& objective_;
  TrainSettings settings_;
  TrainObserver observer_;
  CheckpointSettings checkpoints_;
  TrainPlan plan_;
  AdamW<T> optimiser_;
  std::optional<TwoSiteSweep<T>> two_site_;
  RankTarget target_;  ///< of the pairs that are split
  TrainState state_;
  Evaluation evaluation_;
  std::vector<NamedTensor<T>> good_;
  Index saved_ = -1;  ///< step of the newest checkpoint
};

}  // namespace metatt::transformer
