#include <metatt/apps/search_comparison.hpp>

#include <metatt/apps/csv.hpp>
#include <metatt/apps/run_groups.hpp>
#include <metatt/transformer/adapter_files.hpp>
#include <metatt/transformer/trainer.hpp>

#include <algorithm>
#include <cmath>
#include <map>

namespace metatt::apps {

namespace {

/// Bytes of what a trial has left to keep: the adapter, or the whole model; not a number if neither
/// is there.
double result_bytes(const std::filesystem::path& folder) {
  for (const char* name : {transformer::adapter_file_name, "model.safetensors"}) {
    std::error_code missing;
    const auto bytes = std::filesystem::file_size(folder / name, missing);
    if (!missing) return static_cast<double>(bytes);
  }
  return NAN;
}

}  // namespace

bool ScoredSetting::better_than(const ScoredSetting& other) const {
  return transformer::is_cost(metric) ? estimate.mean < other.estimate.mean
                                      : estimate.mean > other.estimate.mean;
}

std::vector<ScoredSetting> scored_settings(std::span<const SearchTrial> trials,
                                           std::span<const TrialState> states, std::size_t seeds) {
  std::vector<ScoredSetting> all;
  for (std::size_t i = 0; i < trials.size();) {
    const std::size_t first = i;
    ScoredSetting scored;
    std::size_t wanted = 0;
    for (; i < trials.size() && trials[i].setting == trials[first].setting; ++i) {
      if (seeds > 0 && wanted == seeds) continue;
      ++wanted;
      if (states[i].status != "ended" || !states[i].run->result) continue;
      scored.purpose = purpose(*states[i].run);
      scored.metric = main_metric(*states[i].run);
      const double value = metric_value(*states[i].run->result, scored.metric);
      if (!std::isfinite(value)) continue;
      scored.trials.push_back(i);
      scored.values.push_back(value);
    }
    if (scored.values.size() < wanted) continue;
    scored.estimate = estimate(scored.values);
    all.push_back(std::move(scored));
  }
  return all;
}

std::vector<SectionBest> best_of_sections(std::span<const SearchTrial> trials,
                                          std::span<const ScoredSetting> scored) {
  std::vector<SectionBest> sections;
  for (const SearchTrial& trial : trials)
    if (sections.empty() || sections.back().section != trial.section)
      sections.push_back({trial.section});
  for (const ScoredSetting& setting : scored)
    for (SectionBest& section : sections) {
      if (section.section != trials[setting.trials.front()].section) continue;
      section.comparable =
          section.comparable && (!section.best || section.best->comparable_with(setting));
      if (!section.best || setting.better_than(*section.best)) section.best = &setting;
    }
  for (SectionBest& section : sections)
    if (!section.comparable) section.best = nullptr;
  return sections;
}

std::optional<Estimate> paired_difference(std::span<const SearchTrial> trials,
                                          const ScoredSetting& setting,
                                          const ScoredSetting& reference) {
  if (!setting.comparable_with(reference)) return std::nullopt;
  std::map<std::string, double> of_seed;
  for (std::size_t i = 0; i < reference.trials.size(); ++i)
    of_seed[trials[reference.trials[i]].seed] = reference.values[i];
  const double sign = transformer::is_cost(setting.metric) ? -1 : 1;
  std::vector<double> differences;
  for (std::size_t i = 0; i < setting.trials.size(); ++i)
    if (const auto found = of_seed.find(trials[setting.trials[i]].seed); found != of_seed.end())
      differences.push_back(sign * (setting.values[i] - found->second));
  if (differences.empty()) return std::nullopt;
  return estimate(differences);
}

std::string setting_name(const SearchTrial& trial) {
  std::string name =
      trial.section.empty() ? "setting " + std::to_string(trial.setting) : trial.section;
  for (const auto& [key, value] : trial.varied) name += ", " + key + " " + value;
  return name;
}

namespace {

/// The numbers of a section's best setting.
std::string comparison_numbers(std::span<const SearchTrial> trials,
                               std::span<const TrialState> states, const ScoredSetting& setting,
                               const ScoredSetting* first,
                               const std::filesystem::path& trial_folder) {
  const Estimate none{NAN, NAN, 0};
  const auto difference = first ? paired_difference(trials, setting, *first).value_or(none) : none;
  double parameters = 0, seconds = 0, memory = 0, bytes = 0;
  for (const std::size_t i : setting.trials) {
    const RunRecord& run = *states[i].run;
    parameters += run.parameters ? static_cast<double>(*run.parameters) : NAN;
    seconds += run.seconds.value_or(NAN);
    memory += run.peak_memory_mb.value_or(NAN);
    bytes += result_bytes(trial_folder / trials[i].name);
  }
  const auto count = static_cast<double>(setting.trials.size());
  std::string text;
  for (const double value :
       {setting.estimate.mean, setting.estimate.half_width, difference.mean, difference.half_width,
        parameters / count, seconds / count, memory / count, bytes / count})
    text.append(",").append(csv_number(value));
  return text;
}

}  // namespace

std::string comparison_table(std::span<const SearchTrial> trials,
                             std::span<const TrialState> states,
                             std::span<const SectionBest> sections,
                             const std::filesystem::path& trial_folder) {
  std::string text =
      "section,best_setting,seeds,metric,mean,half_width,better_than_first,better_half_width,"
      "parameters_without_head,seconds,peak_memory_mb,file_bytes\n";
  for (const SectionBest& section : sections) {
    text.append(csv_field(section.section)).append(",");
    if (!section.best) {
      text.append(",0,,,,,,,,,\n");
      continue;
    }
    std::string varied;
    for (const auto& [key, value] : trials[section.best->trials.front()].varied)
      varied.append(varied.empty() ? "" : " ").append(key).append("=").append(value);
    text.append(csv_field(varied)).append(",");
    text.append(std::to_string(section.best->trials.size())).append(",");
    text.append(section.best->metric);
    text += comparison_numbers(trials, states, *section.best, sections.front().best, trial_folder);
    text += "\n";
  }
  return text;
}

}  // namespace metatt::apps
