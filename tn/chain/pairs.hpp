#pragma once
/// Internal to the sweeps: two neighbouring cores from the tensor of both.

#include <metatt/tn/symmetry/block_decompositions.hpp>
#include <metatt/tn/tensor_train.hpp>

#include <algorithm>
#include <limits>

namespace metatt::tn {

/// Throws Error, before any work, if a policy contradicts itself.
inline TruncationPolicy bond_policy(Index maximum_bond, double cutoff) {
  TruncationPolicy policy;
  policy.maximum_rank = maximum_bond;
  policy.cutoff = cutoff;
  check(policy);
  return policy;
}

/// Drops at least what is rounding, where bonds would otherwise grow by it in every sweep.
template <class T>
TruncationPolicy above_rounding(TruncationPolicy policy) {
  const double rounding = 4 * static_cast<double>(std::numeric_limits<Real<T>>::epsilon());
  policy.cutoff = std::max(policy.cutoff, rounding * rounding);
  return policy;
}

/// Splits a tensor (left bond, two modes, right bond) into cores k and k + 1, with the singular
/// values in the one that becomes the centre. Returns what the split threw away.
template <class T>
Truncation split_pair(TensorTrain<T>& state, Index k, const BlockTensor<T>& pair,
                      const TruncationPolicy& policy, Index center) {
  TruncatedBlockSvd<T> cut = truncated_svd(pair, 2, policy);
  if (center == k)
    cut.u = leg_scaled(std::move(cut.u), 2, cut.singular_values);
  else
    cut.vh = leg_scaled(std::move(cut.vh), 0, cut.singular_values);
  state.set_pair(k, std::move(cut.u), std::move(cut.vh), center);
  return cut.truncation;
}

}  // namespace metatt::tn
