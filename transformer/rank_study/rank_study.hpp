#pragma once
/// Ways to come to a train of given ranks, side by side on the same problem.

#include <metatt/transformer/rank_study/rank_problem.hpp>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace metatt::transformer {

struct RankStudySettings {
  RankProblemSettings problem;
  std::vector<Index> ranks = {2};  ///< at the end; one for all bonds, or one for each
  Index start_rank = 6;  ///< of strategies that shrink, and the largest of those that grow first
  Index steps = 2000;
  double learning_rate = 1e-2;  ///< of AdamW, falling to zero along a line
  Index changes = 4;            ///< of the ranks on their way, in the first 60 % of the steps
  Index two_site_steps = 50;    ///< for each pair
  double cutoff = 1e-4;         ///< weight that a sweep of shrink_cutoff may discard
  tn::SweepMode sweep = tn::SweepMode::rounding;
  OptimizerState optimizer_state = OptimizerState::reset;
  double tolerance = 1e-3;  ///< on the error of the tensor, below which the truth counts as found
  Index curve_points = 100;
};

/// How a strategy comes to its ranks.
struct StrategyPlan {
  std::vector<Index> start_ranks;
  std::vector<RankStep> changes = {};        ///< in steps
  Index two_site_steps = 0;                  ///< 0: all cores are trained together
  bool prunes = false;                       ///< changes drop what matters least, without a sweep
  std::optional<RankTarget> final_cut = {};  ///< after the last step
};

/// "fixed": the final ranks from the start. "shrink": sweeps from start_rank. "shrink_budget": the
/// same with numbers of parameters that fall to what the final ranks have, spread over the bonds by
/// their spectra. "shrink_cutoff": the same to whatever ranks a cutoff leaves, the final ranks
/// unknown. "grow": from rank one, by subspace expansion. "grow_then_shrink": from rank one to
/// start_rank and then to the final ranks. "two_site": the final ranks from the start, in pairs of
/// cores. "prune": from start_rank by importance, as AdaLoRA with its cubic schedule; moments go
/// with what stays. "train_large_then_cut": start_rank to the end, then one cut.
std::vector<std::string> rank_strategies();

/// Which settings a strategy has a use for.
struct StrategyUses {
  bool rank = true;
  bool told = true;  ///< whether it is told the rank of each bond, and does not find them
  bool start_rank = false, changes = false, cutoff = false, two_site_steps = false;
  bool sweep = false, optimizer_state = false;
};
/// Throws Error on an unknown name.
const StrategyUses& strategy_uses(const std::string& name);

/// The fewest steps in which ranks can change so often, each time after a step of its own.
Index least_steps(Index changes);

/// Throws Error on an unknown name, a start_rank below the final ranks, ranks on the way that the
/// bonds cannot hold, or fewer steps than least_steps().
StrategyPlan plan_strategy(const std::string& name, const RankStudySettings& settings);

/// A moment of a run.
struct StudyPoint {
  Index step;
  double seconds, loss, tensor_error, test_error;
  Index parameters;  ///< of all cores, also while two are merged
};

/// A change of ranks on the way.
struct StudySweep {
  Index step;
  RankSweep sweep;
  double loss_before, loss_after, seconds;
};

/// What came out of one strategy on one problem.
struct StudyRun {
  std::vector<StudyPoint> curve;  ///< the last point is the end
  std::vector<StudySweep> sweeps;
  std::vector<Index> ranks;
  /// Ranks of the bonds that are left if a part of tolerance² of the weight of each may be lost.
  std::vector<Index> significant_ranks;
  bool recovered = false;                       ///< the error of the tensor is below the tolerance
  std::optional<Index> steps_to_recovery = {};  ///< first point of the curve from which on it is
};

/// Trains a fresh train on the problem of this seed. Deterministic but for the seconds, which are
/// processor time of training and sweeps, without the measurement of errors. Throws Diverged if
/// numbers stop being finite.
StudyRun run_strategy(const std::string& strategy, const RankStudySettings& settings,
                      std::uint64_t seed);

}  // namespace metatt::transformer
