#include <metatt/transformer/rank_adaptation.hpp>

#include <metatt/tn/chain/measurement.hpp>
#include <metatt/tn/contract.hpp>
#include <metatt/tn/decompositions.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace metatt::transformer {

namespace {

using Train = tn::TensorTrain<double>;

/// More random rows than directions are wanted make the range finder reliable.
constexpr Index oversampling = 4;

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

/// With the gauge matrices of the sweep, g' = expandᵀ·g·reduceᵀ: the first moment goes the same
/// way, and the second, a variance of independent entries, with the squares of the matrices.
void project_moments(TrainWithMoments& trained, const tn::SweepReport<double>& report) {
  for (std::size_t k = 0; k < trained.first_moments.size(); ++k) {
    const auto expand = k > 0 ? report.bonds[k - 1].expand.to_dense() : Tensor<double>();
    const auto reduce =
        k < report.bonds.size() ? report.bonds[k].reduce.to_dense() : Tensor<double>();
    trained.first_moments[k] = carry(trained.first_moments[k], expand, reduce);
    trained.second_moments[k] = carry(trained.second_moments[k], squared(expand), squared(reduce));
  }
}

void clear_moments(TrainWithMoments& trained) {
  for (Index k = 0; k < trained.train.length(); ++k) {
    const auto zeros = Tensor<double>::zeros(trained.train.core(k).shape());
    trained.first_moments[static_cast<std::size_t>(k)] = zeros;
    trained.second_moments[static_cast<std::size_t>(k)] = zeros;
  }
}

/// The core as a matrix: the left bond and the mode × the right bond, or the left bond × the rest.
Tensor<double> left_matrix(const Tensor<double>& core) {
  return core.reshaped({core.extent(0) * core.extent(1), core.extent(2)});
}
Tensor<double> right_matrix(const Tensor<double>& core) {
  return core.reshaped({core.extent(0), core.extent(1) * core.extent(2)});
}

/// Columns of `more` behind those of a core.
Tensor<double> with_columns(const Tensor<double>& core, const Tensor<double>& more) {
  auto& queue = tn::backend::queue();
  const Index rows = core.extent(0) * core.extent(1), old = core.extent(2), added = more.extent(1);
  Tensor<double> wide({core.extent(0), core.extent(1), old + added});
  tn::backend::copy_matrix(queue, rows, old, core.data(), old, wide.mutable_data(), old + added);
  tn::backend::copy_matrix(queue, rows, added, more.data(), added, wide.mutable_data() + old,
                           old + added);
  return wide;
}

/// Rows of `more` below those of a core.
Tensor<double> with_rows(const Tensor<double>& core, const Tensor<double>& more) {
  auto& queue = tn::backend::queue();
  Tensor<double> high({core.extent(0) + more.extent(0), core.extent(1), core.extent(2)});
  tn::backend::copy(queue, core.size(), core.data(), high.mutable_data());
  tn::backend::copy(queue, more.size(), more.data(), high.mutable_data() + core.size());
  return high;
}

/// A tensor of this shape, filled with the mean of another.
Tensor<double> filled_with_mean(const Shape& shape, const Tensor<double>& of) {
  double mean = 0;
  for (const double v : of.to_vector()) mean += v / static_cast<double>(of.size());
  Tensor<double> filled(shape);
  tn::backend::fill(tn::backend::queue(), filled.size(), mean, filled.mutable_data());
  return filled;
}

/// Enlarges the bond right of core k and its moments. AdamW's count of steps, which makes up for
/// moments that begin at zero, is that of the whole core: from a second moment of zero the first
/// steps of what is new would be several times as long as the others (3.2 times the learning rate
/// at once, 6.6 times at the twelfth, with β = 0.9 and 0.999). So it begins with the mean.
TrainWithMoments enlarged(const TrainWithMoments& trained, Index bond,
                          const Tensor<double>& columns, const Tensor<double>& rows) {
  const auto k = static_cast<std::size_t>(bond);
  auto cores = dense_cores(trained.train);
  cores[k] = with_columns(cores[k], columns);
  cores[k + 1] = with_rows(cores[k + 1], rows);
  TrainWithMoments larger{Train(std::move(cores)), trained.first_moments, trained.second_moments};
  auto &first = larger.first_moments, &second = larger.second_moments;
  first[k] = with_columns(first[k], Tensor<double>::zeros(columns.shape()));
  first[k + 1] = with_rows(first[k + 1], Tensor<double>::zeros(rows.shape()));
  second[k] = with_columns(second[k], filled_with_mean(columns.shape(), second[k]));
  second[k + 1] = with_rows(second[k + 1], filled_with_mean(rows.shape(), second[k + 1]));
  return larger;
}

/// rows − (rows·Qᵀ)·Q for orthonormal rows Q.
Tensor<double> without_rows(const Tensor<double>& rows, const Tensor<double>& Q) {
  const Tensor<double> inside = tn::matrix_product(tn::matrix_product(rows, tn::adjoint(Q)), Q);
  Tensor<double> rest =
      Tensor<double>::from(rows.shape(), std::span<const double>(rows.to_vector()));
  tn::backend::add_scaled(tn::backend::queue(), rest.size(), -1.0, inside.data(),
                          rest.mutable_data());
  return rest;
}

/// The identity as a core: of both bonds and the mode, either left ones or right ones together.
Tensor<double> identity_core(Shape shape) {
  const Index n = std::max(shape[0], shape[2]);
  std::vector<double> values(static_cast<std::size_t>(n * n), 0.0);
  for (Index i = 0; i < n; ++i) values[static_cast<std::size_t>(i * n + i)] = 1;
  return Tensor<double>::from(std::move(shape), std::span<const double>(values));
}

/// What a truncation leaves of a train's moments when it is trained from there anew.
TrainWithMoments without_moments(std::vector<Tensor<double>> cores) {
  TrainWithMoments trained{Train(std::move(cores)), {}, {}};
  trained.first_moments.resize(static_cast<std::size_t>(trained.train.length()));
  trained.second_moments.resize(trained.first_moments.size());
  clear_moments(trained);
  return trained;
}

}  // namespace

