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

/// One product of a sum: A (rows × inner) · B (inner × columns), both perhaps transposed as stored.
template <class T>
struct GemmTerm {
  Index rows, columns, inner;
  const T* A;
  Index lda;
  const T* B;
  Index ldb;
  T* C;
  Index ldc;
};

/// Floating-point operations that were asked for, counted where they are launched.
struct WorkCounters {
  std::int64_t gemm_flops = 0;       ///< gemm, gemm_strided_batched and gemm_sums
  std::int64_t low_rank_flops = 0;   ///< skinny products of the adapters
  std::int64_t attention_flops = 0;  ///< products inside the attention kernels
};

/// An ordered sequence of work on one device. `native` is the backend's own (streams and handles).
struct Queue {
  WorkCounters work;
  std::shared_ptr<void> native;
};

}  // namespace metatt::tn
