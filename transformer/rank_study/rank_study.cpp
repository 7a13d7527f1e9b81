#include <metatt/transformer/rank_study/rank_study.hpp>

#include <metatt/tn/truncation.hpp>
#include <metatt/transformer/bond_importance.hpp>
#include <metatt/transformer/two_site_sweep.hpp>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <string_view>

namespace metatt::transformer {

namespace {

/// Of all threads: other work on the machine shall not decide what a strategy costs.
double processor_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

using Ranks = std::vector<Index>;
using Settings = RankStudySettings;

constexpr double share_of_changes = 0.6;  ///< of the steps; in the rest ranks stay

/// Changes between two parts of the steps, to what `target` makes of the part of the way that each
/// has come. One to the ranks that there are already is left out; `from`: those of the start.
std::vector<RankStep> evenly(const Settings& settings, double begin, double end, const Ranks& from,
                             const std::function<RankTarget(double)>& target) {
  std::vector<RankStep> schedule;
  for (Index i = 1; i <= settings.changes; ++i) {
    const double part = static_cast<double>(i) / static_cast<double>(settings.changes);
    constexpr double rounding = 1e-9;  // 0.3 · 10 / 3 is a little below one
    const auto when = static_cast<Index>(
        (begin + (end - begin) * part) * static_cast<double>(settings.steps) + rounding);
    RankStep step{when, true, target(part)};
    if (step.target.ranks != (schedule.empty() ? from : schedule.back().target.ranks) ||
        step.target.ranks.empty())
      schedule.push_back(std::move(step));
  }
  return schedule;
}

Index between(Index from, Index to, double part) {
  return from + static_cast<Index>(std::round(part * static_cast<double>(to - from)));
}

/// Ranks on the way from one to the other, the last ones included.
std::vector<RankStep> evenly(const Settings& settings, double begin, double end, const Ranks& from,
                             const Ranks& to) {
  return evenly(settings, begin, end, from, [&](double part) {
    RankTarget target;
    for (std::size_t k = 0; k < to.size(); ++k)
      target.ranks.push_back(between(from[k], to[k], part));
    return target;
  });
}

/// The budget of AdaLoRA (equation 12): it falls fast, then ever slower.
std::vector<RankStep> cubic(const std::vector<Index>& from, const std::vector<Index>& to,
                            Index steps) {
  constexpr double begin = 0.1;
  const auto last = static_cast<Index>(share_of_changes * static_cast<double>(steps));
  std::vector<RankStep> schedule;
  for (auto step = static_cast<Index>(begin * static_cast<double>(steps)) + 1; step <= last;
       ++step) {
    const double left = static_cast<double>(last - step) / static_cast<double>(last) /
                        (1 - begin / share_of_changes);
    RankStep change{step, true, {}};
    for (std::size_t k = 0; k < to.size(); ++k)
      change.target.ranks.push_back(
          to[k] +
          static_cast<Index>(std::ceil(std::pow(left, 3) * static_cast<double>(from[k] - to[k]))));
    if (change.target.ranks != (schedule.empty() ? from : schedule.back().target.ranks))
      schedule.push_back(std::move(change));
  }
  return schedule;
}

struct Strategy {
  std::string_view name;
  StrategyUses uses;
  /// From rank one, the largest and the final ranks.
  StrategyPlan (*plan)(const std::vector<Index>& one, const std::vector<Index>& large,
                       const std::vector<Index>& final, const RankStudySettings& settings);
};

constexpr Strategy strategies[] = {
    {"fixed",
     {},
     [](const Ranks&, const Ranks&, const Ranks& final, const Settings&) {
       return StrategyPlan{final};
     }},
    {"shrink",
     {.start_rank = true, .changes = true, .sweep = true, .optimizer_state = true},
     [](const Ranks&, const Ranks& large, const Ranks& final, const Settings& s) {
       return StrategyPlan{large, evenly(s, 0, share_of_changes, large, final)};
     }},
    {"shrink_budget",
     {.told = false, .start_rank = true, .changes = true, .sweep = true, .optimizer_state = true},
     [](const Ranks&, const Ranks& large, const Ranks& final, const Settings& s) {
       const auto modes = problem_modes(s.problem);
       const Index from = tn::train_parameters(modes, large),
                   to = tn::train_parameters(modes, final);
       return StrategyPlan{
           large, evenly(s, 0, share_of_changes, large, [&](double part) {
             return RankTarget{.budget = {.maximum_parameters = between(from, to, part)}};
           })};
     }},
    {"shrink_cutoff",
     {.rank = false,
      .told = false,
      .start_rank = true,
      .changes = true,
      .cutoff = true,
      .sweep = true,
      .optimizer_state = true},
     [](const Ranks&, const Ranks& large, const Ranks&, const Settings& s) {
       return StrategyPlan{large, evenly(s, 0, share_of_changes, large, [&](double) {
                             return RankTarget{.budget = {.cutoff = s.cutoff}};
                           })};
     }},
    {"grow",
     {.changes = true, .sweep = true, .optimizer_state = true},
     [](const Ranks& one, const Ranks&, const Ranks& final, const Settings& s) {
       return StrategyPlan{one, evenly(s, 0, share_of_changes, one, final)};
     }},
    {"grow_then_shrink",
     {.start_rank = true, .changes = true, .sweep = true, .optimizer_state = true},
     [](const Ranks& one, const Ranks& large, const Ranks& final, const Settings& s) {
       auto changes = evenly(s, 0, share_of_changes / 2, one, large);
       for (RankStep& step : evenly(s, share_of_changes / 2, share_of_changes, large, final))
         changes.push_back(std::move(step));
       return StrategyPlan{one, std::move(changes)};
     }},
    {"two_site",
     {.two_site_steps = true},
     [](const Ranks&, const Ranks&, const Ranks& final, const Settings& s) {
       return StrategyPlan{.start_ranks = final, .two_site_steps = s.two_site_steps};
     }},
    {"prune",
     {.start_rank = true},
     [](const Ranks&, const Ranks& large, const Ranks& final, const Settings& s) {
       return StrategyPlan{
           .start_ranks = large, .changes = cubic(large, final, s.steps), .prunes = true};
     }},
    {"train_large_then_cut",
     {.start_rank = true, .sweep = true},
     [](const Ranks&, const Ranks& large, const Ranks& final, const Settings&) {
       return StrategyPlan{.start_ranks = large, .final_cut = RankTarget{final}};
     }},
};

const Strategy& find_strategy(const std::string& name) {
  const auto found = std::ranges::find(strategies, name, &Strategy::name);
  if (found == std::end(strategies))
    tn::fail("strategy: expected one of ", tn::joined(rank_strategies()), ", found \"", name, "\"");
  return *found;
}

/// One run of a strategy.
class StrategyRun {
 public:
  StrategyRun(const RankStudySettings& settings, StrategyPlan plan, std::uint64_t seed)
      : settings_(settings),
        plan_(std::move(plan)),
        problem_(make_rank_problem(settings.problem, plan_.start_ranks, seed)),
        optimiser_(problem_->weights(), optimiser_settings(settings),
                   LearningRateSchedule{0, settings.steps}),
        adaptation_(settings.sweep, settings.optimizer_state, seed) {
    target_.ranks = plan_.start_ranks;
    if (plan_.two_site_steps > 0)
      pairs_.emplace(problem_->train_ids(), problem_->weights(), plan_.two_site_steps);
  }

