/// metatt sweep: a grid or random search over the settings and seeds of finetune.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/csv.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/run_groups.hpp>
#include <metatt/apps/search_comparison.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iostream>
#include <numeric>

namespace metatt::apps {

namespace {

constexpr const char* plan_name = "sweep.json";

struct SweepOptions {
  std::string search, output;
  SearchDraws draws;
  bool resume = false, first_seed_decides = false;
  std::optional<int> threads;  ///< of each trial
};

class Search {
 public:
  explicit Search(const SweepOptions& o)
      : trials_(read_search(o.search, o.draws)),
        resume_(o.resume),
        first_seed_decides_(o.first_seed_decides),
        threads_(o.threads),
        path_(o.output) {
    check_results_folder(o.output, Results::search, {});
    if (first_seed_decides_) check_comparable();
    check_begun();
  }

  void run() {
    folder_ = tn::prepare_output_folder(path_, resume_);
    keep_plan();
    tn::prepare_output_folder(path_ / "trials", true);
    for (const SearchTrial& trial : trials_)
      states_.push_back(trial_state(path_ / "trials", trial));
    if (first_seed_decides_) {
      run_trials(first_seeds(), /*last=*/false);
      run_trials(seeds_of_best(), /*last=*/true);
    } else {
      std::vector<std::size_t> all(trials_.size());
      std::iota(all.begin(), all.end(), std::size_t{0});
      run_trials(all, /*last=*/true);
    }
    say_results();
  }

 private:
  static std::string measure(const SearchTrial& trial) {
    return trial.task.empty() ? trial.metric : trial.task + "'s " + trial.metric;
  }

  /// Whether the first seeds of each section can decide.
  void check_comparable() const {
    for (std::size_t i = 0; i < trials_.size(); ++i) {
      const SearchTrial &trial = trials_[i], &before = trials_[i > 0 ? i - 1 : 0];
      if (trial.metric.empty())
        tn::fail("--first_seed_decides: expected every trial to evaluate, ", trial.name,
                 " does not");
      if (trial.section == before.section &&
          (trial.metric != before.metric || trial.task != before.task))
        tn::fail("--first_seed_decides: expected one task and metric to compare by, found ",
                 measure(before), " in ", before.name, " and ", measure(trial), " in ", trial.name);
    }
  }

  /// A folder with files is one in which a search goes on.
  void check_begun() const {
    std::error_code ignored;
    if (!std::filesystem::is_directory(path_, ignored) || std::filesystem::is_empty(path_, ignored))
      return;
    if (!resume_)
      tn::fail(path_.string(), ": expected an empty or new folder, found files in it; --resume ",
               "goes on with a search that has left them");
    if (!std::filesystem::exists(path_ / plan_name, ignored))
      tn::fail(path_.string(), ": --resume: expected a search to go on with (", plan_name,
               "), found other files");
  }

  /// The trials that a search has begun with are those that it goes on with.
  void keep_plan() const {
    nlohmann::json plan;
    for (const SearchTrial& trial : trials_) plan[trial.name] = trial.words;
    const std::filesystem::path file = folder_ / plan_name;
    if (!std::filesystem::exists(file)) return transformer::write_json(file, plan);
    if (transformer::parse_json(tn::read_file(file), file.string()) != plan)
      tn::fail(file.string(), ": the search had other trials; resume with the same settings");
  }

  /// Each with the first of its seeds.
  std::vector<std::size_t> first_seeds() const {
    std::vector<std::size_t> chosen;
    for (std::size_t i = 0; i < trials_.size(); ++i)
      if (i == 0 || trials_[i].setting != trials_[i - 1].setting) chosen.push_back(i);
    return chosen;
  }

  /// All of the settings that are the best of their sections with the first seed; the others' stay
  /// where they are.
  std::vector<std::size_t> seeds_of_best() {
    const auto scored = scored_settings(trials_, states_, 1);
    std::vector<std::size_t> chosen;
    for (const SectionBest& section : best_of_sections(trials_, scored))
      for (std::size_t i = 0; section.best && i < trials_.size(); ++i)
        if (trials_[i].setting == trials_[section.best->trials.front()].setting)
          chosen.push_back(i);
    for (std::size_t i = 0; i < trials_.size(); ++i)
      if (states_[i].status == "waiting" && std::ranges::find(chosen, i) == chosen.end())
        states_[i].status = "left out";
    return chosen;
  }

