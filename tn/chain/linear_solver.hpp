#pragma once
/// Linear equations A·x = b between a sum of operators and a train.

#include <metatt/tn/chain/matrix_product_operator.hpp>
#include <metatt/tn/tensor_train.hpp>

#include <functional>

namespace metatt::tn {

template <class T>
struct GmresResult {
  Tensor<T> vector;
  double residual = 0;  ///< ‖A·vector − b‖ / ‖b‖ as the iteration knows it, up to rounding
  Index products = 0;
};

/// A·x = b from a start, by at most `steps` products without a restart (GMRES, Saad and Schultz
/// 1986, doi:10.1137/0907058). Ends early at a relative residual of `tolerance`. Zero for b = 0.
/// Throws Error if the sizes differ and if a product is not finite.
template <class T>
GmresResult<T> gmres(const std::function<Tensor<T>(const Tensor<T>&)>& apply, const Tensor<T>& b,
                     const Tensor<T>& start, Index steps, double tolerance);

struct LinearSolveSettings {
  /// 2: neighbouring cores are solved for together and split, so that bonds grow as they need to
  /// (MALS). 1: one core at a time, bonds as the start has them (ALS).
  Index sites = 2;
  Index maximum_bond = unlimited;
  double cutoff = 0;        ///< relative discarded weight of each truncation, at least (4ε)²
  Index sweeps = 40;        ///< at most
  double tolerance = 1e-8;  ///< of all local relative residuals of a sweep, before they are solved
  Index gmres_steps = 40;   ///< products at most for a core or a pair
};

template <class T>
struct LinearSolution {
  TensorTrain<T> train;
  double residual = 0;  ///< ‖A·x − b‖ / ‖b‖; below about 1e-8 (3e-4) it drowns in rounding
  double discarded_weight = 0;  ///< the largest of the last sweep
  Index sweeps = 0;
  /// All local equations hold to the tolerance. With one site x may then still be no more than the
  /// best that the bonds can hold: look at the residual.
  bool converged = false;
};

/// x with A·x = b by alternating sweeps, each local problem being the equation seen from the basis
/// around the centre (Holtz, Rohwedder and Schneider 2012, doi:10.1137/100818893). Meant for
/// positive definite A; others may work, and the residual tells. Throws Error if lengths,
/// dimensions or charges differ, if b or the start is zero, and if b is orthogonal to the
/// surroundings of a core of the start. Cost of a product as EffectiveHamiltonian.
template <class T>
LinearSolution<T> solve(const MatrixProductOperator<T>& A, const TensorTrain<T>& b,
                        TensorTrain<T> start, const LinearSolveSettings& settings = {});

}  // namespace metatt::tn
