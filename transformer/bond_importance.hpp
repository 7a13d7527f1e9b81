#pragma once
/// Which directions of a train's bonds matter to the loss, and pruning of those that do not.

#include <metatt/transformer/rank_adaptation.hpp>

#include <vector>

namespace metatt::transformer {

/// |w·g| of each number w of a tensor and its gradient g, row-major: to first order the change of
/// the loss if w were zero.
std::vector<double> sensitivities(const Tensor<double>& tensor, const Tensor<double>& gradient);

/// The mean for each index of an axis over the numbers of a tensor of this shape, row-major.
std::vector<double> means_along(const std::vector<double>& numbers, const Shape& shape,
                                std::size_t axis);

/// The tensor with only some indices of an axis, in the order given.
Tensor<double> selected(const Tensor<double>& tensor, std::size_t axis,
                        const std::vector<Index>& kept);

/// The places of the `count` largest values, rising; of equal ones the first.
std::vector<Index> largest_places(const std::vector<double>& values, Index count);

/// AdaLoRA's measure of importance (Zhang et al., arXiv:2303.10512, equations 8 to 11) for trains
/// in the place of triplets. Of every number both its sensitivity and the deviation of that from
/// its own average are averaged over the steps (β = 0.85); the score of the number is their
/// product, and that of a direction of a bond the mean over its column in the core on the left plus
/// the mean over its row in the core on the right. Unlike singular values the scores depend on the
/// gauge.
class BondImportance {
 public:
  /// Takes in the gradients of one step, in the shapes of the cores.
  void observe(const tn::TensorTrain<double>& train, const std::vector<Tensor<double>>& gradients);
  /// Of the directions of a bond. Throws Error before the first step.
  std::vector<double> scores(Index bond) const;

  /// Drops the directions of the lowest scores until each bond has the rank that is wanted; a bond
  /// whose rank is smaller stays. Moments and averages stay with the numbers they belong to.
  /// Spectra of the changes are the scores, descending.
  RankSweep prune(TrainWithMoments& trained, const std::vector<Index>& wanted);

 private:
  std::vector<double> core_scores(std::size_t core, std::size_t axis) const;

  std::vector<Tensor<double>> sensitivity_, deviation_;  ///< averages, in the shapes of the cores
};

}  // namespace metatt::transformer
