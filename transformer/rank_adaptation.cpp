#include <metatt/transformer/rank_adaptation.hpp>

#include <metatt/tn/chain/measurement.hpp>
#include <metatt/tn/contract.hpp>
#include <metatt/tn/decompositions.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::transformer {

namespace {

using Train = tn::TensorTrain<double>;

/// More random rows than directions are wanted make the range finder reliable.
constexpr Index oversampling = 4;

Tensor<double> squared(const Tensor<double>& in) {
  if (in.empty()) return in;
  auto values = in.to_vector();
  for (double& v : values) v *= v;
  return Tensor<double>::from(in.shape(), std::span<const double>(values));
}

/// expandᵀ · g · reduceᵀ with the matrices of the bonds left and right of a core; either may be
/// empty at an end of the train.
Tensor<double> carry(const Tensor<double>& g, const Tensor<double>& expand,
                     const Tensor<double>& reduce) {
  Tensor<double> out = g;
  if (!expand.empty()) out = tn::contract("ab,aic->bic", expand, out);
  if (!reduce.empty()) out = tn::contract("bic,dc->bid", out, reduce);
  return out;
}

/// With the gauge matrices of the sweep, g' = expandᵀ·g·reduceᵀ: the first moment goes the same
/// way, and the second, a variance of independent entries, with the squares of the matrices.
void project_moments(TrainedTrain& trained, const tn::SweepReport<double>& report) {
  for (std::size_t k = 0; k < trained.first_moments.size(); ++k) {
    const auto expand = k > 0 ? report.bonds[k - 1].expand.to_dense() : Tensor<double>();
    const auto reduce =
        k < report.bonds.size() ? report.bonds[k].reduce.to_dense() : Tensor<double>();
    trained.first_moments[k] = carry(trained.first_moments[k], expand, reduce);
    trained.second_moments[k] = carry(trained.second_moments[k], squared(expand), squared(reduce));
  }
}

void clear_moments(TrainedTrain& trained) {
  for (Index k = 0; k < trained.train.length(); ++k) {
    const auto zeros = Tensor<double>::zeros(trained.train.core(k).shape());
    trained.first_moments[static_cast<std::size_t>(k)] = zeros;
    trained.second_moments[static_cast<std::size_t>(k)] = zeros;
  }
}

/// The core as a matrix: the left bond and the mode × the right bond, or the left bond × the rest.
Tensor<double> left_matrix(const Tensor<double>& core) {
  return core.reshaped({core.extent(0) * core.extent(1), core.extent(2)});
}
Tensor<double> right_matrix(const Tensor<double>& core) {
  return core.reshaped({core.extent(0), core.extent(1) * core.extent(2)});
}

/// Columns of `more` behind those of a core.
Tensor<double> with_columns(const Tensor<double>& core, const Tensor<double>& more) {
  auto& queue = tn::backend::queue();
  const Index rows = core.extent(0) * core.extent(1), old = core.extent(2), added = more.extent(1);
  Tensor<double> wide({core.extent(0), core.extent(1), old + added});
  tn::backend::copy_matrix(queue, rows, old, core.data(), old, wide.mutable_data(), old + added);
  tn::backend::copy_matrix(queue, rows, added, more.data(), added, wide.mutable_data() + old,
                           old + added);
  return wide;
}

/// Rows of `more` below those of a core.
Tensor<double> with_rows(const Tensor<double>& core, const Tensor<double>& more) {
  auto& queue = tn::backend::queue();
  Tensor<double> high({core.extent(0) + more.extent(0), core.extent(1), core.extent(2)});
  tn::backend::copy(queue, core.size(), core.data(), high.mutable_data());
  tn::backend::copy(queue, more.size(), more.data(), high.mutable_data() + core.size());
  return high;
}

/// Enlarges the bond right of core k and its moments.
TrainedTrain enlarged(const TrainedTrain& trained, Index bond, const Tensor<double>& columns,
                      const Tensor<double>& rows) {
  const auto k = static_cast<std::size_t>(bond);
  std::vector<Tensor<double>> cores;
  for (Index i = 0; i < trained.train.length(); ++i) cores.push_back(trained.train.dense_core(i));
  cores[k] = with_columns(cores[k], columns);
  cores[k + 1] = with_rows(cores[k + 1], rows);
  TrainedTrain larger{Train(std::move(cores)), trained.first_moments, trained.second_moments};
  for (auto* moments : {&larger.first_moments, &larger.second_moments}) {
    (*moments)[k] = with_columns((*moments)[k], Tensor<double>::zeros(columns.shape()));
    (*moments)[k + 1] = with_rows((*moments)[k + 1], Tensor<double>::zeros(rows.shape()));
  }
  return larger;
}

/// rows − (rows·Qᵀ)·Q for orthonormal rows Q.
Tensor<double> without_rows(const Tensor<double>& rows, const Tensor<double>& Q) {
  const Tensor<double> inside = tn::matrix_product(tn::matrix_product(rows, tn::adjoint(Q)), Q);
  Tensor<double> rest =
      Tensor<double>::from(rows.shape(), std::span<const double>(rows.to_vector()));
  tn::backend::add_scaled(tn::backend::queue(), rest.size(), -1.0, inside.data(),
                          rest.mutable_data());
  return rest;
}

/// The ranks that a target asks for at each bond of a train that has ranks already. Throws Error if
/// the bonds cannot hold them.
std::vector<Index> wanted_ranks(const RankTarget& target, const std::vector<Index>& modes,
                                const std::vector<Index>& present) {
  if (target.ranks.empty()) return present;
  if (target.ranks.size() != 1 && target.ranks.size() != present.size())
    tn::fail("rank_schedule: expected a rank for all bonds or ", present.size(),
             ", one for each, found ", target.ranks.size());
  const auto possible = tn::maximal_ranks(modes);
  std::vector<Index> ranks;
  for (std::size_t k = 0; k < present.size(); ++k) {
    ranks.push_back(target.rank(k));
    if (ranks.back() > possible[k])
      tn::fail("rank_schedule: bond ", k + 1, " can hold at most rank ", possible[k], ", found ",
               ranks.back());
  }
  // What stands on either side of a bond cannot carry more either.
  for (std::size_t k = 0; k < ranks.size(); ++k) {
    const Index left = (k > 0 ? ranks[k - 1] : 1) * modes[k];
    const Index right = modes[k + 1] * (k + 1 < ranks.size() ? ranks[k + 1] : 1);
    if (ranks[k] > std::min(left, right))
      tn::fail("rank_schedule: bond ", k + 1, " can hold at most rank ", std::min(left, right),
               " beside the ranks of its neighbours, found ", ranks[k]);
  }
  return ranks;
}

/// By how much a bond can grow while its neighbours are as they are.
Index room(const Train& train, Index bond) {
  const auto& left = train.core(bond).shape();
  const auto& right = train.core(bond + 1).shape();
  return std::min(left[0] * left[1], right[1] * right[2]) - left[2];
}

}  // namespace

