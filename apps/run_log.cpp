#include <metatt/apps/console.hpp>
#include <metatt/apps/run_log.hpp>

#include <nlohmann/json.hpp>

namespace metatt::apps {

using nlohmann::json;

RunLog::RunLog(const std::filesystem::path& file) : file_(file), stream_(file, std::ios::trunc) {
  if (!stream_) tn::fail(file.string(), ": cannot be written");
}

void RunLog::write(const json& line) {
  try {
    stream_ << line.dump() << std::endl;
  } catch (const json::type_error& error) {  // text that is no UTF-8, such as an odd path
    tn::fail(file_.string(), ": ", error.what());
  }
  if (!stream_) tn::fail(file_.string(), ": writing failed");
}

void RunLog::step(const transformer::StepReport& report) {
  write({{"event", "step"},
         {"step", report.step},
         {"epoch", report.epoch},
         {"loss", report.loss},
         {"learning_rate", report.learning_rate},
         {"gradient_norm", report.gradient_norm},
         {"tokens", report.tokens},
         {"seconds", report.seconds}});
}

void RunLog::sweep(const transformer::SweepReport& report) {
  json bonds = json::array();
  for (const auto& bond : report.sweep.bonds)
    bonds.push_back({{"spectrum", bond.spectrum},
                     {"kept", bond.truncation.kept},
                     {"discarded_weight", bond.truncation.discarded_weight},
                     {"discarded_norm", bond.truncation.discarded_norm}});
  write({{"event", "sweep"},
         {"epoch", report.epoch},
         {"ranks_before", report.sweep.ranks_before},
         {"ranks_after", report.sweep.ranks_after},
         {"norm_before", report.sweep.norm_before},
         {"error_bound", report.sweep.error_bound},
         {"loss_before", report.loss_before},
         {"loss_after", report.loss_after},
         {"bonds", bonds}});
}

void RunLog::evaluation(tn::Index epoch, const transformer::Evaluation& evaluation) {
  json line = evaluation_json(evaluation);
  line["event"] = "eval";
  line["epoch"] = epoch;
  write(line);
}

json evaluation_json(const transformer::Evaluation& evaluation) {
  json result{{"eval_loss", evaluation.loss}};
  for (const auto& [name, value] : evaluation.metrics) result["eval_" + name] = value;
  return result;
}

std::string metrics_text(const transformer::Metrics& metrics) {
  std::string text;
  for (const auto& [name, value] : metrics)
    text += (text.empty() ? "" : ", ") + name + " " + fixed(value, 4);
  return text;
}

}  // namespace metatt::apps
