#include <metatt/transformer/two_site_sweep.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::transformer {

namespace {

/// The first bond beside a core of zeros; 0 if there is none.
Index first_bond(const tn::TensorTrain<double>& train) {
  for (Index k = 0; k < train.length(); ++k)
    if (tn::norm(train.core(k)) == 0) return std::max<Index>(k - 1, 0);
  return 0;
}

}  // namespace

template <class T>
TwoSiteSweep<T>::TwoSiteSweep(TrainIds<T> train, Weights<T>& weights, Index steps)
    : train_(train, weights),
      weights_(weights),
      steps_(steps),
      length_(static_cast<Index>(train.size())) {
  if (steps < 1) tn::fail("two_site_steps: expected at least 1, found ", steps);
  if (length_ < 2)
    tn::fail("two_site_steps: expected a train of two cores or more, found ", length_);
  state_.pair = first_bond(train_.read().train);
}

template <class T>
void TwoSiteSweep<T>::set_state(const TwoSiteState& state) {
  state_ = state;
  if (merged()) merged_core_ = merged_core(train_.read().train, bond());
}

template <class T>
Index TwoSiteSweep<T>::bond() const {
  if (bonds() == 1) return 0;
  const Index period = 2 * (bonds() - 1), place = state_.pair % period;
  return place < bonds() ? place : period - place;
}

template <class T>
void TwoSiteSweep<T>::merge(AdamW<T>& optimiser) {
  TrainWithMoments trained = train_.read();
  state_.rank = trained.train.ranks()[static_cast<std::size_t>(bond())];
  merged_core_ = merge_pair(trained, bond());
  train_.write(trained);
  restart_moments(weights_, optimiser, WeightGroup::decayed);
  state_.merged = true;
}

template <class T>
void TwoSiteSweep<T>::keep_others_fixed() const {
  train_.clear_gradients_except(merged_core_);
}

template <class T>
RankSweep TwoSiteSweep<T>::split(AdamW<T>& optimiser, const RankTarget& target) {
  if (target.budget.maximum_parameters != tn::unlimited)
    tn::fail(
        "two_site_steps: expected ranks or a cutoff, found a budget of parameters, which a "
        "pair cannot share out");
  const Index place = bond();
  tn::TruncationPolicy policy{.cutoff = target.budget.cutoff};
  if (!target.ranks.empty()) policy.maximum_rank = target.rank(static_cast<std::size_t>(place));
  TrainWithMoments trained = train_.read();
  BondChange change = split_pair(trained, place, policy);
  change.left_core = train_.name(place);
  change.rank_before = state_.rank;
  train_.write(trained);
  restart_moments(weights_, optimiser, WeightGroup::decayed);
  double norm = 0;
  for (const double value : change.spectrum) norm = std::hypot(norm, value);
  state_ = {norm > 0 ? state_.pair + 1 : state_.pair, 0, false, 0};
  RankSweep done{{}, change.discarded_norm, norm};
  done.bonds.push_back(std::move(change));
  return done;
}

template class TwoSiteSweep<float>;
template class TwoSiteSweep<double>;

}  // namespace metatt::transformer
