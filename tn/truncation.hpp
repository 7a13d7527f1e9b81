#pragma once
/// Where to cut a spectrum of singular values: one pure function that truncated SVDs, TT-SVD and
/// the sweeps over a tensor train all share.

#include <metatt/tn/backend/types.hpp>

#include <limits>
#include <span>
#include <vector>

namespace metatt::tn {

/// As many values as there are.
inline constexpr Index unlimited = std::numeric_limits<Index>::max();

/// Which singular values to keep. The strongest rule first:
/// 1. at most `maximum_rank` and at least `minimum_rank` values (or all, if there are fewer);
/// 2. no cut inside a multiplet (see `multiplet_tolerance`);
/// 3. as few as possible with a discarded weight Σ discarded σ² / Σ σ² of at most `cutoff`.
struct TruncationPolicy {
  Index maximum_rank = unlimited;
  Index minimum_rank = 1;
  /// Largest relative discarded weight, in [0, 1]. Zero drops nothing but exact zeros. A bound ε on
  /// the relative error ‖A − Ã‖ / ‖A‖ of one truncation is the cutoff ε².
  double cutoff = 0;
  /// Two neighbours with (σ_i − σ_{i+1}) / σ_i below this are kept or discarded together, in [0,
  /// 1). The cut moves down (fewer values, so that the weight may exceed `cutoff`); if that falls
  /// below minimum_rank it moves up; if that exceeds maximum_rank the multiplet is cut after all.
  double multiplet_tolerance = 0;
};

/// Throws Error if a policy contradicts itself.
void check(const TruncationPolicy& policy);

/// What a cut keeps and what it throws away.
struct Truncation {
  Index kept = 0;
  Index discarded = 0;
  double discarded_weight = 0;  ///< Σ discarded σ² / Σ σ²; 0 for a spectrum of zeros
  double discarded_norm = 0;    ///< √Σ discarded σ², the Frobenius norm of what is lost
};

/// Applies `policy` to a spectrum in descending order. A spectrum of zeros keeps minimum_rank
/// values. Throws Error on an empty spectrum, on values that are negative, not finite or not in
/// descending order, and on a policy that contradicts itself.
Truncation truncate(std::span<const double> singular_values, const TruncationPolicy& policy);

/// Elements of the cores of a train with these modes and inner ranks, Σ r·n·r′.
Index train_parameters(std::span<const Index> modes, std::span<const Index> ranks);

/// What a whole train may lose or keep, to be spread over its bonds.
struct TruncationBudget {
  double cutoff = 0;  ///< largest relative discarded weight, ‖A − Ã‖² / ‖A‖²
  Index maximum_parameters = unlimited;  ///< of all cores; goes before the cutoff
};

}  // namespace metatt::tn
