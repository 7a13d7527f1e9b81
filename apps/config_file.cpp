#include <metatt/apps/config_file.hpp>
#include <metatt/apps/suggestions.hpp>
#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>

namespace metatt::apps {

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

namespace {

template <class... Parts>
[[noreturn]] void fail_at(const std::string& path, int line, const Parts&... parts) {
  tn::fail(path, ": line ", line, ": ", parts...);
}

std::string unquoted(const std::string& text) {
  const bool quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
  return quoted ? text.substr(1, text.size() - 2) : text;
}

/// "3, 5" as "3,5", for an option that takes a list.
std::string closed_up(const std::string& value, char delimiter) {
  if (delimiter == '\0') return value;
  std::string text;
  for (const std::string& part : tn::split_at(value, delimiter))
    text.append(text.empty() ? "" : std::string(1, delimiter)).append(trimmed(part));
  return text;
}

/// The word after --config, or what follows its "=".
std::optional<std::string> config_path(const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--config" && i + 1 < words.size()) return words[i + 1];
    if (words[i].starts_with("--config=")) return words[i].substr(std::string("--config=").size());
  }
  return std::nullopt;
}

/// The option that a key names.
CLI::Option* find_option(const std::string& path, int line, CLI::App& command,
                         const std::string& key) {
  if (key == "config" || key == "help")
    fail_at(path, line, "\"", key, "\" can be given on the command line only");
  if (CLI::Option* option = command.get_option_no_throw("--" + key)) return option;
  std::vector<std::string> known;
  for (const std::string& name : option_names(command))
    if (name != "--config" && name != "--help") known.push_back(name.substr(2));
  fail_at(path, line, "unknown setting \"", key, "\"", suggestion(key, known));
}

void check_not_repeated(const std::string& path, const std::vector<ConfigSetting>& before,
                        const ConfigSetting& setting) {
  for (const ConfigSetting& other : before)
    if (other.option == setting.option)
      fail_at(path, setting.line, "\"", setting.key, "\" repeats \"", other.key, "\" of line ",
              other.line);
}

bool typed(const CLI::Option& option, const std::vector<std::string>& words) {
  for (const auto& name : option.get_lnames())
    for (const auto& word : words)
      if (word == "--" + name || word.starts_with("--" + name + "=")) return true;
  return false;
}

/// Whether the command line has this setting, or one that excludes it.
bool overridden(const ConfigSetting& setting, const std::vector<std::string>& words) {
  const auto excluded = setting.option->get_excludes();
  return typed(*setting.option, words) ||
         std::any_of(excluded.begin(), excluded.end(),
                     [&](const CLI::Option* other) { return typed(*other, words); });
}

void check_excludes_none(const std::string& path, const std::vector<ConfigSetting>& before,
                         const ConfigSetting& setting) {
  for (const ConfigSetting& other : before)
    if (setting.option->get_excludes().contains(other.option))
      fail_at(path, setting.line, "\"", setting.key, "\" excludes \"", other.key, "\" of line ",
              other.line);
}

/// Lets the option read the value on trial: the parser, which reads it again, knows no lines.
void check_value(const std::string& path, const ConfigSetting& setting) {
  // CLI11 takes the next word as the value where nothing follows the equals sign.
  if (setting.value.empty())
    fail_at(path, setting.line, setting.key, ": expected a value, found none");
  try {
    setting.option->add_result(setting.value);
    setting.option->run_callback();
  } catch (const CLI::ParseError& error) {
    std::string message = error.what();
    const std::string prefix = setting.option->get_name() + ": ";
    if (message.starts_with(prefix)) message.erase(0, prefix.size());
    fail_at(path, setting.line, setting.key, ": ", message);
  }
  setting.option->clear();
}

}  // namespace

namespace {

ConfigSetting read_setting(const std::string& path, int number, const std::string& line,
                           CLI::App& command) {
  const std::size_t equals = line.find('=');
  const std::string key = trimmed(line.substr(0, equals));
  if (equals == std::string::npos || key.empty())
    fail_at(path, number, "expected KEY = VALUE, found \"", line, "\"");
  CLI::Option* option = find_option(path, number, command, key);
  const std::string value = unquoted(trimmed(line.substr(equals + 1)));
  return {number, key, closed_up(value, option->get_delimiter()), option};
}

void add_section(const std::string& path, int number, const std::string& line,
                 std::vector<ConfigSection>& sections) {
  const std::string name =
      line.back() == ']' ? trimmed(line.substr(1, line.size() - 2)) : std::string();
  if (name.empty()) fail_at(path, number, "expected [NAME], found \"", line, "\"");
  for (const ConfigSection& other : sections)
    if (other.name == name)
      fail_at(path, number, "\"", name, "\" is a heading in line ", other.line, " already");
  sections.push_back({name, number, {}});
}

}  // namespace

std::vector<ConfigSection> read_sections(const std::string& path, CLI::App& command) {
  std::string text = tn::read_file(path);
  const std::string byte_order_mark = "\xEF\xBB\xBF";
  if (text.starts_with(byte_order_mark)) text.erase(0, byte_order_mark.size());
  std::istringstream lines(text);
  std::vector<ConfigSection> sections(1);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    line = trimmed(line);
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '[') {
      add_section(path, number, line, sections);
      continue;
    }
    const ConfigSetting setting = read_setting(path, number, line, command);
    check_not_repeated(path, sections.back().settings, setting);
    sections.back().settings.push_back(setting);
  }
  return sections;
}

std::vector<ConfigSetting> read_config(const std::string& path, CLI::App& command) {
  auto sections = read_sections(path, command);
  if (sections.size() > 1)
    fail_at(path, sections[1].line, "expected KEY = VALUE, found the heading \"", sections[1].name,
            "\"");
  return std::move(sections.front().settings);
}

ConfiguredWords with_config_file(CLI::App& program, std::vector<std::string> words) {
  CLI::App& command = find_command(program, words);
  const auto path = config_path(words);
  if (!path || command.get_option_no_throw("--config") == nullptr) return {std::move(words), {}};
  std::vector<ConfigSetting> settings = read_config(*path, command);
  std::erase_if(settings, [&](const ConfigSetting& setting) { return overridden(setting, words); });
  std::vector<ConfigSetting> taken;
  std::map<std::string, std::string> places;
  for (const ConfigSetting& setting : settings) {
    check_excludes_none(*path, taken, setting);
    check_value(*path, setting);
    taken.push_back(setting);
    words.push_back("--" + setting.key + "=" + setting.value);
    for (const auto& name : setting.option->get_lnames())
      places[name] = *path + ": line " + std::to_string(setting.line) + ": ";
  }
  return {std::move(words), std::move(places)};
}

std::string ConfiguredWords::located(const std::string& message) const {
  const auto place = places.find(message.substr(0, message.find(':')));
  return place == places.end() ? message : place->second + message;
}

}  // namespace metatt::apps
