#include <metatt/tn/backend/cuda/element.cuh>
#include <metatt/tn/backend/cuda/launch.cuh>

#include <cmath>

namespace metatt::tn::backend {

namespace {

/// Σ term(i), on the host.
template <class Term>
double sum_to_host(Queue& queue, const char* function, Index count, const Term& term) {
  const cuda::Scratch<double> result(1);
  double* out = result.data();
  cuda::reduce(function, count, term, [=] __device__(double sum) { *out = sum; });
  double sum = 0;
  copy_to_host(queue, out, &sum, sizeof(sum));
  return sum;
}

}  // namespace

template <class T>
T dot(Queue& queue, Index count, const T* x, const T* y) {
  const cuda::Element<T>* left = cuda::element(x);
  const cuda::Element<T>* right = cuda::element(y);
  const double real = sum_to_host(queue, "dot", count, [=] __device__(Index i) {
    return double(cuda::real_part(left[i])) * double(cuda::real_part(right[i])) +
           double(cuda::imaginary_part(left[i])) * double(cuda::imaginary_part(right[i]));
  });
  if constexpr (std::is_same_v<T, Real<T>>) {
    return static_cast<T>(real);
  } else {
    const double imaginary = sum_to_host(queue, "dot", count, [=] __device__(Index i) {
      return double(left[i].real) * double(right[i].imaginary) -
             double(left[i].imaginary) * double(right[i].real);
    });
    return T(static_cast<Real<T>>(real), static_cast<Real<T>>(imaginary));
  }
}

template <class T>
Real<T> norm(Queue& queue, Index count, const T* x) {
  // A complex array is a real one of twice the length.
  constexpr Index kParts = sizeof(T) / sizeof(Real<T>);
  const Real<T>* values = reinterpret_cast<const Real<T>*>(x);
  const double squares = sum_to_host(queue, "norm", count * kParts, [=] __device__(Index i) {
    return double(values[i]) * double(values[i]);
  });
  return static_cast<Real<T>>(std::sqrt(squares));
}

template <class T>
bool all_finite(Queue& queue, Index count, const T* x) {
  constexpr Index kParts = sizeof(T) / sizeof(Real<T>);
  const Real<T>* values = reinterpret_cast<const Real<T>*>(x);
  const double others = sum_to_host(queue, "all_finite", count * kParts, [=] __device__(Index i) {
    return isfinite(values[i]) ? 0.0 : 1.0;
  });
  return others == 0;
}

#define METATT_REDUCTIONS(T)                            \
  template T dot<T>(Queue&, Index, const T*, const T*); \
  template Real<T> norm<T>(Queue&, Index, const T*);    \
  template bool all_finite<T>(Queue&, Index, const T*);

METATT_REDUCTIONS(float)
METATT_REDUCTIONS(double)
METATT_REDUCTIONS(std::complex<float>)
METATT_REDUCTIONS(std::complex<double>)

}  // namespace metatt::tn::backend
