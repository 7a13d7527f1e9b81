#pragma once
/// H in the basis of a few neighbouring sites, with everything else in its environments.

#include <metatt/tn/chain/environment.hpp>

#include <memory>

namespace metatt::tn {

/// The effective Hamiltonian of DMRG (two sites, or one) and of time evolution (also of a bond: no
/// site). States are vectors here: all blocks that the charges allow, one after the other, each
/// with the modes of all sites first and then (left bond, right bond), so that the large products
/// need no permutation. If the state is in canonical form around the sites, the environments of
/// operator bonds that hold nothing but identities are identities and cost nothing. What goes where
/// is decided once, for all products.
template <class T>
class EffectiveHamiltonian {
 public:
  /// For `sites` sites (0, 1 or 2) from site k on, between left(k) and right(k + sites − 1) of the
  /// environments, to which it keeps a reference; the state's centre is one of the sites, or the
  /// bond left of site k. Throws Error on another number of sites.
  EffectiveHamiltonian(const Environments<T>& environments, Index k, Index sites);
  ~EffectiveHamiltonian();

  /// A tensor (left bond, modes of the sites, right bond) as a vector, and back.
  Tensor<T> to_vector(const BlockTensor<T>& state) const;
  BlockTensor<T> to_tensor(const Tensor<T>& vector) const;

  /// H·ψ. Cost 2·d·(w−1)·(l²·r + l·r²) flops for d modes, bonds l and r and operator bonds w, less
  /// by the charges.
  Tensor<T> operator()(const Tensor<T>& psi) const;

  /// The diagonal of the matrix that operator() multiplies by, real numbers. Cost d·w·(w + l)·r.
  Tensor<T> diagonal() const;

 private:
  struct Plan;
  std::unique_ptr<const Plan> plan_;
};

}  // namespace metatt::tn