std::vector<Index> wanted_ranks(const RankTarget& target, const std::vector<Index>& modes,
                                const std::vector<Index>& present, const char* setting) {
  if (target.ranks.empty()) return present;
  if (target.ranks.size() != 1 && target.ranks.size() != present.size())
    tn::fail(setting, ": expected a rank for all bonds or ", present.size(),
             ", one for each, found ", target.ranks.size());
  const auto possible = tn::maximal_ranks(modes);
  std::vector<Index> ranks;
  for (std::size_t k = 0; k < present.size(); ++k) {
    ranks.push_back(target.rank(k));
    if (ranks.back() > possible[k])
      tn::fail(setting, ": bond ", k + 1, " can hold at most rank ", possible[k], ", found ",
               ranks.back());
  }
  // What stands on either side of a bond cannot carry more either.
  for (std::size_t k = 0; k < ranks.size(); ++k) {
    const Index left = (k > 0 ? ranks[k - 1] : 1) * modes[k];
    const Index right = modes[k + 1] * (k + 1 < ranks.size() ? ranks[k + 1] : 1);
    if (ranks[k] > std::min(left, right))
      tn::fail(setting, ": bond ", k + 1, " can hold at most rank ", std::min(left, right),
               " beside the ranks of its neighbours, found ", ranks[k]);
  }
  return ranks;
}

void check_budget(const char* setting, const tn::TruncationBudget& budget,
                  const std::vector<Index>& modes) {
  const Index smallest = std::reduce(modes.begin(), modes.end());
  if (budget.maximum_parameters < smallest)
    tn::fail(setting, ": expected at least ", smallest, " parameters, those of rank one, found ",
             budget.maximum_parameters);
}

std::vector<Tensor<double>> dense_cores(const Train& train) {
  std::vector<Tensor<double>> cores;
  for (Index k = 0; k < train.length(); ++k) cores.push_back(train.dense_core(k));
  return cores;
}

Index merged_core(const Train& train, Index bond) {
  const auto& left = train.core(bond).shape();
  const auto& right = train.core(bond + 1).shape();
  return right[1] * right[2] <= left[0] * left[1] ? bond : bond + 1;
}

Index room(const Train& train, Index bond) {
  const auto& left = train.core(bond).shape();
  const auto& right = train.core(bond + 1).shape();
  return std::min(left[0] * left[1], right[1] * right[2]) - left[2];
}

std::vector<Index> RankSweep::ranks_before() const {
  std::vector<Index> ranks;
  for (const BondChange& bond : bonds) ranks.push_back(bond.rank_before);
  return ranks;
}

