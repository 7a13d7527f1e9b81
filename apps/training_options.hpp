#pragma once
/// The settings that all commands share that train: their flags, and what they say to the trainer.

#include <metatt/apps/commands.hpp>
#include <metatt/transformer/trainer.hpp>

#include <string>

namespace metatt::apps {

struct TrainingOptions {
  std::string output;
  bool overwrite = false, resume = false;
  std::string schedule = "linear", save_strategy = "epoch";
  std::string metric;  ///< by which evaluations are compared; empty: the command's usual one
  tn::Index save_steps = 500, save_total_limit = 2;
  transformer::TrainSettings train;
};

/// --output_dir, --overwrite_output_dir, --resume, --logging_steps, and --save_…; where a run has
/// no epochs, checkpoints are written every --save_steps.
void add_output_options(CLI::App& command, TrainingOptions& options, bool epochs);

/// Batch, learning rate and the rest of the optimiser, evaluations, seed.
void add_optimiser_options(CLI::App& command, TrainingOptions& options);

/// Which evaluation is the best one, and what follows from it.
void add_best_options(CLI::App& command, TrainingOptions& options);

/// The settings, with what `options` holds as words.
transformer::TrainSettings shared_settings(const TrainingOptions& options);

/// Those of the checkpoints, without the folder's contents.
transformer::CheckpointSettings checkpoint_settings(const TrainingOptions& options);

}  // namespace metatt::apps
