#pragma once
/// Launch shapes and block-wide reductions that the kernels share. Every loop strides over its
/// grid, so that a grid that had to be capped still covers everything.

#include <metatt/tn/backend/backend.hpp>
#include <metatt/tn/backend/cuda/native.hpp>

#include <algorithm>

namespace metatt::tn::backend::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffU;
inline constexpr int kThreads = 256;  ///< threads of every one-dimensional block
inline constexpr int kWarps = kThreads / kWarp;
inline constexpr Index kLargestGrid = 1 << 20;         ///< blocks; more only queue up
inline constexpr Index kLargestGridY = 65535;          ///< the hardware's limit
inline constexpr int kRowsOfBlock = kThreads / kWarp;  ///< of a block of kWarp columns

inline Index divide_up(Index count, Index by) {
  return (count + by - 1) / by;
}

inline unsigned grid_for(Index blocks) {
  return static_cast<unsigned>(std::min(blocks, kLargestGrid));
}

/// Launch errors (not those of the kernel's run, which the next copy or synchronize reports).
inline void check_launch(const char* function) {
  check(cudaGetLastError(), function);
}

/// Pool memory for the length of a function.
template <class T>
class Scratch {
 public:
  explicit Scratch(Index count)
      : bytes_(static_cast<std::size_t>(count) * sizeof(T)),
        data_(static_cast<T*>(allocate(bytes_))) {}
  ~Scratch() { deallocate(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() const { return data_; }

 private:
  std::size_t bytes_;
  T* data_;
};

template <class Body>
__global__ void for_each_kernel(Index count, Body body) {
  const Index step = static_cast<Index>(gridDim.x) * blockDim.x;
  for (Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    body(i);
  }
}

/// body(i) for every i < count.
template <class Body>
void for_each(const char* function, Index count, const Body& body) {
  if (count <= 0) return;
  for_each_kernel<<<grid_for(divide_up(count, kThreads)), kThreads>>>(count, body);
  check_launch(function);
}

template <class Body>
__global__ void for_each_element_kernel(Index rows, Index columns, Body body) {
  const Index row_step = static_cast<Index>(gridDim.y) * blockDim.y;
  const Index column_step = static_cast<Index>(gridDim.x) * blockDim.x;
  for (Index i = static_cast<Index>(blockIdx.y) * blockDim.y + threadIdx.y; i < rows;
       i += row_step) {
    for (Index j = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; j < columns;
         j += column_step) {
      body(i, j);
    }
  }
}

/// body(i, j) for every element of a rows × columns matrix; a warp covers 32 columns of a row.
template <class Body>
void for_each_element(const char* function, Index rows, Index columns, const Body& body) {
  if (rows <= 0 || columns <= 0) return;
  const dim3 grid(grid_for(divide_up(columns, kWarp)),
                  static_cast<unsigned>(std::min(divide_up(rows, kRowsOfBlock), kLargestGridY)));
  for_each_element_kernel<<<grid, dim3(kWarp, kRowsOfBlock)>>>(rows, columns, body);
  check_launch(function);
}

/// The combination of `value` over a one-dimensional block of kThreads, in every thread, always in
/// the same order. All threads of the block must call it.
template <class T, class Combine>
__device__ T block_combine(T value, Combine combine) {
  __shared__ T of_warp[kWarps];
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = combine(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  __syncthreads();  // an earlier call may still be read
  if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = value;
  __syncthreads();
  T total = of_warp[0];
  for (int warp = 1; warp < kWarps; ++warp) total = combine(total, of_warp[warp]);
  return total;
}

template <class T>
__device__ T block_sum(T value) {
  return block_combine(value, [](T a, T b) { return a + b; });
}

template <class T>
__device__ T block_max(T value) {
  return block_combine(value, [](T a, T b) { return a > b ? a : b; });
}

inline constexpr Index kLargestPartials = 1024;
inline constexpr Index kElementsPerThread = 8;  ///< fewest that make another block worth while

template <class Term>
__global__ void partial_sums_kernel(Index count, Term term, double* partials) {
  double sum = 0;
  const Index step = static_cast<Index>(gridDim.x) * kThreads;
  for (Index i = static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += step) {
    sum += term(i);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

template <class Finish>
__global__ void finish_sum_kernel(Index count, const double* partials, Finish finish) {
  double sum = 0;
  for (Index i = threadIdx.x; i < count; i += kThreads) sum += partials[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) finish(sum);
}

/// finish(Σ term(i)) on the device, summed in double in an order that depends on `count` alone.
template <class Term, class Finish>
void reduce(const char* function, Index count, const Term& term, const Finish& finish) {
  const Index blocks =
      std::clamp<Index>(divide_up(count, kThreads * kElementsPerThread), 1, kLargestPartials);
  const Scratch<double> partials(blocks);
  partial_sums_kernel<<<static_cast<unsigned>(blocks), kThreads>>>(count, term, partials.data());
  check_launch(function);
  finish_sum_kernel<<<1, kThreads>>>(blocks, partials.data(), finish);
  check_launch(function);
}

}  // namespace metatt::tn::backend::cuda