std::vector<Index> RankSweep::ranks_after() const {
  std::vector<Index> ranks;
  for (const BondChange& bond : bonds) ranks.push_back(bond.rank_after);
  return ranks;
}

namespace {

/// A symmetric root of a Gram matrix and its inverse.
struct Roots {
  Tensor<double> root, inverse;
};

Roots roots_of(const Tensor<double>& gram) {
  constexpr double least = 1e-6;
  const tn::Eigh<double> eigen = tn::eigh(gram);
  double mean = 0;
  for (const double value : eigen.values) mean += value / static_cast<double>(eigen.values.size());
  if (!(mean > 0)) tn::fail("adapt_ranks: the inputs of the adapter are all zero");
  const auto with_values = [&](double power) {
    Tensor<double> scaled = tn::adjoint(eigen.vectors);
    std::vector<double> powers;
    for (const double value : eigen.values)
      powers.push_back(std::pow(std::max(value, 0.0) + least * mean, power));
    tn::backend::scale_rows(tn::backend::queue(), scaled.extent(0), scaled.extent(1), powers.data(),
                            scaled.mutable_data());
    return tn::matrix_product(eigen.vectors, scaled);
  };
  return {with_values(0.5), with_values(-0.5)};
}

/// Multiplies the mode of the first core.
void multiply_first_mode(Train& train, const Tensor<double>& matrix) {
  const Tensor<double> core = train.dense_core(0);
  if (matrix.extent(0) != core.extent(1))
    tn::fail("adapt_ranks: expected the Gram matrix of ", core.extent(1), " inputs, found ",
             tn::shape_text(matrix.shape()));
  train.set_core(0, tn::BlockTensor<double>(
                        tn::matrix_product(matrix, core.reshaped({core.extent(1), core.extent(2)}))
                            .reshaped(core.shape())));
}

}  // namespace

RankSweep RankAdaptation::truncate(TrainWithMoments& trained, const RankTarget& target,
                                   const Tensor<double>& input_gram) const {
  const bool budgeted =
      target.budget.cutoff > 0 || target.budget.maximum_parameters != tn::unlimited;
  if (!target.ranks.empty() && budgeted)
    tn::fail("adapt_ranks: expected ranks or a budget for the whole train, found both");
  RankSweep result;
  const auto before = trained.train.ranks();
  const auto wanted = wanted_ranks(target, trained.train.modes(), before);
  const Roots roots = input_gram.empty() ? Roots{} : roots_of(input_gram);
  Train train = trained.train;
  if (!roots.root.empty()) multiply_first_mode(train, roots.root);
  std::vector<tn::TruncationPolicy> policies;
  for (std::size_t k = 0; k < before.size(); ++k) {
    const Index rank = std::min(before[k], wanted[k]);
    policies.push_back({.maximum_rank = rank, .minimum_rank = rank});
  }
  constexpr auto before_too = tn::TrainBefore::spectra;
  auto report = target.ranks.empty() ? tn::sweep_within(train, target.budget, mode_, before_too)
                                     : tn::sweep<double>(train, policies, mode_, before_too);
  if (report.norm == 0)
    tn::fail("adapt_ranks: the adapter is still zero and has no spectrum; train it before a sweep");
  auto spectra_after = tn::bond_spectra(train);
  if (!roots.inverse.empty()) multiply_first_mode(train, roots.inverse);
  trained.train = std::move(train);
  if (state_ == OptimizerState::project)
    project_moments(trained, report);
  else
    clear_moments(trained);
  const auto after = trained.train.ranks();
  for (std::size_t k = 0; k < before.size(); ++k) {
    const tn::Truncation& cut = report.bonds[k].truncation;
    const double entropy = tn::entropy(report.spectra_before[k]);
    result.bonds.push_back({static_cast<Index>(k), before[k], after[k],
                            std::move(report.spectra_before[k]), std::move(spectra_after[k]),
                            entropy, cut.discarded_weight, cut.discarded_norm});
  }
  result.error_bound = report.error_bound;
  result.norm_before = report.norm;
  return result;
}

