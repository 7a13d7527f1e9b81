#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/chain/effective_hamiltonian.hpp>
#include <metatt/tn/chain/lanczos.hpp>
#include <metatt/tn/chain/measurement.hpp>
#include <metatt/tn/chain/overlaps.hpp>
#include <metatt/tn/contract.hpp>
#include <metatt/tn/symmetry/block_decompositions.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>

namespace metatt::tn {

namespace {

template <class T>
double norm_of(const Tensor<T>& x) {
  return static_cast<double>(backend::norm(backend::queue(), x.size(), x.data()));
}

/// The vectors orthogonal to some others.
template <class T>
class OrthogonalSpace {
 public:
  void exclude(Tensor<T> vector) {
    const double size = norm_of(vector);
    project(vector);
    const double rest = norm_of(vector);
    if (rest <= 1e-10 * size || rest == 0) return;  // excluded already
    backend::scale(backend::queue(), vector.size(), static_cast<T>(static_cast<Real<T>>(1 / rest)),
                   vector.mutable_data());
    excluded_.push_back(std::move(vector));
  }
  /// Twice, since once leaves rounding errors.
  void project(Tensor<T>& vector) const {
    Queue& queue = backend::queue();
    for (int pass = 0; pass < 2; ++pass)
      for (const Tensor<T>& v : excluded_)
        backend::add_scaled(queue, v.size(),
                            -backend::dot(queue, v.size(), v.data(), vector.data()), v.data(),
                            vector.mutable_data());
  }

 private:
  std::vector<Tensor<T>> excluded_;
};

/// The state of one call of dmrg() on a chain of two sites or more.
template <class T>
class Optimisation {
 public:
  Optimisation(const MatrixProductOperator<T>& mpo, std::span<const TensorTrain<T>> lower_states,
               TensorTrain<T> start)
      : state_(std::move(start)), environments_(mpo, state_) {
    for (const TensorTrain<T>& lower : lower_states) lower_.emplace_back(lower, state_);
    state_.orthogonalise(0);
    const Real<T> norm = state_.norm();
    if (!(norm > 0) || !std::isfinite(norm))
      fail("dmrg: expected a start state, found one of norm ", norm);
    state_.scale(T(1 / norm));
    for (Index k = state_.length() - 1; k > 1; --k) extend_right(k);
  }

  DmrgSweepReport sweep(Index number, const DmrgSweep& settings) {
    const auto start = std::chrono::steady_clock::now();
    report_ = {};
    report_.sweep = number;
    const Index last = state_.length() - 2;
    for (Index k = 0; k < last; ++k) {
      optimise(k, settings, k + 1);
      extend_left(k);
    }
    for (Index k = last; k >= 0; --k) {
      optimise(k, settings, k);
      if (k > 0) extend_right(k + 1);
    }
    if (report_.products == 0) fail("dmrg: no state is orthogonal to the lower ones");
    const auto ranks = state_.ranks();
    report_.maximum_bond = *std::max_element(ranks.begin(), ranks.end());
    report_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return report_;
  }

  TensorTrain<T>& state() { return state_; }

 private:
  void extend_left(Index k) {
    environments_.extend_left(state_, k);
    for (auto& lower : lower_) lower.extend_left(state_, k);
  }
  void extend_right(Index k) {
    environments_.extend_right(state_, k);
    for (auto& lower : lower_) lower.extend_right(state_, k);
  }

