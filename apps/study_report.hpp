#pragma once
/// The page of a study of rank adaptation.

#include <metatt/apps/report_page.hpp>

#include <filesystem>

namespace metatt::apps {

/// By which a folder of metatt ranks is known, the table of its strategies.
constexpr const char* study_summary_name = "summary.csv";
constexpr const char* study_curves_name = "curves.csv";
constexpr const char* study_sweeps_name = "rank_sweeps.csv";

/// What metatt ranks has left in the folder: how often, how fast and how well each strategy finds
/// the planted train, over the number of targets and over the steps. Throws Error naming the file
/// on a table that is missing or broken.
ReportPage study_report(const std::filesystem::path& folder);

}  // namespace metatt::apps
