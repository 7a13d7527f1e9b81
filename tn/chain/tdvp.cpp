#include <metatt/tn/chain/tdvp.hpp>

#include <metatt/tn/chain/effective_hamiltonian.hpp>
#include <metatt/tn/chain/lanczos.hpp>
#include <metatt/tn/chain/pairs.hpp>
#include <metatt/tn/symmetry/block_decompositions.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::tn {

template <class T>
Tdvp<T>::Tdvp(const MatrixProductOperator<T>& mpo, TensorTrain<T> start,
              const TdvpSettings& settings)
    : state_(std::move(start)), settings_(settings), environments_(mpo, state_) {
  if (settings_.sites != 1 && settings_.sites != 2)
    fail("Tdvp: expected 1 or 2 sites, found ", settings_.sites);
  policy_ = bond_policy(settings_.maximum_bond, settings_.cutoff);
  check_hermitian("Tdvp", mpo);
  state_.orthogonalise(0);
  const Real<T> norm = state_.norm();
  if (!(norm > 0) || !std::isfinite(norm))
    fail("Tdvp: expected a start state, found one of norm ", norm);
  state_.scale(T(1 / norm));
  for (Index k = length() - 1; k > 0; --k) environments_.extend_right(state_, k);
}

template <class T>
EvolutionReport Tdvp<T>::step(std::complex<double> z) {
  report_ = {};
  if (settings_.sites == 1 || length() == 1)
    step_sites(0.5 * z);
  else
    step_pairs(0.5 * z);
  report_.norm = static_cast<double>(state_.norm());
  state_.scale(T(1 / state_.norm()));
  for (const Index rank : state_.ranks())
    report_.maximum_bond = std::max(report_.maximum_bond, rank);
  return report_;
}

template <class T>
BlockTensor<T> Tdvp<T>::evolved(Index k, Index sites, const BlockTensor<T>& start,
                                std::complex<double> z) {
  const EffectiveHamiltonian<T> hamiltonian(environments_, k, sites);
  const auto apply = [&](const Tensor<T>& psi) { return hamiltonian(psi); };
  const ExponentialResult<T> result = exponential<T>(apply, z, hamiltonian.to_vector(start),
                                                     {.tolerance = settings_.krylov_tolerance});
  report_.krylov_error = std::max(report_.krylov_error, result.error);
  return hamiltonian.to_tensor(result.vector);
}

template <class T>
void Tdvp<T>::evolve_site(Index k, std::complex<double> z) {
  state_.set_core(k, evolved(k, 1, state_.core(k), z));
}

template <class T>
void Tdvp<T>::evolve_pair(Index k, std::complex<double> z, Index center) {
  const auto pair = contract("lsm,mtr->lstr", state_.core(k), state_.core(k + 1));
  const Truncation cut = split_pair(state_, k, evolved(k, 2, pair, z), policy_, center);
  report_.discarded_weight = std::max(report_.discarded_weight, cut.discarded_weight);
}

/// To the right and back; the site that two neighbouring pairs share is evolved backwards between
/// them.
template <class T>
void Tdvp<T>::step_pairs(std::complex<double> half) {
  const Index last = length() - 2;
  for (Index k = 0; k <= last; ++k) {
    evolve_pair(k, half, k < last ? k + 1 : k);
    if (k == last) break;
    environments_.extend_left(state_, k);
    evolve_site(k + 1, -half);
  }
  for (Index k = last; k >= 0; --k) {
    evolve_pair(k, half, k);
    if (k == 0) break;
    environments_.extend_right(state_, k + 1);
    evolve_site(k, -half);
  }
}

/// To the right and back; the bond between two sites is evolved backwards between them.
template <class T>
void Tdvp<T>::step_sites(std::complex<double> half) {
  const Index last = length() - 1;
  for (Index k = 0; k <= last; ++k) {
    evolve_site(k, half);
    if (k == last) break;
    auto factors = qr(state_.core(k), 2);
    const BlockTensor<T> next = state_.core(k + 1);
    state_.set_pair(k, factors.q, contract("mn,nsr->msr", factors.r, next), k + 1);
    environments_.extend_left(state_, k);
    const auto bond = evolved(k + 1, 0, factors.r, -half);
    state_.set_core(k + 1, contract("mn,nsr->msr", bond, next));
  }
  for (Index k = last; k >= 0; --k) {
    evolve_site(k, half);
    if (k == 0) break;
    auto factors = lq(state_.core(k), 1);
    const BlockTensor<T> next = state_.core(k - 1);
    state_.set_pair(k - 1, contract("lsn,nm->lsm", next, factors.l), factors.q, k - 1);
    environments_.extend_right(state_, k);
    const auto bond = evolved(k, 0, factors.l, -half);
    state_.set_core(k - 1, contract("lsn,nm->lsm", next, bond));
  }
}

template class Tdvp<float>;
template class Tdvp<double>;
template class Tdvp<std::complex<float>>;
template class Tdvp<std::complex<double>>;

}  // namespace metatt::tn
