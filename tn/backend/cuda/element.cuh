#pragma once
/// Element types as the device computes with them: std::complex has the memory of Complex, but
/// its operators cannot be called in a kernel.

#include <metatt/tn/backend/types.hpp>

#include <bit>
#include <complex>

namespace metatt::tn::backend::cuda {

template <class R>
struct alignas(2 * sizeof(R)) Complex {
  R real;
  R imaginary;
};

template <class R>
__device__ Complex<R> operator+(Complex<R> a, Complex<R> b) {
  return {a.real + b.real, a.imaginary + b.imaginary};
}
template <class R>
__device__ Complex<R> operator*(Complex<R> a, Complex<R> b) {
  return {a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real};
}
template <class R>
__device__ Complex<R> operator*(R a, Complex<R> b) {
  return {a * b.real, a * b.imaginary};
}

template <class R>
__device__ R conjugate_of(R value) {
  return value;
}
template <class R>
__device__ Complex<R> conjugate_of(Complex<R> value) {
  return {value.real, -value.imaginary};
}

template <class R>
__device__ R real_part(R value) {
  return value;
}
template <class R>
__device__ R real_part(Complex<R> value) {
  return value.real;
}
template <class R>
__device__ R imaginary_part(R) {
  return 0;
}
template <class R>
__device__ R imaginary_part(Complex<R> value) {
  return value.imaginary;
}

template <class T>
struct ElementOf {
  using type = T;
};
template <class R>
struct ElementOf<std::complex<R>> {
  using type = Complex<R>;
};
template <class T>
using Element = typename ElementOf<T>::type;

template <class T>
Element<T>* element(T* pointer) {
  return reinterpret_cast<Element<T>*>(pointer);
}
template <class T>
const Element<T>* element(const T* pointer) {
  return reinterpret_cast<const Element<T>*>(pointer);
}
template <class T>
Element<T> element_value(T value) {
  return std::bit_cast<Element<T>>(value);
}

}  // namespace metatt::tn::backend::cuda
