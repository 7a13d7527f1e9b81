#include <metatt/tn/tensor_train.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

namespace metatt::tn {

namespace {

/// Share of what is too much that goes before the spectra are found anew. Trains of fine-tuned
/// networks end with the same ranks at 0.1, 0.7 and value by value.
constexpr double share_of_excess = 0.5;

/// A train rounded to some ranks.
struct Rounded {
  std::vector<Index> ranks;                  ///< without values that are zero to rounding
  double lost = 0;                           ///< ‖A − Ã‖² / ‖A‖²
  std::vector<std::vector<double>> spectra;  ///< of Ã, which has norm √(1 − lost)
};

std::vector<TruncationPolicy> policies_for(std::span<const Index> ranks) {
  std::vector<TruncationPolicy> policies;
  for (const Index rank : ranks) policies.push_back({.maximum_rank = rank});
  return policies;
}

template <class T>
Rounded rounded(TensorTrain<T> train, const std::vector<Index>& ranks) {
  const auto report = sweep<T>(train, policies_for(ranks), SweepMode::rounding);
  const double norm = report.norm;
  if (norm == 0) return {std::vector<Index>(ranks.size(), 1), 0, {}};
  Rounded result{train.ranks(), std::pow(report.error_bound / norm, 2), bond_spectra(train)};
  for (std::size_t k = 0; k < result.ranks.size(); ++k) {
    auto& spectrum = result.spectra[k];
    const double zero = std::numeric_limits<Real<T>>::epsilon() *
                        static_cast<double>(spectrum.size()) * spectrum[0];
    std::erase_if(spectrum, [&](double value) { return value <= zero; });
    for (double& value : spectrum) value /= norm;
    result.ranks[k] = std::ssize(spectrum);
  }
  return result;
}

/// The ranks of a train while values are dropped one by one, weighed by the spectra of its bonds.
class Spending {
 public:
  Spending(const Rounded& train, std::span<const Index> modes)
      : spectra_(train.spectra), modes_(modes), ranks_(train.ranks) {}

  Index parameters() const { return train_parameters(modes_, ranks_); }
  const std::vector<Index>& ranks() const { return ranks_; }

  /// The relative weight of the smallest value at inner bond k that is still there.
  double weight(std::size_t k) const {
    const double value = spectra_[k][static_cast<std::size_t>(ranks_[k]) - 1];
    return value * value;
  }

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

  void drop(std::size_t k) { --ranks_[k]; }
  void take_back(std::size_t k) { ++ranks_[k]; }

  /// Parameters of one value at inner bond k.
  Index size(std::size_t k) const { return rank(k) * modes_[k] + modes_[k + 1] * rank(k + 2); }

  /// The rank that inner bond k can have beside those of its neighbours.
  Index held(std::size_t k) const {
    return std::min(rank(k) * modes_[k], modes_[k + 1] * rank(k + 2));
  }

 private:
  /// Of the bond left of core k; the outer bonds have one.
  Index rank(std::size_t k) const { return k == 0 || k > ranks_.size() ? 1 : ranks_[k - 1]; }

