#include <metatt/apps/run_groups.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace metatt::apps {

namespace {

/// What computed decides no more than last bits; it is shown where it differs, and divides no
/// groups.
const std::set<std::string> computing{"version", "blas",    "core",
                                      "kernels", "threads", "padding_share"};

/// Whether a setting is the seed or follows from it: VeRA's frozen factors do, and their
/// fingerprint is one with that of the model.
bool of_seed(const RunRecord& run, const std::string& name) {
  return name == "seed" ||
         (name == "fingerprint_of_frozen_weights" && run.setting("method") == "vera");
}

/// Whether a run's value says what somebody chose: the frozen weights of full fine-tuning are none
/// and those of VeRA its own too, so that their fingerprints are not comparable with others'.
bool is_choice(const RunRecord& run, const std::string& name) {
  return !of_seed(run, name) &&
         !(name == "fingerprint_of_frozen_weights" && run.setting("method") == "full");
}

/// The settings that make a group, and the section of a search.
std::map<std::string, std::string> group_key(const RunRecord& run) {
  auto key = run.settings;
  std::erase_if(key, [&](const auto& item) {
    return computing.contains(item.first) || of_seed(run, item.first);
  });
  key["section"] = run.section;
  return key;
}

std::string method_name(const RunRecord& run) {
  const std::string method = run.setting("method");
  return method.empty() ? "pretraining" : method;
}

/// Whether a setting is worth a place in a legend: not what follows from others.
bool in_label(const RunRecord& run, const std::string& name) {
  const std::string value = run.setting(name), method = run.setting("method");
  if (name == "method") return !run.section.empty();  // which stands in its place otherwise
  if (value.empty() || computing.contains(name) || name.starts_with("fingerprint_")) return false;
  if (name == "rank")
    return method != "none" && method != "full" && run.setting("rank_schedule").empty();
  if (name == "orthogonality" || name == "two_site_steps") return value != "0.0" && value != "0";
  return name != "head_learning_rate" || value != run.setting("learning_rate");
}

/// The settings in which runs of the same command (and section of a search) differ, those first
/// that a reader looks for.
std::vector<std::string> label_settings(const std::vector<RunRecord>& runs, const RunRecord& run) {
  std::vector<RunRecord> alike;
  for (const RunRecord& other : runs)
    if (other.settings.contains("method") == run.settings.contains("method") &&
        other.section == run.section)
      alike.push_back(other);
  auto names = differing_settings(alike);
  const std::vector<std::string> first{"task", "rank", "rank_schedule", "learning_rate"};
  std::ranges::stable_sort(names, {}, [&](const std::string& name) {
    return std::ranges::find(first, name) - first.begin();
  });
  return names;
}

std::string label_of(std::size_t number, const std::vector<RunRecord>& runs, const RunRecord& run) {
  std::string label =
      std::to_string(number) + ": " + (run.section.empty() ? method_name(run) : run.section);
  for (const std::string& name : label_settings(runs, run))
    if (in_label(run, name)) label += ", " + name + " " + run.setting(name);
  return label;
}

}  // namespace

std::vector<std::string> differing_settings(const std::vector<RunRecord>& runs) {
  std::set<std::string> names;
  for (const RunRecord& run : runs)
    for (const auto& [name, value] : run.settings)
      if (!name.starts_with("trainable_")) names.insert(name);
  std::vector<std::string> differing;
  for (const std::string& name : names) {
    std::set<std::string> values;
    for (const RunRecord& run : runs)
      if (is_choice(run, name)) values.insert(run.setting(name));
    if (values.size() > 1) differing.push_back(name);
  }
  // Fingerprints say that something differs but not what: they come last.
  std::stable_partition(differing.begin(), differing.end(),
                        [](const std::string& name) { return !name.starts_with("fingerprint_"); });
  return differing;
}

std::vector<RunGroup> group_runs(const std::vector<RunRecord>& runs) {
  std::vector<RunGroup> groups;
  std::map<std::map<std::string, std::string>, std::size_t> places;
  std::vector<std::set<std::string>> seeds;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto [place, is_new] = places.try_emplace(group_key(runs[i]), groups.size());
    if (is_new) {
      groups.push_back({label_of(groups.size() + 1, runs, runs[i]), {}, {}});
      seeds.emplace_back();
    }
    RunGroup& group = groups[place->second];
    group.runs.push_back(i);
    if (runs[i].end == RunEnd::ended && seeds[place->second].insert(runs[i].setting("seed")).second)
      group.counted.push_back(i);
  }
  return groups;
}

std::string purpose(const RunRecord& run) {
  const std::string task = run.setting("task");
  return task.empty() ? run.setting("objective") : task;
}

std::string main_metric(const RunRecord& run) {
  const std::string metric = run.setting("metric_for_best_model");
  return metric.empty() ? "loss" : metric;
}

double metric_value(const EvaluationRecord& evaluation, const std::string& metric) {
  if (metric == "loss") return evaluation.loss;
  const auto found = evaluation.metrics.find(metric);
  return found == evaluation.metrics.end() ? std::numeric_limits<double>::quiet_NaN()
                                           : found->second;
}

std::set<std::string> metric_names(const std::vector<RunRecord>& runs) {
  std::set<std::string> names;
  for (const RunRecord& run : runs)
    for (const EvaluationRecord& evaluation : run.evaluations)
      for (const auto& [name, value] : evaluation.metrics) names.insert(name);
  return names;
}

std::optional<Estimate> metric_of_group(const std::vector<RunRecord>& runs, const RunGroup& group,
                                        const std::string& metric) {
  std::vector<double> values;
  for (const std::size_t i : group.counted)
    if (const auto& result = runs[i].result)
      if (const double value = metric_value(*result, metric); std::isfinite(value))
        values.push_back(value);
  if (values.empty()) return std::nullopt;
  return estimate(values);
}

std::optional<Estimate> estimate_of_group(const std::vector<RunRecord>& runs, const RunGroup& group,
                                          std::optional<double> RunRecord::*value) {
  std::vector<double> values;
  for (const std::size_t i : group.counted)
    if (const auto& found = runs[i].*value; found && std::isfinite(*found))
      values.push_back(*found);
  if (values.empty()) return std::nullopt;
  return estimate(values);
}

std::optional<double> parameters_of_group(const std::vector<RunRecord>& runs,
                                          const RunGroup& group) {
  std::vector<double> counts;
  for (const std::size_t i : group.counted) {
    if (!runs[i].parameters) return std::nullopt;
    counts.push_back(static_cast<double>(*runs[i].parameters));
  }
  if (counts.empty()) return std::nullopt;
  return estimate(counts).mean;
}

}  // namespace metatt::apps
