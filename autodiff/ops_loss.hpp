#pragma once
/// Losses: one number from a batch of predictions.

#include <metatt/autodiff/tape.hpp>

namespace metatt::autodiff {

/// Mean over rows of −log softmax(logits)[label]: logits rows × classes, labels rows. Saves the
/// gradient of the logits, which it makes in the same pass.
template <class T>
Variable<T> softmax_cross_entropy(Tape<T>& tape, const Variable<T>& logits,
                                  const Tensor<std::int32_t>& labels);

/// Mean of (prediction − target)² over all elements.
template <class T>
Variable<T> mean_squared_error(Tape<T>& tape, const Variable<T>& prediction,
                               const Tensor<T>& target);

}  // namespace metatt::autodiff
