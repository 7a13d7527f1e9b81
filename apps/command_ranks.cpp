/// metatt ranks: rank adaptation in isolation, strategies side by side on planted trains.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/interrupt.hpp>
#include <metatt/apps/rank_study_tables.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/statistics.hpp>
#include <metatt/apps/study_report.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iomanip>
#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

constexpr Index fewest_steps = 10;

struct RanksOptions {
  RankStudySettings study;
  std::vector<std::string> strategies = rank_strategies();
  std::vector<double> oversampling{1, 1.5, 2, 3, 5}, learning_rates{3e-3, 1e-2, 3e-2};
  Index seeds = 5;
  std::uint64_t seed = 42;
  std::vector<Index> ranks;  ///< empty: the planted ones
  std::string sweep = "rounding", optimizer_state = "reset";
  bool equal_time = false;
  std::string output;
  bool overwrite = false;
};

void add_problem_options(CLI::App& command, RanksOptions& o) {
  const std::string group = "Problem";
  RankProblemSettings& p = o.study.problem;
  command
      .add_option(
          "--problem", p.kind,
          "recovery: from linear measurements; teacher: a network's updates from its outputs")
      ->check(one_of(rank_problems()))
      ->group(group);
  command.add_option("--modes", p.modes, "Modes of the train (default: those of the problem)")
      ->delimiter(',')
      ->transform(whole_number(1, 100'000))
      ->group(group);
  command
      .add_option("--true_ranks", p.true_ranks,
                  "Ranks of the planted train: one for all bonds, or one for each")
      ->delimiter(',')
      ->transform(whole_number(1, 10'000))
      ->group(group);
  command
      .add_option("--spectrum", p.spectrum,
                  "Singular values of every planted bond, such as 1,0.5,0.25, or of all bonds one "
                  "after the other (default: all the same)")
      ->delimiter(',')
      ->check(positive_number())
      ->group(group);
  command
      .add_option("--oversampling", o.oversampling,
                  "Targets for each degree of freedom of the planted train")
      ->delimiter(',')
      ->check(positive_number())
      ->group(group);
  command.add_option("--noise", p.noise, "Deviation added to targets, whose own is 1")
      ->check(non_negative_number())
      ->group(group);
}

void add_strategy_options(CLI::App& command, RanksOptions& o) {
  const std::string group = "Strategies";
  RankStudySettings& s = o.study;
  command
      .add_option("--strategies", o.strategies,
                  "The first one is what the others are compared with")
      ->delimiter(',')
      ->check(one_of(rank_strategies()))
      ->group(group);
  command
      .add_option(
          "--rank", o.ranks,
          "Final ranks: one for all bonds, or one for each (default: those of the planted train)")
      ->delimiter(',')
      ->transform(whole_number(1, 10'000))
      ->group(group);
  command
      .add_option("--start_rank", s.start_rank,
                  "Rank at which strategies that shrink start, and which grow_then_shrink reaches")
      ->transform(whole_number(1, 10'000))
      ->group(group);
  command.add_option("--changes", s.changes, "How many times ranks change on their way down or up")
      ->transform(whole_number(1, 1000))
      ->group(group);
  command
      .add_option("--cutoff", s.cutoff,
                  "shrink_cutoff: what a sweep may discard of the squared norm")
      ->check(number_between(0, 1))
      ->group(group);
  command.add_option("--two_site_steps", s.two_site_steps, "two_site: steps for each pair")
      ->transform(whole_number(1))
      ->group(group);
  command.add_option("--sweep", o.sweep, "paper or rounding")
      ->check(one_of({"paper", "rounding"}))
      ->group(group);
  command
      .add_option("--optimizer_state", o.optimizer_state,
                  "Moments at a sweep: reset or project (prune keeps those of what stays)")
      ->check(one_of({"reset", "project"}))
      ->group(group);
}

void add_run_options(CLI::App& command, RanksOptions& o) {
  const std::string group = "Runs";
  RankStudySettings& s = o.study;
  command.add_option("--max_steps", s.steps, "Steps of AdamW, at least 10")
      ->transform(whole_number(fewest_steps))
      ->group(group);
  command
      .add_option(
          "--learning_rate", o.learning_rates,
          "Peak rates, falling linearly to 0; of several, each strategy is shown at its best")
      ->delimiter(',')
      ->check(positive_number())
      ->group(group);
  command.add_option("--tolerance", s.tolerance, "Relative error of a train that counts as found")
      ->check(number_between(0, 1))
      ->group(group);
  command.add_option("--seeds", o.seeds, "Problems and starts, the same for all strategies")
      ->transform(whole_number(1, 10'000))
      ->group(group);
  command.add_option("--seed", o.seed, "The first of the seeds")
      ->transform(seed_number())
      ->group(group);
  command
      .add_flag("--equal_time", o.equal_time,
                "Also compare at as many steps as take the first strategy's time")
      ->check(true_or_false())
      ->group(group);
  command.add_option("--output_dir", o.output, "Where the tables go")
      ->check(not_empty("a folder"))
      ->required()
      ->group(group);
  command
      .add_flag(
          "--overwrite_output_dir", o.overwrite,
          "Write into a folder that is not empty; tables of an earlier study in it are replaced")
      ->check(true_or_false())
      ->group(group);
}

/// Refuses a flag that no strategy of the study has a use for.
void check_used(const CLI::App& command, const std::vector<std::string>& strategies) {
  constexpr std::pair<const char*, bool StrategyUses::*> flags[] = {
      {"--rank", &StrategyUses::rank},
      {"--start_rank", &StrategyUses::start_rank},
      {"--changes", &StrategyUses::changes},
      {"--cutoff", &StrategyUses::cutoff},
      {"--two_site_steps", &StrategyUses::two_site_steps},
      {"--sweep", &StrategyUses::sweep},
      {"--optimizer_state", &StrategyUses::optimizer_state}};
  const auto users = [](const std::vector<std::string>& names, bool StrategyUses::*setting) {
    std::vector<std::string> found;
    for (const std::string& name : names)
      if (strategy_uses(name).*setting) found.push_back(name);
    return found;
  };
  for (const auto& [flag, setting] : flags)
    if (command.count(flag) > 0 && users(strategies, setting).empty())
      tn::fail(flag, ": expected a strategy that has a use for it (",
               tn::joined(users(rank_strategies(), setting)), "), found ", tn::joined(strategies));
}

/// All runs of a study, one after the other.
class RankStudy {
 public:
  explicit RankStudy(const RanksOptions& options) : o_(options) {
    // A wrong setting shall end the study before its first run; and copies of a run are no seeds.
    refuse_repeated("--strategies", "strategy", o_.strategies);
    refuse_repeated("--oversampling", "number", o_.oversampling);
    refuse_repeated("--learning_rate", "rate", o_.learning_rates);
    const auto modes = problem_modes(o_.study.problem);
    true_ranks_ = planted_train(o_.study.problem, o_.seed).ranks();
    make_rank_problem(o_.study.problem, o_.study.ranks, o_.seed);
    for (const std::string& strategy : o_.strategies) plan_strategy(strategy, o_.study);
    degrees_ = degrees_of_freedom(modes, true_ranks_);
  }
  const std::vector<Index>& true_ranks() const { return true_ranks_; }
  Index degrees() const { return degrees_; }

  const std::vector<RankTrial>& trials() const { return trials_; }

  /// `write` is called whenever all seeds of a setting are done, and before an interruption.
  void run(const std::function<void()>& write) {
    write_ = write;
    const std::size_t passes = o_.equal_time ? 2 : 1;
    Progress progress(static_cast<std::int64_t>(passes * o_.strategies.size() *
                                                o_.oversampling.size() * o_.learning_rates.size()) *
                      o_.seeds);
    for (const double oversampling : o_.oversampling)
      for (const std::string& strategy : o_.strategies)
        for (const double rate : o_.learning_rates)
          run_seeds(
              {"steps", strategy, oversampling, samples(oversampling), rate, 0, o_.study.steps},
              progress);
    if (o_.equal_time) repeat_in_equal_time(progress);
  }

 private:
  /// A sample of the teacher has as many targets as the network is wide.
  Index samples(double oversampling) const {
    const auto& problem = o_.study.problem;
    const Index targets = problem.kind == "teacher" ? problem_modes(problem).front() : 1;
    return static_cast<Index>(
        std::ceil(oversampling * static_cast<double>(degrees_) / static_cast<double>(targets)));
  }

  void run_seeds(RankTrial trial, Progress& progress) {
    RankStudySettings settings = o_.study;
    settings.problem.samples = trial.samples;
    settings.learning_rate = trial.learning_rate;
    settings.steps = trial.steps;
    for (Index i = 0; i < o_.seeds; ++i) {
      if (watch_.signal() != 0) {
        progress.clear();
        write_();
        throw Interrupted("interrupted by " + watch_.name() + " after " +
                              std::to_string(trials_.size()) + " runs, whose tables are in " +
                              o_.output,
                          watch_.signal());
      }
      trial.seed = o_.seed + static_cast<std::uint64_t>(i);
      trial.failure.clear();
      trial.run = {};
      try {
        trial.run = run_strategy(trial.strategy, settings, trial.seed);
      } catch (const Diverged& error) {
        trial.failure = error.what();
      }
      trials_.push_back(trial);
      progress.update(static_cast<std::int64_t>(trials_.size()), trial.strategy);
    }
    write_();
  }

  double mean_seconds(const std::string& strategy, double oversampling) const {
    double seconds = 0;
    int count = 0;
    for (const RankTrial& t : trials_)
      if (t.comparison == "steps" && t.strategy == strategy && t.oversampling == oversampling &&
          t.failure.empty()) {
        seconds += t.seconds();
        ++count;
      }
    return count > 0 ? seconds / count : 0;
  }

  void repeat_in_equal_time(Progress& progress) {
    for (const double oversampling : o_.oversampling) {
      const double wanted = mean_seconds(o_.strategies.front(), oversampling);
      for (const std::string& strategy : o_.strategies) {
        const double taken = mean_seconds(strategy, oversampling);
        const double factor = taken > 0 && wanted > 0 ? wanted / taken : 1;
        const auto steps = std::max(
            {fewest_steps, strategy_uses(strategy).changes ? least_steps(o_.study.changes) : 0,
             static_cast<Index>(std::round(factor * static_cast<double>(o_.study.steps)))});
        for (const double rate : o_.learning_rates)
          run_seeds({"time", strategy, oversampling, samples(oversampling), rate, 0, steps},
                    progress);
      }
    }
  }

  const RanksOptions& o_;
  std::vector<Index> true_ranks_;
  Index degrees_ = 0;
  std::vector<RankTrial> trials_;
  std::function<void()> write_;
  InterruptWatch watch_;
};

nlohmann::json settings_json(const RanksOptions& o, const RankStudy& study) {
  const auto& [problem, ranks, start_rank, steps, rate, changes, two_site_steps, cutoff, sweep,
               state, tolerance, points] = o.study;
  return {{"problem", problem.kind},
          {"modes", problem_modes(problem)},
          {"true_ranks", study.true_ranks()},
          {"spectrum", problem.spectrum},
          {"degrees_of_freedom", study.degrees()},
          {"oversampling", o.oversampling},
          {"noise", problem.noise},
          {"strategies", o.strategies},
          {"rank", ranks},
          {"start_rank", start_rank},
          {"changes", changes},
          {"two_site_steps", two_site_steps},
          {"cutoff", cutoff},
          {"sweep", o.sweep},
          {"optimizer_state", o.optimizer_state},
          {"max_steps", steps},
          {"learning_rate", o.learning_rates},
          {"tolerance", tolerance},
          {"seeds", o.seeds},
          {"seed", o.seed},
          {"equal_time", o.equal_time},
          {"version", METATT_VERSION}};
}

void print_summaries(const std::vector<RankSummary>& summaries) {
  std::string heading;
  for (const RankSummary& s : summaries) {
    const std::string now = "equal " + s.comparison + ", oversampling " + fixed(s.oversampling, 1);
    if (now != heading) std::cout << now << "\n";
    heading = now;
    std::cout << "  " << std::left << std::setw(21) << s.strategy << " recovered "
              << fixed(100 * s.recovered, 0) << " %"
              << (std::isnan(s.ranks_found)
                      ? ""
                      : ", ranks found " + fixed(100 * s.ranks_found, 0) + " %")
              << ", log10 error " << interval_text(s.log_error, s.log_error_half, 2)
              << ", minus that of the first strategy "
              << interval_text(s.difference, s.difference_half, 2) << ", " << fixed(s.parameters, 0)
              << " parameters, " << fixed(s.seconds, 2) << " s, learning rate " << s.learning_rate
              << (s.failures > 0 ? ", " + std::to_string(s.failures) + " failed" : "") << "\n";
  }
}

void run_study(RanksOptions& o) {
  o.study.ranks = o.ranks.empty() ? o.study.problem.true_ranks : o.ranks;
  o.study.sweep = o.sweep == "paper" ? tn::SweepMode::paper : tn::SweepMode::rounding;
  o.study.optimizer_state =
      o.optimizer_state == "project" ? OptimizerState::project : OptimizerState::reset;
  check_results_folder(o.output, Results::rank_study, {});
  RankStudy study(o);
  const auto folder = open_results_folder(o.output, o.overwrite);
  for (const char* table : {"runs.csv", study_curves_name, study_sweeps_name, study_summary_name})
    std::filesystem::remove(folder / table);  // of an earlier study
  tn::write_file_atomically(folder / "settings.json", settings_json(o, study).dump(2) + "\n");
  study.run([&] {
    const auto& trials = study.trials();
    if (trials.empty()) return;
    tn::write_file_atomically(folder / "runs.csv", runs_table(trials, study.true_ranks()));
    tn::write_file_atomically(folder / study_curves_name, curves_table(trials));
    tn::write_file_atomically(folder / study_sweeps_name, sweeps_table(trials));
    tn::write_file_atomically(folder / study_summary_name,
                              summary_table(summarise(trials, study.true_ranks())));
  });
  print_summaries(summarise(study.trials(), study.true_ranks()));
  if (std::ranges::all_of(study.trials(), [](const RankTrial& t) { return !t.failure.empty(); }))
    tn::fail("ranks: all runs failed; why is in ", (folder / "runs.csv").string());
  const std::size_t runs = study.trials().size();
  std::cout << "result: " << runs << (runs == 1 ? " run" : " runs") << ", tables in "
            << folder.path.string() << std::endl;
}

}  // namespace

void add_ranks(CLI::App& program) {
  auto o = std::make_shared<RanksOptions>();
  CLI::App* command = add_command(
      program, "ranks", "Study rank adaptation in isolation: strategies on planted tensor trains");
  add_problem_options(*command, *o);
  add_strategy_options(*command, *o);
  add_run_options(*command, *o);
  command->callback([o, command] {
    check_used(*command, o->strategies);
    run_study(*o);
  });
}

}  // namespace metatt::apps
