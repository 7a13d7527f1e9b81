#pragma once
/// Time evolution by the time-dependent variational principle (Haegeman et al., arXiv:1408.5056;
/// Paeckel et al., arXiv:1901.05824, section 6).

#include <metatt/tn/chain/environment.hpp>

#include <complex>

namespace metatt::tn {

struct TdvpSettings {
  /// 2: pairs of sites are evolved and split, so that bonds grow as far as the limits below let
  /// them. 1: single sites, bonds as they are; energy and norm are conserved up to the
  /// exponentials.
  Index sites = 2;
  Index maximum_bond = unlimited;
  double cutoff = 0;  ///< relative discarded weight of each truncation
  /// Of each local exponential, as far as 40 products reach it; see EvolutionReport::krylov_error.
  double krylov_tolerance = 1e-12;
};

/// What a step of Tdvp or Tebd did.
struct EvolutionReport {
  double norm = 1;              ///< ‖exp(zH)·ψ‖ of this step, from a state of norm one
  Index maximum_bond = 0;       ///< of the state
  double discarded_weight = 0;  ///< the largest of the step
  double krylov_error = 0;      ///< of Tdvp: the largest estimate of a local exponential's error
};

/// Any range of couplings, any Hermitian MPO. One step has an error of third order in its length, a
/// fixed time one of second order.
template <class T>
class Tdvp {
 public:
  /// Keeps a reference to the operator. Throws Error if lengths, dimensions or charges differ, if
  /// the operator is not Hermitian, if the start is zero, and on a number of sites that is not 1 or
  /// 2.
  Tdvp(const MatrixProductOperator<T>& mpo, TensorTrain<T> start, const TdvpSettings& settings);

  /// ψ → exp(z·H)·ψ, brought to norm one: z = −i·dt is a step in time, z = −dτ one in imaginary
  /// time, for which T may be real. Cost as of a DMRG sweep.
  EvolutionReport step(std::complex<double> z);

  /// Norm one, centre at site 0.
  const TensorTrain<T>& state() const { return state_; }

 private:
  Index length() const { return state_.length(); }
  BlockTensor<T> evolved(Index k, Index sites, const BlockTensor<T>& start, std::complex<double> z);
  void evolve_site(Index k, std::complex<double> z);
  void evolve_pair(Index k, std::complex<double> z, Index center);
  void step_pairs(std::complex<double> half);
  void step_sites(std::complex<double> half);

  TensorTrain<T> state_;
  TdvpSettings settings_;
  TruncationPolicy policy_;
  Environments<T> environments_;
  EvolutionReport report_;
};

}  // namespace metatt::tn
