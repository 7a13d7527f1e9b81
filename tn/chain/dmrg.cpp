#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/chain/effective_hamiltonian.hpp>
#include <metatt/tn/chain/lanczos.hpp>
#include <metatt/tn/chain/measurement.hpp>
#include <metatt/tn/chain/operator_application.hpp>
#include <metatt/tn/chain/overlaps.hpp>
#include <metatt/tn/chain/vectors.hpp>
#include <metatt/tn/contract.hpp>
#include <metatt/tn/symmetry/block_decompositions.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>

namespace metatt::tn {

namespace {

/// The vectors orthogonal to some others.
template <class T>
class OrthogonalSpace {
 public:
  void exclude(Tensor<T> vector) {
    const double size = norm_of(vector);
    project(vector);
    const double rest = norm_of(vector);
    if (rest <= 1e-10 * size || rest == 0) return;  // excluded already
    scale_by(vector, 1 / rest);
    excluded_.push_back(std::move(vector));
  }
  void project(Tensor<T>& vector) const { remove_components<T>(excluded_, vector); }

 private:
  std::vector<Tensor<T>> excluded_;
};

/// The state of one call of dmrg().
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
    // A state of norm one stays as it is to the last bit, so that a run can be taken up again.
    if (std::abs(norm - 1) > 1000 * std::numeric_limits<Real<T>>::epsilon())
      state_.scale(T(1 / norm));
    for (Index k = state_.length() - 1; k > 0; --k) extend_right(k);
  }

  DmrgSweepReport sweep(Index number, Index sites, const DmrgSweep& settings) {
    const auto start = std::chrono::steady_clock::now();
    report_ = {};
    report_.sweep = number;
    if (state_.length() == 1)
      optimise_only_site();
    else if (sites == 1)
      sweep_sites(settings);
    else
      sweep_pairs(settings);
    if (report_.products == 0) fail("dmrg: no state is orthogonal to the lower ones");
    report_.energy = energy();
    for (const Index rank : state_.ranks())
      report_.maximum_bond = std::max(report_.maximum_bond, rank);
    report_.peak_bytes = backend::memory_statistics().peak_bytes;
    report_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return report_;
  }

  const TensorTrain<T>& state() const { return state_; }

 private:
  void extend_left(Index k) {
    environments_.extend_left(state_, k);
    for (auto& lower : lower_) lower.extend_left(state_, k);
  }
  void extend_right(Index k) {
    environments_.extend_right(state_, k);
    for (auto& lower : lower_) lower.extend_right(state_, k);
  }

  void sweep_pairs(const DmrgSweep& settings) {
    const Index last = state_.length() - 2;
    const auto optimise = [&](Index k, Index center) {
      const auto pair = contract("lsm,mtr->lstr", state_.core(k), state_.core(k + 1));
      split(k, lowest(k, 2, pair, settings.lanczos_steps), settings, center);
    };
    for (Index k = 0; k < last; ++k) {
      optimise(k, k + 1);
      extend_left(k);
    }
    for (Index k = last; k >= 0; --k) {
      optimise(k, k);
      if (k > 0) extend_right(k + 1);
    }
  }

  void sweep_sites(const DmrgSweep& settings) {
    const Index last = state_.length() - 1;
    for (Index k = 0; k < last; ++k) {
      state_.set_core(k, lowest(k, 1, state_.core(k), settings.lanczos_steps));
      move_right(k, settings);
      extend_left(k);
    }
    for (Index k = last; k > 0; --k) {
      state_.set_core(k, lowest(k, 1, state_.core(k), settings.lanczos_steps));
      move_left(k, settings);
      extend_right(k);
    }
  }

  /// Of the state as the last truncation left it; the eigenvalue before it may lie below.
  double energy() const {
    const Index sites = std::min<Index>(2, state_.length());
    const EffectiveHamiltonian<T> hamiltonian(environments_, 0, sites);
    const BlockTensor<T> first =
        sites == 1 ? state_.core(0) : contract("lsm,mtr->lstr", state_.core(0), state_.core(1));
    const Tensor<T> psi = hamiltonian.to_vector(first), product = hamiltonian(psi);
    return static_cast<double>(
        std::real(backend::dot(backend::queue(), psi.size(), psi.data(), product.data())));
  }

