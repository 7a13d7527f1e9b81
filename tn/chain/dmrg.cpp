#include <metatt/tn/chain/dmrg.hpp>

#include <metatt/tn/chain/davidson.hpp>
#include <metatt/tn/chain/effective_hamiltonian.hpp>
#include <metatt/tn/chain/lanczos.hpp>
#include <metatt/tn/chain/lower_states.hpp>
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

TruncationPolicy policy(const DmrgSweep& settings) {
  TruncationPolicy result;
  result.maximum_rank = settings.maximum_bond;
  result.minimum_rank = settings.minimum_bond;
  result.cutoff = settings.cutoff;
  result.multiplet_tolerance = settings.multiplet_tolerance;
  return result;
}

/// The state of one call of dmrg().
template <class T>
class Optimisation {
 public:
  Optimisation(const MatrixProductOperator<T>& mpo, std::span<const TensorTrain<T>> lower_states,
               const DmrgResult<T>& start, const DmrgSettings& settings)
      : settings_(settings), state_(start.state), environments_(mpo, state_) {
    for (const TensorTrain<T>& lower : lower_states) add_lower(lower);
    state_.orthogonalise(0);
    const Real<T> norm = state_.norm();
    if (!(norm > 0) || !std::isfinite(norm))
      fail("dmrg: expected a start state, found one of norm ", norm);
    // A state of norm one stays as it is to the last bit, so that a run can be taken up again.
    if (std::abs(norm - 1) > 1000 * std::numeric_limits<Real<T>>::epsilon())
      state_.scale(T(1 / norm));
    for (Index k = state_.length() - 1; k > 0; --k) extend_right(k);
    for (const DmrgTarget<T>& target : start.further) {
      if (target.first_core.legs() != state_.core(0).legs())
        fail("dmrg: the first core of further target ", further_.size(), " has the shape ",
             shape_text(target.first_core.shape()), " or other charges, expected those of the ",
             "state's, ", shape_text(state_.core(0).shape()));
      further_.push_back(target.first_core);
    }
  }

  DmrgSweepReport sweep(Index number, const DmrgSweep& settings) {
    const auto start = std::chrono::steady_clock::now();
    report_ = {};
    report_.sweep = number;
    if (state_.length() == 1)
      optimise_only_site();
    else if (settings_.sites == 1)
      sweep_sites(settings);
    else
      sweep_pairs(settings);
    if (report_.products == 0) fail("dmrg: no state is orthogonal to the lower ones");
    settle();
    for (const double energy : energies_)
      report_.energy += energy / static_cast<double>(energies_.size());
    for (const Index rank : state_.ranks())
      report_.maximum_bond = std::max(report_.maximum_bond, rank);
    report_.peak_bytes = backend::memory_statistics().peak_bytes;
    report_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return report_;
  }

  /// Of the targets, after a sweep.
  void store(DmrgResult<T>& result) const {
    result.energy = energies_.front();
    result.state = state_;
    result.further.clear();
    for (std::size_t i = 0; i < further_.size(); ++i)
      result.further.push_back({energies_[i + 1], further_[i]});
  }

