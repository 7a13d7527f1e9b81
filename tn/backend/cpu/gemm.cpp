#include <metatt/tn/backend/backend.hpp>
#include <metatt/tn/backend/cpu/private.hpp>

#include <cblas.h>
#include <omp.h>

#include <algorithm>
#include <vector>

namespace metatt::tn::backend {
namespace {

CBLAS_TRANSPOSE blas_transpose(Transpose transpose) {
  switch (transpose) {
    case Transpose::no:
      return CblasNoTrans;
    case Transpose::yes:
      return CblasTrans;
    case Transpose::conjugate:
      return CblasConjTrans;
  }
  fail("gemm: expected a member of Transpose, found ", static_cast<int>(transpose));
}

/// C = beta · C, all that is left of gemm when the inner extent is 0.
template <class T>
void scale_block(Index rows, Index columns, T beta, T* C, Index ldc) {
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j)
      C[i * ldc + j] = beta == T(0) ? T(0) : multiply(beta, C[i * ldc + j]);
}

/// The arguments of gemm that all products of a batch share, in the types of BLAS.
template <class T>
struct Product {
  CBLAS_TRANSPOSE a, b;
  int rows, columns, inner, lda, ldb, ldc;
  T alpha, beta;

  void run(const T* A, const T* B, T* C) const {
    if (rows == 0 || columns == 0) return;
    if (inner == 0) return scale_block<T>(rows, columns, beta, C, ldc);
    if constexpr (std::is_same_v<T, float>)
      cblas_sgemm(CblasRowMajor, a, b, rows, columns, inner, alpha, A, lda, B, ldb, beta, C, ldc);
    else if constexpr (std::is_same_v<T, double>)
      cblas_dgemm(CblasRowMajor, a, b, rows, columns, inner, alpha, A, lda, B, ldb, beta, C, ldc);
    else if constexpr (std::is_same_v<T, std::complex<float>>)
      cblas_cgemm(CblasRowMajor, a, b, rows, columns, inner, &alpha, A, lda, B, ldb, &beta, C, ldc);
    else
      cblas_zgemm(CblasRowMajor, a, b, rows, columns, inner, &alpha, A, lda, B, ldb, &beta, C, ldc);
  }
};

template <class T>
Product<T> product(Transpose a, Transpose b, Index rows, Index columns, Index inner, T alpha,
                   Index lda, Index ldb, T beta, Index ldc) {
  const auto integer = [](Index value) { return blas_integer("gemm", value); };
  return {blas_transpose(a),
          blas_transpose(b),
          integer(rows),
          integer(columns),
          integer(inner),
          integer(lda),
          integer(ldb),
          integer(ldc),
          alpha,
          beta};
}

template <class T>
Index flops(Index rows, Index columns, Index inner) {
  return (is_complex<T> ? 8 : 2) * rows * columns * inner;
}

}  // namespace

template <class T>
void gemm(Queue& queue, Transpose a, Transpose b, Index rows, Index columns, Index inner, T alpha,
          const T* A, Index lda, const T* B, Index ldb, T beta, T* C, Index ldc) {
  product(a, b, rows, columns, inner, alpha, lda, ldb, beta, ldc).run(A, B, C);
  queue.work.gemm_flops += flops<T>(rows, columns, inner);
}

template <class T>
void gemm_strided_batched(Queue& queue, Transpose a, Transpose b, Index rows, Index columns,
                          Index inner, T alpha, const T* A, Index lda, Index strideA, const T* B,
                          Index ldb, Index strideB, T beta, T* C, Index ldc, Index strideC,
                          Index batch) {
  const Product<T> one = product(a, b, rows, columns, inner, alpha, lda, ldb, beta, ldc);
  // Many small products: one thread each beats all threads on each. OpenBLAS built for OpenMP
  // stays on one thread inside a parallel region; the other builds would not.
  constexpr Index small_flops = 8'000'000;
  const bool across = openblas_get_parallel() == OPENBLAS_OPENMP &&
                      batch >= omp_get_max_threads() &&
                      flops<T>(rows, columns, inner) <= small_flops &&
                      flops<T>(rows, columns, inner) * batch >= parallel_threshold;
#pragma omp parallel for schedule(static) if (across)
  for (Index i = 0; i < batch; ++i) one.run(A + i * strideA, B + i * strideB, C + i * strideC);
  queue.work.gemm_flops += batch * flops<T>(rows, columns, inner);
}

namespace {

/// Consecutive terms with the same C.
struct Run {
  std::size_t begin, end;
  Index work;  ///< flops
};

template <class T>
std::vector<Run> runs_of(std::span<const GemmTerm<T>> terms) {
  std::vector<Run> runs;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    if (i == 0 || terms[i].C != terms[i - 1].C) runs.push_back({i, i, 0});
    runs.back().end = i + 1;
    runs.back().work += flops<T>(terms[i].rows, terms[i].columns, terms[i].inner);
  }
  // The large ones first, so that the threads end together.
  std::stable_sort(runs.begin(), runs.end(),
                   [](const Run& a, const Run& b) { return a.work > b.work; });
  return runs;
}

}  // namespace

template <class T>
void gemm_sums(Queue& queue, Transpose a, Transpose b, std::span<const GemmTerm<T>> terms) {
  const std::vector<Run> runs = runs_of(terms);
  // Before the parallel region, which no exception may leave.
  std::vector<Product<T>> products;
  Index work = 0;
  for (const GemmTerm<T>& t : terms) {
    const bool first = products.empty() || t.C != terms[products.size() - 1].C;
    products.push_back(
        product(a, b, t.rows, t.columns, t.inner, T(1), t.lda, t.ldb, T(first ? 0 : 1), t.ldc));
    work += flops<T>(t.rows, t.columns, t.inner);
  }
  // One thread for each run, unless one of them would keep the others waiting: then all threads on
  // one after the other. See gemm_strided_batched for OpenBLAS's part in it.
  constexpr Index least_work = 1'000'000;  // flops that are worth waking the other threads
  const bool across = openblas_get_parallel() == OPENBLAS_OPENMP && work >= least_work &&
                      runs.front().work <= work / omp_get_max_threads() + work / 8;
#pragma omp parallel for schedule(dynamic) if (across)
  for (std::size_t r = 0; r < runs.size(); ++r)
    for (std::size_t i = runs[r].begin; i < runs[r].end; ++i)
      products[i].run(terms[i].A, terms[i].B, terms[i].C);
  queue.work.gemm_flops += work;
}

#define METATT_INSTANTIATE(T)                                                                  \
  template void gemm<T>(Queue&, Transpose, Transpose, Index, Index, Index, T, const T*, Index, \
                        const T*, Index, T, T*, Index);                                        \
  template void gemm_strided_batched<T>(Queue&, Transpose, Transpose, Index, Index, Index, T,  \
                                        const T*, Index, Index, const T*, Index, Index, T, T*, \
                                        Index, Index, Index);                                  \
  template void gemm_sums<T>(Queue&, Transpose, Transpose, std::span<const GemmTerm<T>>);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn::backend