  /// `last`: nothing is to be run after them.
  void run_trials(const std::vector<std::size_t>& chosen, bool last) {
    for (const std::size_t i : chosen) {
      const bool ran = states_[i].status != "ended";
      if (ran) states_[i] = run_trial(path_ / "trials", trials_[i], threads_, watch_);
      if (ran || !first_seed_decides_) say(i);
      tn::write_file_atomically(folder_ / search_table_name, table());
      const bool over = last && i == chosen.back() && states_[i].status == "ended";
      if (watch_.signal() != 0 && !over)
        throw Interrupted("stopped by " + watch_.name() + " in trial " + trials_[i].name +
                              "; the same search with --resume goes on from there",
                          watch_.signal());
    }
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

  /// What varies in any section, in the order in which it comes up.
  std::vector<std::string> varied_keys() const {
    std::vector<std::string> keys;
    for (const SearchTrial& trial : trials_)
      for (const auto& [key, value] : trial.varied)
        if (std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
    return keys;
  }

  bool has_sections() const { return !trials_.front().section.empty(); }

  std::string table() const {
    const auto names = metrics();
    const auto keys = varied_keys();
    std::string text = has_sections() ? "trial,section,setting" : "trial,setting";
    for (const std::string& key : keys) text += "," + key;
    text += ",seed,status";
    for (const std::string& name : names) text += "," + name;
    text += ",parameters_without_head,ranks,seconds,peak_memory_mb,error\n";
    for (std::size_t i = 0; i < trials_.size(); ++i) text += table_line(i, keys, names);
    return text;
  }

  std::string table_line(std::size_t i, const std::vector<std::string>& keys,
                         const std::set<std::string>& names) const {
    const SearchTrial& trial = trials_[i];
    const TrialState& state = states_[i];
    std::string text = trial.name;
    if (has_sections()) text += "," + csv_field(trial.section);
    text += "," + std::to_string(trial.setting);
    for (const std::string& key : keys) text += "," + csv_field(trial.value_of(key));
    text += "," + trial.seed + "," + state.status;
    const bool ended = state.status == "ended";
    for (const std::string& name : names)
      text += "," + (ended && state.run->result ? csv_number(metric_value(*state.run->result, name))
                                                : std::string());
    text += "," + (ended && state.run->parameters ? std::to_string(*state.run->parameters)
                                                  : std::string());
    text += "," + (ended ? ranks_text(state.run->ranks) : std::string());
    text += "," + (ended ? csv_number(*state.run->seconds) : std::string());
    text += "," + (ended ? csv_number(*state.run->peak_memory_mb) : std::string());
    return text + "," + csv_field(printable(state.error)) + "\n";
  }

  void say_score(const ScoredSetting& setting) const {
    const auto& [mean, half_width, count] = setting.estimate;
    std::cout << setting_name(trials_[setting.trials.front()]) << ": " << setting.metric << " "
              << interval_text(mean, half_width, 4) << (count > 1 ? " (95 %) over " : " over ")
              << count << (count > 1 ? " seeds" : " seed");
  }

  /// The best setting, or that of each section beside the first one's.
  void say_results() const {
    const std::string file = (folder_ / search_table_name).string();
    const auto failed = std::ranges::count(states_, "failed", &TrialState::status);
    const auto ended = std::ranges::count(states_, "ended", &TrialState::status);
    if (failed > 0) std::cout << failed << " of " << failed + ended << " trials failed\n";
    const auto scored = scored_settings(trials_, states_);
    const bool evaluates = std::ranges::any_of(
        trials_, [](const SearchTrial& trial) { return !trial.metric.empty(); });
    const bool all_ended = std::ranges::all_of(
        states_, [](const TrialState& state) { return state.status == "ended"; });
    if (scored.empty() && !evaluates && all_ended)
      return say_uncompared("nothing was evaluated", file);
    if (scored.empty())
      tn::fail("sweep: no setting has ended with a metric for every seed; see ", file);
    const auto sections = best_of_sections(trials_, scored);
    if (has_sections()) return say_sections(sections);
    if (!sections.front().best)
      return say_uncompared("settings of different tasks or metrics are not compared", file);
    std::cout << "best: ";
    say_score(*sections.front().best);
    std::cout << "; all in " << file << std::endl;
  }

  static void say_uncompared(const char* why, const std::string& file) {
    std::cout << "result: " << why << "; all trials are in " << file << std::endl;
  }

  void say_sections(const std::vector<SectionBest>& sections) const {
    const auto comparison = folder_ / comparison_table_name;
    tn::write_file_atomically(comparison,
                              comparison_table(trials_, states_, sections, path_ / "trials"));
    for (const SectionBest& section : sections) say_section(section, sections.front());
    std::cout << "result: " << sections.size() << (sections.size() > 1 ? " sections" : " section")
              << " compared in " << comparison.string() << ", all trials in "
              << (folder_ / search_table_name).string() << std::endl;
  }

  void say_section(const SectionBest& section, const SectionBest& first) const {
    if (!section.best) {
      std::cout << "  " << section.section << ": "
                << (section.comparable ? "no setting has ended with a metric for every seed"
                                       : "its settings have different tasks or metrics")
                << "\n";
      return;
    }
    std::cout << "  ";
    say_score(*section.best);
    if (&section != &first && first.best)
      if (const auto difference = paired_difference(trials_, *section.best, *first.best)) {
        std::cout << ", better than " << first.section << " by "
                  << interval_text(difference->mean, difference->half_width, 4);
      }
    std::cout << "\n";
  }

  std::vector<SearchTrial> trials_;
  bool resume_, first_seed_decides_;
  std::optional<int> threads_;
  std::filesystem::path path_;
  tn::OutputFolder folder_;
  std::vector<TrialState> states_;
  InterruptWatch watch_;
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
  CLI::Option* samples =
      command
          ->add_option("--samples", o->draws.samples,
                       "Settings to draw at random in each section, each tried with every seed; "
                       "0: all combinations")
          ->transform(whole_number(0));
  command
      ->add_option("--seed", o->draws.seed,
                   "Seed of the draws; seeds of the trials are in the file")
      ->transform(seed_number())
      ->needs(samples);
  command
      ->add_flag("--first_seed_decides", o->first_seed_decides,
                 "Try every setting with its first seed, and with the others only the best one (of "
                 "each section)")
      ->check(true_or_false());
  command
      ->add_flag("--resume", o->resume,
                 "Go on with a search that was stopped, or has failed trials")
      ->check(true_or_false());
  command->callback([o, command] {
    if (command->count("--threads") > 0) o->threads = command->get_option("--threads")->as<int>();
    Search(*o).run();
  });
}

}  // namespace metatt::apps
