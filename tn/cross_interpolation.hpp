#pragma once
/// Tensor trains of functions that are known by their values only, and integrals over trains.

#include <metatt/tn/tensor_train.hpp>

#include <functional>

namespace metatt::tn {

struct CrossSettings {
  /// Of what the sweeps leave out, relative to the largest value seen. (Elements that they never
  /// looked at may be somewhat worse: see `checks`.)
  double tolerance = 1e-10;
  Index maximum_rank = unlimited;
  Index maximum_sweeps = 40;
  /// Points where the function is not zero, at least one of each feature that is far from all
  /// others; empty: the point 0, 0, ….
  std::vector<std::vector<Index>> pivots = {};
  /// Random points that a converged train is compared at; if the worst one is above ten times the
  /// tolerance it becomes a pivot, and the sweeps go on.
  Index checks = 200;
  std::uint64_t seed = 1;  ///< of these points
};

template <class T>
struct CrossInterpolation {
  TensorTrain<T> train;
  double largest_value = 0;  ///< that was seen
  double error = 0;          ///< largest of the last sweep's rests and of the last check, absolute
  Index evaluations = 0;     ///< of the function
  Index sweeps = 0;
  bool converged =
      false;  ///< rests within the tolerance, check within ten times it, ranks unchanged
};

/// f as a train, from of order n·r²·d² values a sweep: tensor cross interpolation with two-site
/// updates and rank-revealing pivots (Oseledets and Tyrtyshnikov 2010,
/// doi:10.1016/j.laa.2009.07.024; Núñez Fernández et al., arXiv:2407.02454). f is called with one
/// index for each mode. Throws Error on an f that is not finite (naming the point), on modes below
/// one, and on pivots outside them.
template <class T>
CrossInterpolation<T> cross_interpolation(const std::function<T(std::span<const Index>)>& f,
                                          std::span<const Index> modes,
                                          const CrossSettings& settings = {});

/// The same for a function of a real variable on [a, b) at 2^bits equal steps, one mode of extent
/// two for each bit, the most significant first (the quantics representation: Oseledets 2009,
/// Khoromskij 2011, doi:10.1007/s00365-011-9131-1).
template <class T>
CrossInterpolation<T> quantics_interpolation(const std::function<T(double)>& f, double a, double b,
                                             Index bits, const CrossSettings& settings = {});

/// Σ over all indices of A[i_0, …] · weights[0][i_0] · weights[1][i_1] · …: an integral by a
/// product rule. Throws Error unless there is a weight for each index of each mode. Cost of order
/// n·d·r².
template <class T>
T weighted_sum(const TensorTrain<T>& train, std::span<const std::vector<double>> weights);

}  // namespace metatt::tn
