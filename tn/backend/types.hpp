#pragma once
/// The few types that every backend and the layers above share.

#include <complex>
#include <cstdint>
#include <memory>

namespace metatt::tn {

/// Extents, ranks and element counts: 64 bits everywhere.
using Index = std::int64_t;

template <class T>
struct RealOf {
  using type = T;
};
template <class T>
struct RealOf<std::complex<T>> {
  using type = T;
};
/// The type of |T|: float for float and std::complex<float>, double for the other two.
template <class T>
using Real = typename RealOf<T>::type;

/// What gemm reads of an operand: as stored, transposed, or conjugate transposed.
enum class Transpose { no, yes, conjugate };

/// One number of a sparse matrix.
template <class T>
struct SparseEntry {
  Index row, column;
  T value;
};

/// Floating-point operations that were asked for, counted where they are launched.
struct WorkCounters {
  std::int64_t gemm_flops = 0;       ///< gemm and gemm_strided_batched
  std::int64_t low_rank_flops = 0;   ///< skinny products of the adapters
  std::int64_t attention_flops = 0;  ///< products inside the attention kernels
};

/// An ordered sequence of work on one device. `native` is the backend's own (streams and handles).
struct Queue {
  WorkCounters work;
  std::shared_ptr<void> native;
};

}  // namespace metatt::tn
