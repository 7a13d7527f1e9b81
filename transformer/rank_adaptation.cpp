#include <metatt/transformer/rank_adaptation.hpp>

#include <metatt/tn/contract.hpp>

#include <charconv>
#include <optional>

namespace metatt::transformer {

namespace {

template <class... Parts>
[[noreturn]] void bad_schedule(const std::string& text, const Parts&... why) {
  tn::fail(
      "rank_schedule: expected EPOCH:RANK,EPOCH:RANK,… with epochs from 0 rising and ranks "
      "falling, found \"",
      text, "\": ", why...);
}

Index parse_number(const std::string& whole, std::string_view part) {
  Index value = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
  if (error != std::errc() || end != part.data() + part.size() || value < 0)
    bad_schedule(whole, "\"", part, "\" is no number");
  return value;
}

Tensor<double> squared(const Tensor<double>& in) {
  if (in.empty()) return in;
  auto values = in.to_vector();
  for (double& v : values) v *= v;
  return Tensor<double>::from(in.shape(), std::span<const double>(values));
}

/// expandᵀ · g · reduceᵀ with the matrices of the bonds left and right of a core; either may be
/// empty at an end of the train.
Tensor<double> carry(const Tensor<double>& g, const Tensor<double>& expand,
                     const Tensor<double>& reduce) {
  Tensor<double> out = g;
  if (!expand.empty()) out = tn::contract("ab,aic->bic", expand, out);
  if (!reduce.empty()) out = tn::contract("bic,dc->bid", out, reduce);
  return out;
}

struct Moments {
  Tensor<double> first, second;
};

/// With the gauge matrices of the sweep, g' = expandᵀ·g·reduceᵀ: the first moment goes the same
/// way, and the second, a variance of independent entries, with the squares of the matrices.
Moments project(const Moments& old, const tn::BondReport<double>* left,
                const tn::BondReport<double>* right) {
  const auto expand = left ? left->expand.to_dense() : Tensor<double>();
  const auto reduce = right ? right->reduce.to_dense() : Tensor<double>();
  return {carry(old.first, expand, reduce), carry(old.second, squared(expand), squared(reduce))};
}

}  // namespace

std::vector<RankStep> parse_rank_schedule(const std::string& text, Index epochs) {
  std::vector<RankStep> steps;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = std::string_view(text).substr(begin, end - begin);
    const std::size_t colon = part.find(':');
    if (colon == std::string_view::npos) bad_schedule(text, "\"", part, "\" has no \":\"");
    const RankStep step{parse_number(text, part.substr(0, colon)),
                        parse_number(text, part.substr(colon + 1))};
    if (step.rank < 1) bad_schedule(text, "a rank below 1");
    if (steps.empty() && step.epoch != 0) bad_schedule(text, "the first epoch is not 0");
    if (!steps.empty() && step.epoch <= steps.back().epoch)
      bad_schedule(text, "epoch ", step.epoch, " does not come after ", steps.back().epoch);
    if (!steps.empty() && step.rank >= steps.back().rank)
      bad_schedule(text, "rank ", step.rank, " is not below ", steps.back().rank);
    if (step.epoch >= epochs)
      bad_schedule(text, "epoch ", step.epoch, " is never reached in ", epochs, " epochs");
    steps.push_back(step);
    begin = end + 1;
  }
  return steps;
}

template <class T>
RankSweep adapt_ranks(const MetaTT<T>& adapter, Weights<T>& weights, AdamW<T>& optimiser,
                      Index rank, tn::SweepMode mode, OptimizerState state) {
  tn::TensorTrain<double> train = adapter.train();
  RankSweep result;
  result.ranks_before = train.ranks();
  for (const Index r : result.ranks_before)
    if (rank > r)
      tn::fail("rank_schedule: a sweep to rank ", rank, ", but a bond has rank ", r, " only");
  result.norm_before = train.norm();
  if (result.norm_before == 0)
    tn::fail("adapt_ranks: the adapter is still zero and has no spectrum; train it before a sweep");

  std::vector<Moments> moments;
  auto& arena = weights.arena();
  for (Index k = 0; k < adapter.cores(); ++k) {
    const Index parameter = arena.find(weights.name(adapter.core(k)));
    const Shape shape = train.core(k).shape();
    moments.push_back({tn::converted<double>(arena.first_moment(parameter)).reshaped(shape),
                       tn::converted<double>(arena.second_moment(parameter)).reshaped(shape)});
  }
  tn::TruncationPolicy policy;
  policy.maximum_rank = rank;
  policy.minimum_rank = rank;
  const auto report = tn::sweep(train, policy, mode);

  std::vector<typename Weights<T>::Replacement> replacements;
  for (Index k = 0; k < adapter.cores(); ++k) {
    const auto index = static_cast<std::size_t>(k);
    Shape shape = train.core(k).shape();
    if (k == 0) shape.erase(shape.begin());
    if (k == adapter.cores() - 1) shape.pop_back();
    typename Weights<T>::Replacement replacement{
        adapter.core(k), tn::converted<T>(train.dense_core(k)).reshaped(shape), {}, {}};
    if (state == OptimizerState::project) {
      const Moments carried = project(moments[index], k > 0 ? &report.bonds[index - 1] : nullptr,
                                      k + 1 < adapter.cores() ? &report.bonds[index] : nullptr);
      replacement.first_moment = tn::converted<T>(carried.first).reshaped(shape);
      replacement.second_moment = tn::converted<T>(carried.second).reshaped(shape);
    }
    replacements.push_back(std::move(replacement));
  }
  weights.replace(replacements);
  if (state == OptimizerState::reset) optimiser.restart(WeightGroup::decayed);

  result.ranks_after = train.ranks();
  result.bonds.assign(report.bonds.begin(), report.bonds.end());
  result.error_bound = report.error_bound;
  return result;
}

template RankSweep adapt_ranks(const MetaTT<float>&, Weights<float>&, AdamW<float>&, Index,
                               tn::SweepMode, OptimizerState);
template RankSweep adapt_ranks(const MetaTT<double>&, Weights<double>&, AdamW<double>&, Index,
                               tn::SweepMode, OptimizerState);

}  // namespace metatt::transformer
