#pragma once
/// What the trials of a search say together: settings by the mean over their seeds, sections by
/// their best setting.

#include <metatt/apps/search_trial.hpp>
#include <metatt/apps/statistics.hpp>

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace metatt::apps {

/// A setting of which all wanted seeds ended with a metric.
struct ScoredSetting {
  std::vector<std::size_t> trials;  ///< places among all
  std::string purpose, metric;      ///< by which it is compared
  std::vector<double> values;       ///< of each of the trials
  Estimate estimate;

  bool comparable_with(const ScoredSetting& other) const {
    return purpose == other.purpose && metric == other.metric;
  }
  bool better_than(const ScoredSetting& other) const;
};

/// In the order of the settings; those with trials that failed, wait or were left out are missing.
/// With `seeds` above 0 the first so many seeds of a setting are all that count.
std::vector<ScoredSetting> scored_settings(std::span<const SearchTrial> trials,
                                           std::span<const TrialState> states,
                                           std::size_t seeds = 0);

/// What became of a section.
struct SectionBest {
  std::string section;
  const ScoredSetting* best = nullptr;  ///< null if no setting has a metric for every seed
  bool comparable = true;               ///< or if its settings have different tasks or metrics
};

/// Of all sections, in the order of the file.
std::vector<SectionBest> best_of_sections(std::span<const SearchTrial> trials,
                                          std::span<const ScoredSetting> scored);

/// How much better (less, for a cost) a setting is than another, seed by seed; nothing if they have
/// no seed in common or are not comparable.
std::optional<Estimate> paired_difference(std::span<const SearchTrial> trials,
                                          const ScoredSetting& setting,
                                          const ScoredSetting& reference);

/// What a setting is called where people read it: its section and what varies there.
std::string setting_name(const SearchTrial& trial);

/// comparison.csv: a line for each section with its best setting, beside that of the first section.
std::string comparison_table(std::span<const SearchTrial> trials,
                             std::span<const TrialState> states,
                             std::span<const SectionBest> sections,
                             const std::filesystem::path& trial_folder);

}  // namespace metatt::apps