  const std::vector<std::vector<double>>& spectra_;
  std::span<const Index> modes_;
  std::vector<Index> ranks_;
};

/// Drops the cheapest values until so many parameters are left, or half of what is too much is
/// gone. Rounding finds what neighbours that have become smaller can no longer hold.
std::vector<Index> ranks_of_fewer_parameters(const Rounded& train, std::span<const Index> modes,
                                             Index parameters) {
  Spending spending(train, modes);
  const Index excess = spending.parameters() - parameters;
  const Index goal = spending.parameters() -
                     static_cast<Index>(std::ceil(share_of_excess * static_cast<double>(excess)));
  while (spending.parameters() > goal) {
    const auto bond = spending.cheapest(std::numeric_limits<double>::infinity());
    if (!bond) break;
    spending.drop(*bond);
  }
  return spending.ranks();
}

/// Drops the cheapest values until half of the weight that may still be lost is gone, at least
/// one value.
std::vector<Index> ranks_of_less_weight(const Rounded& train, std::span<const Index> modes,
                                        double left) {
  Spending spending(train, modes);
  double spent = 0;
  while (const auto bond = spending.cheapest(spent > 0 ? share_of_excess * left - spent : left)) {
    spent += spending.weight(*bond);
    spending.drop(*bond);
  }
  return spending.ranks();
}

/// The train with one value more of those that have gone and still fit, if one is worth anything
/// beside what its neighbours have: the first one in the order of what they weigh in the whole
/// train for each parameter.
template <class T>
std::optional<Rounded> with_one_more(const TensorTrain<T>& train, const Rounded& whole,
                                     const Rounded& present, Index parameters) {
  const auto modes = train.modes();
  const Spending now(present, modes);
  std::vector<std::pair<double, std::size_t>> candidates;
  for (std::size_t k = 0; k < present.ranks.size(); ++k) {
    const Index rank = present.ranks[k];
    if (rank >= std::min(now.held(k), whole.ranks[k]) ||
        now.parameters() + now.size(k) > parameters)
      continue;
    const double value = whole.spectra[k][static_cast<std::size_t>(rank)];
    candidates.emplace_back(value * value / static_cast<double>(now.size(k)), k);
  }
  std::ranges::stable_sort(candidates, std::greater{}, &std::pair<double, std::size_t>::first);
  for (const auto& [price, k] : candidates) {
    Spending larger = now;
    larger.take_back(k);
    Rounded next = rounded(train, larger.ranks());
    if (next.ranks[k] > present.ranks[k] && next.lost < present.lost) return next;
  }
  return std::nullopt;
}

}  // namespace

template <class T>
std::vector<Index> ranks_within(const TensorTrain<T>& train, const TruncationBudget& budget) {
  if (!(budget.cutoff >= 0 && budget.cutoff <= 1) || budget.maximum_parameters < 0)
    fail("ranks_within: expected a cutoff in [0, 1] and no negative number of parameters, found ",
         budget.cutoff, " and ", budget.maximum_parameters);
  const auto modes = train.modes();
  // The budget counts dense cores; with charges they store less.
  const Index most =
      train.parameter_count() <= budget.maximum_parameters ? unlimited : budget.maximum_parameters;
  const Rounded whole = rounded(train, train.ranks());
  Rounded present = whole;
  while (train_parameters(modes, present.ranks) > most) {
    Rounded next = rounded(train, ranks_of_fewer_parameters(present, modes, most));
    if (next.ranks == present.ranks) break;  // rank one everywhere
    present = std::move(next);
  }
  // The last value that had to go was perhaps larger than what was still too much.
  while (auto next = with_one_more(train, whole, present, most)) present = std::move(*next);
  while (present.lost < budget.cutoff) {
    Rounded next =
        rounded(train, ranks_of_less_weight(present, modes, budget.cutoff - present.lost));
    if (next.ranks == present.ranks || next.lost > budget.cutoff) break;
    present = std::move(next);
  }
  return present.ranks;
}

template <class T>
SweepReport<T> sweep_within(TensorTrain<T>& train, const TruncationBudget& budget, SweepMode mode,
                            TrainBefore before) {
  return sweep<T>(train, policies_for(ranks_within(train, budget)), mode, before);
}

#define METATT_SWEEP_WITHIN(T)                                                              \
  template std::vector<Index> ranks_within(const TensorTrain<T>&, const TruncationBudget&); \
  template SweepReport<T> sweep_within(TensorTrain<T>&, const TruncationBudget&, SweepMode, \
                                       TrainBefore);
METATT_SWEEP_WITHIN(float)
METATT_SWEEP_WITHIN(double)
METATT_SWEEP_WITHIN(std::complex<float>)
METATT_SWEEP_WITHIN(std::complex<double>)
#undef METATT_SWEEP_WITHIN

}  // namespace metatt::tn
