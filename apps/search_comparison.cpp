#include <metatt/apps/search_comparison.hpp>

#include <metatt/apps/run_groups.hpp>
#include <metatt/tn/error.hpp>
#include <metatt/transformer/adapter_files.hpp>
#include <metatt/transformer/trainer.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>

namespace metatt::apps {

namespace {

/// The mean of a number of the trials of a setting; not a number if one lacks it.
template <class Of>
double mean_of(std::span<const TrialState> states, const ScoredSetting& setting, const Of& of) {
  double sum = 0;
  for (const std::size_t i : setting.trials) sum += of(states[i]);
  return sum / static_cast<double>(setting.trials.size());
}

/// Bytes of what a trial has left to keep: the adapter, or the whole model; 0 if neither is there.
double result_bytes(const std::filesystem::path& folder) {
  for (const char* name : {transformer::adapter_file_name, "model.safetensors"}) {
    std::error_code missing;
    const auto bytes = std::filesystem::file_size(folder / name, missing);
    if (!missing) return static_cast<double>(bytes);
  }
  return 0;
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

std::vector<const ScoredSetting*> best_of_sections(std::span<const SearchTrial> trials,
                                                   std::span<const ScoredSetting> scored) {
  std::vector<const ScoredSetting*> best;
  const auto section = [&](const ScoredSetting& setting) {
    return trials[setting.trials.front()].section;
  };
  for (const ScoredSetting& setting : scored) {
    if (best.empty() || section(*best.back()) != section(setting)) {
      best.push_back(&setting);
      continue;
    }
    if (setting.metric != best.back()->metric)
      tn::fail("sweep: settings of the metrics ", best.back()->metric, " and ", setting.metric,
               " cannot be compared");
    if (setting.better_than(*best.back())) best.back() = &setting;
  }
  return best;
}

std::optional<Estimate> paired_difference(std::span<const SearchTrial> trials,
                                          const ScoredSetting& setting,
                                          const ScoredSetting& reference) {
  if (setting.metric != reference.metric) return std::nullopt;
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

std::string comparison_table(std::span<const SearchTrial> trials,
                             std::span<const TrialState> states,
                             std::span<const ScoredSetting* const> best,
                             const std::filesystem::path& trial_folder) {
  std::string text =
      "section,best_setting,seeds,metric,mean,half_width,better_than_first,better_half_width,"
      "trained_parameters,seconds,peak_memory_mb,file_bytes\n";
  for (const ScoredSetting* setting : best) {
    const SearchTrial& trial = trials[setting->trials.front()];
    std::string varied;
    for (const auto& [key, value] : trial.varied)
      varied += (varied.empty() ? "" : " ") + key + "=" + value;
    const auto difference = paired_difference(trials, *setting, *best.front());
    const Estimate none{NAN, NAN, 0};
    double bytes = 0;
    for (const std::size_t i : setting->trials)
      bytes += result_bytes(trial_folder / trials[i].name);
    text += csv_field(trial.section) + "," + csv_field(varied) + "," +
            std::to_string(setting->trials.size()) + "," + setting->metric;
    const auto mean = [&](const auto& of) { return mean_of(states, *setting, of); };
    for (const double value :
         {setting->estimate.mean, setting->estimate.half_width, difference.value_or(none).mean,
          difference.value_or(none).half_width, mean([](const TrialState& state) {
            return static_cast<double>(state.run->parameters.value_or(0));
          }),
          mean([](const TrialState& state) { return state.run->seconds.value_or(NAN); }),
          mean([](const TrialState& state) { return state.run->peak_memory_mb.value_or(NAN); }),
          bytes / static_cast<double>(setting->trials.size())})
      text += "," + csv_number(value);
    text += "\n";
  }
  return text;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string csv_number(double value) {
  if (!std::isfinite(value)) return "";
  if (value == std::floor(value) && std::abs(value) < 1e15)
    return std::to_string(static_cast<long long>(value));
  return nlohmann::json(value).dump();
}

}  // namespace metatt::apps
