#pragma once
/// Element-wise operations.

#include <metatt/autodiff/tape.hpp>

namespace metatt::autodiff {

/// gelu(x + bias); x n × width, bias width or empty. Saves x.
template <class T>
Variable<T> bias_gelu(Tape<T>& tape, const Variable<T>& x, const Variable<T>& bias,
                      Gelu kind = Gelu::exact);

/// gate·σ(gate)·up of x = (gate | up), n × 2·width; result n × width. Saves x. (Shazeer,
/// arXiv:2002.05202)
template <class T>
Variable<T> swiglu(Tape<T>& tape, const Variable<T>& x);

/// tanh(x). Saves the result.
template <class T>
Variable<T> tanh(Tape<T>& tape, const Variable<T>& x);

/// max(x, 0). Saves the result.
template <class T>
Variable<T> relu(Tape<T>& tape, const Variable<T>& x);

/// Zeroes elements with the given probability and scales up the others; x itself outside training.
/// Saves nothing: the mask is drawn again in the backward pass.
template <class T>
Variable<T> dropout(Tape<T>& tape, const Variable<T>& x, double probability);

}  // namespace metatt::autodiff
