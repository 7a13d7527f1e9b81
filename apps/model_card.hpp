#pragma once
/// README.md of a training run's folder, as model hubs show it.

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/trainer.hpp>

#include <nlohmann/json_fwd.hpp>

namespace metatt::apps {

/// Base model, task, settings and results, unless somebody else's README.md is there. `settings`:
/// what run_training was given; `size`: "trained_parameters" at the end, and "ranks" if there are
/// any.
void write_model_card(const tn::OutputFolder& folder, const nlohmann::json& settings,
                      const transformer::TrainResult& result, const nlohmann::json& size);

/// Removes a card of an earlier run, but no README.md of somebody else's.
void remove_model_card(const tn::OutputFolder& folder);

}  // namespace metatt::apps
