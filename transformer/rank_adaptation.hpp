#pragma once
/// Rank adaptation in the manner of DMRG: trains whose bonds shrink and grow while training goes
/// on.

#include <metatt/transformer/rank_schedule.hpp>

#include <metatt/tn/tensor_train.hpp>

#include <limits>
#include <string>
#include <vector>

namespace metatt::transformer {

using tn::Shape;
using tn::Tensor;

/// What becomes of AdamW's moments when the cores change.
enum class OptimizerState {
  reset,   ///< start again from zero
  project  ///< carried along: the first moment as a gradient, the second as its variance
};

/// A train in training: its cores and what AdamW has averaged of their gradients, in their shapes.
struct TrainWithMoments {
  tn::TensorTrain<double> train;
  std::vector<Tensor<double>> first_moments, second_moments;
};

/// Stands where a change has no such number.
inline constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

/// A change of one bond.
struct BondChange {
  Index bond = 0;  ///< of its train: between cores `bond` and `bond` + 1
  Index rank_before = 0, rank_after = 0;
  /// All singular values, descending: of the train before the sweep where it was truncated; where
  /// the bond grew, those of a random sketch of the gradient in the directions that it lacked
  /// (RankAdaptation::probe), of all passes together if it took several; where it was pruned, the
  /// scores.
  std::vector<double> spectrum;
  /// Those of the train after the whole sweep; none where the bond grew or was pruned.
  std::vector<double> spectrum_after = {};
  /// −Σ p ln p of p = σ²/Σσ² of the spectrum; none if pruned, or grown in several passes.
  double entropy = no_number;
  /// Σ discarded σ² / Σ σ² of the values that the sweep cut: of `rounding` those of the train whose
  /// bonds further left are cut already, of `paper` those of the merged pair. None where the bond
  /// grew or was pruned.
  double discarded_weight = no_number;
  double discarded_norm = no_number;  ///< √Σ discarded σ²
  std::string left_core = {};         ///< name of the core left of it, where it has one
};

/// What a change of ranks did to a train, bond by bond.
struct RankSweep {
  std::vector<BondChange> bonds;
  /// On the Frobenius norm of the change of the train (without α); none if it was pruned.
  double error_bound = no_number;
  double norm_before = no_number;  ///< Frobenius norm of the train before; none for triplets

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
  /// The random rows of probes follow from the seed.
  RankAdaptation(tn::SweepMode mode, OptimizerState state, std::uint64_t seed = 42)
      : mode_(mode), state_(state), seed_(seed) {}

  OptimizerState state() const { return state_; }

  /// Sweeps the train to the ranks of the target where they are below its own, or to its budget.
  /// With `state` reset the moments become zero. Throws Error if the train is zero, since it then
  /// has no spectrum, on ranks that its bonds cannot have, and on ranks together with a budget.
  ///
  /// With the mean xᵀ·x of inputs (D × D, D the first mode) the sweep is that of the train whose
  /// first mode is multiplied by its square root, so that spectra, discarded weights and the error
  /// are those of what the train makes of such inputs, not of the train itself: for a train of two
  /// cores no other cut of its rank changes the outputs less. Inputs that hardly vary in some
  /// direction are taken to vary by 1e-6 of the mean there, so that the root has an inverse.
  RankSweep truncate(TrainWithMoments& trained, const RankTarget& target,
                     const Tensor<double>& input_gram = {}) const;

  /// The train with random rows behind a bond, so that it can grow by `extra`. Its tensor is the
  /// same. Where moments are new the first is zero, the second the mean of its core. Each stream
  /// has random rows of its own.
  TrainWithMoments probe(const TrainWithMoments& trained, Index bond, Index extra,
                         std::uint64_t stream) const;

  /// Grows the bond by at most `extra`. `gradient` is that of the left core of probe(). Moments as
  /// probe(), or zero everywhere with `state` reset.
  BondChange grow(TrainWithMoments& trained, Index bond, Index extra,
                  const Tensor<double>& gradient) const;

 private:
  tn::SweepMode mode_;
  OptimizerState state_;
  std::uint64_t seed_;
};

/// The ranks that a target asks for at each bond of a train that has ranks already: the present
/// ones if it is a budget. Throws Error, naming the `setting`, if the bonds cannot hold them.
std::vector<Index> wanted_ranks(const RankTarget& target, const std::vector<Index>& modes,
                                const std::vector<Index>& present,
                                const char* setting = "rank_schedule");

/// Throws Error, naming the `setting`, if a budget is below what a train of these modes has at rank
/// one.
void check_budget(const char* setting, const tn::TruncationBudget& budget,
                  const std::vector<Index>& modes);

/// The cores of a train from the first to the last.
std::vector<Tensor<double>> dense_cores(const tn::TensorTrain<double>& train);

/// Makes the cores left and right of a bond one, as two-site DMRG does (White 1992,
/// doi:10.1103/PhysRevLett.69.2863): the centre of the canonical form moves there, one core of
/// the two becomes the merged one and the other one the identity, with the bond as wide as that
/// needs. The tensor is the same, and the gradient by the merged core that of the pair, while
/// whatever computes with the train need not know. Returns which core is the merged one. Moments
/// become zero.
Index merge_pair(TrainWithMoments& trained, Index bond);

/// Splits a merged pair by a truncated singular value decomposition, which is the best for the
/// whole train while the other cores are as merge_pair() left them. A pair of zeros keeps the
/// largest rank that the policy allows. Moments become zero.
BondChange split_pair(TrainWithMoments& trained, Index bond, tn::TruncationPolicy policy);

/// Which core of the pair at a bond is the one that merge_pair() makes the merged one, before and
/// after it: the left one unless that needs a wider bond.
Index merged_core(const tn::TensorTrain<double>& train, Index bond);

/// By how much a bond can grow while its neighbours are as they are.
Index room(const tn::TensorTrain<double>& train, Index bond);

}  // namespace metatt::transformer
