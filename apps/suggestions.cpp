#include <metatt/apps/suggestions.hpp>

#include <algorithm>
#include <numeric>

namespace metatt::apps {

namespace {

/// Letters to insert, leave out, replace, or swap with their neighbour (optimal string alignment).
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before, last, row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before = std::move(last);
    last = row;
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row.back();
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

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const auto* option : command.get_options())
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::string suggestion(const std::string& typed, const std::vector<std::string>& known) {
  // A part of a name ("--batch_size", "--warmup", "--strategy" but for its end) says more than the
  // number of letters that differ.
  const std::string part = typed.substr(std::min(typed.find_first_not_of('-'), typed.size()));
  const std::string begin = part.substr(0, (3 * part.size() + 3) / 4);
  const auto unlikeness = [&](const std::string& name) {
    const bool within = part.size() >= 3 && name.find(begin) != std::string::npos;
    return std::pair(within ? std::size_t{1} : edit_distance(typed, name), name.size());
  };
  const auto nearest = std::ranges::min_element(known, {}, unlikeness);
  if (nearest == known.end() ||
      unlikeness(*nearest).first > std::max<std::size_t>(1, part.size() / 3))
    return "";
  return "; did you mean \"" + *nearest + "\"?";
}

}  // namespace metatt::apps
