/// The small matrix product that attention and the low-rank path are made of.

#include <metatt/autodiff/backend/cpu/vector.hpp>

namespace metatt::autodiff::backend::METATT_VECTOR_SET {

namespace {

/// One block of Rows × Columns vectors, held in registers over the whole inner loop. `last` is the
/// number of valid elements in the last vector.
template <class T, int Rows, int Columns>
inline void block(Index inner, T alpha, const T* A, Index row_stride, Index inner_stride,
                  const T* B, Index ldb, bool accumulate, T* out, Index ldo, int last) {
  constexpr int W = lanes<T>;
  Vector<T> sums[Rows][Columns];
  for (int i = 0; i < Rows; ++i)
    for (int j = 0; j < Columns; ++j) sums[i][j] = Vector<T>{};
  for (Index k = 0; k < inner; ++k) {
    Vector<T> b[Columns];
    for (int j = 0; j < Columns; ++j) b[j] = load(B + k * ldb + j * W);
    for (int i = 0; i < Rows; ++i) {
      const T a = A[i * row_stride + k * inner_stride];
      for (int j = 0; j < Columns; ++j) sums[i][j] += a * b[j];
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Columns; ++j) {
      T* o = out + i * ldo + j * W;
      if (j + 1 < Columns || last == W) {
        store(o, accumulate ? load(o) + alpha * sums[i][j] : alpha * sums[i][j]);
      } else {
        for (int e = 0; e < last; ++e) o[e] = (accumulate ? o[e] : T(0)) + alpha * sums[i][j][e];
      }
    }
  }
}

/// All rows of a strip of Columns vectors.
template <class T, int Rows, int Columns>
void strip(Index rows, Index inner, T alpha, const T* A, Index row_stride, Index inner_stride,
           const T* B, Index ldb, bool accumulate, T* out, Index ldo, int last) {
  Index i = 0;
  for (; i + Rows <= rows; i += Rows)
    block<T, Rows, Columns>(inner, alpha, A + i * row_stride, row_stride, inner_stride, B, ldb,
                            accumulate, out + i * ldo, ldo, last);
  for (; i + 4 <= rows; i += 4)
    block<T, 4, Columns>(inner, alpha, A + i * row_stride, row_stride, inner_stride, B, ldb,
                         accumulate, out + i * ldo, ldo, last);
  for (; i < rows; ++i)
    block<T, 1, Columns>(inner, alpha, A + i * row_stride, row_stride, inner_stride, B, ldb,
                         accumulate, out + i * ldo, ldo, last);
}

}  // namespace

template <class T>
void small_product(Index rows, Index columns, Index inner, T alpha, const T* A, Index row_stride,
                   Index inner_stride, const T* B, Index ldb, bool accumulate, T* out, Index ldo) {
  constexpr int W = lanes<T>;
  // Registers: Rows·Columns sums, Columns of B, one of A, within 32 (AVX-512) or 16.
  constexpr bool wide = vector_bytes == 64;
  for (Index j = 0; j < columns;) {
    const Index vectors = (columns - j + W - 1) / W;
    const T* b = B + j;
    T* o = out + j;
    const auto last = [&](Index taken) {
      return static_cast<int>(smaller(W, columns - j - (taken - 1) * W));
    };
    if (wide && vectors >= 4) {
      strip<T, 6, 4>(rows, inner, alpha, A, row_stride, inner_stride, b, ldb, accumulate, o, ldo,
                     last(4));
      j += 4 * W;
    } else if (vectors >= 2) {
      strip<T, wide ? 12 : 6, 2>(rows, inner, alpha, A, row_stride, inner_stride, b, ldb,
                                 accumulate, o, ldo, last(2));
      j += 2 * W;
    } else {
      strip<T, wide ? 16 : 8, 1>(rows, inner, alpha, A, row_stride, inner_stride, b, ldb,
                                 accumulate, o, ldo, last(1));
      j += W;
    }
  }
}

namespace {

/// Dot products of Rows rows with x. Rows that are read at the same time are as many streams for
/// the memory, which delivers several of them faster than one.
template <class T, int Rows>
inline void dot_rows(Index columns, const T* W, const T* x, T beta, T* y) {
  constexpr int lane_count = lanes<T>;
  Vector<T> sums[Rows];
  for (int r = 0; r < Rows; ++r) sums[r] = Vector<T>{};
  Index j = 0;
  constexpr Index ahead = 2048 / static_cast<Index>(sizeof(T));
  for (; j + lane_count <= columns; j += lane_count) {
    const Vector<T> in = load(x + j);
    // Further on in the same rows, or where the next rows begin.
    const T* next = W + j + ahead + (j + ahead < columns ? 0 : (Rows - 1) * columns);
    for (int r = 0; r < Rows; ++r) {
      __builtin_prefetch(next + r * columns);
      sums[r] += load(W + r * columns + j) * in;
    }
  }
  for (int r = 0; r < Rows; ++r) {
    T sum = 0;
    for (int e = 0; e < lane_count; ++e) sum += sums[r][e];
    for (Index k = j; k < columns; ++k) sum += W[r * columns + k] * x[k];
    y[r] = beta == T(0) ? sum : beta * y[r] + sum;
  }
}

}  // namespace

template <class T>
void matrix_vector(Queue&, Index rows, Index columns, const T* W, const T* x, T beta, T* y) {
  constexpr Index at_once = 8;
  const Index blocks = rows / at_once;
#pragma omp parallel for schedule(static) if (rows * columns > parallel_threshold)
  for (Index b = 0; b < blocks; ++b)
    dot_rows<T, at_once>(columns, W + b * at_once * columns, x, beta, y + b * at_once);
  for (Index i = blocks * at_once; i < rows; ++i)
    dot_rows<T, 1>(columns, W + i * columns, x, beta, y + i);
}

template void matrix_vector(Queue&, Index, Index, const float*, const float*, float, float*);
template void matrix_vector(Queue&, Index, Index, const double*, const double*, double, double*);
template void small_product(Index, Index, Index, float, const float*, Index, Index, const float*,
                            Index, bool, float*, Index);
template void small_product(Index, Index, Index, double, const double*, Index, Index, const double*,
                            Index, bool, double*, Index);

}  // namespace metatt::autodiff::backend::METATT_VECTOR_SET