  /// Sites k and k + 1; the centre goes to `center`, one of them.
  void optimise(Index k, const DmrgSweep& settings, Index center) {
    const EffectiveHamiltonian<T> hamiltonian(environments_, k, 2);
    const auto start = contract("lsm,mtr->lstr", state_.core(k), state_.core(k + 1));
    OrthogonalSpace<T> space;
    for (const auto& lower : lower_) space.exclude(hamiltonian.to_vector(lower.pair(k)));
    Tensor<T> vector = hamiltonian.to_vector(start);
    space.project(vector);
    if (norm_of(vector) < 1e-6) {  // the start is one of the lower states
      vector = random_normal<T>(vector.shape(), 1);
      space.project(vector);
      // Where the lower states are all there is at these two sites, nothing is left to optimise.
      if (norm_of(vector) < 1e-6) return split(k, start, settings, center);
    }
    const auto apply = [&](const Tensor<T>& psi) {
      Tensor<T> product = hamiltonian(psi);
      space.project(product);
      return product;
    };
    const auto pair = lowest_eigenpair<T>(apply, vector, {settings.lanczos_steps});
    report_.energy = pair.value;
    report_.residual = std::max(report_.residual, pair.residual);
    report_.products += pair.products;
    split(k, hamiltonian.to_tensor(pair.vector), settings, center);
  }

  /// The two-site state split with the part of H·ψ that leads out of its bond mixed in, as columns
  /// (or rows) of small weight beside it.
  TruncatedBlockSvd<T> split_with_noise(Index k, const BlockTensor<T>& psi, double noise,
                                        const TruncationPolicy& policy, bool to_the_right) const {
    const auto& mpo = environments_.mpo();
    const auto weighted = [&](BlockTensor<T> x) {
      const double size = static_cast<double>(norm(x));
      if (size > 0) scale(x, static_cast<T>(static_cast<Real<T>>(std::sqrt(noise) / size)));
      return x;
    };
    TruncatedBlockSvd<T> cut;
    if (to_the_right) {
      const auto left = contract("wbl,lstr->wbstr", environments_.left(k), psi);
      const auto part = contract("wbstr,wusv->buvtr", left, mpo.block_core(k));
      cut = truncated_svd(direct_sum(lq(psi, 2).l, weighted(lq(part, 2).l), std::array{2}), 2,
                          policy);
      cut.vh = contract("lsm,lstr->mtr", conjugate(cut.u), psi);
    } else {
      const auto right = contract("lstr,wrb->lstwb", psi, environments_.right(k + 1));
      const auto part = contract("lstwb,vutw->lsvub", right, mpo.block_core(k + 1));
      const auto row = [](const BlockTensor<T>& x, int rows) { return qr(x, rows).r; };
      cut =
          truncated_svd(direct_sum(row(psi, 2), weighted(row(part, 3)), std::array{0}), 1, policy);
      cut.u = contract("lstr,mtr->lsm", psi, conjugate(cut.vh));
    }
    return cut;
  }

  void split(Index k, const BlockTensor<T>& psi, const DmrgSweep& settings, Index center) {
    TruncationPolicy policy;
    policy.maximum_rank = settings.maximum_bond;
    policy.cutoff = settings.cutoff;
    const bool to_the_right = center == k + 1;
    auto parts = settings.noise > 0 ? split_with_noise(k, psi, settings.noise, policy, to_the_right)
                                    : truncated_svd(psi, 2, policy);
    report_.discarded_weight =
        std::max(report_.discarded_weight, parts.truncation.discarded_weight);
    if (k == (state_.length() - 1) / 2)
      report_.centre_entropy =
          entropy(std::span(parts.spectrum).first(static_cast<std::size_t>(parts.truncation.kept)));
    if (settings.noise == 0) {
      auto& weighted = to_the_right ? parts.vh : parts.u;
      weighted = leg_scaled(std::move(weighted), to_the_right ? 0 : 2, parts.singular_values);
    }
    // Norm one again after what was discarded.
    BlockTensor<T>& new_center = to_the_right ? parts.vh : parts.u;
    scale(new_center, T(1) / T(norm(new_center)));
    state_.set_pair(k, std::move(parts.u), std::move(parts.vh), center);
  }

