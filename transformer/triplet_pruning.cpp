#include <metatt/transformer/triplet_pruning.hpp>

#include <metatt/tn/contract.hpp>
#include <metatt/tn/decompositions.hpp>
#include <metatt/transformer/bond_importance.hpp>
#include <metatt/transformer/weight_trains.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace metatt::transformer {

namespace {

/// The weights of a triplet with the axis that counts its directions.
template <class T>
std::array<std::pair<typename Weights<T>::Id, std::size_t>, 3> parts(
    const typename Adapter<T>::Triplet& triplet) {
  return {{{triplet.U, 1}, {triplet.E, 0}, {triplet.V, 0}}};
}

/// Of all numbers of U, E and V of a site, for one batch.
using SiteSensitivities = std::array<std::vector<double>, 3>;

template <class T>
SiteSensitivities sensitivities_now(const typename Adapter<T>::Triplet& triplet,
                                    const Weights<T>& weights) {
  const auto& arena = weights.arena();
  SiteSensitivities all;
  for (std::size_t part = 0; const auto& [id, axis] : parts<T>(triplet))
    all[part++] =
        sensitivities(tn::converted<double>(weights.value(id)),
                      tn::converted<double>(arena.gradient(arena.find(weights.name(id)))));
  return all;
}

/// Mean times mean deviation of each number of one part.
std::vector<double> number_scores(const std::vector<SiteSensitivities>& batches, std::size_t part) {
  std::vector<double> scores;
  const auto count = static_cast<double>(batches.size());
  for (std::size_t i = 0; i < batches.front()[part].size(); ++i) {
    double mean = 0, deviation = 0;
    for (const auto& batch : batches) mean += batch[part][i] / count;
    for (const auto& batch : batches) deviation += std::abs(batch[part][i] - mean) / count;
    scores.push_back(mean * deviation);
  }
  return scores;
}

/// Of all directions of a site.
template <class T>
std::vector<double> direction_scores(const typename Adapter<T>::Triplet& triplet,
                                     const Weights<T>& weights,
                                     const std::vector<SiteSensitivities>& batches) {
  std::vector<double> sum;
  for (std::size_t part = 0; const auto& [id, axis] : parts<T>(triplet)) {
    const auto means = means_along(number_scores(batches, part++), weights.shape(id), axis);
    sum.resize(means.size(), 0.0);
    for (std::size_t i = 0; i < means.size(); ++i) sum[i] += means[i];
  }
  return sum;
}

/// How many directions each site keeps of `budget` in all: its best one, and the best of the rest.
std::vector<Index> shared_out(const std::vector<std::vector<double>>& scores, Index budget) {
  std::vector<Index> ranks(scores.size(), 1);
  std::vector<std::pair<double, std::size_t>> rest;
  for (std::size_t site = 0; site < scores.size(); ++site) {
    auto sorted = scores[site];
    std::ranges::sort(sorted, std::greater{});
    for (std::size_t i = 1; i < sorted.size(); ++i) rest.emplace_back(sorted[i], site);
  }
  std::ranges::stable_sort(rest, [](const auto& a, const auto& b) { return a.first > b.first; });
  const auto left = static_cast<std::size_t>(budget) - scores.size();
  for (std::size_t i = 0; i < std::min(left, rest.size()); ++i) ++ranks[rest[i].second];
  return ranks;
}

/// Appends what replaces the weights of a site when only some directions stay.
template <class T>
void keep(const typename Adapter<T>::Triplet& triplet, const Weights<T>& weights,
          const std::vector<Index>& kept,
          std::vector<typename Weights<T>::Replacement>& replacements) {
  const auto& arena = weights.arena();
  for (const auto& [id, axis] : parts<T>(triplet)) {
    const Index parameter = arena.find(weights.name(id));
    const auto cut = [&, axis = axis](const Tensor<T>& tensor) {
      return tn::converted<T>(selected(tn::converted<double>(tensor), axis, kept));
    };
    replacements.push_back({id, cut(weights.value(id)), cut(arena.first_moment(parameter)),
                            cut(arena.second_moment(parameter))});
  }
}

}  // namespace

