#include <metatt/tn/backend/backend.hpp>
#include <metatt/tn/backend/cpu/private.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::tn::backend {

template <class T>
void fill(Queue&, Index count, T value, T* x) {
#pragma omp parallel for simd schedule(static) if (count > parallel_threshold)
  for (Index i = 0; i < count; ++i) x[i] = value;
}

template <class T>
void copy(Queue&, Index count, const T* in, T* out) {
#pragma omp parallel for simd schedule(static) if (count > parallel_threshold)
  for (Index i = 0; i < count; ++i) out[i] = in[i];
}

template <class T>
void copy_matrix(Queue&, Index rows, Index columns, const T* in, Index ld_in, T* out,
                 Index ld_out) {
#pragma omp parallel for schedule(static) if (rows * columns > parallel_threshold)
  for (Index i = 0; i < rows; ++i) std::copy_n(in + i * ld_in, columns, out + i * ld_out);
}

template <class From, class To>
void convert(Queue&, Index count, const From* in, To* out) {
#pragma omp parallel for simd schedule(static) if (count > parallel_threshold)
  for (Index i = 0; i < count; ++i) out[i] = static_cast<To>(in[i]);
}

template <class T>
void scale(Queue&, Index count, T alpha, T* x) {
#pragma omp parallel for simd schedule(static) if (count > parallel_threshold)
  for (Index i = 0; i < count; ++i) x[i] = multiply(alpha, x[i]);
}

template <class T>
void add_scaled(Queue&, Index count, T alpha, const T* x, T* y) {
#pragma omp parallel for simd schedule(static) if (count > parallel_threshold)
  for (Index i = 0; i < count; ++i) y[i] += multiply(alpha, x[i]);
}

template <class T>
void combine_blocks(Queue&, Index rows, Index count, std::span<const SparseEntry<T>> entries,
                    const T* X, T* Y) {
  // All blocks of X in a chunk stay in cache while every block of Y is made from them.
  constexpr Index chunk = 512;
  const Index chunks = (count + chunk - 1) / chunk;
#pragma omp parallel for schedule(static) if (rows * count > parallel_threshold)
  for (Index c = 0; c < chunks; ++c) {
    const Index begin = c * chunk, length = std::min(chunk, count - begin);
    std::size_t next = 0;
    for (Index row = 0; row < rows; ++row) {
      T* y = Y + row * count + begin;
      std::fill_n(y, length, T(0));
      for (; next < entries.size() && entries[next].row == row; ++next) {
        const T* x = X + entries[next].column * count + begin;
        const T value = entries[next].value;
#pragma omp simd
        for (Index i = 0; i < length; ++i) y[i] += multiply(value, x[i]);
      }
    }
  }
}

template <class T>
void conjugate([[maybe_unused]] Queue& queue, [[maybe_unused]] Index count, [[maybe_unused]] T* x) {
  if constexpr (is_complex<T>) {
#pragma omp parallel for simd schedule(static) if (count > parallel_threshold)
    for (Index i = 0; i < count; ++i) x[i] = T(x[i].real(), -x[i].imag());
  }
}

template <class T>
void scale_rows(Queue&, Index rows, Index columns, const Real<T>* factors, T* A) {
#pragma omp parallel for schedule(static) if (rows * columns > parallel_threshold)
  for (Index i = 0; i < rows; ++i) {
    T* row = A + i * columns;
    for (Index j = 0; j < columns; ++j) row[j] *= factors[i];
  }
}

template <class T>
void scale_columns(Queue&, Index rows, Index columns, const Real<T>* factors, T* A) {
#pragma omp parallel for schedule(static) if (rows * columns > parallel_threshold)
  for (Index i = 0; i < rows; ++i) {
    T* row = A + i * columns;
    for (Index j = 0; j < columns; ++j) row[j] *= factors[j];
  }
}

template <class T>
void divide_by_difference(Queue&, Index count, const T* d, Real<T> shift, Real<T> least, T* x) {
#pragma omp parallel for simd schedule(static) if (count > parallel_threshold)
  for (Index i = 0; i < count; ++i) {
    const Real<T> difference = std::real(d[i]) - shift,
                  size = std::max(std::abs(difference), least);
    x[i] /= difference < 0 ? -size : size;
  }
}

#define METATT_INSTANTIATE_STORAGE(T)                 \
  template void fill<T>(Queue&, Index, T, T*);        \
  template void copy<T>(Queue&, Index, const T*, T*); \
  template void copy_matrix<T>(Queue&, Index, Index, const T*, Index, T*, Index);
#define METATT_INSTANTIATE(T)                                                                      \
  METATT_INSTANTIATE_STORAGE(T)                                                                    \
  template void scale<T>(Queue&, Index, T, T*);                                                    \
  template void add_scaled<T>(Queue&, Index, T, const T*, T*);                                     \
  template void combine_blocks<T>(Queue&, Index, Index, std::span<const SparseEntry<T>>, const T*, \
                                  T*);                                                             \
  template void conjugate<T>(Queue&, Index, T*);                                                   \
  template void scale_rows<T>(Queue&, Index, Index, const Real<T>*, T*);                           \
  template void scale_columns<T>(Queue&, Index, Index, const Real<T>*, T*);                        \
  template void divide_by_difference<T>(Queue&, Index, const T*, Real<T>, Real<T>, T*);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
METATT_INSTANTIATE_STORAGE(std::int32_t)
#undef METATT_INSTANTIATE
#undef METATT_INSTANTIATE_STORAGE

template void convert<float, double>(Queue&, Index, const float*, double*);
template void convert<double, float>(Queue&, Index, const double*, float*);
template void convert<std::complex<float>, std::complex<double>>(Queue&, Index,
                                                                 const std::complex<float>*,
                                                                 std::complex<double>*);
template void convert<std::complex<double>, std::complex<float>>(Queue&, Index,
                                                                 const std::complex<double>*,
                                                                 std::complex<float>*);

}  // namespace metatt::tn::backend
