#pragma once
/// ⟨ψ|φ⟩ with sites left out: what a fixed state φ is in the basis around the centre of another.

#include <metatt/tn/tensor_train.hpp>

namespace metatt::tn {

/// Kept for every bond and brought up to date by the caller where cores of ψ change.
template <class T>
class Overlaps {
 public:
  /// Throws Error if the modes of the states differ.
  Overlaps(TensorTrain<T> fixed, const TensorTrain<T>& state);

  void extend_left(const TensorTrain<T>& state, Index k);
  void extend_right(const TensorTrain<T>& state, Index k);
  /// φ on one or two sites from k on in the basis of ψ: legs (left bond, modes, right bond). Zero
  /// if the states have different charges.
  BlockTensor<T> part(Index k, Index sites) const;

 private:
  TensorTrain<T> fixed_;
  /// left_[k] is what stands left of site k: (bond of ψ: in, bond of φ: out); right_[k] what stands
  /// right of it: (bond of φ: in, bond of ψ: out).
  std::vector<BlockTensor<T>> left_, right_;
};

}  // namespace metatt::tn