  /// A chain of one site has no bond: an eigenvector of its matrix.
  void optimise_only_site() {
    const auto start = random_blocks<T>(state_.core(0).legs(), 1);
    state_.set_core(0, lowest(0, 1, start, start.extent(1)));
  }

  /// The lowest state of a few sites among those orthogonal to the lower states.
  BlockTensor<T> lowest(Index k, Index sites, const BlockTensor<T>& start, Index steps) {
    const EffectiveHamiltonian<T> hamiltonian(environments_, k, sites);
    OrthogonalSpace<T> space;
    for (const auto& lower : lower_) space.exclude(hamiltonian.to_vector(lower.part(k, sites)));
    Tensor<T> vector = hamiltonian.to_vector(start);
    space.project(vector);
    if (norm_of(vector) < 1e-6) {  // the start is one of the lower states
      vector = random_normal<T>(vector.shape(), 1);
      space.project(vector);
      // Where the lower states are all there is at these sites, nothing is left to optimise.
      if (norm_of(vector) < 1e-6) return start;
    }
    const auto apply = [&](const Tensor<T>& psi) {
      Tensor<T> product = hamiltonian(psi);
      space.project(product);
      return product;
    };
    const auto pair = lowest_eigenpair<T>(apply, vector, {steps});
    report_.residual = std::max(report_.residual, pair.residual);
    report_.products += pair.products;
    return hamiltonian.to_tensor(pair.vector);
  }

  /// x with this weight against a state of norm one.
  static BlockTensor<T> weighted(BlockTensor<T> x, double weight) {
    const double size = static_cast<double>(norm(x));
    if (size > 0) scale(x, static_cast<T>(static_cast<Real<T>>(std::sqrt(weight) / size)));
    return x;
  }

  /// The part of H·ψ, for a state of the sites from k on, that leads out of the bond behind its
  /// first mode: as a matrix (left bond, mode, new leg); the last legs of ψ do not matter.
  BlockTensor<T> leading_right(Index k, const BlockTensor<T>& rows, double noise) const {
    const auto left = contract("wbl,lsm->wbsm", environments_.left(k), rows);
    const auto part = contract("wbsm,wusv->buvm", left, environments_.mpo().block_core(k));
    return weighted(lq(part, 2).l, noise);
  }
  /// Likewise to the left of the mode of site k: (new leg, mode, right bond).
  BlockTensor<T> leading_left(Index k, const BlockTensor<T>& columns, double noise) const {
    const auto right = contract("msr,wrb->mswb", columns, environments_.right(k));
    const auto part = contract("mswb,vusw->mvub", right, environments_.mpo().block_core(k));
    return weighted(qr(part, 2).r, noise);
  }

  /// The centre goes from site k to the next; with noise the bond grows first by what H·ψ needs
  /// (subspace expansion, Hubig et al., arXiv:1501.05504), which leaves the state as it is.
  void move_right(Index k, const DmrgSweep& settings) {
    BlockTensor<T> own = state_.core(k), next = state_.core(k + 1);
    if (settings.noise > 0) {
      const BlockTensor<T> more = leading_right(k, own, settings.noise);
      next = direct_sum(next, BlockTensor<T>({more.leg(2).reversed(), next.leg(1), next.leg(2)}),
                        std::array{0});
      own = direct_sum(own, more, std::array{2});
    }
    auto cut = truncated_svd(own, 2, policy(settings));
    note(k, cut.spectrum, cut.truncation);
    auto center = contract("mn,nsr->msr", leg_scaled(cut.vh, 0, cut.singular_values), next);
    state_.set_pair(k, std::move(cut.u), normalised(std::move(center)), k + 1);
  }

