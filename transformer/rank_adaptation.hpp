#pragma once
/// Rank adaptation in the manner of DMRG: trains whose bonds shrink and grow while training goes
/// on.

#include <metatt/transformer/adapters/adapter.hpp>
#include <metatt/transformer/optimiser.hpp>
#include <metatt/transformer/rank_schedule.hpp>

#include <metatt/tn/tensor_train.hpp>

#include <functional>
#include <string>
#include <vector>

namespace metatt::transformer {

/// What becomes of AdamW's moments when the cores change.
enum class OptimizerState {
  reset,   ///< start again from zero
  project  ///< carried along: the first moment as a gradient, the second as its variance
};

/// A train in training: its cores and what AdamW has averaged of their gradients, in their shapes.
struct TrainedTrain {
  tn::TensorTrain<double> train;
  std::vector<Tensor<double>> first_moments, second_moments;
};

/// A change of one bond.
struct BondChange {
  Index rank_before = 0, rank_after = 0;
  /// All singular values, descending: of the train where it was truncated; where the bond grew,
  /// those of the gradient in the directions that it lacked.
  std::vector<double> spectrum;
  double entropy = 0;           ///< −Σ p ln p of p = σ²/Σσ² of the spectrum
  double discarded_weight = 0;  ///< Σ discarded σ² / Σ σ²
  double discarded_norm = 0;    ///< √Σ discarded σ²
};

/// What a change of ranks did to a train, bond by bond.
struct RankSweep {
  std::vector<BondChange> bonds;
  double error_bound = 0;  ///< on the Frobenius norm of the change of the train (without α)
  double norm_before = 0;  ///< Frobenius norm of the train before

  std::vector<Index> ranks_before() const;
  std::vector<Index> ranks_after() const;
};

/// Changes the ranks of trains.
///
/// Shrinking is a sweep of truncated singular value decompositions (tn::sweep). Growing is the
/// subspace expansion of DMRG (Hubig et al., arXiv:1501.05504) with the gradient in the place of
/// the Hamiltonian: a bond gets new columns in the core left of it, and zeros in the core right of
/// it, so that the train stays what it is. The columns are those directions in which the loss falls
/// fastest among all that neither core reaches at its present rank: with G the gradient of the
/// merged pair of cores and P, Q the projectors onto the columns of the left and the rows of the
/// right core, the leading left singular vectors of (1 − P)·G·(1 − Q), found by a randomised range
/// finder (Halko, Martinsson and Tropp, arXiv:0909.4061). G itself is never formed: random rows in
/// the right core and zero columns in the left one make a train (probe()) whose gradient by those
/// columns is G times the rows.
class RankAdaptation {
 public:
  RankAdaptation(tn::SweepMode mode, OptimizerState state) : mode_(mode), state_(state) {}

  OptimizerState state() const { return state_; }

  /// Sweeps the train to the ranks of the target where they are below its own, or to its budget.
  /// With `state` reset the moments become zero. Throws Error if the train is zero, since it then
  /// has no spectrum, and on ranks that its bonds cannot have.
  RankSweep truncate(TrainedTrain& trained, const RankTarget& target) const;

  /// The train with random rows behind a bond, so that it can grow by `extra`. Its tensor is the
  /// same. Moments are zero where new.
  TrainedTrain probe(const TrainedTrain& trained, Index bond, Index extra,
                     std::uint64_t seed) const;

  /// Grows the bond by at most `extra`. `gradient` is that of the left core of probe().
  BondChange grow(TrainedTrain& trained, Index bond, Index extra,
                  const Tensor<double>& gradient) const;

 private:
  tn::SweepMode mode_;
  OptimizerState state_;
};

/// Throws Error if an adapter cannot have what a schedule asks for: a rank above what a bond can
/// hold, the wrong number of ranks, a budget below what the train has at rank one or of an adapter
/// of several trains, or any change where there is no train.
template <class T>
void check_rank_schedule(const std::vector<RankStep>& schedule, const Adapter<T>& adapter,
                         const Weights<T>& weights);

/// Changes the ranks of all trains of an adapter and puts the new cores and moments into the
/// weights; the moments of other weights stay. `compute_gradients` fills the arena's gradients with
/// those of the loss at the present weights, for growth. Bonds are listed train by train. Computed
/// in double precision on cores of any T. Errors as RankAdaptation.
template <class T>
RankSweep adapt_ranks(const Adapter<T>& adapter, Weights<T>& weights, AdamW<T>& optimiser,
                      const RankTarget& target, const RankAdaptation& adaptation,
                      const std::function<void()>& compute_gradients);

}  // namespace metatt::transformer
