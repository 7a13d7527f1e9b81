/// metatt: the program. Parses the command line and turns every error into one line and exit
/// code 2.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/tn/backend/backend.hpp>

#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <numeric>

namespace metatt::apps {

namespace {

/// Levenshtein distance.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

/// The name out of `known` that is nearest to what was typed.
std::string nearest(const std::string& typed, const std::vector<std::string>& known) {
  std::string best;
  std::size_t least = std::string::npos;
  for (const auto& name : known)
    if (const std::size_t distance = edit_distance(typed, name); distance < least) {
      least = distance;
      best = name;
    }
  return best;
}

/// One line for what CLI11 could not parse; unknown names get the nearest known one.
std::string explain(CLI::App& program, const CLI::ParseError& error) {
  const auto chosen = program.get_subcommands();
  const CLI::App& command = chosen.empty() ? program : *chosen.front();
  std::vector<std::string> unknown = command.remaining();
  if (unknown.empty()) unknown = program.remaining();
  if (unknown.empty()) return error.what();
  const std::string typed = unknown.front().substr(0, unknown.front().find('='));
  std::vector<std::string> known;
  if (chosen.empty() && typed[0] != '-')
    for (const auto* sub : program.get_subcommands([](CLI::App*) { return true; }))
      known.push_back(sub->get_name());
  else
    for (const auto* option : command.get_options())
      for (const auto& name : option->get_lnames()) known.push_back("--" + name);
  return "unknown argument \"" + typed + "\"; did you mean \"" + nearest(typed, known) + "\"?";
}

/// OpenBLAS picks its kernels when it is loaded. Where it does not know the processor, and the
/// user has not chosen either, the program starts itself again with the choice made.
void restart_with_better_core(char** argv) {
  const std::string core = tn::backend::describe().better_core;
  if (core.empty() || setenv("OPENBLAS_CORETYPE", core.c_str(), /*overwrite=*/0) != 0) return;
  execv("/proc/self/exe", argv);  // returns only if it failed: then the slow kernels do
}

int run(int argc, char** argv) {
  if (std::getenv("OPENBLAS_CORETYPE") == nullptr) restart_with_better_core(argv);
  CLI::App program{
      "metatt: fine-tunes transformers with one tensor train for all weight updates "
      "(MetaTT, arXiv:2506.09105) and adapts its ranks by DMRG-like sweeps."};
  program.set_version_flag("--version", "metatt " METATT_VERSION);
  program.require_subcommand(1);
  program.get_formatter()->column_width(44);
  add_finetune(program);
  add_eval(program);
  add_export(program);
  add_inspect(program);
  add_pretrain(program);
  add_suite(program);
  add_bench(program);
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help and --version
    return program.exit(request);
  } catch (const CLI::ParseError& error) {
    print_error(explain(program, error));
    return 2;
  }
  return 0;
}

}  // namespace

CLI::App* add_command(CLI::App& program, const std::string& name, const std::string& description) {
  CLI::App* command = program.add_subcommand(name, description);
  command->set_config("--config", "", "File of KEY = VALUE lines; the command line overrides it");
  command->allow_config_extras(CLI::config_extras_mode::error);
  command->option_defaults()->always_capture_default();
  command
      ->add_option_function<int>(
          "--threads", [](int threads) { tn::backend::set_threads(threads); },
          "Threads for BLAS and our own loops (default: as OpenMP chooses)")
      ->check(CLI::Range(1, 1024));
  return command;
}

}  // namespace metatt::apps

int main(int argc, char** argv) {
  try {
    return metatt::apps::run(argc, argv);
  } catch (const std::bad_alloc&) {
    metatt::apps::print_error("out of memory");
  } catch (const std::exception& error) {
    metatt::apps::print_error(error.what());
  }
  return 2;
}