template <class T>
RankSweep prune_triplets(const std::vector<typename Adapter<T>::Triplet>& triplets,
                         Weights<T>& weights, AdamW<T>& optimiser, const RankTarget& target,
                         OptimizerState state,
                         const std::function<void(Index)>& compute_gradients) {
  check_pruning_schedule({{0, false, target}});
  std::vector<std::vector<SiteSensitivities>> sensitivity(triplets.size());
  for (Index batch = 0; batch < pruning_batches; ++batch) {
    compute_gradients(batch);
    for (std::size_t site = 0; site < triplets.size(); ++site)
      sensitivity[site].push_back(sensitivities_now<T>(triplets[site], weights));
  }
  std::vector<std::vector<double>> scores;
  Index present = 0;
  for (std::size_t site = 0; site < triplets.size(); ++site) {
    scores.push_back(direction_scores<T>(triplets[site], weights, sensitivity[site]));
    present += static_cast<Index>(scores.back().size());
  }
  const Index budget = target.ranks.front() * static_cast<Index>(triplets.size());
  if (budget > present)
    tn::fail("rank_schedule: expected ranks that fall, found ", target.ranks.front(), " above ",
             static_cast<double>(present) / static_cast<double>(triplets.size()),
             ", the mean over all matrices");
  const auto ranks = shared_out(scores, budget);
  RankSweep result;
  std::vector<typename Weights<T>::Replacement> replacements;
  for (std::size_t site = 0; site < triplets.size(); ++site) {
    keep(triplets[site], weights, largest_places(scores[site], ranks[site]), replacements);
    auto spectrum = scores[site];
    std::ranges::sort(spectrum, std::greater{});
    BondChange change{0, static_cast<Index>(spectrum.size()), ranks[site], std::move(spectrum)};
    change.left_core = weights.name(triplets[site].U);
    result.bonds.push_back(std::move(change));
  }
  weights.replace(replacements);
  if (state == OptimizerState::reset) restart_moments(weights, optimiser, WeightGroup::decayed);
  return result;
}

void check_pruning_schedule(const std::vector<RankStep>& schedule) {
  for (std::size_t i = 0; i < schedule.size(); ++i) {
    const auto& ranks = schedule[i].target.ranks;
    if (ranks.size() != 1)
      tn::fail(
          "rank_schedule: pruning by importance expects one rank, the mean over all matrices, "
          "found ",
          ranks.empty() ? "a cutoff or a number of parameters"
                        : std::to_string(ranks.size()) + " ranks");
    if (i > 0 && ranks.front() > schedule[i - 1].target.ranks.front())
      tn::fail("rank_schedule: pruning by importance expects ranks that fall, found ",
               ranks.front(), " after ", schedule[i - 1].target.ranks.front());
  }
}

namespace {

/// weight · ∂‖WᵀW − 1‖/∂W = 2 · weight · W·(WᵀW − 1) / ‖WᵀW − 1‖ for a matrix of columns.
Tensor<double> norm_gradient(const Tensor<double>& W, double weight) {
  auto& queue = tn::backend::queue();
  Tensor<double> excess = tn::matrix_product(tn::adjoint(W), W);
  for (Index i = 0; i < excess.extent(0); ++i) excess.mutable_data()[i * excess.extent(0) + i] -= 1;
  const double norm = tn::backend::norm(queue, excess.size(), excess.data());
  Tensor<double> gradient = tn::matrix_product(W, excess);
  // At the minimum the norm has no derivative; zero is a subgradient.
  tn::backend::scale(queue, gradient.size(), norm > 0 ? 2 * weight / norm : 0.0,
                     gradient.mutable_data());
  return gradient;
}

}  // namespace

template <class T>
void add_orthogonality_gradients(const std::vector<typename Adapter<T>::Triplet>& triplets,
                                 Weights<T>& weights, double weight) {
  const double each = weight / static_cast<double>(2 * triplets.size());
  auto& arena = weights.arena();
  for (const auto& triplet : triplets) {
    const auto add = [&](typename Weights<T>::Id id, const Tensor<double>& gradient) {
      const auto part = tn::converted<T>(gradient);
      tn::backend::add_scaled(tn::backend::queue(), part.size(), T(1), part.data(),
                              arena.gradient_target(arena.find(weights.name(id))).data);
    };
    add(triplet.U, norm_gradient(tn::converted<double>(weights.value(triplet.U)), each));
    add(triplet.V, tn::adjoint(norm_gradient(
                       tn::adjoint(tn::converted<double>(weights.value(triplet.V))), each)));
  }
}

#define METATT_INSTANTIATE(T)                                                                     \
  template RankSweep prune_triplets(const std::vector<Adapter<T>::Triplet>&, Weights<T>&,         \
                                    AdamW<T>&, const RankTarget&, OptimizerState,                 \
                                    const std::function<void(Index)>&);                           \
  template void add_orthogonality_gradients(const std::vector<Adapter<T>::Triplet>&, Weights<T>&, \
                                            double);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::transformer
