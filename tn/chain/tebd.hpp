#pragma once
/// Time evolution by two-site gates (time-evolving block decimation, Vidal, quant-ph/0310089).

#include <metatt/tn/chain/operator_sum.hpp>
#include <metatt/tn/chain/tdvp.hpp>

#include <complex>
#include <map>

namespace metatt::tn {

struct TebdSettings {
  /// Of the Trotter–Suzuki decomposition, 2 or 4: the error at a fixed time falls with this power
  /// of the step.
  int order = 2;
  Index maximum_bond = unlimited;
  double cutoff = 0;  ///< relative discarded weight of each truncation
};

/// For sums of terms on single sites and nearest neighbours. Each gate acts at the centre of the
/// canonical form, so that its truncation is the best one, also in imaginary time.
template <class T>
class Tebd {
 public:
  /// Throws Error on a term that reaches further (naming it), on an order that is not 2 or 4, on a
  /// chain of one site, and as Tdvp.
  Tebd(const OperatorSum& sum, const Sites& sites, TensorTrain<T> start,
       const TebdSettings& settings);

  /// ψ → exp(z·H)·ψ, brought to norm one, as Tdvp::step. Of order 4 it is five steps of order 2.
  /// Gates are kept for the steps z that were asked for before.
  EvolutionReport step(std::complex<double> z);

  /// Norm one.
  const TensorTrain<T>& state() const { return state_; }

 private:
  void second_order(std::complex<double> z);
  /// Every other bond from `first` on.
  void layer(Index first, std::complex<double> z);
  const std::vector<BlockTensor<T>>& gates(std::complex<double> z);

  Sites sites_;
  std::vector<Tensor<std::complex<double>>> terms_;  // of each bond, a matrix of both sites
  TensorTrain<T> state_;
  TebdSettings settings_;
  TruncationPolicy policy_;
  std::map<std::pair<double, double>, std::vector<BlockTensor<T>>> gates_;
  EvolutionReport report_;
};

}  // namespace metatt::tn
