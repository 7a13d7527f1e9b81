#pragma once
/// Rank adaptation in the manner of DMRG: sweeps over the adapter's train while training goes on.

#include <metatt/transformer/adapters/meta_tt.hpp>
#include <metatt/transformer/optimiser.hpp>

#include <string>
#include <vector>

namespace metatt::transformer {

/// The rank of all bonds from the start of an epoch on.
struct RankStep {
  Index epoch;
  Index rank;
};

/// Reads "0:10,3:8,5:6". The first epoch is 0 (the rank that training starts with), epochs rise,
/// ranks fall. Throws Error naming what was expected and found, also if an epoch is not below
/// `epochs` (it would never be reached).
std::vector<RankStep> parse_rank_schedule(const std::string& text, Index epochs);

/// What becomes of AdamW's moments when a sweep changes the cores.
enum class OptimizerState {
  reset,   ///< start again from zero
  project  ///< carried along: the first moment as a gradient, the second as its variance
};

/// One sweep, for logs.
struct RankSweep {
  std::vector<Index> ranks_before, ranks_after;
  std::vector<tn::BondSpectrum> bonds;  ///< spectrum and truncation of each bond
  double error_bound = 0;  ///< on the Frobenius norm of the change of the train (without α)
  double norm_before = 0;  ///< Frobenius norm of the train before
};

/// Sweeps the adapter's train to rank `rank` at every bond and puts the new cores and moments into
/// the weights. The moments of other weights stay. Throws Error if the train is zero (it has no
/// spectrum) or a bond has less than `rank`. The sweep runs in double precision on cores of any T.
template <class T>
RankSweep adapt_ranks(const MetaTT<T>& adapter, Weights<T>& weights, AdamW<T>& optimiser,
                      Index rank, tn::SweepMode mode, OptimizerState state);

}  // namespace metatt::transformer