std::vector<Index> RankSweep::ranks_before() const {
  std::vector<Index> ranks;
  for (const BondChange& bond : bonds) ranks.push_back(bond.rank_before);
  return ranks;
}

std::vector<Index> RankSweep::ranks_after() const {
  std::vector<Index> ranks;
  for (const BondChange& bond : bonds) ranks.push_back(bond.rank_after);
  return ranks;
}

RankSweep RankAdaptation::truncate(TrainedTrain& trained, const RankTarget& target) const {
  RankSweep result;
  const auto before = trained.train.ranks();
  const auto wanted = wanted_ranks(target, trained.train.modes(), before);
  result.norm_before = trained.train.norm();
  if (result.norm_before == 0)
    tn::fail("adapt_ranks: the adapter is still zero and has no spectrum; train it before a sweep");
  std::vector<tn::TruncationPolicy> policies;
  for (std::size_t k = 0; k < before.size(); ++k) {
    const Index rank = std::min(before[k], wanted[k]);
    policies.push_back({.maximum_rank = rank, .minimum_rank = rank});
  }
  const auto report = target.ranks.empty() ? tn::sweep_within(trained.train, target.budget, mode_)
                                           : tn::sweep(trained.train, policies, mode_);
  if (state_ == OptimizerState::project)
    project_moments(trained, report);
  else
    clear_moments(trained);
  const auto after = trained.train.ranks();
  for (std::size_t k = 0; k < before.size(); ++k) {
    const auto& bond = report.bonds[k];
    result.bonds.push_back({before[k], after[k], bond.spectrum, tn::entropy(bond.spectrum),
                            bond.truncation.discarded_weight, bond.truncation.discarded_norm});
  }
  result.error_bound = report.error_bound;
  return result;
}

