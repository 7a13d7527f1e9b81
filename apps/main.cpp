/// metatt: the program. Parses the command line and turns every error into one line and exit
/// code 2.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/config_file.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/interrupt.hpp>
#include <metatt/apps/suggestions.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/backend/backend.hpp>
#include <metatt/tn/error.hpp>

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

namespace metatt::apps {

namespace {

/// CLI11's words for an option at the end of the line, "NAME: 1 required TYPE missing", and for one
/// that is there twice made plain.
std::string plain(const CLI::ParseError& error) {
  const std::string message = error.what();
  const auto name = message.find(": ");
  if (message.find("At Most 1 required but received") != std::string::npos)
    return message.substr(0, name) + ": expected once, found twice or more";
  if (error.get_name() != "ArgumentMismatch" || !message.ends_with(" missing")) return message;
  return message.substr(0, name) + ": expected a value, found none";
}

/// One line for what CLI11 could not parse; unknown names get the nearest known one.
std::string explain(CLI::App& program, const std::vector<std::string>& words,
                    const CLI::ParseError& error) {
  const std::vector<std::string> unknown = program.remaining(/*recurse=*/true);
  if (unknown.empty()) return plain(error);
  CLI::App& command = find_command(program, words);
  const std::string typed = unknown.front().substr(0, unknown.front().find('='));
  std::vector<std::string> known;
  if (!typed.starts_with("-"))
    for (const auto* sub : command.get_subcommands([](CLI::App*) { return true; }))
      known.push_back(sub->get_name());
  if (known.empty() && !typed.starts_with("-"))
    return "unexpected argument \"" + typed + "\"; every value belongs to a flag";
  if (known.empty()) known = option_names(command);
  if (std::ranges::find(known, typed) != known.end())
    return "unexpected argument \"" + typed + "\" after \"--\"";
  return "unknown argument \"" + typed + "\"" + suggestion(typed, known);
}

/// Sets a variable that the user has not set; true if it was missing.
bool set_default(const char* variable, const std::string& value) {
  if (std::getenv(variable) != nullptr) return false;
  return setenv(variable, value.c_str(), /*overwrite=*/1) == 0;
}

/// Two settings are read when the libraries are loaded, so the program starts itself again where
/// the user has not chosen. OpenBLAS's kernels, where it does not know the processor: five times
/// the speed. And how long OpenMP's threads spin before they sleep: by default some milliseconds,
/// which on a machine that has other work to do makes a step five times slower.
void restart_with_better_defaults(char** argv) {
  const std::string core = tn::backend::describe().better_core;
  bool changed = !core.empty() && set_default("OPENBLAS_CORETYPE", core);
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) changed |= set_default("GOMP_SPINCOUNT", "10000");
  if (changed) execv("/proc/self/exe", argv);  // returns only if it failed: then it is the slow way
}

/// Parses the command line and does what it says; the exit code.
int run_program(int argc, char** argv) {
  CLI::App program{
      "metatt: fine-tunes transformers with one tensor train for all weight updates "
      "(MetaTT, arXiv:2506.09105) and adapts its ranks by DMRG-like sweeps.",
      "metatt"};
  program.set_version_flag("--version", "metatt " METATT_VERSION);
  program.require_subcommand(1);
  program.get_formatter()->column_width(44);
  add_finetune(program);
  add_add_task(program);
  add_eval(program);
  add_export(program);
  add_compress(program);
  add_generate(program);
  add_choose(program);
  add_embed(program);
  add_inspect(program);
  add_predict(program);
  add_pretrain(program);
  add_suite(program);
  add_dmrg(program);
  add_ranks(program);
  add_sweep(program);
  add_report(program);
  add_bench(program);
  std::vector<std::string> words(argv + 1, argv + argc);
  ConfiguredWords all;
  try {
    all = with_config_file(program, words);
    // CLI11 takes them reversed.
    program.parse(std::vector<std::string>(all.words.rbegin(), all.words.rend()));
  } catch (const CLI::Success& request) {  // --help and --version
    return program.exit(request);
  } catch (const CLI::ParseError& error) {
    print_error(explain(program, words, error));
    return 2;
  } catch (const tn::Error& error) {
    tn::fail(all.located(error.what()));
  }
  return 0;
}

/// Results that never arrived (a full disk, say) must not look like success, and writing to
/// std::cout throws nothing.
int run(int argc, char** argv) {
  restart_with_better_defaults(argv);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is then an error of write
  const int exit_code = run_program(argc, argv);
  if (exit_code == 0 && !std::cout.flush()) tn::fail("standard output could not be written");
  return exit_code;
}

}  // namespace

CLI::App* add_command(CLI::App& program, const std::string& name, const std::string& description) {
  CLI::App* command = program.add_subcommand(name, description);
  command->option_defaults()->always_capture_default();
  command->add_option("--config", "File of KEY = VALUE lines; the command line overrides it")
      ->type_name("FILE");
  command
      ->add_option_function<int>(
          "--threads", [](int threads) { tn::backend::set_threads(threads); },
          "Threads for BLAS and our own loops (default: as OpenMP chooses)")
      ->transform(whole_number(1, 1024));
  return command;
}

}  // namespace metatt::apps

int main(int argc, char** argv) {
  try {
    return metatt::apps::run(argc, argv);
  } catch (const metatt::apps::Interrupted& stop) {
    metatt::apps::print_error(stop.what());
    return stop.exit_code();
  } catch (const std::bad_alloc&) {
    metatt::apps::print_error("out of memory");
  } catch (const std::exception& error) {
    metatt::apps::print_error(error.what());
  }
  return 2;
}
