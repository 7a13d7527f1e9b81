#pragma once
/// The settings of a training run, and how many steps follow from them.

#include <metatt/transformer/optimiser.hpp>
#include <metatt/transformer/rank_adaptation.hpp>
#include <metatt/transformer/rank_schedule.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace metatt::transformer {

struct TrainSettings {
  Index epochs = 3;
  Index batch_size = 16;                  ///< examples of one forward pass
  Index gradient_accumulation_steps = 1;  ///< such passes a step; the batch is their product
  Index eval_batch_size = 32;
  Index max_steps = 0;  ///< in the place of the epochs; 0: as many as these have
  double warmup_ratio = 0.06;
  ScheduleShape schedule = ScheduleShape::linear;
  AdamWSettings optimiser;
  double label_smoothing = 0;           ///< in training: the share of a label that all classes get
  bool dropout = true;                  ///< with the probabilities of config.json
  bool gradient_checkpointing = false;  ///< layers are run again in the backward pass
  std::uint64_t seed = 42;
  Index logging_steps = 50;
  Index eval_steps = 0;  ///< steps between evaluations; 0: at the end of every epoch
  /// By which evaluations are compared; of "loss" and "perplexity" less is better.
  std::string metric = "loss";
  /// Stop after so many evaluations in a row without a better one, but not before the last change
  /// of the schedule; 0: never. Both this and the next count anew after every change: other ranks
  /// do not compare.
  Index early_stopping_patience = 0;
  bool load_best_model = false;         ///< end with the weights of the best evaluation
  std::vector<RankStep> rank_schedule;  ///< empty: the ranks stay
  tn::SweepMode sweep = tn::SweepMode::rounding;
  OptimizerState optimizer_state = OptimizerState::reset;
  /// Whether sweeps keep the error of the matrices' outputs small, on the inputs of the last eight
  /// steps, and not that of the matrices.
  bool activation_weighted = false;
  /// Of adalora: the weight of the distance of its factors from orthonormal ones, beside the loss.
  double orthogonality = 0;
  double task_temperature = 1;  ///< of several tasks: see TaskMixture
  Index two_site_steps = 0;     ///< for each pair of cores; 0: all cores are trained together

  Index examples_per_step() const { return batch_size * gradient_accumulation_steps; }
};

/// How many steps a run has.
struct TrainPlan {
  Index steps_per_epoch = 0;
  LearningRateSchedule schedule;
};

/// Checks the settings and counts the steps. Throws Error naming the setting, what was expected and
/// found: a number that is out of range or not finite, a sweep that is never reached or comes
/// before the adapter can have left zero, no limit of steps where there are no epochs.
TrainPlan plan_training(const TrainSettings& settings, Index steps_per_epoch);

}  // namespace metatt::transformer
