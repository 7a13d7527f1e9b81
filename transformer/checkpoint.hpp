#pragma once
/// Checkpoints: folders from which a run goes on with the same bits.

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/optimiser.hpp>
#include <metatt/transformer/rank_schedule.hpp>

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace metatt::transformer {

/// Numbers of one moment of a run, as trainer_state.json lists them.
struct LogEntry {
  Index step = 0;
  double epoch = 0;  ///< with its fraction
  std::vector<std::pair<std::string, double>> values;
};

/// All that a run is between two steps besides weights and moments.
struct TrainState {
  Index steps = 0;
  Index total_steps = 1;      ///< that the run is to have
  Index steps_per_epoch = 0;  ///< 0: there are no epochs
  double seconds = 0;         ///< in training steps and sweeps
  double train_loss = 0;      ///< mean over all steps
  double last_loss = 0;       ///< mean over the last tenth of all steps that the run is to have
  std::int64_t tokens = 0;
  double logged_loss = 0;  ///< sum since the last entry of the log
  Index logged_steps = 0;
  std::optional<double> best_metric = std::nullopt;
  Index best_step = 0;
  Index evaluations_since_best = 0;
  TwoSiteState two_site = {};
  std::vector<LogEntry> log = {};

  /// Epochs that are over, with a fraction; 0 where there are none.
  double epochs() const {
    return steps_per_epoch > 0 ? static_cast<double>(steps) / static_cast<double>(steps_per_epoch)
                               : 0.0;
  }
};

/// When checkpoints are written: never, at the end of every epoch, or every so many steps; always
/// when a run is interrupted, and where the best weights are to be loaded, after every evaluation
/// that is better than all before.
enum class SaveStrategy { no, epoch, steps };

struct CheckpointSettings {
  std::filesystem::path folder = {};  ///< of the run; empty: no checkpoints
  SaveStrategy strategy = SaveStrategy::epoch;
  Index save_steps = 500;
  Index total_limit = 0;  ///< older ones are removed, but not the best one; 0: all are kept
  /// Writes what the run would leave now (adapter or model) into a checkpoint's folder.
  std::function<void(const tn::OutputFolder&)> write_results = {};
  /// A JSON object of all that a run must share with the one that goes on from its checkpoints.
  std::string settings = "{}";
  /// Names of those that follow from others: differences in the others are named first.
  std::vector<std::string> derived_settings = {};
};

/// "checkpoint-500".
std::string checkpoint_name(Index step);
/// Steps of the checkpoints in a run's folder, rising. What was not complete does not count, nor do
/// those of other programs.
std::vector<Index> checkpoint_steps(const std::filesystem::path& folder);
/// Removes what is left in a run's folder of checkpoints that were being written or removed when a
/// run was killed.
void remove_incomplete_checkpoints(const std::filesystem::path& folder);
/// Keeps the newest `total_limit` checkpoints and the best one.
void remove_older_checkpoints(const CheckpointSettings& settings, const TrainState& state);
/// Removes all checkpoints of a run's folder, also incomplete ones.
void remove_checkpoints(const std::filesystem::path& folder);

/// The state as transformers' trainer_state.json has it; `writing`: as a part of this step's
/// checkpoint, which is not there yet.
nlohmann::json trainer_state_json(const TrainState& state, const std::filesystem::path& folder,
                                  bool writing);

/// Writes folder/checkpoint-STEP: the results, trainer_state.json, training_state.json and
/// training_state.safetensors (values and moments of what is trained). The folder appears when it
/// is complete. Then removes those beyond the limit.
template <class T>
void write_checkpoint(const CheckpointSettings& settings, const Weights<T>& weights,
                      const AdamW<T>& optimiser, const TrainState& state);

/// Puts a checkpoint's values and moments into the weights (the shapes of an adapter's may differ
/// from theirs: ranks change) and its counts into the optimiser; returns the state. `run`: how many
/// steps it must have; `needs_best`: whether the best checkpoint must be there. Throws Error naming
/// file and field if it is damaged, has other weights, or another setting; nothing has changed
/// then.
template <class T>
TrainState read_checkpoint(const std::filesystem::path& checkpoint,
                           const CheckpointSettings& settings, const TrainState& run,
                           Weights<T>& weights, AdamW<T>& optimiser, bool needs_best);

/// Only the values of a checkpoint.
template <class T>
void restore_values(const std::filesystem::path& checkpoint, Weights<T>& weights);

}  // namespace metatt::transformer
