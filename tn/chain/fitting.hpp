#pragma once
/// Variational compression: the best train of small bonds for a state, or for H·ψ.

#include <metatt/tn/chain/matrix_product_operator.hpp>
#include <metatt/tn/tensor_train.hpp>

namespace metatt::tn {

struct FitSettings {
  Index maximum_bond = unlimited;
  double cutoff = 0;         ///< relative discarded weight of each truncation, at least (4ε)²
  Index sweeps = 20;         ///< at most
  double tolerance = 1e-10;  ///< ends when the norm of the fit changes by less, relatively
};

template <class T>
struct Fit {
  TensorTrain<T> state;
  /// ‖target − state‖ / ‖target‖. Below about 1e-8 (3e-4 in single precision) it drowns in
  /// rounding.
  double error = 0;
  Index sweeps = 0;
  bool converged = false;
};

/// The train closest to `target` with bonds within the settings, by sweeps that replace two
/// neighbouring cores by the projection of the target, split anew (Schollwöck, arXiv:1008.3477,
/// section 4.5.2). `start` must not be orthogonal to the target; a rounded target is a good one.
/// Throws Error if modes or charges differ, if the start is zero, and without sweeps. Cost of a
/// pair of sites d²·m·M·(m + M) + d³·m³ for bonds m of the fit and M of the target, where rounding
/// has M³.
template <class T>
Fit<T> fit(const TensorTrain<T>& target, TensorTrain<T> start, const FitSettings& settings);

/// The same for H·ψ, which is never formed: its cost grows with w²·m², that of apply() with
/// (w·m)³.
template <class T>
Fit<T> fit(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state, TensorTrain<T> start,
           const FitSettings& settings);

}  // namespace metatt::tn
