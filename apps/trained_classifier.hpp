#pragma once
/// A classifier to evaluate or to predict with, as its flags say.

#include <metatt/apps/commands.hpp>
#include <metatt/transformer/glue.hpp>
#include <metatt/transformer/model.hpp>

#include <memory>
#include <string>

namespace metatt::apps {

struct ClassifierOptions {
  std::string adapter, model, task;
  tn::Index max_seq_length = 0, batch_size = 32;
};

/// --adapter, --model, --task, --max_seq_length, --per_device_eval_batch_size.
void add_classifier_options(CLI::App& command, ClassifierOptions& options);

struct TrainedClassifier {
  const transformer::GlueTask& task;
  std::unique_ptr<transformer::ClassifierModel<float>> model;
  tn::Index max_seq_length;
};

/// read_glue(), which says how many rows were left out.
std::vector<transformer::GlueRow> read_labelled(const std::string& folder,
                                                const transformer::GlueTask& task,
                                                const std::string& split);

/// An adapter on its base model, or a merged or fully fine-tuned model. Throws Error if neither an
/// adapter nor a model with a task was given.
TrainedClassifier read_classifier(const ClassifierOptions& options);

}  // namespace metatt::apps
