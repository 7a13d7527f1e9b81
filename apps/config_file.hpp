#pragma once
/// Settings from a file, as if they had been typed.

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace metatt::apps {

/// The subcommand that the words lead to: the program itself if the first is none of its own.
CLI::App& find_command(CLI::App& program, const std::vector<std::string>& words);

/// `words` (the command line without the program's name) with the settings of the file after
/// --config put behind them: lines KEY = VALUE named as the command's options, a flag with true or
/// false; empty lines and lines that begin with # are skipped. What was typed itself wins. Throws
/// Error naming file and line on a key that the command does not have, with the nearest one.
std::vector<std::string> with_config_file(CLI::App& program, std::vector<std::string> words);

/// The name out of `known` with the least edit distance to what was typed.
std::string nearest(const std::string& typed, const std::vector<std::string>& known);

/// All long names of a command's options, with their dashes.
std::vector<std::string> option_names(const CLI::App& command);

}  // namespace metatt::apps
