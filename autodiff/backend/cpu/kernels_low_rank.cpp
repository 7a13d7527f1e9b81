/// Skinny products: the large matrix is read once, in row blocks that stay in cache.

#include <metatt/autodiff/backend/cpu/vector.hpp>

namespace metatt::autodiff::backend::METATT_VECTOR_SET {

namespace {

/// Rows per task. Fixed, so that sums over rows come out the same for every number of threads.
constexpr Index row_block = 256;

/// packed (rows × ld) = B or Bᵀ, padded with zeros to ld columns.
template <class T>
void pack(tn::Transpose transpose, Index rows, Index columns, const T* B, Index ldb, T* packed,
          Index ld) {
  const Index row_step = transpose == tn::Transpose::no ? ldb : 1;
  const Index column_step = transpose == tn::Transpose::no ? 1 : ldb;
  for (Index k = 0; k < rows; ++k)
    for (Index j = 0; j < ld; ++j)
      packed[k * ld + j] = j < columns ? B[k * row_step + j * column_step] : T(0);
}

void count(Queue& queue, Index rows, Index width, Index rank) {
  queue.work.low_rank_flops += 2 * rows * width * rank;
}

}  // namespace

template <class T>
void low_rank_project(Queue& queue, Index rows, Index width, Index rank, T alpha, const T* x,
                      Index ldx, tn::Transpose transpose, const T* B, Index ldb, T beta, T* y) {
  count(queue, rows, width, rank);
  const Index ld = round_up(rank, lanes<T>);
  const Scratch<T> packed(width * ld);
  pack(transpose, width, rank, B, ldb, packed.data(), ld);
  const Index blocks = (rows + row_block - 1) / row_block;
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index block = 0; block < blocks; ++block) {
    const Index first = block * row_block, size = smaller(row_block, rows - first);
    T* out = y + first * rank;
    if (beta != 0 && beta != 1)
      for (Index i = 0; i < size * rank; ++i) out[i] *= beta;
    small_product(size, rank, width, alpha, x + first * ldx, ldx, Index(1), packed.data(), ld,
                  beta != 0, out, rank);
  }
}

template <class T>
void low_rank_expand(Queue& queue, Index rows, Index width, Index rank, const T* z,
                     tn::Transpose transpose, const T* B, Index ldb, T* y, Index ldy) {
  count(queue, rows, width, rank);
  const Index ld = round_up(width, lanes<T>);
  const Scratch<T> packed(rank * ld);
  pack(transpose, rank, width, B, ldb, packed.data(), ld);
  const Index blocks = (rows + row_block - 1) / row_block;
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index block = 0; block < blocks; ++block) {
    const Index first = block * row_block, size = smaller(row_block, rows - first);
    small_product(size, width, rank, T(1), z + first * rank, rank, Index(1), packed.data(), ld,
                  true, y + first * ldy, ldy);
  }
}

template <class T>
void low_rank_gradient(Queue& queue, Index rows, Index width, Index rank, T alpha, const T* z,
                       const T* x, Index ldx, tn::Transpose transpose, T beta, T* G, Index ldg) {
  count(queue, rows, width, rank);
  const Index blocks = larger(1, (rows + row_block - 1) / row_block);
  const Scratch<T> partial(blocks * rank * width);
  // Vectors of x are read in full; the last columns come from a padded copy so that nothing past
  // the end of x is touched.
  const Index whole = width / lanes<T> * lanes<T>, rest = width - whole;
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index block = 0; block < blocks; ++block) {
    const Index first = block * row_block, size = smaller(row_block, rows - first);
    T* sums = partial.data() + block * rank * width;
    small_product(rank, whole, size, alpha, z + first * rank, Index(1), rank, x + first * ldx, ldx,
                  false, sums, width);
    if (rest > 0) {
      T edge[row_block * lanes<T>];
      for (Index i = 0; i < size; ++i)
        for (Index j = 0; j < lanes<T>; ++j)
          edge[i * lanes<T> + j] = j < rest ? x[(first + i) * ldx + whole + j] : T(0);
      small_product(rank, rest, size, alpha, z + first * rank, Index(1), rank, edge,
                    Index(lanes<T>), false, sums + whole, width);
    }
  }
  const Index row_step = transpose == tn::Transpose::no ? ldg : 1;
  const Index column_step = transpose == tn::Transpose::no ? 1 : ldg;
#pragma omp parallel for schedule(static) if (blocks * rank * width > parallel_threshold)
  for (Index j = 0; j < width; ++j) {
    for (Index i = 0; i < rank; ++i) {
      T sum = 0;
      for (Index block = 0; block < blocks; ++block)
        sum += partial.data()[(block * rank + i) * width + j];
      T& g = G[i * row_step + j * column_step];
      g = beta == 0 ? sum : beta * g + sum;
    }
  }
}

#define METATT_INSTANTIATE(T)                                                                    \
  template void low_rank_project(Queue&, Index, Index, Index, T, const T*, Index, tn::Transpose, \
                                 const T*, Index, T, T*);                                        \
  template void low_rank_expand(Queue&, Index, Index, Index, const T*, tn::Transpose, const T*,  \
                                Index, T*, Index);                                               \
  template void low_rank_gradient(Queue&, Index, Index, Index, T, const T*, const T*, Index,     \
                                  tn::Transpose, T, T*, Index);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff::backend::METATT_VECTOR_SET
