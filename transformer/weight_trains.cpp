#include <metatt/transformer/weight_trains.hpp>

#include <metatt/transformer/adapters/meta_tt.hpp>
#include <metatt/transformer/triplet_pruning.hpp>

#include <algorithm>
#include <cmath>
#include <functional>

namespace metatt::transformer {

template <class T>
TrainWithMoments WeightTrain<T>::read() const {
  std::vector<Tensor<double>> cores, first, second;
  auto& arena = weights_->arena();
  for (std::size_t k = 0; k < ids_.size(); ++k) {
    const auto as_core = [&](const Tensor<T>& stored) {
      return tn::converted<double>(stored).reshaped(core_shape(k));
    };
    cores.push_back(as_core(weights_->value(ids_[k])));
    first.push_back(as_core(arena.first_moment(parameter(k))));
    second.push_back(as_core(arena.second_moment(parameter(k))));
  }
  return {tn::TensorTrain<double>(std::move(cores)), std::move(first), std::move(second)};
}

template <class T>
void WeightTrain<T>::write(const TrainWithMoments& trained) const {
  std::vector<typename Weights<T>::Replacement> replacements;
  const auto cores = stored_cores(trained.train);
  for (std::size_t k = 0; k < ids_.size(); ++k) {
    const auto stored = [&](const Tensor<double>& value) {
      return tn::converted<T>(value).reshaped(cores[k].shape());
    };
    replacements.push_back({ids_[k], stored(cores[k]), stored(trained.first_moments[k]),
                            stored(trained.second_moments[k])});
  }
  weights_->replace(replacements);
}

template <class T>
Tensor<double> WeightTrain<T>::gradient(Index core) const {
  const auto k = static_cast<std::size_t>(core);
  return tn::converted<double>(weights_->arena().gradient(parameter(k))).reshaped(core_shape(k));
}

template <class T>
void WeightTrain<T>::clear_gradients_except(Index core) const {
  auto& arena = weights_->arena();
  for (std::size_t k = 0; k < ids_.size(); ++k) {
    if (static_cast<Index>(k) == core) continue;
    const auto target = arena.gradient_target(parameter(k));
    tn::backend::fill(tn::backend::queue(), tn::element_count(weights_->shape(ids_[k])), T(0),
                      target.data);
  }
}

template <class T>
const std::string& WeightTrain<T>::name(Index core) const {
  return weights_->name(ids_.at(static_cast<std::size_t>(core)));
}

template <class T>
Shape WeightTrain<T>::core_shape(std::size_t k) const {
  Shape shape = weights_->shape(ids_[k]);
  if (k == 0) shape.insert(shape.begin(), 1);
  if (k + 1 == ids_.size()) shape.push_back(1);
  return shape;
}

template <class T>
Index WeightTrain<T>::parameter(std::size_t k) const {
  return weights_->arena().find(weights_->name(ids_[k]));
}

template class WeightTrain<float>;
template class WeightTrain<double>;

namespace {

/// A bond that grows again, once its neighbours have made room, has the values of all passes. They
/// are of different sketches, so that they have no entropy together.
void note_growth(BondChange& noted, BondChange change) {
  change.rank_before = noted.rank_before;
  if (noted.rank_after > noted.rank_before) {
    change.spectrum.insert(change.spectrum.end(), noted.spectrum.begin(), noted.spectrum.end());
    std::ranges::sort(change.spectrum, std::greater{});
    change.entropy = no_number;
  }
  noted = std::move(change);
}

/// Grows bond after bond, as often as neighbours that have grown leave more room.
template <class T>
void grow_all(const WeightTrain<T>& place, TrainWithMoments& trained,
              const std::vector<Index>& wanted, const RankAdaptation& adaptation,
              const std::function<void()>& compute_gradients, std::uint64_t& stream,
              RankSweep& result) {
  for (bool grown = true; grown;) {
    grown = false;
    for (Index bond = 0; bond + 1 < trained.train.length(); ++bond) {
      const auto k = static_cast<std::size_t>(bond);
      const Index extra = std::min(wanted[k] - trained.train.ranks()[k], room(trained.train, bond));
      if (extra <= 0) continue;
      place.write(adaptation.probe(trained, bond, extra, stream++));
      compute_gradients();
      note_growth(result.bonds[k], adaptation.grow(trained, bond, extra, place.gradient(bond)));
      place.write(trained);
      grown = true;
    }
  }
}

}  // namespace

template <class T>
std::vector<Index> present_ranks(const Adapter<T>& adapter, const Weights<T>& weights) {
  std::vector<Index> ranks;
  for (const auto& ids : adapter.trains())
    for (std::size_t k = 0; k + 1 < ids.size(); ++k) ranks.push_back(weights.shape(ids[k]).back());
  for (const auto& triplet : adapter.triplets()) ranks.push_back(weights.shape(triplet.E).front());
  return ranks;
}

template std::vector<Index> present_ranks(const Adapter<float>&, const Weights<float>&);
template std::vector<Index> present_ranks(const Adapter<double>&, const Weights<double>&);

template <class T>
void check_rank_schedule(const std::vector<RankStep>& schedule, const Adapter<T>& adapter,
                         const Weights<T>& weights) {
  const std::string& kind = adapter.settings().kind;
  const auto trains = adapter.trains();
  if (!adapter.triplets().empty()) return check_pruning_schedule(schedule);
  if (trains.empty())
    tn::fail("rank_schedule: an adapter ", kind, " has no ranks that could change");
  for (const auto& ids : trains) {
    std::vector<Index> modes, ranks;
    for (std::size_t k = 0; k < ids.size(); ++k) {
      const Shape& shape = weights.shape(ids[k]);
      modes.push_back(shape[k == 0 ? 0 : 1]);
      if (k + 1 < ids.size()) ranks.push_back(shape.back());
    }
    for (const RankStep& step : schedule) {
      wanted_ranks(step.target, modes, ranks);
      if (!step.target.ranks.empty()) continue;
      if (trains.size() > 1 && step.target.budget.maximum_parameters != tn::unlimited)
        tn::fail("rank_schedule: a number of parameters is that of one train, but ", kind, " has ",
                 trains.size(), "; expected ranks or a cutoff");
      check_budget("rank_schedule", step.target.budget, modes);
    }
  }
}

template void check_rank_schedule(const std::vector<RankStep>&, const Adapter<float>&,
                                  const Weights<float>&);
template void check_rank_schedule(const std::vector<RankStep>&, const Adapter<double>&,
                                  const Weights<double>&);

template <class T>
void restart_moments(Weights<T>& weights, AdamW<T>& optimiser, WeightGroup group) {
  auto& arena = weights.arena();
  const auto [begin, count] = arena.group_range(static_cast<int>(group));
  for (T* moments : {arena.first_moments(), arena.second_moments()})
    tn::backend::fill(tn::backend::queue(), count, T(0), moments + begin);
  optimiser.restart(group);
}

template void restart_moments(Weights<float>&, AdamW<float>&, WeightGroup);
template void restart_moments(Weights<double>&, AdamW<double>&, WeightGroup);

template <class T>
RankSweep adapt_ranks(const std::vector<TrainIds<T>>& trains, Weights<T>& weights,
                      AdamW<T>& optimiser, const RankTarget& target,
                      const RankAdaptation& adaptation,
                      const std::function<void()>& compute_gradients,
                      const Tensor<double>& input_gram) {
  RankSweep result{.bonds = {}, .error_bound = 0, .norm_before = 0};
  // Slices of cores may have been drawn from these streams too (codes no and or): no harm, since
  // probes leave out what the cores reach.
  std::uint64_t stream = std::uint64_t{1} << 32;
  for (const auto& ids : trains) {
    const WeightTrain<T> place(ids, weights);
    TrainWithMoments trained = place.read();
    const auto wanted = wanted_ranks(target, trained.train.modes(), trained.train.ranks());
    RankSweep part = adaptation.truncate(trained, target, input_gram);
    place.write(trained);
    if (!target.ranks.empty())
      grow_all(place, trained, wanted, adaptation, compute_gradients, stream, part);
    for (BondChange& bond : part.bonds) bond.left_core = place.name(bond.bond);
    result.bonds.insert(result.bonds.end(), part.bonds.begin(), part.bonds.end());
    result.error_bound = std::hypot(result.error_bound, part.error_bound);
    result.norm_before = std::hypot(result.norm_before, part.norm_before);
  }
  if (adaptation.state() == OptimizerState::reset)
    restart_moments(weights, optimiser, WeightGroup::decayed);
  return result;
}

template RankSweep adapt_ranks(const std::vector<TrainIds<float>>&, Weights<float>&, AdamW<float>&,
                               const RankTarget&, const RankAdaptation&,
                               const std::function<void()>&, const Tensor<double>&);
template RankSweep adapt_ranks(const std::vector<TrainIds<double>>&, Weights<double>&,
                               AdamW<double>&, const RankTarget&, const RankAdaptation&,
                               const std::function<void()>&, const Tensor<double>&);

}  // namespace metatt::transformer
