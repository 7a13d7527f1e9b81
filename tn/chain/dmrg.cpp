#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/chain/effective_hamiltonian.hpp>
#include <metatt/tn/chain/lanczos.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/symmetry/block_decompositions.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

namespace metatt::tn {

namespace {

/// The state of one call of dmrg() on a chain of two sites or more.
template <class T>
class Optimisation {
 public:
  Optimisation(const MatrixProductOperator<T>& mpo, TensorTrain<T> start)
      : state_(std::move(start)), environments_(mpo, state_) {
    state_.orthogonalise(0);
    const Real<T> norm = state_.norm();
    if (!(norm > 0) || !std::isfinite(norm))
      fail("dmrg: expected a start state, found one of norm ", norm);
    state_.scale(T(1 / norm));
    for (Index k = state_.length() - 1; k > 1; --k) environments_.extend_right(state_, k);
  }

  DmrgSweepReport sweep(Index number, const DmrgSweep& settings) {
    const auto start = std::chrono::steady_clock::now();
    report_ = {};
    report_.sweep = number;
    const Index last = state_.length() - 2;
    for (Index k = 0; k < last; ++k) {
      optimise(k, settings, k + 1);
      environments_.extend_left(state_, k);
    }
    for (Index k = last; k >= 0; --k) {
      optimise(k, settings, k);
      if (k > 0) environments_.extend_right(state_, k + 1);
    }
    const auto ranks = state_.ranks();
    report_.maximum_bond = *std::max_element(ranks.begin(), ranks.end());
    report_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return report_;
  }

  TensorTrain<T>& state() { return state_; }

 private:
  /// Sites k and k + 1; the centre goes to `center`, one of them.
  void optimise(Index k, const DmrgSweep& settings, Index center) {
    const EffectiveHamiltonian<T> hamiltonian(environments_, k, 2);
    const auto start = contract("lsm,mtr->lstr", state_.core(k), state_.core(k + 1));
    const auto pair = lowest_eigenpair<T>([&](const Tensor<T>& psi) { return hamiltonian(psi); },
                                          hamiltonian.to_vector(start), {settings.lanczos_steps});
    report_.energy = pair.value;
    report_.residual = std::max(report_.residual, pair.residual);
    report_.products += pair.products;
    split(k, hamiltonian.to_tensor(pair.vector), settings, center);
  }

  void split(Index k, const BlockTensor<T>& psi, const DmrgSweep& settings, Index center) {
    TruncationPolicy policy;
    policy.maximum_rank = settings.maximum_bond;
    policy.cutoff = settings.cutoff;
    auto parts = truncated_svd(psi, 2, policy);
    report_.discarded_weight =
        std::max(report_.discarded_weight, parts.truncation.discarded_weight);
    const std::span<const double> kept =
        std::span(parts.spectrum).first(static_cast<std::size_t>(parts.truncation.kept));
    if (k == (state_.length() - 1) / 2) report_.centre_entropy = entropy(kept);
    // Norm one again after what was discarded.
    double weight = 0;
    for (const double value : kept) weight += value * value;
    for (auto& sector : parts.singular_values)
      for (double& value : sector) value /= std::sqrt(weight);
    if (center == k)
      parts.u = leg_scaled(std::move(parts.u), 2, parts.singular_values);
    else
      parts.vh = leg_scaled(std::move(parts.vh), 0, parts.singular_values);
    state_.set_pair(k, std::move(parts.u), std::move(parts.vh), center);
  }

  TensorTrain<T> state_;
  Environments<T> environments_;
  DmrgSweepReport report_;
};

/// A chain of one site has no bond: the lowest eigenvector of its matrix, among the basis states
/// that have the charge of the start.
template <class T>
DmrgResult<T> single_site(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& start) {
  const Environments<T> match(mpo, start);
  const BlockTensor<T>& core = start.core(0);
  const auto matrix = dense_matrix(mpo).to_vector();
  const Index d = mpo.core(0).dimension;
  std::vector<Index> states;
  for (const BlockKey& key : allowed_keys(core.legs()))
    for (Index i = 0; i < core.leg(1).sector(key[1]).dimension; ++i)
      states.push_back(core.leg(1).offset(key[1]) + i);
  std::vector<T> elements;
  for (const Index i : states)
    for (const Index j : states) elements.push_back(matrix[static_cast<std::size_t>(i * d + j)]);
  const auto n = static_cast<Index>(states.size());
  const Eigh<T> pairs = eigh(Tensor<T>::from({n, n}, std::span<const T>(elements)));
  std::vector<T> vector(static_cast<std::size_t>(d));
  for (Index i = 0; i < n; ++i)
    vector[static_cast<std::size_t>(states[static_cast<std::size_t>(i)])] =
        pairs.vectors.at({i, 0});
  TensorTrain<T> state(std::vector<BlockTensor<T>>{BlockTensor<T>::from_dense(
      Tensor<T>::from({1, d, 1}, std::span<const T>(vector)), core.legs())});
  return {pairs.values.front(), std::move(state), {}, true};
}

}  // namespace

template <class T>
DmrgResult<T> dmrg(const MatrixProductOperator<T>& mpo, TensorTrain<T> start,
                   const DmrgSettings& settings,
                   const std::function<void(const DmrgSweepReport&)>& observer) {
  if (settings.sweeps.empty()) fail("dmrg: expected at least one sweep, found none");
  if (mpo.length() == 1) return single_site(mpo, start);
  Optimisation<T> run(mpo, std::move(start));
  std::vector<DmrgSweepReport> reports;
  bool converged = false;
  for (std::size_t i = 0; i < settings.sweeps.size() && !converged; ++i) {
    DmrgSweepReport report = run.sweep(static_cast<Index>(i), settings.sweeps[i]);
    report.energy_change = reports.empty() ? std::numeric_limits<double>::quiet_NaN()
                                           : report.energy - reports.back().energy;
    converged = settings.energy_tolerance > 0 &&
                std::abs(report.energy_change) <= settings.energy_tolerance;
    reports.push_back(report);
    if (observer) observer(report);
  }
  const double energy = reports.back().energy;
  return {energy, std::move(run.state()), std::move(reports), converged};
}

#define METATT_INSTANTIATE(T)                                                  \
  template DmrgResult<T> dmrg(const MatrixProductOperator<T>&, TensorTrain<T>, \
                              const DmrgSettings&,                             \
                              const std::function<void(const DmrgSweepReport&)>&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
