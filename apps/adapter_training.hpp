#pragma once
/// What the commands share that train an adapter, a head or a whole model.

#include <metatt/apps/finetune_options.hpp>
#include <metatt/transformer/adapter_files.hpp>
#include <metatt/transformer/fingerprint.hpp>
#include <metatt/transformer/objective.hpp>

#include <functional>

namespace metatt::apps {

/// Says what the model is and how much of it is trained.
void print_model(const transformer::AdaptedModel<float>& model);

/// Trains (run_training) and says how it ended. `data` tells the examples from others; `write`
/// writes what the run leaves besides its own files.
void train_adapter(const FinetuneOptions& options, const transformer::TrainSettings& settings,
                   const transformer::AdaptedModel<float>& model,
                   const transformer::Objective<float>& objective,
                   const transformer::AdapterRecord& record, const transformer::Fingerprint& data,
                   const std::function<void(const tn::OutputFolder&)>& write);

}  // namespace metatt::apps
