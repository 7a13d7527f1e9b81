#include <metatt/apps/search_report.hpp>

#include <metatt/apps/console.hpp>
#include <metatt/apps/csv.hpp>
#include <metatt/apps/report_page.hpp>
#include <metatt/apps/search_trial.hpp>
#include <metatt/apps/statistics.hpp>
#include <metatt/tn/error.hpp>

#include <cmath>
#include <cstdlib>
#include <map>

namespace metatt::apps {

namespace {

/// The section of each trial; none if the search has no sections.
std::map<std::string, std::string> sections_of(const std::filesystem::path& search) {
  std::map<std::string, std::string> sections;
  for (const CsvRow& row : read_csv(search / search_table_name))
    if (row.contains("section") && row.contains("trial"))
      sections[row.at("trial")] = row.at("section");
  return sections;
}

}  // namespace

bool is_search(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder / search_table_name, ignored);
}

std::vector<std::string> trial_folders(const std::filesystem::path& search) {
  std::map<std::pair<unsigned long, std::string>, std::string> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(search / "trials", ignored)) {
    const std::string name = entry.path().filename().string(), path = entry.path().string();
    if (!std::filesystem::exists(entry.path() / run_log_name, ignored)) continue;
    try {
      read_run(path);
      found[{std::strtoul(name.c_str(), nullptr, 10), name}] = path;
    } catch (const tn::Error& error) {
      print_warning(std::string(error.what()) + "; left out of the report");
    }
  }
  if (found.empty()) tn::fail(search.string(), ": expected trials of a search, found none");
  std::vector<std::string> paths;
  for (const auto& [place, path] : found) paths.push_back(path);
  return paths;
}

void name_sections(std::vector<RunRecord>& runs) {
  std::map<std::filesystem::path, std::map<std::string, std::string>> searches;
  for (RunRecord& run : runs) {
    const auto folder = std::filesystem::canonical(run.folder);
    const auto search = folder.parent_path().parent_path();
    if (folder.parent_path().filename() != "trials" || !is_search(search)) continue;
    if (!searches.contains(search)) searches[search] = sections_of(search);
    const auto& sections = searches[search];
    const auto found = sections.find(folder.filename().string());
    if (found != sections.end()) run.section = found->second;
  }
}

std::string sections_table(const std::filesystem::path& search) {
  std::error_code ignored;
  const auto file = search / comparison_table_name;
  if (!std::filesystem::exists(file, ignored)) return "";
  HtmlTable table(
      {"section", "best setting", "metric", "seeds", "mean", "better than the first section",
       "parameters without head", "seconds", "peak memory, MB", "file, bytes"},
      3);
  bool first = true;
  for (const CsvRow& row : read_csv(file)) {
    const auto text = [&](const char* column) { return csv_text(row, column, file); };
    const auto number = [&](const char* column) { return csv_value(row, column, file); };
    const auto plain = [&](const char* column) { return interval_text(number(column), NAN, 0); };
    table.row(
        {text("section"), text("best_setting"), text("metric"), text("seeds"),
         interval_text(number("mean"), number("half_width"), 4),
         first ? "–" : interval_text(number("better_than_first"), number("better_half_width"), 4),
         plain("parameters_without_head"), plain("seconds"), plain("peak_memory_mb"),
         plain("file_bytes")});
    first = false;
  }
  return "<p>Sections of " + html_escaped(printable(search.string())) +
         ", each at its best setting: means over the seeds and differences seed by seed; ± gives "
         "half the width of the 95 % interval (Student's t).</p>\n" +
         table.html();
}

}  // namespace metatt::apps
