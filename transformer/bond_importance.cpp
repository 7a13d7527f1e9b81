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

std::vector<double> sensitivities(const Tensor<double>& tensor, const Tensor<double>& gradient) {
  auto numbers = tensor.to_vector();
  const auto g = gradient.to_vector();
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = std::abs(numbers[i] * g[i]);
  return numbers;
}

std::vector<double> means_along(const std::vector<double>& numbers, const Shape& shape,
                                std::size_t axis) {
  const auto extent = static_cast<std::size_t>(shape[axis]);
  const auto inner = elements_behind(shape, axis);
  std::vector<double> means(extent, 0.0);
  for (std::size_t i = 0; i < numbers.size(); ++i) means[i / inner % extent] += numbers[i];
  for (double& mean : means)
    mean *= static_cast<double>(extent) / static_cast<double>(numbers.size());
  return means;
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
  for (std::size_t k = 0; k < gradients.size(); ++k) {
    const Tensor<double> core = train.dense_core(static_cast<Index>(k));
    if (sensitivity_.size() == k) {
      sensitivity_.push_back(Tensor<double>::zeros(core.shape()));
      deviation_.push_back(sensitivity_.back());
    }
    const auto now = sensitivities(core, gradients[k]);
    auto sensitivity = sensitivity_[k].to_vector(), deviation = deviation_[k].to_vector();
    for (std::size_t i = 0; i < now.size(); ++i) {
      sensitivity[i] += (1 - averaging) * (now[i] - sensitivity[i]);
      deviation[i] += (1 - averaging) * (std::abs(now[i] - sensitivity[i]) - deviation[i]);
    }
    sensitivity_[k] = Tensor<double>::from(core.shape(), std::span<const double>(sensitivity));
    deviation_[k] = Tensor<double>::from(core.shape(), std::span<const double>(deviation));
  }
}

std::vector<double> BondImportance::core_scores(std::size_t core, std::size_t axis) const {
  auto scores = sensitivity_[core].to_vector();
  const auto deviation = deviation_[core].to_vector();
  for (std::size_t i = 0; i < scores.size(); ++i) scores[i] *= deviation[i];
  return means_along(scores, sensitivity_[core].shape(), axis);
}

std::vector<double> BondImportance::scores(Index bond) const {
  if (sensitivity_.empty())
    tn::fail("BondImportance: expected a step before the first pruning, found none");
  const auto left = static_cast<std::size_t>(bond);
  auto scores = core_scores(left, 2);
  const auto right = core_scores(left + 1, 0);
  for (std::size_t i = 0; i < scores.size(); ++i) scores[i] += right[i];
  return scores;
}

RankSweep BondImportance::prune(TrainWithMoments& trained, const std::vector<Index>& wanted) {
  RankSweep result;
  result.norm_before = trained.train.norm();
  auto cores = dense_cores(trained.train);
  for (std::size_t k = 0; k + 1 < cores.size(); ++k) {
    std::vector<double> scores = this->scores(static_cast<Index>(k));
    const Index rank = cores[k].extent(2), left = std::min(rank, wanted.at(k));
    const auto kept = largest_places(scores, left);
    for (auto* all :
         {&cores, &trained.first_moments, &trained.second_moments, &sensitivity_, &deviation_}) {
      (*all)[k] = selected((*all)[k], 2, kept);
      (*all)[k + 1] = selected((*all)[k + 1], 0, kept);
    }
    std::ranges::sort(scores, std::greater{});
    result.bonds.push_back({static_cast<Index>(k), rank, left, std::move(scores)});
  }
  trained.train = tn::TensorTrain<double>(std::move(cores));
  return result;
}

}  // namespace metatt::transformer