 private:
  void add_lower(TensorTrain<T> lower) {
    const Real<T> norm = lower.norm();
    if (!(norm > 0) || !std::isfinite(norm))
      fail("excited_state: expected lower states, found one of norm ", norm);
    lower.scale(T(1 / norm));
    lower_.emplace_back(std::move(lower), state_);
  }

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
    for (Index k = 0; k < last; ++k) {
      split(k, lowest(k, 2, pairs(k), settings.solver_steps), settings, k + 1);
      extend_left(k);
    }
    for (Index k = last; k >= 0; --k) {
      split(k, lowest(k, 2, pairs(k), settings.solver_steps), settings, k);
      if (k > 0) extend_right(k + 1);
    }
  }

  void sweep_sites(const DmrgSweep& settings) {
    const Index last = state_.length() - 1;
    for (Index k = 0; k < last; ++k) {
      move_right(k, lowest(k, 1, centre_cores(), settings.solver_steps), settings);
      extend_left(k);
    }
    for (Index k = last; k > 0; --k) {
      move_left(k, lowest(k, 1, centre_cores(), settings.solver_steps), settings);
      extend_right(k);
    }
  }

  /// A chain of one site has no bond: eigenvectors of its matrix.
  void optimise_only_site() {
    const auto start = random_blocks<T>(state_.core(0).legs(), 1);
    set_centre_cores(lowest(0, 1, {start}, start.extent(1)));
  }

  /// The core at the centre, of every target.
  std::vector<BlockTensor<T>> centre_cores() const {
    std::vector<BlockTensor<T>> cores{state_.core(*state_.center())};
    cores.insert(cores.end(), further_.begin(), further_.end());
    return cores;
  }
  void set_centre_cores(std::vector<BlockTensor<T>> cores) {
    state_.set_core(*state_.center(), std::move(cores.front()));
    further_.assign(std::make_move_iterator(cores.begin() + 1),
                    std::make_move_iterator(cores.end()));
  }
  /// Sites k and k + 1, one of which is the centre, of every target.
  std::vector<BlockTensor<T>> pairs(Index k) const {
    std::vector<BlockTensor<T>> result = centre_cores();
    for (auto& core : result)
      core = state_.center() == k ? contract("lsm,mtr->lstr", core, state_.core(k + 1))
                                  : contract("lsm,mtr->lstr", state_.core(k), core);
    return result;
  }

  /// The targets as the last truncation left them, and their energies; the eigenvalues before it
  /// may lie below. Several are the best states in the space of what is left of them.
  void settle() {
    energies_.clear();
    const Index sites = std::min<Index>(2, state_.length());
    const EffectiveHamiltonian<T> hamiltonian(environments_, 0, sites);
    const auto states = sites == 1 ? centre_cores() : pairs(0);
    if (states.size() == 1) {
      const Tensor<T> psi = hamiltonian.to_vector(states[0]), product = hamiltonian(psi);
      energies_.push_back(static_cast<double>(
          std::real(backend::dot(backend::queue(), psi.size(), psi.data(), product.data()))));
      return;
    }
    std::vector<Tensor<T>> vectors;
    for (const auto& state : states) vectors.push_back(hamiltonian.to_vector(state));
    const auto best = lowest_eigenpairs<T>([&](const Tensor<T>& psi) { return hamiltonian(psi); },
                                           [](Tensor<T>&, double) {}, vectors, {.rounds = 1});
    std::vector<BlockTensor<T>> cores;
    for (const Tensor<T>& vector : best.vectors) {
      cores.push_back(hamiltonian.to_tensor(vector));
      if (sites == 2)
        cores.back() = contract("lstr,mtr->lsm", cores.back(), conjugate(state_.core(1)));
    }
    energies_ = best.values;
    set_centre_cores(std::move(cores));
  }

  /// The lowest states of a few sites among those that the lower states leave, as many as there are
  /// targets if there is room for them.
  std::vector<BlockTensor<T>> lowest(Index k, Index sites,
                                     const std::vector<BlockTensor<T>>& starts, Index steps) {
    const EffectiveHamiltonian<T> hamiltonian(environments_, k, sites);
    LowerStates<T> lower(settings_.penalty);
    for (const auto& fixed : lower_) lower.add(hamiltonian.to_vector(fixed.part(k, sites)));
    std::vector<Tensor<T>> vectors;
    const auto add = [&](Tensor<T> vector) {
      lower.project(vector);
      // Else it is one of the lower states, or nothing but them has room at these sites.
      if (norm_of(vector) >= 1e-6) vectors.push_back(std::move(vector));
    };
    for (const auto& start : starts) add(hamiltonian.to_vector(start));
    const Index size = hamiltonian.to_vector(starts[0]).size();
    for (Index i = static_cast<Index>(vectors.size()); i < std::min(settings_.targets, size); ++i)
      add(random_normal<T>({size}, 1, static_cast<std::uint64_t>(i)));
    if (vectors.empty()) return starts;  // nothing is left to optimise here
    std::vector<BlockTensor<T>> states;
    for (const Tensor<T>& vector : solve(hamiltonian, lower, vectors, steps))
      states.push_back(hamiltonian.to_tensor(vector));
    return states;
  }

  std::vector<Tensor<T>> solve(const EffectiveHamiltonian<T>& hamiltonian,
                               const LowerStates<T>& lower, std::span<const Tensor<T>> starts,
                               Index steps) {
    const auto apply = [&](const Tensor<T>& psi) {
      Tensor<T> product = hamiltonian(psi);
      lower.change_product(psi, product);
      return product;
    };
    const bool divide = settings_.solver == EigenSolver::davidson;
    if (starts.size() == 1 && !divide) {
      auto pair = lowest_eigenpair<T>(apply, starts[0], {steps});
      note_solution(pair);
      return {std::move(pair.vector)};
    }
    const Tensor<T> diagonal = divide ? hamiltonian.diagonal() : Tensor<T>();
    const auto correct = [&](Tensor<T>& residual, double value) {
      if (!divide) return;
      // Denominators of a thousandth of the energy are as good as zero.
      const double least = std::max(1e-3 * std::abs(value), 1e-8);
      backend::divide_by_difference(backend::queue(), residual.size(), diagonal.data(),
                                    static_cast<Real<T>>(value), static_cast<Real<T>>(least),
                                    residual.mutable_data());
      lower.project(residual);
    };
    auto pairs = lowest_eigenpairs<T>(apply, correct, starts, {steps});
    note_solution(pairs);
    return std::move(pairs.vectors);
  }

  template <class Solution>
  void note_solution(const Solution& solution) {
    report_.residual = std::max(report_.residual, solution.residual);
    report_.products += solution.products;
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

  /// The centre goes from site k to the next. With noise the bond has room for what H·ψ needs
  /// (subspace expansion, Hubig et al., arXiv:1501.05504), which leaves the state as it is.
  void move_right(Index k, const std::vector<BlockTensor<T>>& cores, const DmrgSweep& settings) {
    const auto kept = leading_left_vectors(rows_of(k, cores, settings.noise), 2, policy(settings));
    note(k, kept.spectrum, kept.truncation);
    replace_pair(k, k + 1, kept.vectors, cores, [&](const BlockTensor<T>& core) {
      const auto bond = contract("lsn,lsm->nm", conjugate(kept.vectors), core);
      return contract("nm,msr->nsr", bond, state_.core(k + 1));
    });
  }
  void move_left(Index k, const std::vector<BlockTensor<T>>& cores, const DmrgSweep& settings) {
    const auto kept =
        leading_right_vectors(columns_of(k, cores, settings.noise), 1, policy(settings));
    note(k - 1, kept.spectrum, kept.truncation);
    replace_pair(k - 1, k - 1, kept.vectors, cores, [&](const BlockTensor<T>& core) {
      const auto bond = contract("msr,nsr->mn", core, conjugate(kept.vectors));
      return contract("lsm,mn->lsn", state_.core(k - 1), bond);
    });
  }

  /// Cores k and k + 1 anew: the one that is not the centre, and from each of `states` the centre.
  /// A target of which the cut has left nothing is sought anew at the next sites.
  template <class Centre>
  void replace_pair(Index k, Index center, const BlockTensor<T>& other,
                    const std::vector<BlockTensor<T>>& states, const Centre& centre) {
    std::vector<BlockTensor<T>> cores;
    for (const auto& state : states) {
      BlockTensor<T> core = centre(state);
      const Real<T> left = norm(core);
      if (!(left > 1e-6) && std::isfinite(left)) continue;
      scale(core, T(1) / T(left));
      cores.push_back(std::move(core));
    }
    if (cores.empty())
      fail("dmrg: the cut of bond ", k, " left nothing of the state; expected less noise or a ",
           "larger bond");
    if (center == k)
      state_.set_pair(k, cores.front(), other, k);
    else
      state_.set_pair(k, other, cores.front(), k + 1);
    set_centre_cores(std::move(cores));
  }

  /// What was cut at a bond goes into the report.
  void note(Index bond, std::span<const double> spectrum, const Truncation& truncation) {
    report_.discarded_weight = std::max(report_.discarded_weight, truncation.discarded_weight);
    if (bond == (state_.length() - 1) / 2)
      report_.centre_entropy = entropy(spectrum.first(static_cast<std::size_t>(truncation.kept)));
  }

  /// Two cores from the states of their sites. Only the one that the centre leaves behind needs
  /// singular vectors; the other one is the state in their basis. With noise they are those of the
  /// state with the part of H·ψ that leads out of the bond beside it, with a small weight.
  void split(Index k, const std::vector<BlockTensor<T>>& states, const DmrgSweep& settings,
             Index center) {
    if (center == k + 1) {
      const auto kept =
          leading_left_vectors(rows_of(k, states, settings.noise), 2, policy(settings));
      note(k, kept.spectrum, kept.truncation);
      replace_pair(k, center, kept.vectors, states, [&](const BlockTensor<T>& psi) {
        return contract("lsm,lstr->mtr", conjugate(kept.vectors), psi);
      });
    } else {
      const BlockTensor<T> columns = columns_of(k + 1, states, settings.noise);
      const auto kept = leading_right_vectors(columns, columns.order() - 2, policy(settings));
      note(k, kept.spectrum, kept.truncation);
      replace_pair(k, center, kept.vectors, states, [&](const BlockTensor<T>& psi) {
        return contract("lstr,mtr->lsm", psi, conjugate(kept.vectors));
      });
    }
  }

  /// What the rows (left bond, mode k) of all targets span, with the same weight for each, and with
  /// noise what H·ψ needs besides. One target without noise is that itself.
  BlockTensor<T> rows_of(Index k, const std::vector<BlockTensor<T>>& states, double noise) const {
    if (states.size() == 1 && noise == 0) return states[0];
    BlockTensor<T> rows = lq(states[0], 2).l;
    for (std::size_t i = 1; i < states.size(); ++i)
      rows = direct_sum(rows, lq(states[i], 2).l, std::array{2});
    rows = weighted(std::move(rows), 1);
    return noise == 0 ? rows : direct_sum(rows, leading_right(k, rows, noise), std::array{2});
  }
  /// Likewise of the columns (mode k, right bond).
  BlockTensor<T> columns_of(Index k, const std::vector<BlockTensor<T>>& states,
                            double noise) const {
    if (states.size() == 1 && noise == 0) return states[0];
    const int first = states[0].order() - 2;
    BlockTensor<T> columns = qr(states[0], first).r;
    for (std::size_t i = 1; i < states.size(); ++i)
      columns = direct_sum(columns, qr(states[i], first).r, std::array{0});
    columns = weighted(std::move(columns), 1);
    return noise == 0 ? columns
                      : direct_sum(columns, leading_left(k, columns, noise), std::array{0});
  }

  const DmrgSettings& settings_;
  TensorTrain<T> state_;
  std::vector<BlockTensor<T>> further_;  ///< the core at the centre of the targets after the first
  std::vector<double> energies_;
  Environments<T> environments_;
  std::vector<Overlaps<T>> lower_;
  DmrgSweepReport report_;
};

