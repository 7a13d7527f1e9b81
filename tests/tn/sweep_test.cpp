#include "compare.hpp"

#include <metatt/tn/contract.hpp>
#include <metatt/tn/decompositions.hpp>
#include <metatt/tn/tensor_train.hpp>

#include <array>
#include <limits>
#include <string>

namespace metatt::tn {
namespace {

using namespace testing;

const std::vector<Index> modes{9, 4, 3, 5, 11};
const std::vector<Index> ranks{5, 7, 7, 6};
constexpr std::array sweep_modes{SweepMode::paper, SweepMode::rounding};

template <class T>
double tolerance() {
  return 1000 * epsilon<T>;
}

template <class T>
TensorTrain<T> random_train(std::uint64_t seed) {
  return TensorTrain<T>::random(modes, ranks, seed);
}

/// left · core · right on the two bonds; an empty matrix stands for one.
template <class T>
Tensor<T> between(const Tensor<T>& left, const Tensor<T>& core, const Tensor<T>& right) {
  Tensor<T> result = left.empty() ? core : contract("ab,bmc->amc", left, core);
  return right.empty() ? result : contract("amb,bc->amc", result, right);
}

/// What the report says the new core k is, made from the old one.
template <class T>
Tensor<T> carried_core(const TensorTrain<T>& old, const SweepReport<T>& report, Index k) {
  return between(k > 0 ? report.bonds[k - 1].reduce.to_dense() : Tensor<T>(), old.dense_core(k),
                 k + 1 < old.length() ? report.bonds[k].expand.to_dense() : Tensor<T>());
}

BOOST_AUTO_TEST_SUITE(sweep_suite)

BOOST_AUTO_TEST_CASE_TEMPLATE(the_error_of_a_rounding_sweep_is_its_bound, T, Types) {
  for (int seed = 0; seed < 8; ++seed)
    for (const TruncationPolicy& policy :
         {TruncationPolicy{.maximum_rank = 3}, {.cutoff = 0.05}, {.maximum_rank = 5}}) {
      auto train = random_train<T>(seed);
      const auto dense = train.to_dense();
      const auto report = sweep(train, policy, SweepMode::rounding);
      const double error = distance(train.to_dense(), dense);
      BOOST_TEST(std::abs(error - report.error_bound) < tolerance<T>() * frobenius_norm(dense));
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_error_of_a_paper_sweep_is_within_its_bound, T, Types) {
  double paper_errors = 0, rounding_errors = 0;
  for (int seed = 0; seed < 8; ++seed)
    for (const TruncationPolicy& policy :
         {TruncationPolicy{.maximum_rank = 3}, {.cutoff = 0.05}, {.maximum_rank = 5}}) {
      auto paper = random_train<T>(seed), rounding = paper;
      const auto dense = paper.to_dense();
      const double bound = sweep(paper, policy, SweepMode::paper).error_bound;
      const double error = distance(paper.to_dense(), dense);
      BOOST_TEST(error <= bound * (1 + tolerance<T>()));
      if (policy.maximum_rank == unlimited) continue;
      const auto report = sweep(rounding, policy, SweepMode::rounding);
      BOOST_TEST(report.error_bound <= bound);
      paper_errors += error;
      rounding_errors += report.error_bound;
    }
  BOOST_TEST_MESSAGE("sum of errors: paper " << paper_errors << ", rounding " << rounding_errors);
  BOOST_TEST(rounding_errors < paper_errors);
}

// The first pass sees the spectrum (1, 1) at bond 0, where the whole tensor has (1, 0.1).
BOOST_AUTO_TEST_CASE(the_second_pass_of_a_paper_sweep_cuts_what_the_first_could_not_see) {
  TensorTrain<double> train({Tensor<double>::from({1, 2, 2}, {1, 0, 0, 1}),
                             Tensor<double>::from({2, 1, 2}, {1, 0, 0, 1}),
                             Tensor<double>::from({2, 2, 1}, {1, 0, 0, 0.1})});
  const auto old = train;
  const std::vector<TruncationPolicy> policies{{.cutoff = 0.05}, {}};
  const auto report = sweep(train, std::span(policies), SweepMode::paper);
  BOOST_TEST(report.bonds[0].truncation.kept == 2);
  BOOST_TEST(train.ranks() == (std::vector<Index>{1, 2}), boost::test_tools::per_element());
  BOOST_TEST(report.error_bound == 0.1, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(distance(train.to_dense(), old.to_dense()) == 0.1,
             boost::test_tools::tolerance(1e-12));
  BOOST_TEST(report.bonds[0].reduce.shape() == (Shape{1, 2}), boost::test_tools::per_element());
  for (Index k = 0; k < 3; ++k)
    BOOST_TEST(relative_distance(carried_core(old, report, k), train.dense_core(k)) < 1e-12);
}

/// Checks the spectra of all bonds of random_train() against those of the dense tensor.
template <class T>
void check_spectra(const Tensor<T>& dense, const std::vector<std::vector<double>>& spectra) {
  BOOST_TEST(spectra.size() == ranks.size());
  Index rows = 1;
  for (std::size_t k = 0; k < spectra.size(); ++k) {
    rows *= modes[k];
    const auto values = svd(dense.reshaped({rows, dense.size() / rows})).singular_values;
    BOOST_TEST(spectra[k].size() == static_cast<std::size_t>(ranks[k]));
    for (std::size_t i = 0; i < spectra[k].size(); ++i)
      BOOST_TEST(std::abs(spectra[k][i] - values[i]) < tolerance<T>() * values[0]);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(rounding_that_cuts_nothing_finds_the_singular_values_of_the_train, T,
                              Types) {
  const auto dense = random_train<T>(3).to_dense();
  auto train = random_train<T>(3);
  std::vector<std::vector<double>> spectra;
  for (const auto& bond : sweep(train, TruncationPolicy{}, SweepMode::rounding).bonds)
    spectra.push_back(bond.spectrum);
  check_spectra(dense, spectra);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_norm_is_that_of_the_train_before_in_any_gauge, T, Types) {
  const auto dense = random_train<T>(3).to_dense();
  for (const SweepMode mode : sweep_modes) {
    auto train = random_train<T>(3);
    const auto report = sweep(train, TruncationPolicy{.maximum_rank = 2}, mode);
    const double norm = frobenius_norm(dense);
    BOOST_TEST(std::abs(report.norm - norm) < tolerance<T>() * norm);
    TensorTrain<T> vector(std::vector{Tensor<T>::from({1, 2, 1}, {3, 4})});
    BOOST_TEST(sweep(vector, TruncationPolicy{}, mode).norm == 5);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_spectra_of_the_bonds_are_found_from_every_center, T, Types) {
  auto train = random_train<T>(3);
  const auto dense = train.to_dense();
  check_spectra(dense, bond_spectra(train));
  for (Index center = 0; center < train.length(); ++center) {
    train.orthogonalise(center);
    check_spectra(dense, bond_spectra(train));
  }
  BOOST_TEST(bond_spectra(TensorTrain<T>(std::vector{Tensor<T>::from({1, 2, 1}, {1, 2})})).empty());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_second_sweep_changes_nothing, T, Types) {
  for (SweepMode mode : sweep_modes) {
    auto train = random_train<T>(3);
    const TruncationPolicy policy{.maximum_rank = 4};
    sweep(train, policy, mode);
    const auto dense = train.to_dense();
    const auto before = train.ranks();
    const auto report = sweep(train, policy, mode);
    BOOST_TEST(train.ranks() == before, boost::test_tools::per_element());
    BOOST_TEST(relative_distance(train.to_dense(), dense) < tolerance<T>() / 2);
    BOOST_TEST(report.error_bound == 0);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_rank_at_or_above_the_true_one_leaves_the_tensor, T, Types) {
  for (SweepMode mode : sweep_modes)
    for (Index rank : {Index(7), Index(8), unlimited}) {
      auto train = random_train<T>(4);
      const auto dense = train.to_dense();
      sweep(train, {.maximum_rank = rank}, mode);
      BOOST_TEST(train.ranks() == ranks, boost::test_tools::per_element());
      BOOST_TEST(relative_distance(train.to_dense(), dense) < tolerance<T>());
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_sweep_finds_the_true_ranks_of_an_inflated_train, T, Types) {
  for (SweepMode mode : sweep_modes) {
    const auto part = random_train<T>(5);
    auto train = part + part;
    const auto dense = train.to_dense();
    const double relative = 1000 * epsilon<T>;
    sweep(train, {.cutoff = relative * relative}, mode);
    BOOST_TEST(train.ranks() == ranks, boost::test_tools::per_element());
    BOOST_TEST(relative_distance(train.to_dense(), dense) < 4 * tolerance<T>());
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_sweep_leaves_a_canonical_form, T, Types) {
  for (SweepMode mode : sweep_modes) {
    auto train = random_train<T>(6);
    sweep(train, {.maximum_rank = 4}, mode);
    BOOST_TEST(train.center().value() == (mode == SweepMode::paper ? 0 : 4));
    const double from_center = train.norm();
    BOOST_TEST(from_center == frobenius_norm(train.to_dense()),
               boost::test_tools::tolerance(tolerance<T>()));
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(every_bond_follows_its_own_policy, T, Types) {
  const std::vector<TruncationPolicy> policies{
      {.maximum_rank = 2}, {.maximum_rank = 6}, {.maximum_rank = 3}, {.maximum_rank = 5}};
  for (SweepMode mode : sweep_modes) {
    auto train = random_train<T>(7);
    sweep(train, std::span(policies), mode);
    BOOST_TEST(train.ranks() == (std::vector<Index>{2, 6, 3, 5}), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(rounding_does_not_depend_on_the_gauge, T, Types) {
  auto train = random_train<T>(8), other = train;
  for (Index k = 0; k < 4; ++k) {
    // X and its inverse from the SVD, on bond k.
    const auto gauge = random_normal<T>({ranks[k], ranks[k]}, 9, k);
    auto [u, values, vh] = svd(gauge);
    std::vector<Real<T>> inverses;
    for (double value : values) inverses.push_back(static_cast<Real<T>>(1 / value));
    backend::scale_columns(backend::queue(), ranks[k], ranks[k], inverses.data(), u.mutable_data());
    const auto inverse = matrix_product(vh, u, Transpose::conjugate, Transpose::conjugate);
    other.set_core(k, between({}, other.dense_core(k), gauge));
    other.set_core(k + 1, between(inverse, other.dense_core(k + 1), {}));
  }
  const auto report = sweep(train, {.maximum_rank = 4}, SweepMode::rounding);
  const auto same = sweep(other, {.maximum_rank = 4}, SweepMode::rounding);
  const double loose = 1e5 * epsilon<T>;  // the gauges are not unitary and cost digits
  BOOST_TEST(relative_distance(other.to_dense(), train.to_dense()) < loose);
  for (int k = 0; k < 4; ++k)
    for (std::size_t i = 0; i < report.bonds[k].spectrum.size(); ++i)
      BOOST_TEST(std::abs(report.bonds[k].spectrum[i] - same.bonds[k].spectrum[i]) <
                 loose * report.bonds[k].spectrum[0]);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(reduce_and_expand_turn_the_old_cores_into_the_new_ones, T, Types) {
  for (SweepMode mode : sweep_modes)
    for (Index rank : {Index(1), Index(4), unlimited}) {
      auto train = random_train<T>(10);
      const auto old = train;
      const auto report = sweep(train, {.maximum_rank = rank}, mode);
      const double loose = 1e5 * epsilon<T>;
      for (Index k = 0; k < train.length(); ++k)
        BOOST_TEST(relative_distance(carried_core(old, report, k), train.dense_core(k)) < loose);
      for (const auto& bond : report.bonds) {
        const Index kept = bond.truncation.kept;
        BOOST_TEST(distance(contract("ab,bc->ac", bond.reduce, bond.expand).to_dense(),
                            identity<T>(kept, kept)) < loose);
      }
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_linear_function_of_a_core_is_carried_through_a_change_of_gauge, T,
                              Types) {
  const auto probe = random_train<T>(20);
  for (SweepMode mode : sweep_modes)
    for (Index k = 0; k < 5; ++k) {
      auto train = random_train<T>(21);
      auto old = train;
      const auto report = sweep(train, TruncationPolicy{}, mode);
      const auto change = random_normal<T>(train.core(k).shape(), 22);
      old.set_core(k, between(k > 0 ? report.bonds[k - 1].expand.to_dense() : Tensor<T>(), change,
                              k < 4 ? report.bonds[k].reduce.to_dense() : Tensor<T>()));
      train.set_core(k, change);
      const double size = probe.norm() * train.norm();
      BOOST_TEST(std::abs(inner(probe, old) - inner(probe, train)) < 1e4 * epsilon<T> * size);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_kept_zero_has_no_column_of_expand, T, Types) {
  for (SweepMode mode : sweep_modes) {
    const auto part = random_train<T>(11);
    auto train = part + part;
    const auto old = train;
    const auto report = sweep(train, {.maximum_rank = 6, .minimum_rank = 6}, mode);
    // The first bond has the true rank 5 and keeps 6 values.
    const auto& bond = report.bonds[0];
    BOOST_TEST(bond.truncation.kept == 6);
    auto expected = identity<T>(6, 6);
    expected.mutable_data()[35] = T(0);
    BOOST_TEST(distance(contract("ab,bc->ac", bond.reduce, bond.expand).to_dense(), expected) <
               1e5 * epsilon<T>);
    for (const auto& each : report.bonds) {
      BOOST_TEST(norm(each.expand) < 1e4);
      BOOST_TEST(norm(each.reduce) < 1e4);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_zero_train_keeps_the_minimum_rank) {
  for (SweepMode mode : sweep_modes) {
    auto train = random_train<double>(12);
    train.set_core(0, Tensor<double>::zeros(train.core(0).shape()));
    const auto report = sweep(train, {.minimum_rank = 2}, mode);
    BOOST_TEST(report.error_bound == 0);
    BOOST_TEST(train.norm() == 0);
    BOOST_TEST(train.ranks() == std::vector<Index>(4, 2), boost::test_tools::per_element());
    for (const auto& bond : report.bonds) BOOST_TEST(all_finite(bond.expand));
  }
}

BOOST_AUTO_TEST_CASE(a_train_of_one_core_has_no_bonds_to_sweep) {
  for (SweepMode mode : sweep_modes) {
    auto train = TensorTrain<double>::random(std::vector<Index>{4}, {}, 1);
    const auto dense = train.to_dense();
    BOOST_TEST(sweep(train, TruncationPolicy{}, mode).bonds.empty());
    BOOST_TEST(distance(train.to_dense(), dense) == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_refused_sweep_leaves_the_train_as_it_was) {
  for (SweepMode mode : sweep_modes) {
    auto train = random_train<double>(13);
    const auto dense = train.to_dense();
    const std::vector<TruncationPolicy> three(3);
    BOOST_TEST(message_of([&] { sweep(train, std::span(three), mode); }) ==
               "sweep: expected a policy for each of the 4 bonds, found 3");
    std::vector<TruncationPolicy> last_is_wrong(4, {.maximum_rank = 2});
    last_is_wrong[3].cutoff = -1;
    BOOST_CHECK_THROW(sweep(train, std::span(last_is_wrong), mode), Error);
    BOOST_TEST(train.ranks() == ranks, boost::test_tools::per_element());
    BOOST_TEST(distance(train.to_dense(), dense) == 0);
    auto core = train.dense_core(2);
    core.mutable_data()[0] = std::numeric_limits<double>::quiet_NaN();
    train.set_core(2, core);
    BOOST_TEST(message_of([&] { sweep(train, TruncationPolicy{}, mode); }) ==
               "sweep: core 2 of the tensor train has NaN or infinite elements");
    BOOST_TEST(message_of([&] { bond_spectra(train); }) ==
               "bond_spectra: core 2 of the tensor train has NaN or infinite elements");
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace metatt::tn
