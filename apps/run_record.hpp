#pragma once
/// What a training run has left in its log.jsonl, read back.

#include <metatt/tn/backend/types.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace metatt::apps {

/// Numbers that were not finite, which JSON cannot hold (null), are NaN in all of these.
struct StepRecord {
  tn::Index step = 0;
  double loss = 0, learning_rate = 0;
};

struct EvaluationRecord {
  tn::Index step = 0;
  double loss = 0;
  std::map<std::string, double> metrics;  ///< without the "eval_" of their names
};

struct BondRecord {
  tn::Index bond = 0;  ///< counted from 1 over all trains
  std::string left_core;
  tn::Index rank_before = 0, rank_after = 0;
  std::vector<double> spectrum;        ///< descending; of a bond that grew, of the gradient
  std::vector<double> spectrum_after;  ///< none of a bond that grew or was pruned
  double entropy = 0, discarded_weight = 0;

  bool grew() const { return rank_after > rank_before; }
};

struct SweepRecord {
  tn::Index step = 0;  ///< how many steps came before it
  bool pair = false;   ///< the split of one pair of cores by a two-site step
  std::vector<BondRecord> bonds;
};

enum class RunEnd { ended, failed, open };

/// A run of metatt finetune or pretrain.
struct RunRecord {
  std::filesystem::path folder;
  std::string name;     ///< as a report calls it
  std::string section;  ///< of the search that it is a trial of, if that has sections
  /// What the start says, as text: the settings, and what computed.
  std::map<std::string, std::string> settings;
  std::vector<tn::Index> resumed_at;
  std::vector<StepRecord> steps;
  std::vector<EvaluationRecord> evaluations;
  std::vector<SweepRecord> sweeps;
  RunEnd end = RunEnd::open;               ///< open: interrupted, killed or still running
  std::string error;                       ///< why it failed
  bool cut = false;                        ///< the log ends within a line, which is not counted
  std::optional<EvaluationRecord> result;  ///< of a run that ended, if it evaluated
  std::optional<double> seconds;           ///< of training; of a run that has not ended, so far
  std::optional<double> peak_memory_mb;    ///< of a run that ended
  /// Trained ones but the head's, which all methods have; of a run that has not ended, at the
  /// start.
  std::optional<tn::Index> parameters;
  tn::Index head_parameters = 0;
  std::vector<tn::Index> ranks;  ///< of a run that ended: of all bonds, or matrices; may be none

  /// "ended", "failed" or why it may be open, where it was resumed, and whether the log is cut.
  std::string status() const;
  /// A setting, or "" if the run has none of that name.
  std::string setting(const std::string& name) const;
  /// The last step that the log has.
  tn::Index last_step() const;
};

/// "8" where all are equal, "8-4-8", or "2 to 9" of more than twelve; "" if there are none.
std::string ranks_text(std::span<const tn::Index> ranks);

inline constexpr const char* run_log_name = "log.jsonl";

/// Reads the run in a folder. Throws Error naming file and line on a line that is none of a
/// training run's; only a last one without its line feed, which a kill leaves, may be incomplete.
RunRecord read_run(const std::filesystem::path& folder);

/// Several, each called after its folder, or by its whole path where two folders have one name.
/// Throws Error also if a folder is given twice.
std::vector<RunRecord> read_runs(const std::vector<std::string>& folders);

}  // namespace metatt::apps
