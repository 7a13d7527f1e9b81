#include <metatt/apps/search_space.hpp>

#include <metatt/apps/commands.hpp>
#include <metatt/apps/config_file.hpp>
#include <metatt/apps/finetune_options.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/backend/philox.hpp>
#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

namespace metatt::apps {

namespace {

/// The values that one key can have.
struct Axis {
  std::string key, place;  ///< "FILE: line N: KEY: " begins errors
  std::vector<std::string> list = {};
  std::string range = {};  ///< log, uniform, integer; empty: the list
  double low = 0, high = 0;

  bool fixed_value() const { return range.empty() && list.size() == 1; }
};

void read_list(const std::string& value, Axis& axis) {
  if (value.back() != ']') tn::fail(axis.place, "expected \"]\" at the end of the list");
  for (const std::string& entry : tn::split_at(value.substr(1, value.size() - 2), '|')) {
    const std::string text = trimmed(entry);
    if (text.empty()) tn::fail(axis.place, "expected values in the list, found an empty one");
    for (const std::string& other : axis.list)
      if (same_value(text, other))
        tn::fail(axis.place, "the list has ", text, " twice",
                 text == other ? "" : " (as " + other + " too)");
    axis.list.push_back(text);
  }
}

/// Whether the value is a range, which is read then.
bool read_range(const std::string& value, Axis& axis) {
  std::istringstream words(value);
  std::string dots, rest;
  words >> axis.range;
  if (axis.range != "log" && axis.range != "uniform" && axis.range != "integer") {
    axis.range.clear();
    return false;
  }
  if (!(words >> axis.low >> dots >> axis.high) || dots != ".." || words >> rest)
    tn::fail(axis.place, "expected ", axis.range, " LOW .. HIGH, found ", value);
  const bool whole = axis.low == std::floor(axis.low) && axis.high == std::floor(axis.high);
  if (!(axis.low < axis.high) || !std::isfinite(axis.high - axis.low) ||
      (axis.range == "log" && axis.low <= 0) || (axis.range == "integer" && !whole))
    tn::fail(axis.place, "expected ",
             axis.range == "log"       ? "0 < LOW < HIGH"
             : axis.range == "integer" ? "whole numbers LOW < HIGH"
                                       : "LOW < HIGH",
             ", found ", value);
  return true;
}

Axis read_axis(const std::string& file, const ConfigSetting& setting) {
  Axis axis{setting.option->get_lnames().front(),
            file + ": line " + std::to_string(setting.line) + ": " + setting.key + ": "};
  for (const char* own : {"output_dir", "overwrite_output_dir", "resume"})
    if (setting.option->check_lname(own))
      tn::fail(axis.place, "each trial has its own, which the search sets");
  if (setting.value.empty()) tn::fail(axis.place, "expected a value, found none");
  if (setting.value.front() == '[')
    read_list(setting.value, axis);
  else if (!read_range(setting.value, axis))
    axis.list.push_back(setting.value);
  if (axis.key == "seed" && !axis.range.empty())
    tn::fail(axis.place, "expected one seed or a list, found a range");
  if (axis.key == "seed")  // in one form, by which sections are paired
    for (std::string& seed : axis.list)
      if (const std::string error = seed_number()(seed); !error.empty())
        tn::fail(axis.place, error);
  return axis;
}

/// A value from a number in [0, 1).
std::string drawn_value(const Axis& axis, double u) {
  const auto nth = [u](double count) { return std::min(std::floor(u * count), count - 1); };
  if (axis.range.empty())
    return axis.list[static_cast<std::size_t>(nth(static_cast<double>(axis.list.size())))];
  double value = axis.low + u * (axis.high - axis.low);
  if (axis.range == "log") value = axis.low * std::pow(axis.high / axis.low, u);
  if (axis.range == "integer") value = axis.low + nth(axis.high - axis.low + 1);
  char text[32];  // four digits: what a table can show, and what is tried, are one number
  std::snprintf(text, sizeof text, axis.range == "integer" ? "%.0f" : "%.4g", value);
  return text;
}

using Setting = std::vector<std::string>;  ///< a value for each axis

std::vector<Setting> combinations(const std::vector<Axis>& axes) {
  std::vector<Setting> settings{{}};
  for (const Axis& axis : axes) {
    std::vector<Setting> longer;
    for (const Setting& setting : settings)
      for (const std::string& value : axis.list) {
        longer.push_back(setting);
        longer.back().push_back(value);
      }
    settings = std::move(longer);
  }
  return settings;
}

std::vector<Setting> random_settings(const std::vector<Axis>& axes, const SearchDraws& draws) {
  std::vector<Setting> settings(draws.samples);
  for (std::size_t i = 0; i < settings.size(); ++i)
    for (std::size_t k = 0; k < axes.size(); ++k)
      settings[i].push_back(drawn_value(axes[k], tn::uniform_pair<double>(i, k, draws.seed)[0]));
  return settings;
}

/// Sets the task of a trial and the metric by which it is compared. Throws Error with what finetune
/// would say of its words before it reads a model.
void check(const std::string& file, SearchTrial& trial) {
  CLI::App program;
  CLI::App* command = add_command(program, "finetune", "");
  FinetuneOptions options;
  add_options(*command, options);
  std::vector<std::string> words(trial.words.rbegin(), trial.words.rend());  // CLI11 wants them so
  words.insert(words.begin(), "--output_dir=trials");
  words.emplace_back("finetune");
  try {
    program.parse(words);
    check_used(*command, options);
    const auto settings = train_settings(options);
    method_of(options, settings);
    trial.task = tn::joined(options.tasks, ",");
    if (!options.tasks.empty() || !options.validation_file.empty()) trial.metric = settings.metric;
  } catch (const std::exception& error) {  // of CLI11 or our own
    tn::fail(file, ": ", trial.section.empty() ? "" : "[" + trial.section + "]: ", "trial ",
             trial.name, ": ", error.what());
  }
}

}  // namespace

namespace {

/// The lines of a section, with those for all that it does not replace or take away.
std::vector<ConfigSetting> with_common(const std::vector<ConfigSetting>& common,
                                       const ConfigSection& section) {
  std::vector<ConfigSetting> settings;
  for (const ConfigSetting& shared : common) {
    const auto replaces = [&](const ConfigSetting& own) {
      return own.option == shared.option || own.option->get_excludes().contains(shared.option);
    };
    if (std::ranges::none_of(section.settings, replaces)) settings.push_back(shared);
  }
  for (const ConfigSetting& own : section.settings) {
    const auto same = [&](const ConfigSetting& shared) { return own.option == shared.option; };
    const bool takes_away = own.value.empty() && std::ranges::any_of(common, same);
    if (!takes_away) settings.push_back(own);
  }
  // What needs a setting that was replaced goes with it.
  std::vector<ConfigSetting> complete;
  for (const ConfigSetting& setting : settings) {
    const auto is_gone = [&](const CLI::Option* needed) {
      const auto names = [&](const ConfigSetting& other) { return other.option == needed; };
      return std::ranges::any_of(common, names) && std::ranges::none_of(settings, names);
    };
    if (std::ranges::none_of(setting.option->get_needs(), is_gone)) complete.push_back(setting);
  }
  return complete;
}

/// The settings and seeds of a section.
struct SectionSpace {
  std::vector<Axis> axes;
  std::vector<std::string> seeds;
};

SectionSpace read_space(const std::string& file, const std::vector<ConfigSetting>& settings,
                        const SearchDraws& draws) {
  SectionSpace space;
  for (const ConfigSetting& setting : settings) {
    const Axis axis = read_axis(file, setting);
    if (!axis.range.empty() && draws.samples == 0)
      tn::fail(axis.place, "a range needs --samples, how many settings are drawn");
    if (axis.key == "seed")
      space.seeds = axis.list;
    else
      space.axes.push_back(axis);
  }
  if (space.seeds.empty()) space.seeds = {std::to_string(transformer::TrainSettings{}.seed)};
  return space;
}

void add_trials(const std::string& file, const std::string& section, const SectionSpace& space,
                const SearchDraws& draws, std::vector<SearchTrial>& trials) {
  const auto& [axes, seeds] = space;
  const std::size_t before = trials.empty() ? 0 : trials.back().setting;
  auto settings = draws.samples > 0 ? random_settings(axes, draws) : combinations(axes);
  for (auto setting = settings.begin(); setting != settings.end();)  // drawn twice
    setting = std::find(settings.begin(), setting, *setting) == setting ? setting + 1
                                                                        : settings.erase(setting);
  for (std::size_t i = 0; i < settings.size(); ++i)
    for (const std::string& seed : seeds) {
      const std::size_t number = before + i + 1;
      SearchTrial trial{std::to_string(number) + "-seed-" + seed, section, number, seed, {}, {}};
      for (std::size_t k = 0; k < axes.size(); ++k) {
        trial.words.push_back("--" + axes[k].key + "=" + settings[i][k]);
        if (!axes[k].fixed_value()) trial.varied.emplace_back(axes[k].key, settings[i][k]);
      }
      trial.words.push_back("--seed=" + seed);
      check(file, trial);
      trials.push_back(std::move(trial));
    }
}

}  // namespace

std::string SearchTrial::value_of(const std::string& key) const {
  const std::string begin = "--" + key + "=";
  for (const std::string& word : words)
    if (word.starts_with(begin)) return word.substr(begin.size());
  return "";
}

std::vector<SearchTrial> read_search(const std::string& file, const SearchDraws& draws) {
  CLI::App known;
  CLI::App* command = add_command(known, "finetune", "");
  FinetuneOptions unused;
  add_options(*command, unused);
  const auto sections = read_sections(file, *command);
  const auto& common = sections.front().settings;
  std::vector<SearchTrial> trials;
  if (sections.size() == 1) add_trials(file, "", read_space(file, common, draws), draws, trials);
  for (std::size_t i = 1; i < sections.size(); ++i)
    add_trials(file, sections[i].name, read_space(file, with_common(common, sections[i]), draws),
               draws, trials);
  return trials;
}

}  // namespace metatt::apps
