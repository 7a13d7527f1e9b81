#pragma once
/// Settings from a file, as if they had been typed.

#include <CLI/CLI.hpp>

#include <map>
#include <string>
#include <vector>

namespace metatt::apps {

/// Without blanks at its ends.
std::string trimmed(const std::string& text);

/// One line of a file.
struct ConfigSetting {
  int line;
  std::string key, value;
  CLI::Option* option;  ///< of the command, which the key names
};

/// The lines KEY = VALUE of a file, their values still unread; empty lines and lines that begin
/// with # are skipped. Throws Error naming file and line on a key that the command does not have,
/// with the nearest one, and on a key that is there twice.
std::vector<ConfigSetting> read_config(const std::string& path, CLI::App& command);

/// Lines of a file below one of its headings [NAME].
struct ConfigSection {
  std::string name;  ///< empty: what stands before the first heading
  int line = 0;      ///< of the heading
  std::vector<ConfigSetting> settings;
};

/// The same for a file with headings, in their order; the first section is that without a name.
/// Throws Error naming file and line also on a heading without a name or that is there twice.
std::vector<ConfigSection> read_sections(const std::string& path, CLI::App& command);

/// The words of a command line with those of its config file.
struct ConfiguredWords {
  std::vector<std::string> words;
  std::map<std::string, std::string> places;  ///< "FILE: line N: " of each setting from the file

  /// An error "KEY: …" about a setting from the file, with its place in front; others as they are.
  std::string located(const std::string& message) const;
};

/// `words` (the command line without the program's name) with the settings of the file after
/// --config put behind them: lines KEY = VALUE named as the command's options, a flag with true or
/// false; empty lines and lines that begin with # are skipped. What was typed itself wins, over the
/// same setting and over one that cannot stand beside it. Throws Error naming file and line on a
/// key that the command does not have, with the nearest one, on a key that is there twice and on a
/// value that the option does not take.
ConfiguredWords with_config_file(CLI::App& program, std::vector<std::string> words);

}  // namespace metatt::apps
