#include <metatt/autodiff/backend/backend.hpp>
#include <metatt/tn/backend/cuda/native.hpp>

namespace metatt::autodiff::backend {

using tn::Transpose;
using tn::backend::cuda::multiply;

namespace {

void count_work(Queue& queue, Index rows, Index width, Index rank) {
  queue.work.low_rank_flops += 2 * rows * width * rank;
}

/// One product whose operands are no batch.
template <class T>
void product(Queue& queue, const char* function, Transpose a, Transpose b, Index rows,
             Index columns, Index inner, T alpha, const T* A, Index lda, const T* B, Index ldb,
             T beta, T* C, Index ldc) {
  multiply(queue, function, a, b, rows, columns, inner, alpha, A, lda, Index{0}, B, ldb, Index{0},
           beta, C, ldc, Index{0}, Index{1});
}

}  // namespace

template <class T>
void low_rank_project(Queue& queue, Index rows, Index width, Index rank, T alpha, const T* x,
                      Index ldx, Transpose transpose, const T* B, Index ldb, T beta, T* y) {
  count_work(queue, rows, width, rank);
  product(queue, "low_rank_project", Transpose::no, transpose, rows, rank, width, alpha, x, ldx, B,
          ldb, beta, y, rank);
}

template <class T>
void low_rank_expand(Queue& queue, Index rows, Index width, Index rank, const T* z,
                     Transpose transpose, const T* B, Index ldb, T* y, Index ldy) {
  count_work(queue, rows, width, rank);
  product(queue, "low_rank_expand", Transpose::no, transpose, rows, width, rank, T(1), z, rank, B,
          ldb, T(1), y, ldy);
}

template <class T>
void low_rank_gradient(Queue& queue, Index rows, Index width, Index rank, T alpha, const T* z,
                       const T* x, Index ldx, Transpose transpose, T beta, T* G, Index ldg) {
  count_work(queue, rows, width, rank);
  if (transpose == Transpose::no) {
    product(queue, "low_rank_gradient", Transpose::yes, Transpose::no, rank, width, rows, alpha, z,
            rank, x, ldx, beta, G, ldg);
  } else {
    product(queue, "low_rank_gradient", Transpose::yes, Transpose::no, width, rank, rows, alpha, x,
            ldx, z, rank, beta, G, ldg);
  }
}

template <class T>
void matrix_vector(Queue& queue, Index rows, Index columns, const T* W, const T* x, T beta, T* y) {
  queue.work.gemm_flops += 2 * rows * columns;
  product(queue, "matrix_vector", Transpose::no, Transpose::yes, Index{1}, rows, columns, T(1), x,
          columns, W, columns, beta, y, rows);
}

#define METATT_LOW_RANK(T)                                                                      \
  template void matrix_vector<T>(Queue&, Index, Index, const T*, const T*, T, T*);              \
  template void low_rank_project<T>(Queue&, Index, Index, Index, T, const T*, Index, Transpose, \
                                    const T*, Index, T, T*);                                    \
  template void low_rank_expand<T>(Queue&, Index, Index, Index, const T*, Transpose, const T*,  \
                                   Index, T*, Index);                                           \
  template void low_rank_gradient<T>(Queue&, Index, Index, Index, T, const T*, const T*, Index, \
                                     Transpose, T, T*, Index);

METATT_LOW_RANK(float)
METATT_LOW_RANK(double)

}  // namespace metatt::autodiff::backend
