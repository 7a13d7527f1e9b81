#include <metatt/apps/console.hpp>
#include <metatt/apps/training_log.hpp>
#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

namespace metatt::apps {

using nlohmann::json;

namespace {

json checkpoint_line(tn::Index step) {
  return {{"event", "checkpoint"}, {"step", step}};
}

/// Cuts off what was written after the line of a checkpoint: those steps come again.
void cut_after_checkpoint(const std::filesystem::path& file, tn::Index step) {
  std::string text = tn::read_file(file);
  const std::string line = checkpoint_line(step).dump() + "\n";
  const std::size_t place = text.rfind(line);
  if (place == std::string::npos)
    tn::fail(file.string(), ": expected the line of checkpoint-", step, ", found none; without ",
             "the file the log begins anew");
  text.resize(place + line.size());
  tn::write_file_atomically(file, text);
}

/// Where a log begins: its file, cut after the checkpoint if there is one.
RunLog open_log(const std::filesystem::path& file, tn::Index resumed_at) {
  const bool goes_on = resumed_at > 0 && std::filesystem::exists(file);
  if (goes_on) cut_after_checkpoint(file, resumed_at);
  RunLog log(file, goes_on);
  // Where the old log is gone, the next resumption still finds its place.
  if (resumed_at > 0 && !goes_on) log.write(checkpoint_line(resumed_at));
  return log;
}

}  // namespace

TrainingLog::TrainingLog(const tn::OutputFolder& folder, tn::Index resumed_at)
    : log_(open_log(folder / "log.jsonl", resumed_at)), events_(folder / "runs", resumed_at + 1) {}

void TrainingLog::step(const transformer::StepReport& report) {
  write({{"event", "step"},
         {"step", report.step},
         {"epoch", report.epoch},
         {"loss", report.loss},
         {"learning_rate", report.learning_rate},
         {"gradient_norm", report.gradient_norm},
         {"tokens", report.tokens},
         {"seconds", report.seconds}});
  events_.write(report.step, {{"train/loss", report.loss},
                              {"train/learning_rate", report.learning_rate},
                              {"train/grad_norm", report.gradient_norm}});
}

void TrainingLog::checkpoint(tn::Index step) {
  write(checkpoint_line(step));
}

void TrainingLog::sweep(tn::Index step, const transformer::SweepReport& report) {
  json bonds = json::array();
  for (const auto& bond : report.sweep.bonds)
    bonds.push_back({{"bond", bond.bond + 1},
                     {"left_core", bond.left_core},
                     {"rank_before", bond.rank_before},
                     {"rank_after", bond.rank_after},
                     {"spectrum", bond.spectrum},
                     {"spectrum_after", bond.spectrum_after},
                     {"entropy", bond.entropy},
                     {"discarded_weight", bond.discarded_weight},
                     {"discarded_norm", bond.discarded_norm}});
  write({{"event", "sweep"},
         {"step", report.step},
         {"epoch", report.epoch},
         {"pair", report.pair},
         {"ranks_before", report.sweep.ranks_before()},
         {"ranks_after", report.sweep.ranks_after()},
         {"norm_before", report.sweep.norm_before},
         {"error_bound", report.sweep.error_bound},
         {"loss_before", report.loss_before},
         {"loss_after", report.loss_after},
         {"seconds", report.seconds},
         {"bonds", bonds}});
  std::vector<std::pair<std::string, double>> scalars;
  for (tn::Index k = 0; const auto& bond : report.sweep.bonds) {
    ++k;  // over all trains
    scalars.emplace_back("ranks/bond_" + std::to_string(report.pair ? bond.bond + 1 : k),
                         static_cast<double>(bond.rank_after));
  }
  events_.write(step, scalars);
}

void TrainingLog::evaluation(tn::Index step, tn::Index epoch,
                             const transformer::Evaluation& evaluation) {
  json line = evaluation_json(evaluation);
  line["event"] = "eval";
  line["step"] = step;
  line["epoch"] = epoch;
  write(line);
  std::vector<std::pair<std::string, double>> scalars{{"eval/loss", evaluation.loss}};
  for (const auto& [name, value] : evaluation.metrics) scalars.emplace_back("eval/" + name, value);
  events_.write(step, scalars);
}

std::string rank_table(const std::filesystem::path& log) {
  constexpr const char* of_sweep[] = {"step", "epoch", "pair"};
  constexpr const char* of_bond[] = {"left_core",     "bond",    "rank_before",
                                     "rank_after",    "entropy", "discarded_weight",
                                     "discarded_norm"};
  constexpr const char* of_loss[] = {"loss_before", "loss_after", "seconds"};
  const auto field = [](const json& value) { return value.is_null() ? "" : value.dump(); };
  std::string rows;
  for (const std::string& line : tn::split_lines(tn::read_file(log))) {
    if (line.find("\"event\":\"sweep\"") == std::string::npos) continue;
    const json sweep = transformer::parse_json(line, log.string());
    const json& bonds = sweep.at("bonds");
    for (const json& bond : bonds) {
      for (const char* name : of_sweep) rows += sweep.at(name).dump() + ",";
      for (const char* name : of_bond) rows += field(bond.at(name)) + ",";
      for (const char* name : of_loss) rows += sweep.at(name).dump() + ",";
      rows.back() = '\n';
    }
  }
  if (rows.empty()) return {};
  return "step,epoch,pair,left_core,bond,rank_before,rank_after,entropy,"
         "discarded_weight,discarded_norm,loss_before,loss_after,seconds\n" +
         rows;
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
