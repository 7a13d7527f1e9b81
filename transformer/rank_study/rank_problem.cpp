#include <metatt/transformer/rank_study/rank_problem.hpp>

#include <metatt/tn/contract.hpp>
#include <metatt/tn/decompositions.hpp>
#include <metatt/transformer/rank_study/recovery_problem.hpp>
#include <metatt/transformer/rank_study/teacher_problem.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace metatt::transformer {

namespace {

struct Kind {
  const char* name;
  std::vector<Index> modes;
  std::unique_ptr<RankProblem> (*make)(const RankProblemSettings&, const std::vector<Index>&,
                                       std::uint64_t);
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all{{"recovery", {10, 4, 3, 10}, make_recovery_problem},
                                     {"teacher", {16, 4, 2, 16}, make_teacher_problem}};
  return all;
}

const Kind& find_kind(const std::string& name) {
  for (const Kind& kind : kinds())
    if (name == kind.name) return kind;
  tn::fail("problem: expected one of ", tn::joined(rank_problems()), ", found \"", name, "\"");
}

/// The weights of every bond, descending, as parts of a vector of length one.
std::vector<std::vector<double>> bond_spectra(const std::vector<double>& given,
                                              const std::vector<Index>& ranks) {
  const auto largest = static_cast<std::size_t>(std::ranges::max(ranks));
  const auto all = static_cast<std::size_t>(std::reduce(ranks.begin(), ranks.end()));
  if (!given.empty() && given.size() != largest && given.size() != all)
    tn::fail("spectrum: expected ", largest, " values, one for each direction of a bond, or ", all,
             " for those of all bonds, found ", given.size());
  auto next = given.begin();
  std::vector<std::vector<double>> spectra;
  for (const Index rank : ranks) {
    std::vector<double>& weights = spectra.emplace_back(static_cast<std::size_t>(rank), 1.0);
    if (!given.empty()) std::copy_n(next, rank, weights.begin());
    if (given.size() == all) next += rank;
    std::ranges::sort(weights, std::greater{});
    const double length =
        std::sqrt(std::inner_product(weights.begin(), weights.end(), weights.begin(), 0.0));
    for (double& weight : weights) weight /= length;
  }
  return spectra;
}

/// Gives a bond these singular values; returns the largest change of one (before, those of the
/// bond make a vector of length one too).
double set_spectrum(tn::TensorTrain<double>& train, Index bond,
                    const std::vector<double>& weights) {
  train.orthogonalise(bond);
  const Tensor<double> core = train.dense_core(bond);
  auto svd = tn::svd(core.reshaped({core.extent(0) * core.extent(1), core.extent(2)}));
  double change = 0;
  const double norm = train.norm();
  for (std::size_t i = 0; i < weights.size(); ++i)
    change = std::max(change, std::abs(svd.singular_values[i] / norm - weights[i]));
  tn::backend::scale_rows(tn::backend::queue(), svd.vh.extent(0), svd.vh.extent(1), weights.data(),
                          svd.vh.mutable_data());
  train.set_core(bond,
                 tn::BlockTensor<double>(tn::matrix_product(svd.u, svd.vh).reshaped(core.shape())));
  return change;
}

}  // namespace

double RankProblem::tensor_error() {
  auto difference = truth_;
  difference.scale(-1);
  return (train() + difference).norm() / truth_.norm();
}

tn::TensorTrain<double> planted_train(const RankProblemSettings& settings, std::uint64_t seed) {
  constexpr int most_rounds = 1000;
  constexpr double exact = 1e-9, close = 1e-3;
  const auto modes = problem_modes(settings);
  const auto ranks = capped_ranks("true_ranks", modes, settings.true_ranks);
  const auto spectra = bond_spectra(settings.spectrum, ranks);
  auto train = tn::TensorTrain<double>::random(modes, ranks, seed);
  // What sets one bond moves the others, ever less.
  double change = 1;
  for (int round = 0; round < most_rounds && change > exact; ++round) {
    change = 0;
    for (std::size_t bond = 0; bond < spectra.size(); ++bond)
      change = std::max(change, set_spectrum(train, static_cast<Index>(bond), spectra[bond]));
  }
  if (change > close)
    tn::fail("spectrum: found no train whose bonds carry all of these weights; after ", most_rounds,
             " rounds they are off by ", change, " of the norm of a bond's weights");
  double elements = 1;
  for (const Index mode : modes) elements *= static_cast<double>(mode);
  train.scale(std::sqrt(elements) / train.norm());
  return train;
}

std::vector<Index> capped_ranks(const char* setting, const std::vector<Index>& modes,
                                const std::vector<Index>& ranks) {
  auto capped = tn::maximal_ranks(modes);
  if (ranks.size() != 1) return wanted_ranks({ranks}, modes, capped, setting);
  if (ranks.front() > std::ranges::max(capped))
    tn::fail(setting, ": expected at most ", std::ranges::max(capped),
             ", which no bond can exceed, found ", ranks.front());
  for (Index& rank : capped) rank = std::min(rank, ranks.front());
  return capped;
}

Index degrees_of_freedom(const std::vector<Index>& modes, const std::vector<Index>& ranks) {
  return tn::train_parameters(modes, ranks) -
         std::inner_product(ranks.begin(), ranks.end(), ranks.begin(), Index{0});
}

std::vector<Index> problem_modes(const RankProblemSettings& settings) {
  const Kind& kind = find_kind(settings.kind);
  if (settings.modes.empty()) return kind.modes;
  if (settings.modes.size() < 2 || std::ranges::min(settings.modes) < 1)
    tn::fail("modes: expected two or more numbers of at least 1");
  return settings.modes;
}

std::vector<std::string> rank_problems() {
  std::vector<std::string> names;
  for (const Kind& kind : kinds()) names.emplace_back(kind.name);
  return names;
}

std::unique_ptr<RankProblem> make_rank_problem(const RankProblemSettings& settings,
                                               const std::vector<Index>& ranks,
                                               std::uint64_t seed) {
  if (settings.samples < 1) tn::fail("samples: expected at least 1, found ", settings.samples);
  if (!(settings.noise >= 0 && std::isfinite(settings.noise)))
    tn::fail("noise: expected a number of at least 0, found ", settings.noise);
  return find_kind(settings.kind).make(settings, ranks, seed);
}

}  // namespace metatt::transformer
