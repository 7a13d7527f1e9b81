#pragma once
/// What the words of a command line mean: the command they lead to, and for an unknown word the
/// known one that was probably meant.

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace metatt::apps {

/// The subcommand that the words lead to: the program itself if the first is none of its own.
CLI::App& find_command(CLI::App& program, const std::vector<std::string>& words);

/// All long names of a command's options, with their dashes.
std::vector<std::string> option_names(const CLI::App& command);

/// "; did you mean …?" with the name out of `known` that what was typed is a part of, or from which
/// it differs least; nothing if that is more than a third of its letters.
std::string suggestion(const std::string& typed, const std::vector<std::string>& known);

}  // namespace metatt::apps