TrainWithMoments RankAdaptation::probe(const TrainWithMoments& trained, Index bond, Index extra,
                                       std::uint64_t stream) const {
  const Tensor<double> left = trained.train.dense_core(bond),
                       right = right_matrix(trained.train.dense_core(bond + 1));
  const Index count = std::min(extra + oversampling, room(trained.train, bond));
  const Tensor<double> random = without_rows(
      tn::random_normal<double>({count, right.extent(1)}, seed_, stream), tn::lq(right).q);
  return enlarged(trained, bond, Tensor<double>::zeros({left.extent(0) * left.extent(1), count}),
                  tn::lq(random).q);
}

BondChange RankAdaptation::grow(TrainWithMoments& trained, Index bond, Index extra,
                                const Tensor<double>& gradient) const {
  const Tensor<double> left = left_matrix(trained.train.dense_core(bond));
  const Index rank = left.extent(1), wide = gradient.extent(2);
  Tensor<double> outside({left.extent(0), wide - rank});
  tn::backend::copy_matrix(tn::backend::queue(), left.extent(0), wide - rank,
                           gradient.data() + rank, wide, outside.mutable_data(), wide - rank);
  const auto directions =
      tn::svd(tn::adjoint(without_rows(tn::adjoint(outside), tn::adjoint(tn::qr(left).q))));
  const Index added = std::min(extra, wide - rank);
  // As long as the columns that are there, so that AdamW's steps do as much in both.
  const double norm = tn::backend::norm(tn::backend::queue(), left.size(), left.data());
  Tensor<double> columns = tn::leading_columns(directions.u, added);
  tn::backend::scale(tn::backend::queue(), columns.size(),
                     norm > 0 ? norm / std::sqrt(static_cast<double>(rank)) : 1.0,
                     columns.mutable_data());
  const Tensor<double> right = right_matrix(trained.train.dense_core(bond + 1));
  trained = enlarged(trained, bond, columns, Tensor<double>::zeros({added, right.extent(1)}));
  if (state_ == OptimizerState::reset) clear_moments(trained);
  BondChange change{bond, rank, rank + added, directions.singular_values};
  change.entropy = tn::entropy(change.spectrum);
  return change;
}

Index merge_pair(TrainWithMoments& trained, Index bond) {
  Train& train = trained.train;
  train.orthogonalise(bond);
  auto cores = dense_cores(train);
  auto &left = cores[static_cast<std::size_t>(bond)],
       &right = cores[static_cast<std::size_t>(bond) + 1];
  const Tensor<double> merged = tn::matrix_product(left_matrix(left), right_matrix(right));
  const Index rows = merged.extent(0), columns = merged.extent(1);
  const Shape outer{left.extent(0), left.extent(1), right.extent(1), right.extent(2)};
  const bool in_left = merged_core(train, bond) == bond;
  left = in_left ? merged.reshaped({outer[0], outer[1], columns})
                 : identity_core({outer[0], outer[1], rows});
  right = in_left ? identity_core({columns, outer[2], outer[3]})
                  : merged.reshaped({rows, outer[2], outer[3]});
  trained = without_moments(std::move(cores));
  return in_left ? bond : bond + 1;
}

BondChange split_pair(TrainWithMoments& trained, Index bond, tn::TruncationPolicy policy) {
  auto cores = dense_cores(trained.train);
  auto &left = cores[static_cast<std::size_t>(bond)],
       &right = cores[static_cast<std::size_t>(bond) + 1];
  const auto merged = tn::matrix_product(left_matrix(left), right_matrix(right));
  // Before the first step that changes anything a pair is zero: no reason to lose its rank.
  if (tn::backend::norm(tn::backend::queue(), merged.size(), merged.data()) == 0)
    policy.minimum_rank = policy.maximum_rank;
  auto svd = tn::truncated_svd(merged, policy);
  const auto& [kept, discarded, weight, norm] = svd.truncation;
  BondChange change{bond,
                    left.extent(2),
                    kept,
                    svd.spectrum,
                    svd.singular_values,
                    tn::entropy(svd.spectrum),
                    weight,
                    norm};
  tn::backend::scale_rows(tn::backend::queue(), kept, svd.vh.extent(1), svd.singular_values.data(),
                          svd.vh.mutable_data());
  left = svd.u.reshaped({left.extent(0), left.extent(1), kept});
  right = svd.vh.reshaped({kept, right.extent(1), right.extent(2)});
  trained = without_moments(std::move(cores));
  return change;
}

}  // namespace metatt::transformer
