/// metatt report: the results of runs as one page with pictures.

#include <metatt/apps/chain_report.hpp>
#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/search_report.hpp>
#include <metatt/apps/search_trial.hpp>
#include <metatt/apps/study_report.hpp>
#include <metatt/apps/training_report.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/error.hpp>

#include <iostream>

namespace metatt::apps {

namespace {

using Page = ReportPage (*)(const std::filesystem::path& folder);

/// How a folder that is drawn alone is drawn; null of a training run. Throws Error naming it if it
/// holds neither.
Page page_of(const std::filesystem::path& folder) {
  std::error_code ignored;
  const auto has = [&](const char* name) {
    return std::filesystem::exists(folder / name, ignored);
  };
  if (has(chain_file_name)) return chain_report;
  if (has(study_summary_name)) return study_report;
  if (!has(run_log_name))
    tn::fail(folder.string(), ": expected a run of metatt finetune or pretrain (", run_log_name,
             "), sweep (", search_table_name, "), dmrg (", chain_file_name, ") or ranks (",
             study_summary_name, "), found none of them");
  return nullptr;
}

/// The folders with those of a search's trials in the place of its own.
std::vector<std::string> with_trials(const std::vector<std::string>& folders) {
  std::vector<std::string> all;
  for (const std::string& folder : folders)
    for (const std::string& path : is_search(folder) ? trial_folders(folder) : std::vector{folder})
      all.push_back(path);
  return all;
}

ReportPage report(const std::vector<std::string>& given) {
  const auto folders = with_trials(given);
  for (const std::string& folder : folders) {
    const Page page = page_of(folder);
    if (!page) continue;
    if (folders.size() > 1)
      tn::fail("report: expected runs of training, or one of metatt dmrg or ranks alone, found ",
               folders.size(), " folders, ", folder, " not one of training");
    return page(folder);
  }
  auto runs = read_runs(folders);
  name_sections(runs);
  std::string searches;
  for (const std::string& folder : given) searches += sections_table(folder);
  return training_report(runs, searches);
}

}  // namespace

void add_report(CLI::App& program) {
  struct Options {
    std::vector<std::string> runs;
    std::string output;
  };
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(
      program, "report",
      "Draw training runs, or one of dmrg or ranks: a page with pictures (needs gnuplot)");
  command
      ->add_option("runs", o->runs,
                   "Output folders of metatt finetune, pretrain and sweep, or one of dmrg or ranks")
      ->check(not_empty("a folder"))
      ->required();
  command
      ->add_option("--output", o->output,
                   "The page (default: report.html in the first folder); its pictures go into a "
                   "folder beside it, report_files")
      ->check(not_empty("a file"))
      ->check(in_a_folder());
  command->callback([o] {
    const std::filesystem::path page = o->output.empty()
                                           ? std::filesystem::path(o->runs.front()) / "report.html"
                                           : std::filesystem::path(o->output);
    report(o->runs).write(page);
    std::cout << "report in " << page.string() << std::endl;
  });
}

}  // namespace metatt::apps
