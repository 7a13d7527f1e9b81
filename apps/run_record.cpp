#include <metatt/apps/run_record.hpp>

#include <metatt/apps/console.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>

namespace metatt::apps {

namespace {

using nlohmann::json;
using tn::Index;
using transformer::required;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// A number, or NaN where JSON has null for one that was not finite.
double number_or_nan(const json& object, const std::string& field, const std::string& place) {
  if (const auto found = object.find(field); found != object.end() && found->is_null())
    return not_a_number;
  return required<double>(object, field, place);
}

const json& required_list(const json& object, const std::string& field, const std::string& place) {
  const auto found = object.find(field);
  if (found == object.end() || !found->is_array())
    tn::fail(place, ": field \"", field, "\": expected a list, found ",
             found == object.end() ? "none" : found->dump());
  return *found;
}

void read_step(const json& line, const std::string& place, RunRecord& run) {
  run.steps.push_back({required<std::int64_t>(line, "step", place),
                       number_or_nan(line, "loss", place),
                       number_or_nan(line, "learning_rate", place)});
  run.seconds = number_or_nan(line, "seconds", place);
}

/// The "eval_" fields of an evaluation or of a run's results.
EvaluationRecord evaluation_record(const json& object, Index step, const std::string& place) {
  const std::string prefix = "eval_";
  EvaluationRecord record{step, number_or_nan(object, prefix + "loss", place), {}};
  for (const auto& item : object.items())
    if (item.key().starts_with(prefix) && item.key() != prefix + "loss")
      record.metrics[item.key().substr(prefix.size())] = number_or_nan(object, item.key(), place);
  return record;
}

std::vector<double> numbers(const json& list, const std::string& field, const std::string& place) {
  std::vector<double> values;
  for (const json& value : list) {
    if (!value.is_number() && !value.is_null())
      tn::fail(place, ": field \"", field, "\": expected numbers, found ", value.dump());
    values.push_back(value.is_null() ? not_a_number : value.get<double>());
  }
  return values;
}

BondRecord bond_record(const json& bond, const std::string& place) {
  BondRecord record;
  record.bond = required<std::int64_t>(bond, "bond", place);
  record.left_core = required<std::string>(bond, "left_core", place);
  record.rank_before = required<std::int64_t>(bond, "rank_before", place);
  record.rank_after = required<std::int64_t>(bond, "rank_after", place);
  record.spectrum = numbers(required_list(bond, "spectrum", place), "spectrum", place);
  const std::string after = "spectrum_after";  // which logs of earlier versions lack
  if (bond.contains(after))
    record.spectrum_after = numbers(required_list(bond, after, place), after, place);
  record.entropy = number_or_nan(bond, "entropy", place);
  record.discarded_weight = number_or_nan(bond, "discarded_weight", place);
  return record;
}

SweepRecord sweep_record(const json& line, const std::string& place) {
  SweepRecord record{required<std::int64_t>(line, "step", place),
                     transformer::optional_or(line, "pair", false, place),
                     {}};
  for (const json& bond : required_list(line, "bonds", place)) {
    record.bonds.push_back(bond_record(bond, place));
    // The log counts within each train; the one bond of a pair is of an only train.
    if (!record.pair) record.bonds.back().bond = static_cast<Index>(record.bonds.size());
  }
  return record;
}

/// A setting as the command line has it: lists without brackets.
std::string setting_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const json& entry : value) text += (text.empty() ? "" : ",") + setting_text(entry);
  return text;
}

void read_start(const json& line, const std::string& place, RunRecord& run) {
  run.settings.clear();
  for (const auto& [name, value] : line.items())
    if (name != "event" && name != "resumed_at") run.settings[name] = setting_text(value);
  if (line.contains("resumed_at"))
    run.resumed_at.push_back(required<std::int64_t>(line, "resumed_at", place));
  if (line.contains("trainable_adapter")) {
    run.parameters = required<std::int64_t>(line, "trainable_adapter", place);
    run.head_parameters = required<std::int64_t>(line, "trainable_head", place);
  }
  run.end = RunEnd::open;
  run.error.clear();
}

