#pragma once
/// Runs that differ in nothing but their seed, and what they say together.

#include <metatt/apps/run_record.hpp>
#include <metatt/apps/statistics.hpp>

#include <set>

namespace metatt::apps {

/// Runs of the same settings, by their places in the list of all.
struct RunGroup {
  std::string label;  ///< number, method and the settings in which groups differ
  std::vector<std::size_t> runs;
  /// Those that the means are over: ended, and each seed once.
  std::vector<std::size_t> counted;
};

/// The settings of which not all runs have the same value; not the seed, nor what follows from it
/// or from other settings.
std::vector<std::string> differing_settings(const std::vector<RunRecord>& runs);

/// In the order in which their first runs come.
std::vector<RunGroup> group_runs(const std::vector<RunRecord>& runs);

/// What a run was trained for ("rte", "causal_lm", "masked"), and the metric by which its
/// evaluations are compared.
std::string purpose(const RunRecord& run);
std::string main_metric(const RunRecord& run);

/// The value of a metric ("loss" too) of an evaluation; NaN if it has none of that name.
double metric_value(const EvaluationRecord& evaluation, const std::string& metric);

/// The names of all metrics that evaluations of the runs have.
std::set<std::string> metric_names(const std::vector<RunRecord>& runs);

/// Mean and interval of the group's final values, over those that are finite; nothing if none is.
std::optional<Estimate> metric_of_group(const std::vector<RunRecord>& runs, const RunGroup& group,
                                        const std::string& metric);

/// Mean and interval of what the group's runs needed, of those that say it; nothing if none does.
std::optional<Estimate> estimate_of_group(const std::vector<RunRecord>& runs, const RunGroup& group,
                                          std::optional<double> RunRecord::*value);

/// The mean number of trained parameters at the end, without the head; nothing if a counted run
/// does not say it. Where a sweep cuts to a budget, seeds may end with different numbers.
std::optional<double> parameters_of_group(const std::vector<RunRecord>& runs,
                                          const RunGroup& group);

}  // namespace metatt::apps
