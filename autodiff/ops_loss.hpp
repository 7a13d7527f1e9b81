#pragma once
/// Losses: one number from a batch of predictions.

#include <metatt/autodiff/tape.hpp>

namespace metatt::autodiff {

/// Mean over rows of −Σ target·log softmax(logits): logits rows × classes, labels rows. The target
/// is the label, of which `smoothing` (0 … 1) is taken and shared equally by all classes (Szegedy
/// et al., arXiv:1512.00567, section 7). Saves the gradient of the logits, which it makes in the
/// same pass.
template <class T>
Variable<T> softmax_cross_entropy(Tape<T>& tape, const Variable<T>& logits,
                                  const Tensor<std::int32_t>& labels, double smoothing = 0);

/// softmax_cross_entropy of the logits x·Wᵀ + b without ever having them all: x rows × width,
/// weight classes × width, bias classes or empty. The gradients are made with the loss, a chunk of
/// rows at a time, so that rows × classes numbers never exist at once. Saves the gradients of x,
/// weight and bias where they are wanted. Cost 2·rows·width·classes, and as much for each of x and
/// W.
template <class T>
Variable<T> linear_cross_entropy(Tape<T>& tape, const Variable<T>& x, const Variable<T>& weight,
                                 const Variable<T>& bias, const Tensor<std::int32_t>& labels,
                                 double smoothing = 0);

/// log softmax(x·Wᵀ)[label] of each row: x rows × width, weight classes × width; the result has as
/// many numbers as there are labels. The logits are there a chunk of rows at a time, as in
/// linear_cross_entropy. For inference: it has no derivative.
template <class T>
Tensor<T> linear_log_probabilities(const Tensor<T>& x, const Tensor<T>& weight,
                                   const Tensor<std::int32_t>& labels);

/// Mean of (prediction − target)² over all elements.
template <class T>
Variable<T> mean_squared_error(Tape<T>& tape, const Variable<T>& prediction,
                               const Tensor<T>& target);

}  // namespace metatt::autodiff