void read_end(const json& line, const std::string& place, RunRecord& run) {
  run.end = RunEnd::ended;
  run.seconds = number_or_nan(line, "seconds", place);
  run.peak_memory_mb = number_or_nan(line, "peak_memory_mb", place);
  if (line.contains("trained_parameters"))
    run.parameters =
        required<std::int64_t>(line, "trained_parameters", place) - run.head_parameters;
  if (line.contains("ranks"))  // which logs of earlier versions lack
    run.ranks = required<std::vector<Index>>(line, "ranks", place);
  if (const auto results = line.find("results"); results != line.end())
    run.result = evaluation_record(*results, required<std::int64_t>(line, "steps", place), place);
}

void read_event(const json& line, const std::string& place, RunRecord& run) {
  const auto event = required<std::string>(line, "event", place);
  if (event == "start") return read_start(line, place, run);
  // A log that was lost and begun anew has the line of its checkpoint first.
  if (event == "checkpoint") return;
  if (run.settings.empty())
    tn::fail(place, ": expected the event start first, found \"", event, "\"");
  if (event == "step")
    read_step(line, place, run);
  else if (event == "eval")
    run.evaluations.push_back(
        evaluation_record(line, required<std::int64_t>(line, "step", place), place));
  else if (event == "sweep")
    run.sweeps.push_back(sweep_record(line, place));
  else if (event == "end")
    read_end(line, place, run);
  else if (event == "error") {
    run.end = RunEnd::failed;
    run.error = required<std::string>(line, "message", place);
  } else
    tn::fail(place, ": expected the event start, step, eval, sweep, checkpoint, end or error, ",
             "found \"", event, "\"");
}

}  // namespace

RunRecord read_run(const std::filesystem::path& folder) {
  RunRecord run;
  run.folder = folder;
  const std::filesystem::path log = folder / run_log_name;
  std::string text = tn::read_file(log);
  const std::size_t end = text.rfind('\n') + 1;  // 0 if there is none
  if (end < text.size() && !json::accept(text.substr(end))) {
    text.resize(end);
    run.cut = true;
  }
  std::size_t number = 0;
  for (const std::string& line : tn::split_lines(text)) {
    const std::string place = log.string() + ": line " + std::to_string(++number);
    read_event(transformer::parse_json(line, place), place, run);
  }
  if (run.settings.empty()) tn::fail(log.string(), ": expected the event start, found none");
  return run;
}

std::vector<RunRecord> read_runs(const std::vector<std::string>& folders) {
  std::map<std::string, std::string> typed;  // by canonical path
  std::map<std::string, std::size_t> same_name;
  std::vector<RunRecord> runs;
  for (const std::string& folder : folders) {
    RunRecord& run = runs.emplace_back(read_run(folder));
    const auto path = std::filesystem::canonical(folder);
    if (const auto [other, is_new] = typed.try_emplace(path.string(), folder); !is_new)
      tn::fail(folder, ": expected each run once, found the folder of ", other->second);
    run.name = printable(path.filename().string());
    ++same_name[run.name];
  }
  for (RunRecord& run : runs)
    if (same_name[run.name] > 1) run.name = printable(run.folder.string());
  return runs;
}

std::string RunRecord::status() const {
  std::string text = end == RunEnd::ended    ? "ended"
                     : end == RunEnd::failed ? "failed"
                                             : "not ended (interrupted, killed or running)";
  for (const Index step : resumed_at) text += ", resumed after step " + std::to_string(step);
  if (cut) text += ", log cut in its last line";
  return text;
}

std::string ranks_text(std::span<const Index> ranks) {
  constexpr std::size_t listed = 12;
  if (ranks.empty()) return "";
  const auto [least, most] = std::ranges::minmax(ranks);
  if (least == most) return std::to_string(least);
  if (ranks.size() > listed) return std::to_string(least) + " to " + std::to_string(most);
  std::string text;
  for (const Index rank : ranks) text += (text.empty() ? "" : "-") + std::to_string(rank);
  return text;
}

std::string RunRecord::setting(const std::string& wanted) const {
  const auto found = settings.find(wanted);
  return found == settings.end() ? "" : found->second;
}

Index RunRecord::last_step() const {
  Index last = 0;
  if (!steps.empty()) last = steps.back().step;
  if (!evaluations.empty()) last = std::max(last, evaluations.back().step);
  return last;
}

}  // namespace metatt::apps
