#include <metatt/apps/rank_study_tables.hpp>

#include <metatt/apps/csv.hpp>
#include <metatt/apps/statistics.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <functional>
#include <limits>
#include <map>
#include <tuple>

namespace metatt::apps {

namespace {

using tn::Index;

/// Lines of values with commas between them.
class Table {
 public:
  explicit Table(const std::string& columns) : text_(columns + "\n") {}
  template <class... Values>
  void line(const Values&... values) {
    (add(values), ...);
    text_.back() = '\n';
  }
  std::string text() const { return text_; }

  void add(const std::string& value) { text_ += value + ","; }
  void add(double value) { text_ += csv_number(value) + ","; }
  template <std::integral Number>
  void add(Number value) {
    text_ += std::to_string(value) + ",";
  }
  void add(const RankTrial& t) {
    add(t.comparison);
    add(t.strategy);
    add(t.oversampling);
    add(t.samples);
    add(t.learning_rate);
    add(t.seed);
  }

 private:
  std::string text_;
};

std::string joined_ranks(const std::vector<Index>& ranks) {
  std::string text;
  for (const Index rank : ranks) text += (text.empty() ? "" : "-") + std::to_string(rank);
  return text;
}

const std::string key_columns = "comparison,strategy,oversampling,samples,learning_rate,seed,";

double log_of(double error) {
  return std::log10(std::max(error, std::numeric_limits<double>::min()));
}

}  // namespace

std::string runs_table(const std::vector<RankTrial>& trials, const std::vector<Index>& true_ranks) {
  Table table(key_columns +
              "status,steps,seconds,parameters,ranks,significant_ranks,ranks_found,loss,"
              "tensor_error,test_error,recovered,steps_to_recovery,error");
  const std::string none;
  for (const RankTrial& t : trials) {
    if (!t.failure.empty()) {
      table.line(t, std::string("failed"), t.steps, none, none, none, none, none, none, none, none,
                 none, none, csv_field(t.failure));
      continue;
    }
    const auto& [run, end] = std::tie(t.run, t.run.curve.back());
    table.line(t, std::string("done"), t.steps, end.seconds, end.parameters,
               joined_ranks(run.ranks), joined_ranks(run.significant_ranks),
               int{run.significant_ranks == true_ranks}, end.loss, end.tensor_error, end.test_error,
               int{run.recovered},
               run.steps_to_recovery ? std::to_string(*run.steps_to_recovery) : none, none);
  }
  return table.text();
}

std::string curves_table(const std::vector<RankTrial>& trials) {
  Table table(key_columns + "step,seconds,parameters,loss,tensor_error,test_error");
  for (const RankTrial& t : trials)
    for (const auto& point : t.run.curve)
      table.line(t, point.step, point.seconds, point.parameters, point.loss, point.tensor_error,
                 point.test_error);
  return table.text();
}

std::string sweeps_table(const std::vector<RankTrial>& trials) {
  Table table(key_columns +
              "step,bond,rank_before,rank_after,entropy,discarded_weight,discarded_norm,"
              "loss_before,loss_after,seconds");
  for (const RankTrial& t : trials)
    for (const auto& sweep : t.run.sweeps)
      for (const auto& bond : sweep.sweep.bonds)
        table.line(t, sweep.step, bond.bond + 1, bond.rank_before, bond.rank_after, bond.entropy,
                   bond.discarded_weight, bond.discarded_norm, sweep.loss_before, sweep.loss_after,
                   sweep.seconds);
  return table.text();
}

namespace {

using Trials = std::vector<const RankTrial*>;

std::vector<double> values_of(const Trials& trials, double (*value)(const RankTrial&)) {
  std::vector<double> values;
  for (const RankTrial* trial : trials)
    if (trial->failure.empty()) values.push_back(value(*trial));
  return values;
}

double log_error(const RankTrial& t) {
  return log_of(t.run.curve.back().tensor_error);
}
double log_test(const RankTrial& t) {
  return log_of(t.run.curve.back().test_error);
}

double share(const Trials& trials, const std::function<bool(const RankTrial&)>& holds) {
  const auto count = std::ranges::count_if(
      trials, [&](const RankTrial* t) { return t->failure.empty() && holds(*t); });
  return static_cast<double>(count) / static_cast<double>(trials.size());
}

Estimate steps_to_recovery(const Trials& trials) {
  std::vector<double> steps;
  for (const RankTrial* t : trials)
    if (t->run.steps_to_recovery) steps.push_back(static_cast<double>(*t->run.steps_to_recovery));
  return steps.empty() ? Estimate{RankSummary::none, RankSummary::none} : estimate(steps);
}

RankSummary summary_of(const Trials& trials, const std::vector<Index>& true_ranks) {
  const RankTrial& first = *trials.front();
  RankSummary s{first.comparison, first.strategy, first.oversampling, first.learning_rate};
  s.seeds = trials.size();
  const auto errors = values_of(trials, log_error), tests = values_of(trials, log_test);
  s.failures = trials.size() - errors.size();
  s.log_error = s.log_test = std::numeric_limits<double>::infinity();
  if (errors.empty()) return s;
  const auto mean = [&](double (*value)(const RankTrial&)) {
    return estimate(values_of(trials, value)).mean;
  };
  const Estimate error = estimate(errors), test = estimate(tests);
  s.log_error = error.mean;
  s.log_error_half = error.half_width;
  s.log_test = test.mean;
  s.log_test_half = test.half_width;
  s.recovered = share(trials, [](const RankTrial& t) { return t.run.recovered; });
  if (!transformer::strategy_uses(s.strategy).told)
    s.ranks_found =
        share(trials, [&](const RankTrial& t) { return t.run.significant_ranks == true_ranks; });
  const Estimate found = steps_to_recovery(trials);
  s.steps_to_recovery = found.mean;
  s.steps_to_recovery_half = found.half_width;
  s.parameters =
      mean([](const RankTrial& t) { return static_cast<double>(t.run.curve.back().parameters); });
  s.seconds = mean([](const RankTrial& t) { return t.seconds(); });
  s.steps = mean([](const RankTrial& t) { return static_cast<double>(t.steps); });
  return s;
}

/// By seed, of those that both have.
void compare(RankSummary& summary, const Trials& trials, const Trials& reference) {
  std::vector<double> differences;
  for (const RankTrial* a : trials)
    for (const RankTrial* b : reference)
      if (a->seed == b->seed && a->failure.empty() && b->failure.empty())
        differences.push_back(log_error(*a) - log_error(*b));
  if (differences.empty()) return;
  const Estimate difference = estimate(differences);
  summary.difference = difference.mean;
  summary.difference_half = difference.half_width;
}

}  // namespace

std::vector<RankSummary> summarise(const std::vector<RankTrial>& trials,
                                   const std::vector<Index>& true_ranks) {
  // In the order in which they first come.
  using Group = std::tuple<std::string, double, std::string>;
  std::vector<Group> groups;
  std::map<Group, std::map<double, Trials>> by_rate;
  for (const RankTrial& t : trials) {
    const Group group{t.comparison, t.oversampling, t.strategy};
    if (!by_rate.contains(group)) groups.push_back(group);
    by_rate[group][t.learning_rate].push_back(&t);
  }
  std::vector<RankSummary> summaries;
  std::map<std::pair<std::string, double>, Trials> references;
  for (const Group& group : groups) {
    const auto& rates = by_rate[group];
    const auto best = std::ranges::min_element(rates, {}, [&](const auto& entry) {
      const RankSummary summary = summary_of(entry.second, true_ranks);
      return std::pair(summary.failures, summary.log_test);
    });
    summaries.push_back(summary_of(best->second, true_ranks));
    const auto [reference, added] =
        references.try_emplace({std::get<0>(group), std::get<1>(group)}, best->second);
    compare(summaries.back(), best->second, reference->second);
  }
  return summaries;
}

std::string summary_table(const std::vector<RankSummary>& summaries) {
  Table table(
      "comparison,strategy,oversampling,best_learning_rate,seeds,failures,recovered,ranks_found,"
      "steps_to_recovery,steps_to_recovery_half_width,"
      "log10_tensor_error,log10_tensor_error_half_width,log10_test_error,"
      "log10_test_error_half_width,log10_difference_to_first,log10_difference_half_width,"
      "parameters,steps,"
      "seconds");
  for (const RankSummary& s : summaries)
    table.line(s.comparison, s.strategy, s.oversampling, s.learning_rate, s.seeds, s.failures,
               s.recovered, s.ranks_found, s.steps_to_recovery, s.steps_to_recovery_half,
               s.log_error, s.log_error_half, s.log_test, s.log_test_half, s.difference,
               s.difference_half, s.parameters, s.steps, s.seconds);
  return table.text();
}

}  // namespace metatt::apps
