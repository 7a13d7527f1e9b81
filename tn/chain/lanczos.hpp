#pragma once
/// Krylov spaces of a Hermitian operator that is known by its products only: its lowest eigenpair,
/// and its exponential.

#include <metatt/tn/tensor.hpp>

#include <complex>
#include <functional>

namespace metatt::tn {

struct LanczosSettings {
  Index steps = 3;           ///< products at most
  double tolerance = 1e-14;  ///< of the residual, relative to the norm of the operator in the space
};

template <class T>
struct LanczosResult {
  double value = 0;
  Tensor<T> vector;     ///< norm one
  double residual = 0;  ///< ‖A·v − value·v‖
  Index products = 0;
};

/// Lanczos iteration from `start` (Lanczos 1950) with every new vector made orthogonal twice to all
/// before it, so that few steps are exact for small spaces. Ends early where the space is
/// exhausted. Throws Error if `start` is zero or a product is not finite.
template <class T>
LanczosResult<T> lowest_eigenpair(const std::function<Tensor<T>(const Tensor<T>&)>& apply,
                                  const Tensor<T>& start, const LanczosSettings& settings);

struct ExponentialSettings {
  Index steps = 40;          ///< products at most
  double tolerance = 1e-12;  ///< of the result's last component, relative to the start
};

template <class T>
struct ExponentialResult {
  Tensor<T> vector;
  double error = 0;  ///< estimate of ‖vector − exp(zA)·start‖ / ‖start‖
  Index products = 0;
};

/// exp(z·A)·start in the Krylov space of A and start (Park and Light 1986, doi:10.1063/1.451548),
/// which grows until the estimated error, the component that leads out of it, falls below the
/// tolerance. Throws Error as lowest_eigenpair, and if T is real and z is not.
template <class T>
ExponentialResult<T> exponential(const std::function<Tensor<T>(const Tensor<T>&)>& apply,
                                 std::complex<double> z, const Tensor<T>& start,
                                 const ExponentialSettings& settings);

}  // namespace metatt::tn