TrainedTrain RankAdaptation::probe(const TrainedTrain& trained, Index bond, Index extra,
                                   std::uint64_t seed) const {
  const Tensor<double> left = trained.train.dense_core(bond),
                       right = right_matrix(trained.train.dense_core(bond + 1));
  const Index count = std::min(extra + oversampling, room(trained.train, bond));
  const Tensor<double> random = without_rows(
      tn::random_normal<double>({count, right.extent(1)}, seed, static_cast<std::uint64_t>(bond)),
      tn::lq(right).q);
  return enlarged(trained, bond, Tensor<double>::zeros({left.extent(0) * left.extent(1), count}),
                  tn::lq(random).q);
}

BondChange RankAdaptation::grow(TrainedTrain& trained, Index bond, Index extra,
                                const Tensor<double>& gradient) const {
  const Tensor<double> left = left_matrix(trained.train.dense_core(bond));
  const Index rank = left.extent(1), wide = gradient.extent(2);
  Tensor<double> outside({left.extent(0), wide - rank});
  tn::backend::copy_matrix(tn::backend::queue(), left.extent(0), wide - rank,
                           gradient.data() + rank, wide, outside.mutable_data(), wide - rank);
  const auto directions =
      tn::svd(tn::adjoint(without_rows(tn::adjoint(outside), tn::adjoint(tn::qr(left).q))));
  const Index added = std::min(extra, wide - rank);
  // As long as the columns that are there, so that AdamW's steps do as much in both.
  const double norm = tn::backend::norm(tn::backend::queue(), left.size(), left.data());
  Tensor<double> columns = tn::leading_columns(directions.u, added);
  tn::backend::scale(tn::backend::queue(), columns.size(),
                     norm > 0 ? norm / std::sqrt(static_cast<double>(rank)) : 1.0,
                     columns.mutable_data());
  const Tensor<double> right = right_matrix(trained.train.dense_core(bond + 1));
  trained = enlarged(trained, bond, columns, Tensor<double>::zeros({added, right.extent(1)}));
  if (state_ == OptimizerState::reset) clear_moments(trained);
  return {rank, rank + added, directions.singular_values, tn::entropy(directions.singular_values)};
}

namespace {

/// A train of an adapter and where its cores are.
template <class T>
class AdapterTrain {
 public:
  AdapterTrain(const std::vector<typename Weights<T>::Id>& ids, Weights<T>& weights)
      : ids_(ids), weights_(weights) {}

  TrainedTrain read() const {
    std::vector<Tensor<double>> cores, first, second;
    auto& arena = weights_.arena();
    for (std::size_t k = 0; k < ids_.size(); ++k) {
      const Index parameter = arena.find(weights_.name(ids_[k]));
      const auto as_core = [&](const Tensor<T>& stored) {
        return tn::converted<double>(stored).reshaped(core_shape(k));
      };
      cores.push_back(as_core(weights_.value(ids_[k])));
      first.push_back(as_core(arena.first_moment(parameter)));
      second.push_back(as_core(arena.second_moment(parameter)));
    }
    return {Train(std::move(cores)), std::move(first), std::move(second)};
  }
  void write(const TrainedTrain& trained) const {
    std::vector<typename Weights<T>::Replacement> replacements;
    for (std::size_t k = 0; k < ids_.size(); ++k) {
      const Tensor<double> core = trained.train.dense_core(static_cast<Index>(k));
      Shape shape = core.shape();
      if (k == 0) shape.erase(shape.begin());
      if (k + 1 == ids_.size()) shape.pop_back();
      const auto stored = [&](const Tensor<double>& value) {
        return tn::converted<T>(value).reshaped(shape);
      };
      replacements.push_back({ids_[k], stored(core), stored(trained.first_moments[k]),
                              stored(trained.second_moments[k])});
    }
    weights_.replace(replacements);
  }
  /// Of core k, which may be an end of the train.
  Tensor<double> gradient(Index k) const {
    const auto place = static_cast<std::size_t>(k);
    auto& arena = weights_.arena();
    return tn::converted<double>(arena.gradient(arena.find(weights_.name(ids_[place]))))
        .reshaped(core_shape(place));
  }

