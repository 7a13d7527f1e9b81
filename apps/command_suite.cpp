/// metatt suite: writes the built-in language suite.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/language_suite.hpp>

#include <iostream>

namespace metatt::apps {

void add_suite(CLI::App& program) {
  struct Options {
    std::string output;
    std::uint64_t seed = 42;
    bool overwrite = false;
  };
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(
      program, "suite", "Write the built-in language suite: four tasks, a corpus, a vocabulary");
  command->add_option("--output_dir", o->output, "Where the files go")
      ->check(not_empty("a folder"))
      ->required();
  command->add_option("--seed", o->seed, "The same seed gives the same bytes")
      ->transform(seed_number());
  command->add_flag("--overwrite_output_dir", o->overwrite, "Write into a folder that is not empty")
      ->check(true_or_false());
  command->callback([o] {
    check_results_folder(o->output, Results::language_suite, {});
    const auto folder = open_results_folder(o->output, o->overwrite);
    transformer::write_language_suite(folder.path, o->seed);
    std::cout << "language suite with seed " << o->seed << " in " << folder.path.string()
              << std::endl;
  });
}

}  // namespace metatt::apps