/// What the row of a new sweep says besides what the sweep itself knows.
template <class T>
void compare(DmrgSweepReport& row, const DmrgResult<T>& so_far, const DmrgSettings& settings,
             const MatrixProductOperator<T>& mpo) {
  constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  row.energy_change = so_far.sweeps.empty() ? unknown : row.energy - so_far.sweeps.back().energy;
  row.variance = settings.variance_tolerance > 0 ? variance(mpo, so_far.state) : unknown;
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
  if (settings.targets < 1) fail("dmrg: expected at least 1 target, found ", settings.targets);
  if (!(settings.penalty > 0)) fail("dmrg: expected a penalty above 0, found ", settings.penalty);
  for (const DmrgSweep& sweep : settings.sweeps) {
    if (sweep.maximum_bond < 1 || sweep.solver_steps < 1 || !(sweep.noise >= 0) ||
        !(sweep.cutoff >= 0 && sweep.cutoff <= 1))
      fail(
          "dmrg: expected a bond and solver steps of at least 1, a noise of at least 0 and a "
          "cutoff between 0 and 1, found ",
          sweep.maximum_bond, ", ", sweep.solver_steps, ", ", sweep.noise, " and ", sweep.cutoff);
    if (sweep.minimum_bond < 1 || sweep.minimum_bond > sweep.maximum_bond)
      fail("dmrg: expected a minimum_bond from 1 to maximum_bond (", sweep.maximum_bond,
           "), found ", sweep.minimum_bond);
    check(policy(sweep));
  }
  for (const double tolerance :
       {settings.energy_tolerance, settings.entropy_tolerance, settings.variance_tolerance})
    if (!(tolerance >= 0)) fail("dmrg: expected tolerances of at least 0, found ", tolerance);
}

}  // namespace

