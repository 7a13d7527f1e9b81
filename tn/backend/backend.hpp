#pragma once
/// The linear-algebra backend: free functions on raw pointers, sizes and a queue. Meson compiles
/// one folder that defines them: cpu/ (OpenBLAS, LAPACKE, OpenMP) or cuda/ (cuBLAS, cuSOLVER,
/// kernels).

#include <metatt/tn/backend/types.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace metatt::tn::backend {

/// The queue of the calling thread. Work put on one queue runs in order.
Queue& queue();

/// Waits until everything on the queue has run (nothing to do on the cpu).
void synchronize(Queue& queue);

/// What this backend is, for the lines that a program prints at start.
struct Description {
  std::string backend;       ///< "cpu" or "cuda"
  std::string blas;          ///< library and version
  std::string core;          ///< OpenBLAS core type, or the GPU's name
  std::string thread_layer;  ///< "openmp", "pthread", "sequential"; "" on cuda
  std::string vector_set;    ///< widest set that our own kernels use: "avx512", "avx2", "baseline"
  int threads = 1;           ///< threads of BLAS and of our own loops
  /// The OPENBLAS_CORETYPE that fits this processor where OpenBLAS, not knowing it, took kernels of
  /// an older one; "" otherwise. OpenBLAS reads the variable when it is loaded.
  std::string better_core;
  std::string warning;  ///< "" or what in the settings costs speed, and the remedy
};
Description describe();

/// Threads for BLAS and our own loops together, at least 1, whichever thread calls them: the one
/// setting for threads. Results do not depend on it but for the rounding of BLAS.
void set_threads(int threads);

/// Memory from the pool, aligned to 64 bytes, in size classes so that a step that repeats asks the
/// system for nothing. Throws std::bad_alloc. `deallocate` takes the same byte count.
void* allocate(std::size_t bytes);
void deallocate(void* pointer, std::size_t bytes) noexcept;

/// Copies between host memory and backend memory; both return when the copy is done.
void copy_from_host(Queue& queue, const void* host, void* device, std::size_t bytes);
void copy_to_host(Queue& queue, const void* device, void* host, std::size_t bytes);

struct MemoryStatistics {
  std::int64_t live_bytes = 0;          ///< handed out and not returned
  std::int64_t peak_bytes = 0;          ///< largest live_bytes since reset_peak()
  std::int64_t reserved_bytes = 0;      ///< taken from the system, live or waiting in the pool
  std::int64_t system_allocations = 0;  ///< how often the pool had to ask the system
};
MemoryStatistics memory_statistics();
void reset_peak();

#include <metatt/tn/backend/declarations.hpp>

}  // namespace metatt::tn::backend
