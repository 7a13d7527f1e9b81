#pragma once
/// The lowest eigenpairs of a Hermitian operator by Davidson's method: as Lanczos, but every new
/// vector is corrected by what is known of the operator, and several states may be sought at once.

#include <metatt/tn/tensor.hpp>

#include <functional>
#include <span>
#include <vector>

namespace metatt::tn {

struct DavidsonSettings {
  Index rounds = 3;  ///< products at most for each state
  double tolerance =
      1e-14;  ///< of the residuals, relative to the norm of the operator in the space
};

template <class T>
struct DavidsonResult {
  std::vector<double> values;      ///< ascending
  std::vector<Tensor<T>> vectors;  ///< orthonormal
  double residual = 0;             ///< ‖A·v − value·v‖, the largest of all
  Index products = 0;
};

/// As many of the lowest eigenpairs as there are independent `starts` (Davidson 1975,
/// doi:10.1016/0021-9991(75)90065-0, in the block form of Liu 1978). `correct` turns the residual
/// A·v − value·v in place into the direction in which v is to be improved, such as the residual
/// divided by the diagonal of A − value; it may also project out what is not wanted. Where that
/// leads nowhere new the residual itself is taken. Throws Error without a round, if no start
/// differs from zero, and if a start, a correction or a product is not finite. Keeps two vectors
/// for each product.
template <class T>
DavidsonResult<T> lowest_eigenpairs(
    const std::function<Tensor<T>(const Tensor<T>&)>& apply,
    const std::function<void(Tensor<T>& residual, double value)>& correct,
    std::span<const Tensor<T>> starts, const DavidsonSettings& settings);

}  // namespace metatt::tn