template <class T>
TensorTrain<T> DmrgResult<T>::target(Index i) const {
  if (i < 0 || i > static_cast<Index>(further.size()))
    fail("DmrgResult: expected a target from 0 to ", further.size(), ", found ", i);
  TensorTrain<T> result = state;
  if (i > 0) result.set_core(0, further[static_cast<std::size_t>(i - 1)].first_core);
  return result;
}

template <class T>
DmrgResult<T> excited_state(const MatrixProductOperator<T>& mpo,
                            std::span<const TensorTrain<T>> lower_states, DmrgResult<T> result,
                            const DmrgSettings& settings, const DmrgObserver<T>& observer) {
  check_settings(settings);
  check_hermitian("dmrg", mpo);
  if (static_cast<Index>(result.further.size()) >= settings.targets)
    fail("dmrg: expected at least the ", result.further.size() + 1, " targets of the run, found ",
         settings.targets);
  Optimisation<T> run(mpo, lower_states, result, settings);
  result.converged = is_converged(result.sweeps, settings);
  for (std::size_t i = result.sweeps.size(); i < settings.sweeps.size() && !result.converged; ++i) {
    DmrgSweepReport row = run.sweep(static_cast<Index>(i), settings.sweeps[i]);
    run.store(result);
    compare(row, result, settings, mpo);
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
  template TensorTrain<T> DmrgResult<T>::target(Index) const;                                      \
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
