#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/chain/lanczos.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>

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
    const TwoSiteHamiltonian<T> hamiltonian(environments_, k);
    const auto pair = lowest_eigenpair<T>([&](const Tensor<T>& psi) { return hamiltonian(psi); },
                                          two_site_state(state_, k), {settings.lanczos_steps});
    report_.energy = pair.value;
    report_.residual = std::max(report_.residual, pair.residual);
    report_.products += pair.products;
    split(k, pair.vector, settings, center);
  }

  void split(Index k, const Tensor<T>& psi, const DmrgSweep& settings, Index center) {
    const Index l = psi.extent(1), d = state_.core(k).extent(1), e = state_.core(k + 1).extent(1),
                r = psi.extent(2);
    TruncationPolicy policy;
    policy.maximum_rank = settings.maximum_bond;
    policy.cutoff = settings.cutoff;
    auto parts = truncated_svd(as_matrix(psi, d), policy);
    report_.discarded_weight =
        std::max(report_.discarded_weight, parts.truncation.discarded_weight);
    // Norm one again after what was discarded.
    std::vector<Real<T>> values;
    double weight = 0;
    for (const double value : parts.singular_values) weight += value * value;
    for (const double value : parts.singular_values)
      values.push_back(static_cast<Real<T>>(value / std::sqrt(weight)));
    if (k == (state_.length() - 1) / 2) report_.centre_entropy = entropy(parts.singular_values);
    const Index m = parts.truncation.kept;
    Queue& queue = backend::queue();
    if (center == k)
      backend::scale_columns(queue, l * d, m, values.data(), parts.u.mutable_data());
    else
      backend::scale_rows(queue, m, e * r, values.data(), parts.vh.mutable_data());
    state_.set_pair(k, parts.u.reshaped({l, d, m}), parts.vh.reshaped({m, e, r}), center);
  }

  TensorTrain<T> state_;
  Environments<T> environments_;
  DmrgSweepReport report_;
};

/// A chain of one site has no bond: the lowest eigenvector of its matrix.
template <class T>
DmrgResult<T> single_site(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& start) {
  const Index d = mpo.core(0).dimension;
  if (start.length() != 1 || start.core(0).extent(1) != d)
    fail("dmrg: the operator has one site of dimension ", d, ", the state ", start.length(), " of ",
         start.core(0).extent(1));
  const Eigh<T> pairs = eigh(dense_matrix(mpo));
  std::vector<T> vector;
  for (Index i = 0; i < d; ++i) vector.push_back(pairs.vectors.at({i, 0}));
  TensorTrain<T> state({Tensor<T>::from({1, d, 1}, std::span<const T>(vector))});
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
