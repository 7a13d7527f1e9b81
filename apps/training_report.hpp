#pragma once
/// Training runs as one page with pictures.

#include <metatt/apps/report_page.hpp>
#include <metatt/apps/run_record.hpp>

namespace metatt::apps {

/// What searches say of the runs (HTML, may be empty), tables of groups and runs, curves of all
/// runs, metric against trained parameters, and what became of the bonds of each run whose ranks
/// were adapted. Throws Error if gnuplot is missing or fails.
ReportPage training_report(const std::vector<RunRecord>& runs, const std::string& searches);

}  // namespace metatt::apps
