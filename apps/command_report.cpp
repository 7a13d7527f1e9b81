/// metatt report: the results of runs as one page with pictures.

#include <metatt/apps/chain_report.hpp>
#include <metatt/apps/commands.hpp>
#include <metatt/apps/training_report.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/error.hpp>

#include <algorithm>
#include <iostream>

namespace metatt::apps {

namespace {

/// Whether the folder holds a run of dmrg. Throws Error naming it if it holds no run at all.
bool is_chain(const std::string& folder) {
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::path(folder) / chain_file_name, ignored))
    return true;
  if (!std::filesystem::exists(std::filesystem::path(folder) / run_log_name, ignored))
    tn::fail(folder, ": expected a run of metatt dmrg (", chain_file_name,
             ") or of metatt finetune or pretrain (", run_log_name, "), found neither");
  return false;
}

ReportPage report(const std::vector<std::string>& folders) {
  const auto chains = std::ranges::count_if(folders, is_chain);
  if (chains == 0) return training_report(read_runs(folders));
  if (folders.size() > 1)
    tn::fail("report: expected one run of metatt dmrg alone, or runs of training, found ",
             folders.size(), " folders, ", chains, " of them of dmrg");
  return chain_report(folders.front());
}

}  // namespace

void add_report(CLI::App& program) {
  struct Options {
    std::vector<std::string> runs;
    std::string output;
  };
  auto o = std::make_shared<Options>();
  CLI::App* command =
      add_command(program, "report",
                  "Draw training runs, or one of dmrg: a page with pictures (needs gnuplot)");
  command
      ->add_option("runs", o->runs,
                   "Output folders of metatt finetune and pretrain, or one of metatt dmrg")
      ->check(not_empty("a folder"))
      ->required();
  command
      ->add_option("--output", o->output,
                   "The page (default: report.html in the first folder); its pictures go into a "
                   "folder beside it, report_files")
      ->check(not_empty("a file"));
  command->callback([o] {
    const std::filesystem::path page = o->output.empty()
                                           ? std::filesystem::path(o->runs.front()) / "report.html"
                                           : std::filesystem::path(o->output);
    report(o->runs).write(page);
    std::cout << "report in " << page.string() << std::endl;
  });
}

}  // namespace metatt::apps