  /// Errors of anything that meets numbers which are not finite are Diverged.
  StudyRun result() {
    try {
      run();
    } catch (const tn::Error& error) {
      if (finite()) throw;
      throw Diverged(error.what());
    }
    return std::move(run_);
  }

 private:
  void run() {
    const Index pause = std::max<Index>(1, settings_.steps / settings_.curve_points);
    for (Index step = 0; step < settings_.steps; ++step) {
      for (const RankStep& change : plan_.changes)
        if (change.when == step) adapt(step, change.target);
      if (step % pause == 0) measure(step);
      train_step(step);
    }
    if (pairs_ && pairs_->merged()) split(settings_.steps);
    if (plan_.final_cut) adapt(settings_.steps, *plan_.final_cut);
    measure(settings_.steps);
    finish();
  }

  bool finite() {
    const auto& arena = problem_->weights().arena();
    double sum = loss();
    for (Index i = 0; i < arena.count(); ++i)
      for (const Tensor<double>& numbers : {arena.gradient(i), arena.value(i)})
        sum += tn::backend::norm(tn::backend::queue(), numbers.size(), numbers.data());
    return std::isfinite(sum);
  }

  static AdamWSettings optimiser_settings(const RankStudySettings& settings) {
    AdamWSettings adamw;
    adamw.learning_rate = settings.learning_rate;
    return adamw;
  }

  void train_step(Index step) {
    const double start = processor_seconds();
    if (pairs_ && !pairs_->merged()) pairs_->merge(optimiser_);
    const double loss = this->loss();
    if (!std::isfinite(loss))
      throw Diverged("the loss is " + std::to_string(loss) + " at step " + std::to_string(step));
    if (plan_.prunes) importance_.observe(problem_->train(), gradients());
    if (pairs_) pairs_->keep_others_fixed();
    optimiser_.step();
    run_seconds_ += processor_seconds() - start;
    if (pairs_ && pairs_->count_step()) split(step + 1);
  }

