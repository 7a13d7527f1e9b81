#pragma once
/// Products with diagonal matrices, as some adapters have them.

#include <metatt/autodiff/tape.hpp>

#include <span>
#include <vector>

namespace metatt::autodiff {

/// Factors for the columns of a matrix from first_column on.
template <class T>
struct ColumnGain {
  Variable<T> factors;
  Index first_column = 0;
};

/// x·diag(factors); x n × width, factors width numbers. Saves x if the factors need a gradient.
template <class T>
Variable<T> scale_columns(Tape<T>& tape, const Variable<T>& x, const Variable<T>& factors);

/// The columns of x (n × width) times the gains, which do not overlap (1 elsewhere), plus the bias
/// (width, or empty) in every row. Saves x if a gain needs a gradient.
template <class T>
Variable<T> scale_columns(Tape<T>& tape, const Variable<T>& x, std::span<const ColumnGain<T>> gains,
                          const Variable<T>& bias);

/// x / divisors, element by element and exactly rounded; the divisors are constants.
template <class T>
Variable<T> quotient(Tape<T>& tape, const Variable<T>& x, const std::vector<T>& divisors);

/// The core (r × n × r) of a tensor train whose slice i is diag(a[i]); a n × r. So a product of
/// such cores is a canonical polyadic decomposition.
template <class T>
Variable<T> diagonal_core(Tape<T>& tape, const Variable<T>& a);

}  // namespace metatt::autodiff
