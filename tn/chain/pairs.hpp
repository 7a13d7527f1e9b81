#pragma once
/// Internal to the sweeps: two neighbouring cores from the tensor of both.

#include <metatt/tn/symmetry/block_decompositions.hpp>
#include <metatt/tn/tensor_train.hpp>

namespace metatt::tn {

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
