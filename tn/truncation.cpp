#include <metatt/tn/truncation.hpp>

#include <metatt/tn/error.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace metatt::tn {

void check(const TruncationPolicy& policy) {
  if (policy.minimum_rank < 1)
    fail("truncate: minimum_rank must be at least 1, found ", policy.minimum_rank);
  if (policy.maximum_rank < policy.minimum_rank)
    fail("truncate: maximum_rank must be at least minimum_rank (", policy.minimum_rank, "), found ",
         policy.maximum_rank);
  if (!(policy.cutoff >= 0 && policy.cutoff <= 1))
    fail("truncate: cutoff must lie in [0, 1], found ", policy.cutoff);
  if (!(policy.multiplet_tolerance >= 0 && policy.multiplet_tolerance < 1))
    fail("truncate: multiplet_tolerance must lie in [0, 1), found ", policy.multiplet_tolerance);
}

namespace {

void check_spectrum(std::span<const double> values) {
  if (values.empty()) fail("truncate: expected at least one singular value, found none");
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]) || values[i] < 0)
      fail("truncate: singular values must be finite and non-negative, found ", values[i],
           " at position ", i);
    if (i > 0 && values[i] > values[i - 1])
      fail("truncate: singular values must descend, found ", values[i], " after ", values[i - 1],
           " at position ", i);
  }
}

/// Moves `kept` off the inside of a multiplet within [lowest, highest], downwards first.
Index leave_multiplet(std::span<const double> values, double tolerance, Index kept, Index lowest,
                      Index highest) {
  const Index count = static_cast<Index>(values.size());
  auto splits = [&](Index cut) {
    if (cut == 0 || cut == count) return false;
    return values[cut - 1] - values[cut] < tolerance * values[cut - 1];
  };
  for (Index cut = kept; cut >= lowest; --cut)
    if (!splits(cut)) return cut;
  for (Index cut = kept + 1; cut <= highest; ++cut)
    if (!splits(cut)) return cut;
  return kept;
}

}  // namespace

Truncation truncate(std::span<const double> values, const TruncationPolicy& policy) {
  check(policy);
  check_spectrum(values);
  const Index count = static_cast<Index>(values.size());
  const double largest = values[0];
  // tail[k] is the weight of all values from k on in units of largest², so that no square
  // overflows; summing from the small end keeps the small ones.
  std::vector<double> tail(values.size() + 1, 0.0);
  if (largest > 0)
    for (Index k = count - 1; k >= 0; --k) {
      const double ratio = values[k] / largest;
      tail[k] = tail[k + 1] + ratio * ratio;
    }

  const Index lowest = std::min(policy.minimum_rank, count);
  const Index highest = std::min(policy.maximum_rank, count);
  Index kept = 0;
  while (tail[kept] > policy.cutoff * tail[0]) ++kept;
  kept = leave_multiplet(values, policy.multiplet_tolerance, std::clamp(kept, lowest, highest),
                         lowest, highest);

  Truncation result;
  result.kept = kept;
  result.discarded = count - kept;
  result.discarded_weight = largest > 0 ? tail[kept] / tail[0] : 0.0;
  result.discarded_norm = largest * std::sqrt(tail[kept]);
  return result;
}

Index train_parameters(std::span<const Index> modes, std::span<const Index> ranks) {
  Index count = 0;
  for (std::size_t k = 0; k < modes.size(); ++k)
    count += (k > 0 ? ranks[k - 1] : 1) * modes[k] * (k < ranks.size() ? ranks[k] : 1);
  return count;
}

}  // namespace metatt::tn
