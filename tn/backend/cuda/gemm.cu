#include <metatt/tn/backend/cuda/element.cuh>
#include <metatt/tn/backend/cuda/launch.cuh>

#include <type_traits>

namespace metatt::tn::backend {
namespace cuda {

namespace {

template <class T>
cublasOperation_t operation(Transpose transpose) {
  switch (transpose) {
    case Transpose::no:
      return CUBLAS_OP_N;
    case Transpose::yes:
      return CUBLAS_OP_T;
    case Transpose::conjugate:
      break;
  }
  return std::is_same_v<T, Real<T>> ? CUBLAS_OP_T : CUBLAS_OP_C;
}

/// C[b] = beta · C[b]; with beta = 0 only written.
template <class T>
void scale_products(const char* function, Index rows, Index columns, T beta, T* C, Index ldc,
                    Index strideC, Index batch) {
  Element<T>* values = element(C);
  const Element<T> factor = element_value(beta);
  const bool clear = beta == T(0);
  for_each_element(function, batch * rows, columns, [=] __device__(Index i, Index j) {
    Element<T>& value = values[i / rows * strideC + i % rows * ldc + j];
    value = clear ? Element<T>{} : factor * value;
  });
}

}  // namespace

template <class T>
void multiply(Queue& queue, const char* function, Transpose a, Transpose b, Index rows,
              Index columns, Index inner, T alpha, const T* A, Index lda, Index strideA, const T* B,
              Index ldb, Index strideB, T beta, T* C, Index ldc, Index strideC, Index batch) {
  if (rows <= 0 || columns <= 0 || batch <= 0) return;
  if (inner <= 0) {
    scale_products(function, rows, columns, beta, C, ldc, strideC, batch);
    return;
  }
  constexpr bool kSingle = std::is_same_v<Real<T>, float>;
  constexpr cublasComputeType_t kCompute = kSingle ? CUBLAS_COMPUTE_32F : CUBLAS_COMPUTE_64F;
  // cuBLAS reads a row-major matrix as its transpose, and Cᵀ = op(B)ᵀ · op(A)ᵀ.
  check(cublasGemmStridedBatchedEx_64(native(queue).blas, operation<T>(b), operation<T>(a), columns,
                                      rows, inner, &alpha, B, data_type<T>, ldb, strideB, A,
                                      data_type<T>, lda, strideA, &beta, C, data_type<T>, ldc,
                                      strideC, batch, kCompute, CUBLAS_GEMM_DEFAULT),
        function);
}

}  // namespace cuda

namespace {

template <class T>
void count_work(Queue& queue, Index products, Index rows, Index columns, Index inner) {
  constexpr Index kRealProducts = std::is_same_v<T, Real<T>> ? 1 : 4;
  queue.work.gemm_flops += 2 * kRealProducts * products * rows * columns * inner;
}

}  // namespace

template <class T>
void gemm(Queue& queue, Transpose a, Transpose b, Index rows, Index columns, Index inner, T alpha,
          const T* A, Index lda, const T* B, Index ldb, T beta, T* C, Index ldc) {
  count_work<T>(queue, 1, rows, columns, inner);
  cuda::multiply(queue, "gemm", a, b, rows, columns, inner, alpha, A, lda, Index{0}, B, ldb,
                 Index{0}, beta, C, ldc, Index{0}, Index{1});
}

template <class T>
void gemm_strided_batched(Queue& queue, Transpose a, Transpose b, Index rows, Index columns,
                          Index inner, T alpha, const T* A, Index lda, Index strideA, const T* B,
                          Index ldb, Index strideB, T beta, T* C, Index ldc, Index strideC,
                          Index batch) {
  count_work<T>(queue, batch, rows, columns, inner);
  cuda::multiply(queue, "gemm_strided_batched", a, b, rows, columns, inner, alpha, A, lda, strideA,
                 B, ldb, strideB, beta, C, ldc, strideC, batch);
}

template <class T>
void gemm_sums(Queue& queue, Transpose a, Transpose b, std::span<const GemmTerm<T>> terms) {
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const GemmTerm<T>& t = terms[i];
    const bool first = i == 0 || terms[i - 1].C != t.C;
    gemm(queue, a, b, t.rows, t.columns, t.inner, T(1), t.A, t.lda, t.B, t.ldb, T(first ? 0 : 1),
         t.C, t.ldc);
  }
}

#define METATT_GEMM(T)                                                                             \
  template void cuda::multiply<T>(Queue&, const char*, Transpose, Transpose, Index, Index, Index,  \
                                  T, const T*, Index, Index, const T*, Index, Index, T, T*, Index, \
                                  Index, Index);                                                   \
  template void gemm<T>(Queue&, Transpose, Transpose, Index, Index, Index, T, const T*, Index,     \
                        const T*, Index, T, T*, Index);                                            \
  template void gemm_strided_batched<T>(Queue&, Transpose, Transpose, Index, Index, Index, T,      \
                                        const T*, Index, Index, const T*, Index, Index, T, T*,     \
                                        Index, Index, Index);                                      \
  template void gemm_sums<T>(Queue&, Transpose, Transpose, std::span<const GemmTerm<T>>);

METATT_GEMM(float)
METATT_GEMM(double)
METATT_GEMM(std::complex<float>)
METATT_GEMM(std::complex<double>)

}  // namespace metatt::tn::backend
