#pragma once
/// A training run in its output folder: progress, log, checkpoints, results.

#include <metatt/apps/training_options.hpp>
#include <metatt/transformer/objective.hpp>

#include <nlohmann/json_fwd.hpp>

#include <functional>

namespace metatt::apps {

/// Trains, or goes on from the newest checkpoint if that was asked for; shows the progress and
/// writes log.jsonl, runs/, checkpoints and at the end, or if it diverges, what `write_results`
/// writes. A finished run also leaves trainer_state.json, train_results.json and, if it evaluates,
/// eval_results.json, and README.md. `settings` is a JSON object of all that decides the result; a
/// run that goes on must have the same. Throws Interrupted after SIGINT or SIGTERM, when a
/// checkpoint is written. `finish` is called once, before the log says that the run has ended.
transformer::TrainResult run_training(
    const transformer::Objective<float>& objective, const transformer::TrainSettings& train,
    const TrainingOptions& options, const nlohmann::json& settings,
    const std::function<void(const tn::OutputFolder&)>& write_results,
    const std::function<void(const tn::OutputFolder&)>& finish = {});

/// How the names of files with predictions begin; an earlier run's are removed.
constexpr const char* predictions_prefix = "predict_results_";

/// Throws Error if the output folder holds files and neither --overwrite_output_dir nor --resume
/// was given: before any work is done.
void check_output(const TrainingOptions& options);

/// What decides the result of every training run, by the names of the flags.
nlohmann::json settings_json(const transformer::TrainSettings& settings);

}  // namespace metatt::apps
