#include <metatt/transformer/bond_importance.hpp>

#include <metatt/tn/error.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace metatt::transformer {

namespace {

constexpr double averaging = 0.85;  // β₁ = β₂ of the paper's experiments

/// Of one index of an axis in row-major order.
std::size_t elements_behind(const Shape& shape, std::size_t axis) {
  std::size_t count = 1;
  for (std::size_t i = axis + 1; i < shape.size(); ++i) count *= static_cast<std::size_t>(shape[i]);
  return count;
}

}  // namespace

std::vector<double> mean_sensitivity(const Tensor<double>& tensor, const Tensor<double>& gradient,
                                     std::size_t axis) {
  const auto w = tensor.to_vector(), g = gradient.to_vector();
  const auto rank = static_cast<std::size_t>(tensor.shape()[axis]);
  const auto inner = elements_behind(tensor.shape(), axis);
  std::vector<double> mean(rank, 0.0);
  for (std::size_t i = 0; i < w.size(); ++i) mean[i / inner % rank] += std::abs(w[i] * g[i]);
  for (double& value : mean) value *= static_cast<double>(rank) / static_cast<double>(w.size());
  return mean;
}

Tensor<double> selected(const Tensor<double>& tensor, std::size_t axis,
                        const std::vector<Index>& kept) {
  const auto values = tensor.to_vector();
  const auto rank = static_cast<std::size_t>(tensor.shape()[axis]);
  const auto inner = elements_behind(tensor.shape(), axis);
  std::vector<double> rest;
  for (std::size_t outer = 0; outer < values.size() / (rank * inner); ++outer)
    for (const Index index : kept) {
      const auto begin =
          values.begin() +
          static_cast<std::ptrdiff_t>((outer * rank + static_cast<std::size_t>(index)) * inner);
      rest.insert(rest.end(), begin, begin + static_cast<std::ptrdiff_t>(inner));
    }
  Shape shape = tensor.shape();
  shape[axis] = static_cast<Index>(kept.size());
  return Tensor<double>::from(shape, std::span<const double>(rest));
}

std::vector<Index> largest_places(const std::vector<double>& values, Index count) {
  std::vector<Index> places(values.size());
  std::iota(places.begin(), places.end(), Index{0});
  const auto at = [&](Index i) { return values[static_cast<std::size_t>(i)]; };
  std::ranges::stable_sort(places, [&](Index a, Index b) { return at(a) > at(b); });
  places.resize(static_cast<std::size_t>(count));
  std::ranges::sort(places);
  return places;
}

void BondImportance::observe(const tn::TensorTrain<double>& train,
                             const std::vector<Tensor<double>>& gradients) {
  bonds_.resize(static_cast<std::size_t>(train.length()) - 1);
  for (std::size_t k = 0; k < bonds_.size(); ++k) {
    const auto place = static_cast<Index>(k);
    auto now = mean_sensitivity(train.dense_core(place), gradients[k], 2);
    const auto right = mean_sensitivity(train.dense_core(place + 1), gradients[k + 1], 0);
    auto& [sensitivity, deviation, score] = bonds_[k];
    for (std::vector<double>* values : {&sensitivity, &deviation, &score})
      values->resize(now.size(), 0.0);
    for (std::size_t i = 0; i < now.size(); ++i) {
      now[i] += right[i];
      sensitivity[i] += (1 - averaging) * (now[i] - sensitivity[i]);
      deviation[i] += (1 - averaging) * (std::abs(now[i] - sensitivity[i]) - deviation[i]);
      score[i] = sensitivity[i] * deviation[i];
    }
  }
}

const std::vector<double>& BondImportance::scores(Index bond) const {
  if (bonds_.empty())
    tn::fail("BondImportance: expected a step before the first pruning, found none");
  return bonds_.at(static_cast<std::size_t>(bond)).score;
}

RankSweep BondImportance::prune(TrainedTrain& trained, const std::vector<Index>& wanted) {
  RankSweep result;
  result.norm_before = trained.train.norm();
  std::vector<Tensor<double>> cores;
  for (Index k = 0; k < trained.train.length(); ++k) cores.push_back(trained.train.dense_core(k));
  for (std::size_t k = 0; k + 1 < cores.size(); ++k) {
    std::vector<double> scores = this->scores(static_cast<Index>(k));
    const Index rank = cores[k].extent(2), left = std::min(rank, wanted.at(k));
    const auto kept = largest_places(scores, left);
    for (auto* all : {&cores, &trained.first_moments, &trained.second_moments}) {
      (*all)[k] = selected((*all)[k], 2, kept);
      (*all)[k + 1] = selected((*all)[k + 1], 0, kept);
    }
    for (auto* values : {&bonds_[k].sensitivity, &bonds_[k].deviation, &bonds_[k].score}) {
      for (std::size_t i = 0; i < kept.size(); ++i)
        (*values)[i] = (*values)[static_cast<std::size_t>(kept[i])];
      values->resize(kept.size());
    }
    std::ranges::sort(scores, std::greater{});
    result.bonds.push_back({static_cast<Index>(k), rank, left, std::move(scores)});
  }
  trained.train = tn::TensorTrain<double>(std::move(cores));
  return result;
}

}  // namespace metatt::transformer
