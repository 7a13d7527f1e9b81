#pragma once
/// The lowest eigenpair of a Hermitian operator that is known by its products only.

#include <metatt/tn/tensor.hpp>

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

}  // namespace metatt::tn
