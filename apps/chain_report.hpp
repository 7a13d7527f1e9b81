#pragma once
/// A run of metatt dmrg as one page with pictures.

#include <metatt/apps/report_page.hpp>

namespace metatt::apps {

inline constexpr const char* chain_file_name = "dmrg.h5";

/// Energies, entropies, mean values and correlations of the states in a folder. Throws Error naming
/// file and object where something is missing, or if gnuplot is missing or fails.
ReportPage chain_report(const std::filesystem::path& folder);

}  // namespace metatt::apps
