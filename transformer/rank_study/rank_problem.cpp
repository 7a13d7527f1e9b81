#include <metatt/transformer/rank_study/rank_problem.hpp>

#include <metatt/tn/decompositions.hpp>
#include <metatt/transformer/rank_study/recovery_problem.hpp>
#include <metatt/transformer/rank_study/teacher_problem.hpp>

#include <algorithm>
#include <cmath>

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

/// Multiplies the columns of a core's right bond.
Tensor<double> with_weights(const Tensor<double>& core, const std::vector<double>& weights) {
  auto values = core.to_vector();
  const auto rank = static_cast<std::size_t>(core.shape().back());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] *= weights[i % rank];
  return Tensor<double>::from(core.shape(), std::span<const double>(values));
}

}  // namespace

double RankProblem::tensor_error() {
  auto difference = truth_;
  difference.scale(-1);
  return (train() + difference).norm() / truth_.norm();
}

tn::TensorTrain<double> planted_train(const RankProblemSettings& settings, std::uint64_t seed) {
  const auto modes = problem_modes(settings);
  auto train = tn::TensorTrain<double>::random(
      modes, capped_ranks("true_ranks", modes, settings.true_ranks), seed);
  train.orthogonalise(0);
  std::vector<Tensor<double>> cores;
  for (Index k = 0; k < train.length(); ++k) {
    Tensor<double> core = train.dense_core(k);
    const Index rank = core.shape().back();
    if (k == 0) core = tn::qr(core.reshaped({core.extent(1), rank})).q.reshaped(core.shape());
    std::vector<double> weights(static_cast<std::size_t>(rank), 1.0);
    if (k + 1 < train.length() && !settings.spectrum.empty()) {
      if (settings.spectrum.size() < weights.size())
        tn::fail("spectrum: expected at least ", weights.size(),
                 " values, one for each direction, found ", settings.spectrum.size());
      std::copy_n(settings.spectrum.begin(), weights.size(), weights.begin());
    }
    cores.push_back(with_weights(core, weights));
  }
  tn::TensorTrain<double> planted(std::move(cores));
  double elements = 1;
  for (const Index mode : modes) elements *= static_cast<double>(mode);
  planted.scale(std::sqrt(elements) / planted.norm());
  return planted;
}

std::vector<Index> capped_ranks(const char* setting, const std::vector<Index>& modes,
                                const std::vector<Index>& ranks) {
  auto capped = tn::maximal_ranks(modes);
  if (ranks.size() != 1 && ranks.size() != capped.size())
    tn::fail(setting, ": expected one for all bonds or ", capped.size(), ", one for each, found ",
             ranks.size());
  for (std::size_t k = 0; k < capped.size(); ++k)
    capped[k] = std::min(capped[k], ranks.size() == 1 ? ranks.front() : ranks[k]);
  return capped;
}

Index degrees_of_freedom(const std::vector<Index>& modes, const std::vector<Index>& ranks) {
  Index count = 0;
  for (std::size_t k = 0; k < modes.size(); ++k) {
    const Index left = k > 0 ? ranks[k - 1] : 1, right = k < ranks.size() ? ranks[k] : 1;
    count += left * modes[k] * right;
    if (k < ranks.size()) count -= right * right;
  }
  return count;
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
