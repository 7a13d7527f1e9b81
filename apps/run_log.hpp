#pragma once
/// What a training run leaves for other programs: a log of JSON lines and result files.

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/trainer.hpp>

#include <nlohmann/json_fwd.hpp>

#include <fstream>

namespace metatt::apps {

/// log.jsonl: one object a line with an "event": start, step, sweep, eval, end or error. Each line
/// is on its way to the disk when the call returns.
class RunLog {
 public:
  explicit RunLog(const std::filesystem::path& file);
  void write(const nlohmann::json& line);

  void step(const transformer::StepReport& report);
  void sweep(const transformer::SweepReport& report);
  void evaluation(tn::Index epoch, const transformer::Evaluation& evaluation);

 private:
  std::filesystem::path file_;
  std::ofstream stream_;
};

/// {"matthews_correlation": 0.52, …} under Hugging Face's "eval_" names, with eval_loss.
nlohmann::json evaluation_json(const transformer::Evaluation& evaluation);

/// "accuracy 0.8725, f1 0.9110".
std::string metrics_text(const transformer::Metrics& metrics);

}  // namespace metatt::apps
