#pragma once
/// ⟨ψ|H|ψ⟩ with sites left out: the parts left and right of them.

#include <metatt/tn/chain/matrix_product_operator.hpp>
#include <metatt/tn/tensor_train.hpp>

namespace metatt::tn {

/// Throws Error naming `function` if operator and state differ in length, dimensions or conserved
/// charges.
template <class T>
void check_match(const char* function, const MatrixProductOperator<T>& mpo,
                 const TensorTrain<T>& state);

/// Environments of a state and an operator, kept for every bond and brought up to date by the
/// caller where cores change. left(k) is what stands left of site k, with the legs
/// (operator bond: out, bra bond: in, ket bond: out); right(k) what stands right of it, with the
/// legs (operator bond: in, ket bond: in, bra bond: out).
template <class T>
class Environments {
 public:
  /// Throws Error as check_match.
  Environments(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state);

  const MatrixProductOperator<T>& mpo() const { return mpo_; }
  const BlockTensor<T>& left(Index k) const { return left_[static_cast<std::size_t>(k)]; }
  const BlockTensor<T>& right(Index k) const { return right_[static_cast<std::size_t>(k)]; }
  /// left(k + 1) from left(k) and the core of site k. Cost 4·m³·w·d for bonds m, less by the
  /// charges.
  void extend_left(const TensorTrain<T>& state, Index k);
  /// right(k − 1) from right(k) and the core of site k.
  void extend_right(const TensorTrain<T>& state, Index k);

 private:
  const MatrixProductOperator<T>& mpo_;
  std::vector<BlockTensor<T>> left_, right_;
};

/// ⟨ψ|H|ψ⟩. Throws Error as Environments does.
template <class T>
T expectation(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state);

}  // namespace metatt::tn
