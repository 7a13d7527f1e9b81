#pragma once
/// The runs of metatt ranks as tables with one observation a line (tidy CSV).

#include <metatt/transformer/rank_study/rank_study.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace metatt::apps {

/// What tells a run from the others, and what came out.
struct RankTrial {
  std::string comparison;  ///< "steps" or "time": what is equal for all strategies
  std::string strategy;
  double oversampling = 0;  ///< targets for each degree of freedom of the planted train
  tn::Index samples = 0;
  double learning_rate = 0;
  std::uint64_t seed = 0;
  tn::Index steps = 0;
  std::string failure = {};  ///< empty: it ended as it should
  transformer::StudyRun run = {};

  double seconds() const { return run.curve.empty() ? 0 : run.curve.back().seconds; }
};

/// runs.csv: a line for each run. `true_ranks` are those of the planted train.
std::string runs_table(const std::vector<RankTrial>& trials,
                       const std::vector<tn::Index>& true_ranks);
/// curves.csv: a line for each moment of each run.
std::string curves_table(const std::vector<RankTrial>& trials);
/// rank_sweeps.csv: a line for each bond of each change of ranks.
std::string sweeps_table(const std::vector<RankTrial>& trials);

/// A strategy at its best learning rate: the one at which fewest seeds fail, and of those that of
/// the lowest mean of log10 of the test error, by the same seeds that the means are over. What no
/// seed has is not a number.
struct RankSummary {
  static constexpr double none = std::numeric_limits<double>::quiet_NaN();
  std::string comparison, strategy;
  double oversampling = 0, learning_rate = 0;
  std::size_t seeds = 0, failures = 0;
  double recovered = 0;  ///< share of the seeds
  /// Share of the seeds whose significant ranks are the planted ones, of a strategy that is not
  /// told the ranks; of the others not a number.
  double ranks_found = none;
  /// Of the seeds that recovered; not a number if none did.
  double steps_to_recovery = none, steps_to_recovery_half = none;
  /// log10 of the tensor's error and of the test error, means and intervals.
  double log_error = 0, log_error_half = none, log_test = 0, log_test_half = none;
  /// log10 of the tensor's error minus that of the first strategy on the same seeds.
  double difference = none, difference_half = none;
  double parameters = 0, seconds = 0, steps = 0;
};
std::vector<RankSummary> summarise(const std::vector<RankTrial>& trials,
                                   const std::vector<tn::Index>& true_ranks);
/// summary.csv.
std::string summary_table(const std::vector<RankSummary>& summaries);

}  // namespace metatt::apps
