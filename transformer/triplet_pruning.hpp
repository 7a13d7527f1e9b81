#pragma once
/// What belongs to AdaLoRA in training (Zhang et al., arXiv:2303.10512): directions of all sites
/// compete for one budget, and the factors are kept near orthonormal.

#include <metatt/transformer/adapters/adapter.hpp>
#include <metatt/transformer/optimiser.hpp>
#include <metatt/transformer/rank_adaptation.hpp>

#include <functional>
#include <vector>

namespace metatt::transformer {

/// Batches over which sensitivities are averaged.
inline constexpr Index pruning_batches = 8;

/// Lowers the ranks of all sites until their mean is the rank of the target. The directions that
/// stay are those with the highest scores of all, at least one a site. The score of a direction is
/// that of equations 8 to 11 of the paper: a number w has the product of the mean of its
/// sensitivity |w·∂L/∂w| over some batches and the mean deviation from it, a direction the sum of
/// that of E_i and of the means over column i of U and row i of V. (The paper averages over the
/// steps of the training; here it is the next pruning_batches batches, of which nothing needs to be
/// kept.) What stays keeps its moments where `state` is project, as in the paper, else all restart.
/// compute_gradients(b) fills the arena with those of batch b. The spectra of the result are
/// scores, a bond for each site. Throws Error on a target that is not one rank, or above the
/// present mean.
template <class T>
RankSweep prune_triplets(const std::vector<typename Adapter<T>::Triplet>& triplets,
                         Weights<T>& weights, AdamW<T>& optimiser, const RankTarget& target,
                         OptimizerState state, const std::function<void(Index)>& compute_gradients);

/// Throws Error if the ranks of a schedule are not one number each, or rise.
void check_pruning_schedule(const std::vector<RankStep>& schedule);

/// Adds to the arena's gradients those of weight · mean over all U and V of ‖UᵀU − 1‖ or ‖VVᵀ − 1‖
/// (Frobenius norms, as the authors' code has them).
template <class T>
void add_orthogonality_gradients(const std::vector<typename Adapter<T>::Triplet>& triplets,
                                 Weights<T>& weights, double weight);

}  // namespace metatt::transformer
