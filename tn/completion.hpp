#pragma once
/// Tensor trains from some of the elements of a tensor.

#include <metatt/tn/tensor_train.hpp>

#include <span>
#include <vector>

namespace metatt::tn {

struct CompletionSettings {
  Index sweeps = 200;        ///< at most, to the right and back
  double tolerance = 1e-10;  ///< of the error, and of its change in a sweep
};

template <class T>
struct Completion {
  TensorTrain<T> train;
  double error = 0;  ///< ‖train − values‖ / ‖values‖ over the points
  Index sweeps = 0;
  bool converged = false;  ///< the error is within the tolerance or stands still
};

/// The train with the ranks of `start` that is closest to `values` at `points` (one index for each
/// mode), by alternating least squares: core after core, the best one for the others (Grasedyck,
/// Kluge and Krämer 2015, arXiv:1509.00311). The error never rises, and every step changes its
/// core as little as it can: the slice of an index that no point has stays as it is. Whether the
/// train is right elsewhere depends on the points: some multiple of the parameters of the train,
/// and some for every index of every mode. Throws Error on another number of values than points,
/// without points, on a point outside the modes, on values that are not finite or all zero, and
/// where charges are conserved. Cost of a sweep and mode: points·r⁴.
template <class T>
Completion<T> complete(std::span<const std::vector<Index>> points, std::span<const T> values,
                       TensorTrain<T> start, const CompletionSettings& settings = {});

}  // namespace metatt::tn
