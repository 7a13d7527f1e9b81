#pragma once
/// Two-site steps: DMRG proper, with AdamW in the place of the eigensolver.

#include <metatt/transformer/weight_trains.hpp>

namespace metatt::transformer {

/// Trains the cores of a train in pairs. Two neighbours are merged into one core, which alone of
/// the train is trained for some steps; a truncated singular value decomposition splits it, with
/// the rank that the bond then has; and the pair moves on by one bond, to the right end of the
/// train and back again. Ranks so rise and fall as the spectra ask. Other weights, as those of a
/// head, are trained all the time.
///
/// The first pair is the leftmost one, but of a train with a core of zeros the first that has it,
/// and a pair that is still zero when it is split is the next one again: the canonical form of
/// another pair would go through the zeros, which carry nothing of the cores beyond.
///
///     sweep.merge(optimiser);          // if !sweep.merged()
///     … compute gradients …
///     sweep.keep_others_fixed();
///     optimiser.step();
///     if (sweep.count_step()) sweep.split(optimiser, target);
template <class T>
class TwoSiteSweep {
 public:
  /// `steps` for each pair. Throws Error on fewer than one or a train of one core.
  TwoSiteSweep(TrainIds<T> train, Weights<T>& weights, Index steps);

  const TwoSiteState& state() const { return state_; }
  void set_state(const TwoSiteState& state);
  bool merged() const { return state_.merged; }
  /// The bond inside the present pair.
  Index bond() const;

  /// Makes the pair one core. The moments of the whole train restart.
  void merge(AdamW<T>& optimiser);
  /// Sets the gradients of all cores but the merged one to zero: with moments of zero AdamW leaves
  /// them as they are.
  void keep_others_fixed() const;
  /// Counts a step; whether it was the last one of the pair.
  bool count_step() { return ++state_.steps >= steps_; }
  /// Splits the pair, to the rank or the cutoff of the target, and moves on. What it says of the
  /// bond's rank before is that of before the merger. Throws Error on a budget of parameters, which
  /// is one of the whole train.
  RankSweep split(AdamW<T>& optimiser, const RankTarget& target);

 private:
  Index bonds() const { return length_ - 1; }

  WeightTrain<T> train_;
  Weights<T>& weights_;
  Index steps_, length_, merged_core_ = 0;
  TwoSiteState state_;
};

}  // namespace metatt::transformer
