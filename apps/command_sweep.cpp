/// metatt sweep: a grid or random search over the settings and seeds of finetune.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/run_groups.hpp>
#include <metatt/apps/search_trial.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/trainer.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <iostream>

namespace metatt::apps {

namespace {

constexpr const char* plan_name = "sweep.json";

struct SweepOptions {
  std::string search, output;
  SearchDraws draws;
  bool resume = false;
};

/// A field of a table: between quotes where it needs them.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string shortest(double value) {
  return std::isfinite(value) ? nlohmann::json(value).dump() : "";
}

/// What a setting is called where people read it.
std::string setting_name(const SearchTrial& trial) {
  std::string name = "setting " + std::to_string(trial.setting);
  for (const auto& [key, value] : trial.varied) name += ", " + key + " " + value;
  return name;
}

class Search {
 public:
  explicit Search(const SweepOptions& o)
      : trials_(read_search(o.search, o.draws)), resume_(o.resume), path_(o.output) {
    check_results_folder(o.output, Results::search, {});
  }

  void run() {
    folder_ = tn::prepare_output_folder(path_, resume_);
    keep_plan();
    tn::prepare_output_folder(path_ / "trials", true);
    for (const SearchTrial& trial : trials_)
      states_.push_back(trial_state(path_ / "trials", trial));
    const InterruptWatch watch;
    for (std::size_t i = 0; i < trials_.size(); ++i) {
      if (states_[i].status != "ended") states_[i] = run_trial(path_ / "trials", trials_[i], watch);
      say(i);
      tn::write_file_atomically(folder_ / "sweep.csv", table());
      const bool over = i + 1 == trials_.size() && states_[i].status == "ended";
      if (watch.signal() != 0 && !over)
        throw Interrupted("stopped by " + watch.name() + " in trial " + trials_[i].name +
                              "; the same search with --resume goes on from there",
                          watch.signal());
    }
    say_best();
  }

 private:
  /// The trials that a search has begun with are those that it goes on with.
  void keep_plan() const {
    nlohmann::json plan;
    for (const SearchTrial& trial : trials_) plan[trial.name] = trial.words;
    const std::filesystem::path file = folder_ / plan_name;
    if (!std::filesystem::exists(file)) return transformer::write_json(file, plan);
    if (transformer::parse_json(tn::read_file(file), file.string()) != plan)
      tn::fail(file.string(), ": the search had other trials; resume with the same settings");
  }

  void say(std::size_t i) const {
    const TrialState& state = states_[i];
    std::cout << "trial " << i + 1 << " of " << trials_.size() << ", " << trials_[i].name << ": "
              << state.status;
    if (!state.error.empty()) std::cout << ": " << printable(state.error);
    if (state.status == "ended" && state.run->result) {
      const std::string metric = main_metric(*state.run);
      std::cout << ", " << metric << " " << fixed(metric_value(*state.run->result, metric), 4);
    }
    std::cout << std::endl;
  }

  std::set<std::string> metrics() const {
    std::set<std::string> names;
    for (const TrialState& state : states_)
      if (state.run && state.run->result) {
        names.insert("loss");
        for (const auto& [name, value] : state.run->result->metrics) names.insert(name);
      }
    return names;
  }

  std::string table() const {
    const auto names = metrics();
    std::string text = "trial,setting";
    for (const auto& [key, value] : trials_.front().varied) text += "," + key;
    text += ",seed,status";
    for (const std::string& name : names) text += "," + name;
    text += ",trained_parameters,seconds,peak_memory_mb,error\n";
    for (std::size_t i = 0; i < trials_.size(); ++i) text += table_line(i, names);
    return text;
  }

