#pragma once
/// What a training run leaves for other programs: its log, and its numbers as JSON.

#include <metatt/apps/event_file.hpp>
#include <metatt/apps/run_log.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/trainer.hpp>

#include <nlohmann/json_fwd.hpp>

namespace metatt::apps {

/// log.jsonl: one object a line with an "event": start, step, sweep, eval, checkpoint, end or
/// error, and the same numbers for TensorBoard in runs/. Each line is on its way to the disk when
/// the call returns.
class TrainingLog {
 public:
  /// A new log, or one that goes on after the line of the checkpoint of step `resumed_at`. Throws
  /// Error naming the file if it has no such line.
  TrainingLog(const tn::OutputFolder& folder, tn::Index resumed_at);
  void write(const nlohmann::json& line) { log_.write(line); }

  void step(const transformer::StepReport& report);
  void sweep(tn::Index step, const transformer::SweepReport& report);
  void evaluation(tn::Index step, tn::Index epoch, const transformer::Evaluation& evaluation);
  void checkpoint(tn::Index step);

 private:
  RunLog log_;
  EventFile events_;
};

/// {"matthews_correlation": 0.52, …} under Hugging Face's "eval_" names, with eval_loss.
nlohmann::json evaluation_json(const transformer::Evaluation& evaluation);

/// The sweeps of a log as a table with a line for each bond, separated by commas; empty if there
/// were none.
std::string rank_table(const std::filesystem::path& log);
inline constexpr const char* rank_table_name = "rank_sweeps.csv";

/// "accuracy 0.8725, f1 0.9110".
std::string metrics_text(const transformer::Metrics& metrics);

}  // namespace metatt::apps