  void move_left(Index k, const DmrgSweep& settings) {
    BlockTensor<T> own = state_.core(k), next = state_.core(k - 1);
    if (settings.noise > 0) {
      const BlockTensor<T> more = leading_left(k, own, settings.noise);
      next = direct_sum(next, BlockTensor<T>({next.leg(0), next.leg(1), more.leg(0).reversed()}),
                        std::array{2});
      own = direct_sum(own, more, std::array{0});
    }
    auto cut = truncated_svd(own, 1, policy(settings));
    note(k - 1, cut.spectrum, cut.truncation);
    auto center = contract("lsn,nm->lsm", next, leg_scaled(cut.u, 1, cut.singular_values));
    state_.set_pair(k - 1, normalised(std::move(center)), std::move(cut.vh), k - 1);
  }

  static TruncationPolicy policy(const DmrgSweep& settings) {
    TruncationPolicy result;
    result.maximum_rank = settings.maximum_bond;
    result.cutoff = settings.cutoff;
    return result;
  }

  /// What was cut at a bond goes into the report.
  void note(Index bond, std::span<const double> spectrum, const Truncation& truncation) {
    report_.discarded_weight = std::max(report_.discarded_weight, truncation.discarded_weight);
    if (bond == (state_.length() - 1) / 2)
      report_.centre_entropy = entropy(spectrum.first(static_cast<std::size_t>(truncation.kept)));
  }

  /// Two cores from the state of their sites. Only the one that the centre leaves behind needs
  /// singular vectors; the other one is the state in their basis. With noise they are those of the
  /// state with the part of H·ψ that leads out of the bond beside it, with a small weight.
  void split(Index k, const BlockTensor<T>& psi, const DmrgSweep& settings, Index center) {
    BlockTensor<T> left, right;
    if (center == k + 1) {
      auto kept = leading_left_vectors(rows_of(k, psi, settings.noise), 2, policy(settings));
      note(k, kept.spectrum, kept.truncation);
      left = std::move(kept.vectors);
      right = normalised(contract("lsm,lstr->mtr", conjugate(left), psi));
    } else {
      const bool noisy = settings.noise > 0;
      auto kept = leading_right_vectors(columns_of(k, psi, settings.noise), noisy ? 1 : 2,
                                        policy(settings));
      note(k, kept.spectrum, kept.truncation);
      right = std::move(kept.vectors);
      left = normalised(contract("lstr,mtr->lsm", psi, conjugate(right)));
    }
    state_.set_pair(k, std::move(left), std::move(right), center);
  }

  BlockTensor<T> rows_of(Index k, const BlockTensor<T>& psi, double noise) const {
    if (noise == 0) return psi;
    const BlockTensor<T> rows = lq(psi, 2).l;
    return direct_sum(rows, leading_right(k, rows, noise), std::array{2});
  }
  BlockTensor<T> columns_of(Index k, const BlockTensor<T>& psi, double noise) const {
    if (noise == 0) return psi;
    const BlockTensor<T> columns = qr(psi, 2).r;
    return direct_sum(columns, leading_left(k + 1, columns, noise), std::array{0});
  }

  /// Norm one again after what was discarded.
  static BlockTensor<T> normalised(BlockTensor<T> x) {
    scale(x, T(1) / T(norm(x)));
    return x;
  }

  TensorTrain<T> state_;
  Environments<T> environments_;
  std::vector<Overlaps<T>> lower_;
  DmrgSweepReport report_;
};

/// What the row of a new sweep says besides what the sweep itself knows.
template <class T>
void compare(DmrgSweepReport& row, const DmrgResult<T>& before, const DmrgSettings& settings,
             const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state) {
  constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  row.energy_change = before.sweeps.empty() ? unknown : row.energy - before.energy;
  row.variance = settings.variance_tolerance > 0 ? variance(mpo, state) : unknown;
}

bool within(double value, double tolerance) {
  return tolerance == 0 || std::abs(value) <= tolerance;
}

/// Whether the sweeps made so far end a run with these settings.
bool is_converged(const std::vector<DmrgSweepReport>& sweeps, const DmrgSettings& settings) {
  if (settings.energy_tolerance == 0 && settings.entropy_tolerance == 0 &&
      settings.variance_tolerance == 0)
    return false;
  const std::size_t made = sweeps.size();
  if (made < 2 || made > settings.sweeps.size() ||
      settings.sweeps[made - 1] != settings.sweeps.back())
    return false;
  const DmrgSweepReport &last = sweeps[made - 1], &before = sweeps[made - 2];
  return within(last.energy_change, settings.energy_tolerance) &&
         within(last.centre_entropy - before.centre_entropy, settings.entropy_tolerance) &&
         within(last.variance, settings.variance_tolerance);
}

