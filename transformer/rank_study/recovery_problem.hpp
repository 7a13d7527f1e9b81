#pragma once
/// Recovery of a planted train from linear measurements.

#include <metatt/transformer/rank_study/rank_problem.hpp>

namespace metatt::transformer {

/// Targets y_i = ⟨A_i, X⟩/√N + noise of a planted train X with N elements of variance one, where
/// the A_i are dense and normal: then X is the only train of its ranks that fits without noise as
/// soon as there are a few times more samples than degrees of freedom (Rauhut, Schneider and
/// Stojanac, arXiv:1602.05217). The loss is half the mean squared deviation. Starts from a random
/// train of a tenth of the planted one's norm. Memory and cost of a pass: samples · N. The test
/// error is the error of the tensor, which is what fresh measurements would show.
std::unique_ptr<RankProblem> make_recovery_problem(const RankProblemSettings& settings,
                                                   const std::vector<Index>& ranks,
                                                   std::uint64_t seed);

/// Gradients by the cores of a train, given that by all elements of its tensor (in the shape of its
/// modes).
std::vector<Tensor<double>> core_gradients(const tn::TensorTrain<double>& train,
                                           const Tensor<double>& gradient);

}  // namespace metatt::transformer
