#pragma once
/// ⟨ψ|H|ψ⟩ with sites left out: the parts left and right of them.

#include <metatt/tn/chain/matrix_product_operator.hpp>
#include <metatt/tn/tensor_train.hpp>

namespace metatt::tn {

/// Environments of a state and an operator, kept for every bond and brought up to date by the
/// caller where cores change. left(k) is what stands left of site k, of shape
/// (operator bond, bra bond, ket bond); right(k) what stands right of it, of shape
/// (operator bond, ket bond, bra bond).
template <class T>
class Environments {
 public:
  /// Throws Error if state and operator differ in length or dimensions.
  Environments(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state);

  const MatrixProductOperator<T>& mpo() const { return mpo_; }
  const Tensor<T>& left(Index k) const { return left_[static_cast<std::size_t>(k)]; }
  const Tensor<T>& right(Index k) const { return right_[static_cast<std::size_t>(k)]; }
  /// left(k + 1) from left(k) and the core of site k. Cost 4·m³·w·d for bonds m.
  void extend_left(const TensorTrain<T>& state, Index k);
  /// right(k − 1) from right(k) and the core of site k.
  void extend_right(const TensorTrain<T>& state, Index k);

 private:
  const MatrixProductOperator<T>& mpo_;
  std::vector<Tensor<T>> left_, right_;
};

/// ⟨ψ|H|ψ⟩. Throws Error as Environments does.
template <class T>
T expectation(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state);

/// H in the basis of two neighbouring sites, with everything else in its environments. Two-site
/// states have the shape (d_k · d_{k+1}, left bond, right bond): the modes come first, so that the
/// large products need no permutation. If the state is in canonical form around the two sites, the
/// environments of operator bonds that hold nothing but identities are identities and cost nothing.
template <class T>
class TwoSiteHamiltonian {
 public:
  /// For sites k and k + 1 of a state whose centre is one of them.
  TwoSiteHamiltonian(const Environments<T>& environments, Index k);

  /// H·ψ. Cost 2·d²·(w−1)·(l²·r + l·r²) flops for bonds l and r and operator bonds w.
  Tensor<T> operator()(const Tensor<T>& psi) const;

 private:
  const Tensor<T>&left_, &right_;
  Index blocks_left_, blocks_right_;  ///< operator bonds
  Index modes_;                       ///< d_k · d_{k+1}
  std::vector<SparseEntry<T>> entries_;
  std::optional<Index> left_identity_, right_identity_;
};

/// The cores k and k + 1 as one two-site state, and back: TensorTrain::set_pair takes the parts.
template <class T>
Tensor<T> two_site_state(const TensorTrain<T>& state, Index k);
/// As (left bond · d_k) × (d_{k+1} · right bond), for a singular value decomposition.
template <class T>
Tensor<T> as_matrix(const Tensor<T>& two_site, Index left_mode);

}  // namespace metatt::tn
