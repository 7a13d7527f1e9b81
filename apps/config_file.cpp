#include <metatt/apps/config_file.hpp>
#include <metatt/tn/error.hpp>
#include <metatt/transformer/file.hpp>

#include <algorithm>
#include <numeric>
#include <optional>
#include <sstream>

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

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

/// The word after --config, or what follows its "=".
std::optional<std::string> config_path(const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--config" && i + 1 < words.size()) return words[i + 1];
    if (words[i].starts_with("--config=")) return words[i].substr(std::string("--config=").size());
  }
  return std::nullopt;
}

bool typed(const CLI::Option& option, const std::vector<std::string>& words) {
  for (const auto& name : option.get_lnames())
    for (const auto& word : words)
      if (word == "--" + name || word.starts_with("--" + name + "=")) return true;
  return false;
}

}  // namespace

CLI::App& find_command(CLI::App& program, const std::vector<std::string>& words) {
  CLI::App* command = &program;
  for (const auto& word : words) {
    CLI::App* next = nullptr;
    for (CLI::App* sub : command->get_subcommands([](CLI::App*) { return true; }))
      if (sub->get_name() == word) next = sub;
    if (next == nullptr) break;
    command = next;
  }
  return *command;
}

std::vector<std::string> with_config_file(CLI::App& program, std::vector<std::string> words) {
  const auto path = config_path(words);
  if (!path) return words;
  const CLI::App& command = find_command(program, words);
  const std::vector<std::string> from_command_line = words;
  std::istringstream lines(transformer::read_file(*path));
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    line = trimmed(line);
    if (line.empty() || line[0] == '#') continue;
    const std::size_t equals = line.find('=');
    const std::string key = trimmed(line.substr(0, equals));
    if (equals == std::string::npos)
      tn::fail(*path, ", line ", number, ": expected KEY = VALUE, found \"", line, "\"");
    std::string value = trimmed(line.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    const CLI::Option* option = command.get_option_no_throw("--" + key);
    if (option == nullptr || key == "config" || key == "help")
      tn::fail(*path, ", line ", number, ": unknown setting \"", key, "\"; did you mean \"",
               nearest("--" + key, option_names(command)).substr(2), "\"?");
    if (!typed(*option, from_command_line)) words.push_back("--" + key + "=" + value);
  }
  return words;
}

std::string nearest(const std::string& typed, const std::vector<std::string>& known) {
  return *std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
    return edit_distance(typed, a) < edit_distance(typed, b);
  });
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const auto* option : command.get_options())
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

}  // namespace metatt::apps
