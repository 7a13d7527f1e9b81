#pragma once
/// The density-matrix renormalisation group: the ground state of an MPO as a train, found by sweeps
/// that optimise one or two neighbouring sites at a time (White 1992; in matrix-product form
/// Schollwöck, arXiv:1008.3477, section 6).

#include <metatt/tn/chain/environment.hpp>

#include <functional>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

namespace metatt::tn {

/// One sweep, from left to right and back. Nothing is cut off unless asked for.
struct DmrgSweep {
  Index maximum_bond = unlimited;
  double cutoff = 0;       ///< relative discarded weight of each truncation
  Index solver_steps = 3;  ///< products at most for each site or pair of sites and target
  /// Weight of the perturbation that each split mixes in, against that of the state: it lets bonds
  /// grow by charges and states that two sites alone do not reach (White, cond-mat/0508709).
  /// Between 1e-4 and 1e-8 where it is needed; 0 in the last sweeps, or the energy stays too high.
  double noise = 0;
  Index minimum_bond = 1;          ///< kept whatever the cutoff, as far as there are values
  double multiplet_tolerance = 0;  ///< keeps equal values together (TruncationPolicy)

  bool operator==(const DmrgSweep&) const = default;
};

/// How the lowest states of a site or pair of sites are found.
enum class EigenSolver {
  lanczos,  ///< in Krylov spaces
  /// With residuals divided by the diagonal of the effective Hamiltonian: fewer products where that
  /// dominates (interactions of very different strength), more memory.
  davidson,
};

struct DmrgSettings {
  std::vector<DmrgSweep> sweeps = {};
  /// 2: two neighbouring sites at a time, whose bond is made anew. 1: one site at a time, for about
  /// half of the cost; bonds grow only in sweeps with noise, by subspace expansion.
  Index sites = 2;
  EigenSolver solver = EigenSolver::lanczos;
  /// How many of the lowest states are sought in one run: they share all cores but one, and bonds
  /// keep what is best for their mean. For close or degenerate levels. The entropies of the table
  /// are those of the mixture, its variances those of the lowest state alone.
  Index targets = 1;
  /// What a lower state costs in excited_state(): infinite, and every local problem is solved in
  /// the space orthogonal to them; finite, and this times the squared overlap is added to the
  /// energy, so that it must exceed the distance of the levels.
  double penalty = std::numeric_limits<double>::infinity();
  /// A run is converged, and ends before its last sweep, when a sweep with the settings of the last
  /// one stays within all of these that are not 0: the change of the energy against the sweep
  /// before, that of the entropy at the middle bond, and the variance of the energy, which costs an
  /// expectation of H² after every sweep.
  double energy_tolerance = 0;
  double entropy_tolerance = 0;
  double variance_tolerance = 0;
};

/// One row of the table that a run makes.
struct DmrgSweepReport {
  Index sweep = 0;              ///< from 0
  double energy = 0;            ///< ⟨ψ|H|ψ⟩ at the end of the sweep, the mean of all targets
  double energy_change = 0;     ///< against the sweep before; NaN for the first
  Index maximum_bond = 0;       ///< of the state
  double discarded_weight = 0;  ///< the largest of the sweep
  double residual = 0;        ///< ‖H·ψ − E·ψ‖ of a site or pair, the largest of the sweep
  double centre_entropy = 0;  ///< −Σ p ln p at the middle bond
  Index products = 0;         ///< of effective Hamiltonians
  double variance = 0;        ///< ⟨H²⟩ − ⟨H⟩²; NaN without variance_tolerance
  double seconds = 0;
  std::int64_t peak_bytes = 0;  ///< most memory that the tensors of this process have had
};

/// A further target: the state of a run with another core 0.
template <class T>
struct DmrgTarget {
  double energy = 0;
  BlockTensor<T> first_core;
};

template <class T>
struct DmrgResult {
  double energy = 0;
  TensorTrain<T> state;  ///< norm one, centre at site 0
  std::vector<DmrgSweepReport> sweeps;
  bool converged = false;  ///< within the tolerances; false if there are none
  /// Of a run with several targets, ascending. All are orthogonal to each other and to `state`;
  /// there are fewer where the sector or the bonds of the last sweep have no room for them.
  std::vector<DmrgTarget<T>> further = {};

  /// Target 0 is `state`. Throws Error if there is no such target.
  TensorTrain<T> target(Index i) const;
};

/// Sees what there is after every sweep; `sweeps.back()` is the new row.
template <class T>
using DmrgObserver = std::type_identity_t<std::function<void(const DmrgResult<T>&)>>;

/// Minimises ⟨ψ|H|ψ⟩ / ⟨ψ|ψ⟩ from a start state. The energy never rises but by truncation. Where
/// the sites conserve charges, the result has those of the start: the lowest state of that sector.
/// A symmetry that they do not conserve keeps a start in its sector only up to rounding errors,
/// which grow if the ground state lies in another one. Throws Error if lengths, dimensions or
/// charges differ, if H differs from its adjoint (see hermiticity_error), without sweeps, and if
/// the start is zero. Cost of a bond per product as EffectiveHamiltonian, and the
/// eigenvectors of a matrix of the size of a bond times a site.
template <class T>
DmrgResult<T> dmrg(const MatrixProductOperator<T>& mpo, TensorTrain<T> start,
                   const DmrgSettings& settings, const DmrgObserver<T>& observer = {});

/// Goes on where a run was: makes the sweeps of `settings` that come after those it has made, and
/// ends with the same bits as a run that was never interrupted (by the same build on the same
/// number of threads). A run that has ended goes on with a longer list of sweeps, if it is not
/// converged by these settings, or with smaller tolerances. Throws Error as the other dmrg().
template <class T>
DmrgResult<T> dmrg(const MatrixProductOperator<T>& mpo, DmrgResult<T> so_far,
                   const DmrgSettings& settings, const DmrgObserver<T>& observer = {});

/// The same among the states that are orthogonal to `lower_states` (in a canonical form or not, of
/// any norm): with the k lowest states given, the next one. ⟨lower|ψ⟩ is zero up to what the
/// truncations cut off, with a finite `penalty` up to what it allows. One more overlap of states
/// per lower state and pair of sites.
template <class T>
DmrgResult<T> excited_state(const MatrixProductOperator<T>& mpo,
                            std::span<const TensorTrain<T>> lower_states, TensorTrain<T> start,
                            const DmrgSettings& settings, const DmrgObserver<T>& observer = {});
template <class T>
DmrgResult<T> excited_state(const MatrixProductOperator<T>& mpo,
                            std::span<const TensorTrain<T>> lower_states, DmrgResult<T> so_far,
                            const DmrgSettings& settings, const DmrgObserver<T>& observer = {});

}  // namespace metatt::tn
