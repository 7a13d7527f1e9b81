#pragma once
/// A classifier to evaluate or to predict with, as its flags say.

#include <metatt/apps/commands.hpp>
#include <metatt/transformer/glue.hpp>
#include <metatt/transformer/model.hpp>

#include <memory>
#include <string>
#include <vector>

namespace metatt::apps {

struct ClassifierOptions {
  std::string adapter, model, task;
  tn::Index max_seq_length = 0, batch_size = 32;
};

/// --adapter, --model, --task, --max_seq_length, --per_device_eval_batch_size. `without_task` is
/// what the command does with an adapter for several tasks if none is named.
void add_classifier_options(CLI::App& command, ClassifierOptions& options,
                            const std::string& without_task);

/// A task, and its place among those of the model.
struct TrainedTask {
  const transformer::GlueTask& task;
  tn::Index place;
};

struct TrainedClassifier {
  std::unique_ptr<transformer::ClassifierModel<float>> model;
  std::vector<TrainedTask> tasks;  ///< that were asked for
  tn::Index max_seq_length;
};

/// An adapter on its base model, or a merged or fully fine-tuned model. Throws Error if neither an
/// adapter nor a model with a task was given.
TrainedClassifier read_classifier(const ClassifierOptions& options);

}  // namespace metatt::apps
