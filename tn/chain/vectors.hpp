#pragma once
/// Internal to the solvers: what is done with the vectors of a Krylov space, and numbers of any
/// type.

#include <metatt/tn/tensor.hpp>

#include <complex>
#include <span>
#include <type_traits>

namespace metatt::tn {

/// A number as a T; the imaginary part is dropped where T is real.
template <class T>
T scalar_of(std::complex<double> value) {
  if constexpr (std::is_same_v<T, Real<T>>)
    return static_cast<T>(value.real());
  else
    return T(static_cast<Real<T>>(value.real()), static_cast<Real<T>>(value.imag()));
}

template <class T>
T conjugate_of(T value) {
  if constexpr (std::is_same_v<T, Real<T>>)
    return value;
  else
    return std::conj(value);
}

template <class T>
double norm_of(const Tensor<T>& x) {
  return static_cast<double>(backend::norm(backend::queue(), x.size(), x.data()));
}

template <class T>
void scale_by(Tensor<T>& x, double factor) {
  backend::scale(backend::queue(), x.size(), scalar_of<T>(factor), x.mutable_data());
}

/// Makes x orthogonal to orthonormal vectors, twice, since once leaves rounding errors.
template <class T>
void remove_components(std::span<const Tensor<T>> basis, Tensor<T>& x) {
  Queue& queue = backend::queue();
  for (int pass = 0; pass < 2; ++pass)
    for (const Tensor<T>& v : basis)
      backend::add_scaled(queue, x.size(), -backend::dot(queue, x.size(), v.data(), x.data()),
                          v.data(), x.mutable_data());
}

}  // namespace metatt::tn
