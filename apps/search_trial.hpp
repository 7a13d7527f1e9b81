#pragma once
/// A trial of a search as a process of its own.

#include <metatt/apps/interrupt.hpp>
#include <metatt/apps/run_record.hpp>
#include <metatt/apps/search_space.hpp>

namespace metatt::apps {

/// The table of a search's trials, by which its folder is known; they are in "trials" beside it.
constexpr const char* search_table_name = "sweep.csv";
/// The table of its sections.
constexpr const char* comparison_table_name = "comparison.csv";

/// Where a trial stands, from what it has left.
struct TrialState {
  std::string status = "waiting";  ///< waiting, ended, failed or interrupted
  std::string error = {};          ///< of one that failed: its last line
  std::optional<RunRecord> run = {};
};

/// The state of a trial in `trials`; one that has not ended is waiting, one whose log cannot be
/// read failed.
TrialState trial_state(const std::filesystem::path& trials, const SearchTrial& trial);

/// Runs finetune of this same program in `trials`/NAME, from its newest checkpoint if there is one,
/// with all that it says in `trials`/NAME.txt; on this number of threads, if there is one and the
/// trial itself says none. A signal that the watch sees is passed on to it, and it saves and ends.
/// Throws Error if no process can be started.
TrialState run_trial(const std::filesystem::path& trials, const SearchTrial& trial,
                     std::optional<int> threads, const InterruptWatch& watch);

}  // namespace metatt::apps
