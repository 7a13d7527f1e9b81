#pragma once
/// What a search over settings adds to the page of its trials.

#include <metatt/apps/run_record.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace metatt::apps {

/// Whether a folder holds a search.
bool is_search(const std::filesystem::path& folder);

/// The folders of a search's trials that have begun, in the order of their numbers; what cannot be
/// read of them is left out with a warning. Throws Error if none is left.
std::vector<std::string> trial_folders(const std::filesystem::path& search);

/// Gives those runs that are trials of a search with sections the name of theirs.
void name_sections(std::vector<RunRecord>& runs);

/// HTML of comparison.csv, the best settings of a search's sections side by side; "" if there is
/// none.
std::string sections_table(const std::filesystem::path& search);

}  // namespace metatt::apps
