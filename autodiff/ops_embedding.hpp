#pragma once
/// Rows picked by number: embedding tables and token positions.

#include <metatt/autodiff/tape.hpp>

namespace metatt::autodiff {

using Indices = Tensor<std::int32_t>;

/// One table and the row of it that each token takes.
template <class T>
struct EmbeddingLookup {
  Variable<T> table;  ///< entries × width
  Indices ids;        ///< tokens; each in 0 … entries-1 (the caller's promise)
};

/// Σ over the lookups of table[ids]: tokens × width. Saves nothing but the ids.
template <class T>
Variable<T> embedding(Tape<T>& tape, std::span<const EmbeddingLookup<T>> lookups);

/// Rows `rows` of x (no row twice): count × width. Of a tensor of higher order the rows are counted
/// over all modes but the last. Saves nothing but the row numbers.
template <class T>
Variable<T> gather_rows(Tape<T>& tape, const Variable<T>& x, const Indices& rows);

}  // namespace metatt::autodiff
