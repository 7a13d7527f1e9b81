#pragma once
/// What the CUDA backend keeps behind Queue::native, and the one place where status codes become
/// exceptions.
///
/// All work goes to the legacy default stream. The work of all threads is therefore in one order,
/// which is what lets them share one memory pool without events: a block that one thread returns
/// may be handed to another while the kernels that read it are still waiting.

#include <metatt/tn/backend/types.hpp>

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cusolverDn.h>

#include <complex>
#include <cstddef>

namespace metatt::tn::backend::cuda {

/// The library handles of one thread.
struct Native {
  Native();
  ~Native();
  Native(const Native&) = delete;
  Native& operator=(const Native&) = delete;

  cublasHandle_t blas = nullptr;
  cusolverDnHandle_t solver = nullptr;
  cusolverDnParams_t solver_parameters = nullptr;
};

inline Native& native(Queue& queue) {
  return *static_cast<Native*>(queue.native.get());
}

/// Throws Error with the function's name and the status text unless the call succeeded.
void check(cudaError_t status, const char* function);
void check(cublasStatus_t status, const char* function);
void check(cusolverStatus_t status, const char* function);

/// The library's name for an element type.
template <class T>
inline constexpr cudaDataType data_type = CUDA_R_32F;
template <>
inline constexpr cudaDataType data_type<double> = CUDA_R_64F;
template <>
inline constexpr cudaDataType data_type<std::complex<float>> = CUDA_C_32F;
template <>
inline constexpr cudaDataType data_type<std::complex<double>> = CUDA_C_64F;

/// `batch` row-major products as gemm_strided_batched, without counting their work: gemm counts it
/// as gemm_flops, the low-rank path of the adapters as low_rank_flops.
template <class T>
void multiply(Queue& queue, const char* function, Transpose a, Transpose b, Index rows,
              Index columns, Index inner, T alpha, const T* A, Index lda, Index strideA, const T* B,
              Index ldb, Index strideB, T beta, T* C, Index ldc, Index strideC, Index batch);

}  // namespace metatt::tn::backend::cuda
