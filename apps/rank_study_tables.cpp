#include <metatt/apps/rank_study_tables.hpp>

#include <metatt/apps/statistics.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <sstream>
#include <tuple>

namespace metatt::apps {

namespace {

using tn::Index;

/// Digits enough to read the same number again.
std::ostringstream table_stream() {
  std::ostringstream out;
  out.precision(std::numeric_limits<double>::max_digits10);
  return out;
}

std::string joined_ranks(const std::vector<Index>& ranks) {
  std::string text;
  for (const Index rank : ranks) text += (text.empty() ? "" : "-") + std::to_string(rank);
  return text;
}

constexpr const char* key_columns = "comparison,strategy,oversampling,samples,learning_rate,seed,";

void write_key(std::ostream& out, const RankTrial& t) {
  out << t.comparison << ',' << t.strategy << ',' << t.oversampling << ',' << t.samples << ','
      << t.learning_rate << ',' << t.seed << ',';
}

double log_of(double error) {
  return std::log10(std::max(error, std::numeric_limits<double>::min()));
}

}  // namespace

std::string runs_table(const std::vector<RankTrial>& trials, const std::vector<Index>& true_ranks) {
  auto out = table_stream();
  out << key_columns
      << "status,steps,seconds,parameters,ranks,significant_ranks,ranks_found,loss,tensor_error,"
         "test_error,recovered,steps_to_recovery\n";
  for (const RankTrial& t : trials) {
    write_key(out, t);
    if (!t.failure.empty()) {
      out << "failed," << t.steps << ",,,,,,,,,,\n";
      continue;
    }
    const auto& end = t.run.curve.back();
    out << "done," << t.steps << ',' << end.seconds << ',' << end.parameters << ','
        << joined_ranks(t.run.ranks) << ',' << joined_ranks(t.run.significant_ranks) << ','
        << (t.run.significant_ranks == true_ranks) << ',' << end.loss << ',' << end.tensor_error
        << ',' << end.test_error << ',' << t.run.recovered << ',';
    if (t.run.steps_to_recovery) out << *t.run.steps_to_recovery;
    out << '\n';
  }
  return out.str();
}

std::string curves_table(const std::vector<RankTrial>& trials) {
  auto out = table_stream();
  out << key_columns << "step,seconds,parameters,loss,tensor_error,test_error\n";
  for (const RankTrial& t : trials)
    for (const auto& point : t.run.curve) {
      write_key(out, t);
      out << point.step << ',' << point.seconds << ',' << point.parameters << ',' << point.loss
          << ',' << point.tensor_error << ',' << point.test_error << '\n';
    }
  return out.str();
}

std::string sweeps_table(const std::vector<RankTrial>& trials) {
  auto out = table_stream();
  out << key_columns
      << "step,bond,rank_before,rank_after,entropy,discarded_weight,discarded_norm,loss_before,"
         "loss_after,seconds\n";
  for (const RankTrial& t : trials)
    for (const auto& sweep : t.run.sweeps)
      for (const auto& bond : sweep.sweep.bonds) {
        write_key(out, t);
        out << sweep.step << ',' << bond.bond + 1 << ',' << bond.rank_before << ','
            << bond.rank_after << ',' << bond.entropy << ',' << bond.discarded_weight << ','
            << bond.discarded_norm << ',' << sweep.loss_before << ',' << sweep.loss_after << ','
            << sweep.seconds << '\n';
      }
  return out.str();
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

RankSummary summary_of(const Trials& trials) {
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
  s.recovered = mean([](const RankTrial& t) { return t.run.recovered ? 1.0 : 0.0; }) *
                static_cast<double>(errors.size()) / static_cast<double>(s.seeds);
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

std::vector<RankSummary> summarise(const std::vector<RankTrial>& trials) {
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
    const auto best = std::ranges::min_element(
        rates, {}, [](const auto& entry) { return summary_of(entry.second).log_test; });
    summaries.push_back(summary_of(best->second));
    const auto [reference, added] =
        references.try_emplace({std::get<0>(group), std::get<1>(group)}, best->second);
    compare(summaries.back(), best->second, reference->second);
  }
  return summaries;
}

std::string summary_table(const std::vector<RankSummary>& summaries) {
  auto out = table_stream();
  out << "comparison,strategy,oversampling,best_learning_rate,seeds,failures,recovered,"
         "log10_tensor_error,log10_tensor_error_half_width,log10_test_error,"
         "log10_test_error_half_width,difference_to_first,difference_half_width,parameters,steps,"
         "seconds\n";
  for (const RankSummary& s : summaries)
    out << s.comparison << ',' << s.strategy << ',' << s.oversampling << ',' << s.learning_rate
        << ',' << s.seeds << ',' << s.failures << ',' << s.recovered << ',' << s.log_error << ','
        << s.log_error_half << ',' << s.log_test << ',' << s.log_test_half << ',' << s.difference
        << ',' << s.difference_half << ',' << s.parameters << ',' << s.steps << ',' << s.seconds
        << '\n';
  return out.str();
}

}  // namespace metatt::apps
