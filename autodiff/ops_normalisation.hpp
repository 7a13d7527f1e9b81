#pragma once
/// Norms and residual connections.

#include <metatt/autodiff/tape.hpp>

namespace metatt::autodiff {

/// The learned scale and shift of a layer norm, width numbers each.
template <class T>
struct LayerNormParameters {
  Variable<T> gamma, beta;
  double epsilon = 1e-12;
};

/// layer_norm(residual + dropout(x + bias)): x and residual n × width; bias (width) and residual
/// may be empty. Saves the normalised rows and one number a row. (Ba et al., arXiv:1607.06450)
template <class T>
Variable<T> residual_layer_norm(Tape<T>& tape, const Variable<T>& x, const Variable<T>& bias,
                                const Variable<T>& residual, const LayerNormParameters<T>& norm,
                                double dropout);

/// x·gamma / √(mean(x²) + epsilon) by rows: x n × width, gamma width. Saves x and one number a row.
/// (Zhang and Sennrich, arXiv:1910.07467)
template <class T>
Variable<T> rms_norm(Tape<T>& tape, const Variable<T>& x, const Variable<T>& gamma, double epsilon);

/// residual + dropout(x), of the same shape: the connection of a pre-norm block. Saves nothing.
template <class T>
Variable<T> residual_add(Tape<T>& tape, const Variable<T>& x, const Variable<T>& residual,
                         double dropout);

}  // namespace metatt::autodiff