  TensorTrain<T> state_;
  Environments<T> environments_;
  std::vector<Overlaps<T>> lower_;
  DmrgSweepReport report_;
};

/// A chain of one site has no bond: an eigenvector of its matrix among the basis states that have
/// the charge of the start.
template <class T>
DmrgResult<T> single_site(const MatrixProductOperator<T>& mpo,
                          std::span<const TensorTrain<T>> lower_states,
                          const TensorTrain<T>& start) {
  check_match("dmrg", mpo, start);
  if (!(start.norm() > 0)) fail("dmrg: expected a start state, found one of norm ", start.norm());
  const BlockTensor<T>& core = start.core(0);
  std::vector<Index> states;
  for (const BlockKey& key : allowed_keys(core.legs()))
    for (Index i = 0; i < core.leg(1).sector(key[1]).dimension; ++i)
      states.push_back(core.leg(1).offset(key[1]) + i);
  const auto n = static_cast<Index>(states.size()), d = core.extent(1);
  const auto matrix = dense_matrix(mpo).to_vector();
  std::vector<T> elements;
  for (const Index i : states)
    for (const Index j : states) elements.push_back(matrix[static_cast<std::size_t>(i * d + j)]);
  const auto H = Tensor<T>::from({n, n}, std::span<const T>(elements));
  OrthogonalSpace<T> space;
  for (const TensorTrain<T>& lower : lower_states) {
    std::vector<T> vector;
    for (const Index i : states) vector.push_back(lower.element(std::array{i}));
    space.exclude(Tensor<T>::from({n, 1}, std::span<const T>(vector)));
  }
  auto vector = random_normal<T>({n, 1}, 1);
  space.project(vector);
  if (norm_of(vector) < 1e-6) fail("dmrg: no state is orthogonal to the lower ones");
  const auto apply = [&](const Tensor<T>& psi) {
    Tensor<T> product = matrix_product(H, psi);
    space.project(product);
    return product;
  };
  const auto pair = lowest_eigenpair<T>(apply, vector, {n});
  std::vector<T> dense(static_cast<std::size_t>(d));
  for (Index i = 0; i < n; ++i)
    dense[static_cast<std::size_t>(states[static_cast<std::size_t>(i)])] = pair.vector.at({i, 0});
  TensorTrain<T> state(std::vector<BlockTensor<T>>{BlockTensor<T>::from_dense(
      Tensor<T>::from({1, d, 1}, std::span<const T>(dense)), core.legs())});
  return {pair.value, std::move(state), {}, true};
}

}  // namespace

template <class T>
DmrgResult<T> excited_state(const MatrixProductOperator<T>& mpo,
                            std::span<const TensorTrain<T>> lower_states, TensorTrain<T> start,
                            const DmrgSettings& settings,
                            const std::function<void(const DmrgSweepReport&)>& observer) {
  if (settings.sweeps.empty()) fail("dmrg: expected at least one sweep, found none");
  check_hermitian("dmrg", mpo);
  if (mpo.length() == 1) return single_site(mpo, lower_states, start);
  Optimisation<T> run(mpo, lower_states, std::move(start));
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

template <class T>
DmrgResult<T> dmrg(const MatrixProductOperator<T>& mpo, TensorTrain<T> start,
                   const DmrgSettings& settings,
                   const std::function<void(const DmrgSweepReport&)>& observer) {
  return excited_state(mpo, std::span<const TensorTrain<T>>(), std::move(start), settings,
                       observer);
}

#define METATT_INSTANTIATE(T)                                                           \
  template DmrgResult<T> dmrg(const MatrixProductOperator<T>&, TensorTrain<T>,          \
                              const DmrgSettings&,                                      \
                              const std::function<void(const DmrgSweepReport&)>&);      \
  template DmrgResult<T> excited_state(                                                 \
      const MatrixProductOperator<T>&, std::span<const TensorTrain<T>>, TensorTrain<T>, \
      const DmrgSettings&, const std::function<void(const DmrgSweepReport&)>&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