  std::vector<Tensor<double>> gradients() {
    const WeightTrain<double> train(problem_->train_ids(), problem_->weights());
    std::vector<Tensor<double>> all;
    for (std::size_t k = 0; k < problem_->train_ids().size(); ++k)
      all.push_back(train.gradient(static_cast<Index>(k)));
    return all;
  }

  /// Runs a change of the ranks and notes what it did.
  void note(Index step, const std::function<RankSweep()>& change) {
    const double before = loss();
    const double start = processor_seconds();
    RankSweep sweep = change();
    const double seconds = processor_seconds() - start;
    run_seconds_ += seconds;
    run_.sweeps.push_back({step, std::move(sweep), before, loss(), seconds});
  }

  void adapt(Index step, const RankTarget& target) {
    target_ = target;
    note(step, [&] {
      if (plan_.prunes) return prune(target);
      return adapt_ranks<double>({problem_->train_ids()}, problem_->weights(), optimiser_, target,
                                 adaptation_, [&] { loss(); });
    });
  }

  RankSweep prune(const RankTarget& target) {
    const WeightTrain<double> place(problem_->train_ids(), problem_->weights());
    TrainWithMoments trained = place.read();
    RankSweep sweep = importance_.prune(trained, target.ranks);
    place.write(trained);
    return sweep;
  }

  void split(Index step) {
    note(step, [&] { return pairs_->split(optimiser_, target_); });
  }

  /// The gradients are those of this loss alone.
  double loss() {
    problem_->weights().arena().clear_gradients();
    return problem_->loss_and_gradients();
  }

  void measure(Index step) {
    const double loss = this->loss();
    run_.curve.push_back({step, run_seconds_, loss, problem_->tensor_error(),
                          problem_->test_error(), problem_->train().parameter_count()});
  }

  void finish() {
    auto train = problem_->train();
    run_.ranks = train.ranks();
    const double part = settings_.tolerance * settings_.tolerance;
    tn::sweep(train, tn::TruncationPolicy{.cutoff = part}, tn::SweepMode::rounding);
    run_.significant_ranks = train.ranks();
    for (const StudyPoint& point : run_.curve) {
      const bool found = point.tensor_error < settings_.tolerance;
      if (!found) run_.steps_to_recovery.reset();
      if (found && !run_.steps_to_recovery) run_.steps_to_recovery = point.step;
    }
    run_.recovered = run_.steps_to_recovery.has_value();
  }

  const RankStudySettings& settings_;
  StrategyPlan plan_;
  std::unique_ptr<RankProblem> problem_;
  AdamW<double> optimiser_;
  RankAdaptation adaptation_;
  RankTarget target_;
  BondImportance importance_;
  std::optional<TwoSiteSweep<double>> pairs_;
  double run_seconds_ = 0;
  StudyRun run_;
};

}  // namespace

std::vector<std::string> rank_strategies() {
  std::vector<std::string> names;
  for (const Strategy& strategy : strategies) names.emplace_back(strategy.name);
  return names;
}

/// Also where half of the time belongs to growing.
Index least_steps(Index changes) {
  return static_cast<Index>(std::ceil(2 * static_cast<double>(changes) / share_of_changes));
}

const StrategyUses& strategy_uses(const std::string& name) {
  return find_strategy(name).uses;
}

StrategyPlan plan_strategy(const std::string& name, const RankStudySettings& settings) {
  const auto modes = problem_modes(settings.problem);
  const auto final = capped_ranks("rank", modes, settings.ranks);
  const Strategy& strategy = find_strategy(name);
  Ranks large;
  if (strategy.uses.start_rank) large = capped_ranks("start_rank", modes, {settings.start_rank});
  for (std::size_t k = 0; k < large.size(); ++k)
    if (large[k] < final[k])
      tn::fail("start_rank: expected at least the final ranks, here ", final[k], ", found ",
               settings.start_rank);
  if (strategy.uses.changes && settings.steps < least_steps(settings.changes))
    tn::fail("max_steps: expected at least ", least_steps(settings.changes),
             " for changes = ", settings.changes, ", found ", settings.steps);
  auto plan = strategy.plan(Ranks(final.size(), 1), large, final, settings);
  for (const RankStep& change : plan.changes)
    wanted_ranks(change.target, modes, plan.start_ranks, "rank");
  return plan;
}

StudyRun run_strategy(const std::string& strategy, const RankStudySettings& settings,
                      std::uint64_t seed) {
  return StrategyRun(settings, plan_strategy(strategy, settings), seed).result();
}

}  // namespace metatt::transformer