  std::string table_line(std::size_t i, const std::set<std::string>& names) const {
    const SearchTrial& trial = trials_[i];
    const TrialState& state = states_[i];
    std::string text = trial.name + "," + std::to_string(trial.setting);
    for (const auto& [key, value] : trial.varied) text += "," + csv_field(value);
    text += "," + trial.seed + "," + state.status;
    const bool ended = state.status == "ended";
    for (const std::string& name : names)
      text += "," + (ended && state.run->result ? shortest(metric_value(*state.run->result, name))
                                                : std::string());
    text += "," + (ended && state.run->parameters ? std::to_string(*state.run->parameters)
                                                  : std::string());
    text += "," + (ended ? shortest(*state.run->seconds) : std::string());
    text += "," + (ended ? shortest(*state.run->peak_memory_mb) : std::string());
    return text + "," + csv_field(printable(state.error)) + "\n";
  }

  struct Score {
    const SearchTrial* trial;  ///< the first one of the setting
    std::string metric;
    Estimate estimate;

    bool better_than(const Score& other) const {
      return transformer::is_cost(metric) ? estimate.mean < other.estimate.mean
                                          : estimate.mean > other.estimate.mean;
    }
  };

  /// Of each setting all of whose seeds ended with a metric.
  std::vector<Score> scores() const {
    std::vector<Score> found;
    for (std::size_t i = 0; i < trials_.size();) {
      const std::size_t first = i;
      std::vector<double> values;
      std::string metric;
      for (; i < trials_.size() && trials_[i].setting == trials_[first].setting; ++i) {
        if (states_[i].status != "ended" || !states_[i].run->result) continue;
        metric = main_metric(*states_[i].run);
        const double value = metric_value(*states_[i].run->result, metric);
        if (std::isfinite(value)) values.push_back(value);
      }
      if (values.size() == i - first) found.push_back({&trials_[first], metric, estimate(values)});
    }
    return found;
  }

  void say_best() const {
    const std::string file = (folder_ / "sweep.csv").string();
    const auto failed = std::ranges::count(states_, "failed", &TrialState::status);
    if (failed > 0) std::cout << failed << " of " << trials_.size() << " trials failed\n";
    const auto found = scores();
    if (found.empty())
      tn::fail("sweep: no setting has ended with a metric for every seed; see ", file);
    const Score* best = &found.front();
    for (const Score& score : found) {
      if (score.metric != best->metric)
        tn::fail("sweep: settings of the metrics ", best->metric, " and ", score.metric,
                 " cannot be compared; all are in ", file);
      if (score.better_than(*best)) best = &score;
    }
    const auto& [mean, half_width, count] = best->estimate;
    std::cout << "best: " << setting_name(*best->trial) << ": " << best->metric << " "
              << fixed(mean, 4);
    if (count > 1) std::cout << " ± " << fixed(half_width, 4) << " (95 %)";
    std::cout << " over " << count << (count > 1 ? " seeds" : " seed") << "; all in " << file
              << std::endl;
  }

  std::vector<SearchTrial> trials_;
  bool resume_;
  std::filesystem::path path_;
  tn::OutputFolder folder_;
  std::vector<TrialState> states_;
};

}  // namespace

void add_sweep(CLI::App& program) {
  auto o = std::make_shared<SweepOptions>();
  CLI::App* command = add_command(
      program, "sweep", "Search over settings and seeds of finetune: a grid, or random settings");
  command
      ->add_option(
          "--search", o->search,
          "File of KEY = VALUE lines for finetune; a value may be a list, [1e-3 | 3e-3], or "
          "with --samples a range: log 1e-4 .. 1e-2, uniform 0 .. 0.1, integer 2 .. 16")
      ->check(not_empty("a file"))
      ->required();
  command->add_option("--output_dir", o->output, "Where sweep.csv and the trials go")
      ->check(not_empty("a folder"))
      ->required();
  command
      ->add_option("--samples", o->draws.samples,
                   "Settings to draw at random, each tried with every seed; 0: all combinations")
      ->transform(whole_number(0));
  command->add_option("--seed", o->draws.seed, "Of the settings that are drawn")
      ->transform(seed_number());
  command
      ->add_flag("--resume", o->resume,
                 "Go on with a search that was stopped, or has failed trials")
      ->check(true_or_false());
  command->callback([o] { Search(*o).run(); });
}

}  // namespace metatt::apps