 private:
  Shape core_shape(std::size_t k) const {
    Shape shape = weights_.shape(ids_[k]);
    if (k == 0) shape.insert(shape.begin(), 1);
    if (k + 1 == ids_.size()) shape.push_back(1);
    return shape;
  }
  const std::vector<typename Weights<T>::Id>& ids_;
  Weights<T>& weights_;
};

/// Restarts what of the adapter is in none of its trains: the bias correction restarts for all.
template <class T>
void clear_other_moments(const Adapter<T>& adapter, Weights<T>& weights) {
  std::vector<typename Weights<T>::Replacement> others;
  for (const auto id : adapter.tensors()) {
    const bool in_train = std::ranges::any_of(
        adapter.trains(), [&](const auto& ids) { return std::ranges::find(ids, id) != ids.end(); });
    if (!in_train && weights.trainable(id)) others.push_back({id, weights.value(id), {}, {}});
  }
  if (!others.empty()) weights.replace(others);
}

/// Grows bond after bond, as often as neighbours that have grown leave more room.
template <class T>
void grow_all(const AdapterTrain<T>& place, TrainedTrain& trained, const std::vector<Index>& wanted,
              const RankAdaptation& adaptation, const std::function<void()>& compute_gradients,
              std::uint64_t seed, RankSweep& result) {
  for (bool grown = true; grown;) {
    grown = false;
    for (Index bond = 0; bond + 1 < trained.train.length(); ++bond) {
      const auto k = static_cast<std::size_t>(bond);
      const Index extra = std::min(wanted[k] - trained.train.ranks()[k], room(trained.train, bond));
      if (extra <= 0) continue;
      place.write(
          adaptation.probe(trained, bond, extra, seed + static_cast<std::uint64_t>(wanted[k])));
      compute_gradients();
      const BondChange change = adaptation.grow(trained, bond, extra, place.gradient(bond));
      place.write(trained);
      const Index before = result.bonds[k].rank_before;
      result.bonds[k] = change;
      result.bonds[k].rank_before = before;
      grown = true;
    }
  }
}

}  // namespace

template <class T>
void check_rank_schedule(const std::vector<RankStep>& schedule, const Adapter<T>& adapter,
                         const Weights<T>& weights) {
  const std::string& kind = adapter.settings().kind;
  const auto trains = adapter.trains();
  if (trains.empty())
    tn::fail("rank_schedule: an adapter ", kind, " has no tensor train whose ranks could change");
  for (const auto& ids : trains) {
    std::vector<Index> modes, ranks;
    Index smallest = 0;
    for (std::size_t k = 0; k < ids.size(); ++k) {
      const Shape& shape = weights.shape(ids[k]);
      modes.push_back(shape[k == 0 ? 0 : 1]);
      smallest += modes.back();
      if (k + 1 < ids.size()) ranks.push_back(shape.back());
    }
    for (const RankStep& step : schedule) {
      wanted_ranks(step.target, modes, ranks);
      if (!step.target.ranks.empty()) continue;
      if (trains.size() > 1)
        tn::fail("rank_schedule: a budget is that of one train, but ", kind, " has ", trains.size(),
                 "; expected ranks");
      if (step.target.budget.maximum_parameters < smallest)
        tn::fail("rank_schedule: expected at least ", smallest,
                 " parameters, those of rank one, found ", step.target.budget.maximum_parameters);
    }
  }
}

template void check_rank_schedule(const std::vector<RankStep>&, const Adapter<float>&,
                                  const Weights<float>&);
template void check_rank_schedule(const std::vector<RankStep>&, const Adapter<double>&,
                                  const Weights<double>&);

template <class T>
RankSweep adapt_ranks(const Adapter<T>& adapter, Weights<T>& weights, AdamW<T>& optimiser,
                      const RankTarget& target, const RankAdaptation& adaptation,
                      const std::function<void()>& compute_gradients) {
  RankSweep result;
  std::uint64_t seed = 0;  // random rows of its own for every train
  for (const auto& ids : adapter.trains()) {
    seed += std::uint64_t{1} << 32;
    const AdapterTrain<T> place(ids, weights);
    TrainedTrain trained = place.read();
    const auto wanted = wanted_ranks(target, trained.train.modes(), trained.train.ranks());
    RankSweep part = adaptation.truncate(trained, target);
    place.write(trained);
    if (!target.ranks.empty())
      grow_all(place, trained, wanted, adaptation, compute_gradients, seed, part);
    result.bonds.insert(result.bonds.end(), part.bonds.begin(), part.bonds.end());
    result.error_bound = std::hypot(result.error_bound, part.error_bound);
    result.norm_before = std::hypot(result.norm_before, part.norm_before);
  }
  if (adaptation.state() == OptimizerState::reset) {
    clear_other_moments(adapter, weights);
    optimiser.restart(WeightGroup::decayed);
  }
  return result;
}

template RankSweep adapt_ranks(const Adapter<float>&, Weights<float>&, AdamW<float>&,
                               const RankTarget&, const RankAdaptation&,
                               const std::function<void()>&);
template RankSweep adapt_ranks(const Adapter<double>&, Weights<double>&, AdamW<double>&,
                               const RankTarget&, const RankAdaptation&,
                               const std::function<void()>&);

}  // namespace metatt::transformer
