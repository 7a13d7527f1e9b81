#pragma once
/// Settings from a file, as if they had been typed.

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace metatt::apps {

/// `words` (the command line without the program's name) with the settings of the file after
/// --config put behind them: lines KEY = VALUE named as the command's options, a flag with true or
/// false; empty lines and lines that begin with # are skipped. What was typed itself wins, over the
/// same setting and over one that cannot stand beside it. Throws Error naming file and line on a
/// key that the command does not have, with the nearest one, on a key that is there twice and on a
/// value that the option does not take.
std::vector<std::string> with_config_file(CLI::App& program, std::vector<std::string> words);

}  // namespace metatt::apps
