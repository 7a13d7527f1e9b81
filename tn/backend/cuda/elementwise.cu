#include <metatt/tn/backend/cuda/element.cuh>
#include <metatt/tn/backend/cuda/launch.cuh>

#include <type_traits>

namespace metatt::tn::backend {

using cuda::Element;
using cuda::element;
using cuda::element_value;

template <class T>
void fill(Queue&, Index count, T value, T* x) {
  Element<T>* out = element(x);
  const Element<T> element_to_store = element_value(value);
  cuda::for_each("fill", count, [=] __device__(Index i) { out[i] = element_to_store; });
}

template <class T>
void copy(Queue&, Index count, const T* in, T* out) {
  if (count <= 0) return;
  cuda::check(cudaMemcpyAsync(out, in, static_cast<std::size_t>(count) * sizeof(T),
                              cudaMemcpyDeviceToDevice, cudaStreamLegacy),
              "copy");
}

template <class T>
void copy_matrix(Queue&, Index rows, Index columns, const T* in, Index ld_in, T* out,
                 Index ld_out) {
  const Element<T>* from = element(in);
  Element<T>* to = element(out);
  cuda::for_each_element("copy_matrix", rows, columns, [=] __device__(Index i, Index j) {
    to[i * ld_out + j] = from[i * ld_in + j];
  });
}

template <class From, class To>
void convert(Queue&, Index count, const From* in, To* out) {
  // A complex array is a real one of twice the length.
  constexpr Index kParts = sizeof(From) / sizeof(Real<From>);
  const Real<From>* from = reinterpret_cast<const Real<From>*>(in);
  Real<To>* to = reinterpret_cast<Real<To>*>(out);
  cuda::for_each("convert", count * kParts,
                 [=] __device__(Index i) { to[i] = static_cast<Real<To>>(from[i]); });
}

template <class T>
void scale(Queue&, Index count, T alpha, T* x) {
  Element<T>* values = element(x);
  const Element<T> factor = element_value(alpha);
  cuda::for_each("scale", count, [=] __device__(Index i) { values[i] = factor * values[i]; });
}

template <class T>
void add_scaled(Queue&, Index count, T alpha, const T* x, T* y) {
  const Element<T>* from = element(x);
  Element<T>* to = element(y);
  const Element<T> factor = element_value(alpha);
  cuda::for_each("add_scaled", count,
                 [=] __device__(Index i) { to[i] = to[i] + factor * from[i]; });
}

template <class T>
void combine_blocks(Queue& queue, Index rows, Index count, std::span<const SparseEntry<T>> entries,
                    const T* X, T* Y) {
  fill(queue, rows * count, T(0), Y);
  for (const auto& [row, column, value] : entries)
    add_scaled(queue, count, value, X + column * count, Y + row * count);
}

template <class T>
void conjugate(Queue&, Index count, T* x) {
  if (std::is_same_v<T, Real<T>>) return;
  Element<T>* values = element(x);
  cuda::for_each("conjugate", count,
                 [=] __device__(Index i) { values[i] = cuda::conjugate_of(values[i]); });
}

template <class T>
void scale_rows(Queue& queue, Index rows, Index columns, const Real<T>* factors, T* A) {
  const cuda::Scratch<Real<T>> scratch(rows);
  copy_from_host(queue, factors, scratch.data(), static_cast<std::size_t>(rows) * sizeof(Real<T>));
  const Real<T>* factor = scratch.data();
  Element<T>* values = element(A);
  cuda::for_each_element("scale_rows", rows, columns, [=] __device__(Index i, Index j) {
    values[i * columns + j] = factor[i] * values[i * columns + j];
  });
}

template <class T>
void scale_columns(Queue& queue, Index rows, Index columns, const Real<T>* factors, T* A) {
  const cuda::Scratch<Real<T>> scratch(columns);
  copy_from_host(queue, factors, scratch.data(),
                 static_cast<std::size_t>(columns) * sizeof(Real<T>));
  const Real<T>* factor = scratch.data();
  Element<T>* values = element(A);
  cuda::for_each_element("scale_columns", rows, columns, [=] __device__(Index i, Index j) {
    values[i * columns + j] = factor[j] * values[i * columns + j];
  });
}

template <class T>
void divide_by_difference(Queue&, Index count, const T* d, Real<T> shift, Real<T> least, T* x) {
  // The real part of a complex number comes first.
  constexpr Index kParts = sizeof(T) / sizeof(Real<T>);
  const Real<T>* diagonal = reinterpret_cast<const Real<T>*>(d);
  Element<T>* values = element(x);
  cuda::for_each("divide_by_difference", count, [=] __device__(Index i) {
    const Real<T> difference = diagonal[i * kParts] - shift;
    const Real<T> size = difference < 0 ? -difference : difference;
    const Real<T> factor = (difference < 0 ? -1 : 1) / (size < least ? least : size);
    values[i] = factor * values[i];
  });
}

#define METATT_STORAGE(T)                             \
  template void fill<T>(Queue&, Index, T, T*);        \
  template void copy<T>(Queue&, Index, const T*, T*); \
  template void copy_matrix<T>(Queue&, Index, Index, const T*, Index, T*, Index);
#define METATT_ARITHMETIC(T)                                                                       \
  METATT_STORAGE(T)                                                                                \
  template void scale<T>(Queue&, Index, T, T*);                                                    \
  template void add_scaled<T>(Queue&, Index, T, const T*, T*);                                     \
  template void combine_blocks<T>(Queue&, Index, Index, std::span<const SparseEntry<T>>, const T*, \
                                  T*);                                                             \
  template void conjugate<T>(Queue&, Index, T*);                                                   \
  template void scale_rows<T>(Queue&, Index, Index, const Real<T>*, T*);                           \
  template void scale_columns<T>(Queue&, Index, Index, const Real<T>*, T*);                        \
  template void divide_by_difference<T>(Queue&, Index, const T*, Real<T>, Real<T>, T*);

METATT_STORAGE(std::int32_t)
METATT_ARITHMETIC(float)
METATT_ARITHMETIC(double)
METATT_ARITHMETIC(std::complex<float>)
METATT_ARITHMETIC(std::complex<double>)
template void convert<float, double>(Queue&, Index, const float*, double*);
template void convert<double, float>(Queue&, Index, const double*, float*);
template void convert<std::complex<float>, std::complex<double>>(Queue&, Index,
                                                                 const std::complex<float>*,
                                                                 std::complex<double>*);
template void convert<std::complex<double>, std::complex<float>>(Queue&, Index,
                                                                 const std::complex<double>*,
                                                                 std::complex<float>*);

}  // namespace metatt::tn::backend