void check_settings(const DmrgSettings& settings) {
  if (settings.sweeps.empty()) fail("dmrg: expected at least one sweep, found none");
  if (settings.sites != 1 && settings.sites != 2)
    fail("dmrg: expected 1 or 2 sites, found ", settings.sites);
  for (const DmrgSweep& sweep : settings.sweeps)
    if (sweep.maximum_bond < 1 || sweep.lanczos_steps < 1 || !(sweep.noise >= 0) ||
        !(sweep.cutoff >= 0 && sweep.cutoff <= 1))
      fail(
          "dmrg: expected a bond and Lanczos steps of at least 1, a noise of at least 0 and a "
          "cutoff between 0 and 1, found ",
          sweep.maximum_bond, ", ", sweep.lanczos_steps, ", ", sweep.noise, " and ", sweep.cutoff);
  for (const double tolerance :
       {settings.energy_tolerance, settings.entropy_tolerance, settings.variance_tolerance})
    if (!(tolerance >= 0)) fail("dmrg: expected tolerances of at least 0, found ", tolerance);
}

}  // namespace

template <class T>
DmrgResult<T> excited_state(const MatrixProductOperator<T>& mpo,
                            std::span<const TensorTrain<T>> lower_states, DmrgResult<T> result,
                            const DmrgSettings& settings, const DmrgObserver<T>& observer) {
  check_settings(settings);
  check_hermitian("dmrg", mpo);
  Optimisation<T> run(mpo, lower_states, result.state);
  result.converged = is_converged(result.sweeps, settings);
  for (std::size_t i = result.sweeps.size(); i < settings.sweeps.size() && !result.converged; ++i) {
    DmrgSweepReport row = run.sweep(static_cast<Index>(i), settings.sites, settings.sweeps[i]);
    compare(row, result, settings, mpo, run.state());
    result.energy = row.energy;
    result.state = run.state();
    result.sweeps.push_back(row);
    result.converged = is_converged(result.sweeps, settings);
    if (observer) observer(result);
  }
  return result;
}

template <class T>
DmrgResult<T> excited_state(const MatrixProductOperator<T>& mpo,
                            std::span<const TensorTrain<T>> lower_states, TensorTrain<T> start,
                            const DmrgSettings& settings, const DmrgObserver<T>& observer) {
  return excited_state(mpo, lower_states, DmrgResult<T>{0, std::move(start), {}}, settings,
                       observer);
}

template <class T>
DmrgResult<T> dmrg(const MatrixProductOperator<T>& mpo, DmrgResult<T> so_far,
                   const DmrgSettings& settings, const DmrgObserver<T>& observer) {
  return excited_state(mpo, std::span<const TensorTrain<T>>(), std::move(so_far), settings,
                       observer);
}

template <class T>
DmrgResult<T> dmrg(const MatrixProductOperator<T>& mpo, TensorTrain<T> start,
                   const DmrgSettings& settings, const DmrgObserver<T>& observer) {
  return dmrg(mpo, DmrgResult<T>{0, std::move(start), {}}, settings, observer);
}

#define METATT_INSTANTIATE(T)                                                                      \
  template DmrgResult<T> dmrg(const MatrixProductOperator<T>&, TensorTrain<T>,                     \
                              const DmrgSettings&, const DmrgObserver<T>&);                        \
  template DmrgResult<T> dmrg(const MatrixProductOperator<T>&, DmrgResult<T>, const DmrgSettings&, \
                              const DmrgObserver<T>&);                                             \
  template DmrgResult<T> excited_state(const MatrixProductOperator<T>&,                            \
                                       std::span<const TensorTrain<T>>, TensorTrain<T>,            \
                                       const DmrgSettings&, const DmrgObserver<T>&);               \
  template DmrgResult<T> excited_state(const MatrixProductOperator<T>&,                            \
                                       std::span<const TensorTrain<T>>, DmrgResult<T>,             \
                                       const DmrgSettings&, const DmrgObserver<T>&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
