#pragma once
/// Matrices written with some of their own rows.

#include <metatt/tn/backend/types.hpp>

#include <cstddef>
#include <limits>
#include <vector>

namespace metatt::tn {

/// A matrix on the host, row-major.
template <class T>
struct HostMatrix {
  std::size_t rows = 0, columns = 0;
  std::vector<T> elements;

  T& at(std::size_t i, std::size_t j) { return elements[i * columns + j]; }
  const T& at(std::size_t i, std::size_t j) const { return elements[i * columns + j]; }
};

/// matrix ≈ weights · (its kept rows).
template <class T>
struct Interpolation {
  std::vector<std::size_t> rows, columns;  ///< of the pivots, largest first
  HostMatrix<T> weights;  ///< all rows × kept rows; the kept rows are unit vectors
  double rest = 0;        ///< largest element of what was not eliminated: the error by elements
};

/// By Gaussian elimination with complete pivoting, until what is left is at most `tolerance` in
/// every element or `most` pivots are taken. A matrix of rank 0 keeps its first row. Cost of order
/// rows · columns · kept.
template <class T>
Interpolation<T> interpolate(HostMatrix<T> matrix, double tolerance,
                             std::size_t most = std::numeric_limits<std::size_t>::max());

}  // namespace metatt::tn
