#pragma once
/// Matrix products: the linear layer with its low-rank updates, and the plain product.

#include <metatt/autodiff/tape.hpp>

#include <span>

namespace metatt::autodiff {

/// One adapter's contribution to a linear layer, α·((x·U)·C)·V added to columns first_column …
/// first_column + width - 1 of the output. With D_in the width of x:
///   U: at least D_in rows × r1; the leading D_in rows are used.
///   C: r1 × slices × r3, of which slice `slice` is used; empty stands for the identity (r1 = r3).
///   V: r3 × at least `width` columns; the leading ones are used.
/// Updates of one layer that share U (the same tensor) share the product x·U; without C they also
/// need the same α for that.
template <class T>
struct LowRankUpdate {
  Variable<T> U;
  Variable<T> C;
  Index slice = 0;
  Variable<T> V;
  T alpha = 1;
  Index first_column = 0;
  Index width = 0;
};

/// y = x·Wᵀ + b + Σ updates: x n × D_in, weight D_out × D_in, bias D_out or empty; y n × D_out.
/// Saves x if the weight or a U needs a gradient, and n·r numbers for each update. A frozen weight
/// costs no gradient product. Cost 2·n·D_in·D_out, backward as much for each of x and W.
template <class T>
Variable<T> linear(Tape<T>& tape, const Variable<T>& x, const Variable<T>& weight,
                   const Variable<T>& bias, std::span<const LowRankUpdate<T>> updates = {});

/// a·b for a: n × k, b: k × m (tensors of higher order are read as matrices that break after the
/// first mode of b, and before its counterpart in a); the result has shape `shape`, n·m elements.
template <class T>
Variable<T> matmul(Tape<T>& tape, const Variable<T>& a, const Variable<T>& b, Shape shape);

}  // namespace metatt::autodiff
