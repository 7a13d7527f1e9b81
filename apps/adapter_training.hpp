#pragma once
/// What the commands share that train an adapter, a head or a whole model.

#include <metatt/apps/finetune_options.hpp>
#include <metatt/transformer/adapter_files.hpp>
#include <metatt/transformer/fingerprint.hpp>
#include <metatt/transformer/objective.hpp>

#include <nlohmann/json.hpp>

#include <functional>

namespace metatt::apps {

/// Says what the model is and how much of it is trained.
void print_model(const transformer::AdaptedModel<float>& model);

/// What is particular to a run.
struct TrainingParts {
  /// Writes what the run leaves besides its own files, also into each checkpoint.
  std::function<void(const tn::OutputFolder&)> write_results;
  /// Called once when all is trained and written; empty: nothing is.
  std::function<void(const tn::OutputFolder&)> finish = {};
  nlohmann::json settings = nlohmann::json::object();  ///< beside those of the options
};

/// Trains (run_training) and says how it ended. `data` tells the examples from others.
void train_adapter(const FinetuneOptions& options, const transformer::TrainSettings& settings,
                   const transformer::AdaptedModel<float>& model,
                   const transformer::Objective<float>& objective,
                   const transformer::AdapterRecord& record, const transformer::Fingerprint& data,
                   const TrainingParts& parts);

}  // namespace metatt::apps
