#include <metatt/tn/truncation.hpp>

#include <metatt/tn/error.hpp>

#include <algorithm>
#include <cmath>
#include <optional>
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

namespace {

/// The ranks of a train while values are dropped one by one.
class Spending {
 public:
  Spending(std::span<const std::vector<double>> spectra, std::span<const Index> modes)
      : spectra_(spectra), modes_(modes) {
    for (const auto& spectrum : spectra) {
      check_spectrum(spectrum);
      ranks_.push_back(static_cast<Index>(spectrum.size()));
      double weight = 0;
      for (std::size_t i = spectrum.size(); i-- > 0;) weight += share(spectrum, i);
      totals_.push_back(weight);
    }
  }

  Index parameters() const { return train_parameters(modes_, ranks_); }

  /// The relative weight of the smallest value at inner bond k that is still there.
  double weight(std::size_t k) const { return weight_of(k, ranks_[k] - 1); }

  /// The inner bond whose last value costs least for each parameter that goes with it, among those
  /// whose value weighs at most `most`.
  std::optional<std::size_t> cheapest(double most) const {
    std::optional<std::size_t> best;
    double best_price = 0;
    for (std::size_t k = 0; k < ranks_.size(); ++k) {
      if (ranks_[k] == 1 || weight(k) > most) continue;
      const double price = weight(k) / static_cast<double>(size(k));
      if (best && price >= best_price) continue;
      best = k;
      best_price = price;
    }
    return best;
  }

  /// The inner bond whose first dropped value brings most for each parameter that it takes, among
  /// those that need at most so many and can hold it beside their neighbours.
  std::optional<std::size_t> best_within(Index parameters) const {
    std::optional<std::size_t> best;
    double best_price = 0;
    for (std::size_t k = 0; k < ranks_.size(); ++k) {
      if (ranks_[k] == std::ssize(spectra_[k]) || ranks_[k] >= held(k) || size(k) > parameters)
        continue;
      const double price = weight_of(k, ranks_[k]) / static_cast<double>(size(k));
      if (price <= best_price) continue;
      best = k;
      best_price = price;
    }
    return best;
  }

  void drop(std::size_t k) { --ranks_[k]; }
  void take_back(std::size_t k) { ++ranks_[k]; }
  /// Lowers what neighbours that have become smaller can no longer hold.
  void settle() {
    for (bool lowered = true; lowered;) {
      lowered = false;
      for (std::size_t k = 0; k < ranks_.size(); ++k) {
        lowered = lowered || ranks_[k] > held(k);
        ranks_[k] = std::min(ranks_[k], held(k));
      }
    }
  }
  std::vector<Index> ranks() { return std::move(ranks_); }

 private:
  /// σ² in units of the largest, so that no square overflows.
  static double share(const std::vector<double>& spectrum, std::size_t i) {
    const double value = spectrum[0] > 0 ? spectrum[i] / spectrum[0] : 0;
    return value * value;
  }
  double weight_of(std::size_t k, Index value) const {
    return totals_[k] > 0 ? share(spectra_[k], static_cast<std::size_t>(value)) / totals_[k] : 0;
  }
  /// The rank that inner bond k can have beside those of its neighbours.
  Index held(std::size_t k) const {
    return std::min(rank(k) * modes_[k], modes_[k + 1] * rank(k + 2));
  }
  /// Parameters of one value at inner bond k.
  Index size(std::size_t k) const { return rank(k) * modes_[k] + modes_[k + 1] * rank(k + 2); }
  /// Of the bond left of core k; the outer bonds have one.
  Index rank(std::size_t k) const { return k == 0 || k > ranks_.size() ? 1 : ranks_[k - 1]; }

  std::span<const std::vector<double>> spectra_;
  std::span<const Index> modes_;
  std::vector<Index> ranks_;
  std::vector<double> totals_;
};

}  // namespace

std::vector<Index> ranks_within(std::span<const std::vector<double>> spectra,
                                std::span<const Index> modes, const TrainBudget& budget) {
  if (modes.size() != spectra.size() + 1)
    fail("ranks_within: expected a spectrum for each pair of neighbouring modes, found ",
         spectra.size(), " spectra and ", modes.size(), " modes");
  if (!(budget.cutoff >= 0 && budget.cutoff <= 1) || budget.maximum_parameters < 0)
    fail("ranks_within: expected a cutoff in [0, 1] and no negative number of parameters, found ",
         budget.cutoff, " and ", budget.maximum_parameters);
  Spending spending(spectra, modes);
  double left = budget.cutoff;
  while (spending.parameters() > budget.maximum_parameters) {
    const auto bond = spending.cheapest(std::numeric_limits<double>::infinity());
    if (!bond) break;
    left -= spending.weight(*bond);
    spending.drop(*bond);
  }
  spending.settle();
  // The last value that had to go was perhaps larger than what was still too much.
  while (const auto bond =
             spending.best_within(budget.maximum_parameters - spending.parameters())) {
    spending.take_back(*bond);
    left += spending.weight(*bond);
  }
  while (const auto bond = spending.cheapest(std::max(left, 0.0))) {
    left -= spending.weight(*bond);
    spending.drop(*bond);
  }
  spending.settle();
  return spending.ranks();
}

}  // namespace metatt::tn
