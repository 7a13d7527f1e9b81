#pragma once
/// The settings of metatt finetune: its flags, and what they say to the trainer.

#include <metatt/apps/training_options.hpp>
#include <metatt/transformer/model.hpp>

#include <string>
#include <vector>

namespace metatt::apps {

struct FinetuneOptions {
  std::string model, data, train_file, validation_file;
  std::vector<std::string> tasks;
  std::string method = "metatt4d";
  std::vector<tn::Index> ranks{8};  ///< one for all bonds, or one for each
  double alpha = 1;
  std::string scaling = "none";
  std::vector<std::string> targets{"query", "value"};
  std::string initialisation;           ///< empty: the kind's
  std::vector<std::string> core_order;  ///< empty: the kind's
  std::string rank_schedule, sweep = "rounding";
  std::string optimizer_state;  ///< empty: the kind's
  tn::Index two_site_steps = 0, max_seq_length = 0, max_train_samples = 0;
  double head_learning_rate = 0, orthogonality = 0.1;
  bool no_dropout = false, activation_weighted = false, predict = false;
  TrainingOptions training;
};

/// Adds the flags; they write into `options` while the command line is parsed.
void add_options(CLI::App& command, FinetuneOptions& options);

/// The flags of a run that trains one more task of an adapter.
void add_added_task_options(CLI::App& command, FinetuneOptions& options);

/// Throws Error on a setting that was given but that the method has no use for.
void check_used(const CLI::App& command, const FinetuneOptions& options);
/// Those checks that do not depend on the method.
void check_training_used(const CLI::App& command, const FinetuneOptions& options);

/// Throws Error on a rank schedule or a name that is not understood.
transformer::TrainSettings train_settings(const FinetuneOptions& options);
transformer::Method method_of(const FinetuneOptions& options,
                              const transformer::TrainSettings& train);

}  // namespace metatt::apps
