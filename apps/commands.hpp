#pragma once
/// The subcommands of the program, one file each.

#include <CLI/CLI.hpp>

namespace metatt::apps {

/// Each adds its subcommand with options and what it does to the program.
void add_add_task(CLI::App& program);
void add_bench(CLI::App& program);
void add_bench_contractions(CLI::App& bench);
void add_bench_decoders(CLI::App& bench);
void add_bench_trains(CLI::App& bench);
void add_choose(CLI::App& program);
void add_compress(CLI::App& program);
void add_dmrg(CLI::App& program);
void add_embed(CLI::App& program);
void add_eval(CLI::App& program);
void add_export(CLI::App& program);  ///< export and merge
void add_finetune(CLI::App& program);
void add_generate(CLI::App& program);
void add_inspect(CLI::App& program);
void add_predict(CLI::App& program);
void add_pretrain(CLI::App& program);
void add_ranks(CLI::App& program);
void add_report(CLI::App& program);
void add_suite(CLI::App& program);
void add_sweep(CLI::App& program);

/// A subcommand that reads --config FILE (KEY = VALUE lines named as the options; the command line
/// wins) and has --threads.
CLI::App* add_command(CLI::App& program, const std::string& name, const std::string& description);

}  // namespace metatt::apps
