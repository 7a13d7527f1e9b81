#pragma once
/// Problems for the study of rank adaptation in isolation: a loss of one tensor train, and the
/// train that it was made from.

#include <metatt/transformer/weight_trains.hpp>

#include <memory>
#include <string>
#include <vector>

namespace metatt::transformer {

/// How a problem is made. The same settings and seed make the same problem, whatever the ranks of
/// the train that is to learn it.
struct RankProblemSettings {
  std::string kind = "recovery";        ///< a name in rank_problems()
  std::vector<Index> modes = {};        ///< of the train; empty: the kind's
  std::vector<Index> true_ranks = {2};  ///< one for all bonds, or one for each
  /// Weights of the directions of every bond of the planted train, its singular values up to a
  /// factor: the leading ones of one list, or those of all bonds one after the other; empty: all
  /// the same.
  std::vector<double> spectrum = {};
  Index samples = 128;
  double noise = 0;  ///< deviation of what is added to each target, whose own is about 1
};

/// A train among trainable weights, a loss of it on some samples, and the planted train.
class RankProblem {
 public:
  virtual ~RankProblem() = default;

  /// Fills the arena's gradients; returns the loss on the training samples.
  virtual double loss_and_gradients() = 0;
  /// Relative error of what the train predicts where no sample is.
  virtual double test_error() = 0;

  Weights<double>& weights() { return weights_; }
  const TrainIds<double>& train_ids() const { return ids_; }
  tn::TensorTrain<double> train() { return WeightTrain<double>(ids_, weights_).read().train; }
  const tn::TensorTrain<double>& truth() const { return truth_; }
  /// ‖train − truth‖ / ‖truth‖.
  double tensor_error();

 protected:
  explicit RankProblem(tn::TensorTrain<double> truth) : truth_(std::move(truth)) {}

  Weights<double> weights_;
  TrainIds<double> ids_;
  tn::TensorTrain<double> truth_;
};

/// A random train of the given modes and ranks whose bonds have the spectrum, scaled so that its
/// elements have variance one. To 1e-9 where that is possible, to 1e-3 where it is nearly so, as
/// with a spectrum that was rounded for people; else throws Error.
tn::TensorTrain<double> planted_train(const RankProblemSettings& settings, std::uint64_t seed);

/// One rank for all bonds, or less where a bond cannot hold as much; or one for each. Throws Error
/// naming the `setting` on another number of ranks, on one that no bond can hold, and on one of
/// several that its own cannot.
std::vector<Index> capped_ranks(const char* setting, const std::vector<Index>& modes,
                                const std::vector<Index>& ranks);

/// Numbers that determine a train of these modes and ranks: its parameters without the freedom of
/// gauge, Σ r·n·r′ − Σ r².
Index degrees_of_freedom(const std::vector<Index>& modes, const std::vector<Index>& ranks);

/// Modes of a problem, the kind's where none are given. Throws Error if they do not fit it.
std::vector<Index> problem_modes(const RankProblemSettings& settings);

/// Names of the problems.
std::vector<std::string> rank_problems();

/// A problem with a fresh train of these ranks (capped_ranks). Throws Error on an unknown kind, or
/// settings that it cannot have.
std::unique_ptr<RankProblem> make_rank_problem(const RankProblemSettings& settings,
                                               const std::vector<Index>& ranks, std::uint64_t seed);

}  // namespace metatt::transformer
