#pragma once
/// ⟨ψ|φ⟩ and ⟨ψ|H|φ⟩ with sites left out: what a fixed state is in the basis around the centre of
/// another.

#include <metatt/tn/chain/matrix_product_operator.hpp>
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

/// The same of H·φ, which is never formed.
template <class T>
class OperatorOverlaps {
 public:
  /// Keeps a reference to the operator. Throws Error if lengths or modes differ.
  OperatorOverlaps(const MatrixProductOperator<T>& mpo, TensorTrain<T> fixed,
                   const TensorTrain<T>& state);

  /// Cost of order m·M·w·d·(m + M + w·d) for bonds m of ψ, M of φ and w of H; likewise below.
  void extend_left(const TensorTrain<T>& state, Index k);
  void extend_right(const TensorTrain<T>& state, Index k);
  BlockTensor<T> part(Index k, Index sites) const;

 private:
  /// left_[k] and site k of φ and H: legs (bond of ψ, mode, bond of H, bond of φ).
  BlockTensor<T> with_left(Index k) const;
  /// Site k of φ and H and right_[k]: legs (bond of φ, bond of H, mode, bond of ψ).
  BlockTensor<T> with_right(Index k) const;

  const MatrixProductOperator<T>& mpo_;
  TensorTrain<T> fixed_;
  /// left_[k]: (bond of ψ: in, of H: out, of φ: out); right_[k]: (of φ: in, of H: in, of ψ: out).
  std::vector<BlockTensor<T>> left_, right_;
};

}  // namespace metatt::tn
