/// What holds for every chain and every state, on random ones. RapidCheck shrinks a counterexample
/// and prints how to repeat it; the build fixes its seed (RC_PARAMS in meson.build).

#include "chain_testing.hpp"

#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/chain/measurement.hpp>
#include <metatt/tn/chain/operator_application.hpp>
#include <metatt/tn/contract.hpp>
#include <metatt/tn/symmetry/block_decompositions.hpp>

#include <rapidcheck/boost_test.h>

#include <array>
#include <cmath>

using namespace metatt::tn;
using namespace metatt::tn::testing;

namespace {

/// Spins of one size in a sector of 2Sz.
struct Chain {
  Sites sites;
  std::vector<std::string> sector;
};

Chain arbitrary_chain(bool charged, Index shortest = 2) {
  const Index length = *rc::gen::inRange<Index>(shortest, 6).as("length");
  const int twice_spin = *rc::gen::inRange(1, 3).as("2S");
  const Site plain = spin_site(twice_spin);
  Chain chain{uniform_chain(length, charged ? plain.conserving({"2Sz"}) : plain), {}};
  for (Index k = 0; k < length; ++k)
    chain.sector.push_back(*rc::gen::element<std::string>("up", "down").as("basis state"));
  return chain;
}

template <class T>
TensorTrain<T> arbitrary_state(const Chain& chain) {
  const Index bond = *rc::gen::inRange<Index>(1, 7).as("bond");
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1000).as("seed of the state");
  return random_state<T>(chain.sites, bond, seed, chain.sector);
}

double arbitrary_number(const char* name) {
  return static_cast<double>(*rc::gen::inRange(-20, 21).as(name)) / 10;
}

/// Couplings and fields of any range that conserve Sz.
OperatorSum arbitrary_hamiltonian(Index n) {
  OperatorSum H;
  const int terms = *rc::gen::inRange(1, 8).as("terms");
  for (int term = 0; term < terms; ++term) {
    const Index i = *rc::gen::inRange<Index>(0, n).as("i"),
                j = *rc::gen::inRange<Index>(0, n).as("j");
    const double strength = arbitrary_number("strength");
    H += strength * op("Sz", i) * op("Sz", j);
    H += strength * op("S+", i) * op("S-", j) + strength * op("S-", j) * op("S+", i);
    if (i != j) H += strength * op("S+", j) * op("S-", i) + strength * op("S-", i) * op("S+", j);
    H += arbitrary_number("field") * op("Sz", i);
  }
  return H;
}

/// The same state without charges.
template <class T>
TensorTrain<T> dense(const TensorTrain<T>& state) {
  std::vector<Tensor<T>> cores;
  for (Index k = 0; k < state.length(); ++k) cores.push_back(state.dense_core(k));
  return TensorTrain<T>(std::move(cores));
}

template <class T>
double distance(const TensorTrain<T>& a, const TensorTrain<T>& b) {
  return (as_vector(a) - as_vector(b)).norm();
}

BOOST_AUTO_TEST_SUITE(properties)

RC_BOOST_PROP(a_change_of_gauge_changes_nothing, ()) {
  const Chain chain = arbitrary_chain(false);
  const auto state = arbitrary_state<Complex>(chain);
  const Index k = *rc::gen::inRange<Index>(0, state.length() - 1).as("bond");
  const Index rank = state.ranks()[static_cast<std::size_t>(k)];
  // X = Q·D and its inverse, with a Q that is unitary and a D far from one.
  const Tensor<Complex> q = qr(random_normal<Complex>({rank, rank}, 7)).q;
  Tensor<Complex> x = q, inverse = permute(q, std::array{1, 0});
  backend::conjugate(backend::queue(), inverse.size(), inverse.mutable_data());
  std::vector<double> factors, inverses;
  for (Index i = 0; i < rank; ++i) {
    factors.push_back(std::exp2(static_cast<double>(i % 5) - 2));
    inverses.push_back(1 / factors.back());
  }
  backend::scale_columns(backend::queue(), rank, rank, factors.data(), x.mutable_data());
  backend::scale_rows(backend::queue(), rank, rank, inverses.data(), inverse.mutable_data());
  auto other = state;
  other.set_pair(k, BlockTensor(contract("lsm,mn->lsn", state.dense_core(k), x)),
                 BlockTensor(contract("nm,msr->nsr", inverse, state.dense_core(k + 1))), k);
  other = dense(other);  // forgets the centre, which has moved
  RC_ASSERT(distance(other, state) < 1e-13);
  RC_ASSERT(std::abs(other.norm() - state.norm()) < 1e-13);
  const auto before = entanglement_spectra(state), after = entanglement_spectra(other);
  for (std::size_t bond = 0; bond < before.size(); ++bond)
    RC_ASSERT(std::abs(entropy(before[bond]) - entropy(after[bond])) < 1e-11);
}

RC_BOOST_PROP(the_canonical_form_is_orthonormal_around_every_centre, (bool charged)) {
  const Chain chain = arbitrary_chain(charged);
  const auto state = arbitrary_state<Complex>(chain);
  auto form = state;
  form.orthogonalise(*rc::gen::inRange<Index>(0, state.length()).as("first centre"));
  const Index center = *rc::gen::inRange<Index>(0, state.length()).as("centre");
  form.orthogonalise(center);
  RC_ASSERT(distance(form, state) < 1e-13);
  for (Index k = 0; k < form.length(); ++k) {
    if (k == center) continue;
    const Tensor<Complex> core = form.dense_core(k);
    Tensor<Complex> adjoint = core;
    backend::conjugate(backend::queue(), adjoint.size(), adjoint.mutable_data());
    const auto square = k < center ? contract("lsm,lsn->mn", adjoint, core)
                                   : contract("msr,nsr->mn", core, adjoint);
    RC_ASSERT(
        (Matrix(square.extent(0), square.to_vector()) - Matrix::identity(square.extent(0))).norm() <
        1e-12);
  }
}

RC_BOOST_PROP(the_energy_never_rises_and_stays_above_the_lowest_level, (bool charged)) {
  const Chain chain = arbitrary_chain(charged);
  const auto n = static_cast<Index>(chain.sites.size());
  const OperatorSum H = arbitrary_hamiltonian(n);
  const auto mpo = matrix_product_operator<double>(H, chain.sites);
  const auto start = arbitrary_state<double>(chain);
  DmrgSettings settings{.sweeps = std::vector<DmrgSweep>(3),
                        .sites = *rc::gen::inRange<Index>(1, 3).as("sites at a time")};
  settings.solver = *rc::gen::element(EigenSolver::lanczos, EigenSolver::davidson).as("solver");
  const auto result = dmrg(mpo, start, settings);
  const double size = 1 + exact_matrix(H, chain.sites).norm();
  double before = expectation(mpo, start);
  for (const DmrgSweepReport& row : result.sweeps) {
    RC_ASSERT(row.energy <= before + 1e-13 * size);
    before = row.energy;
  }
  RC_ASSERT(result.energy >= ground_state_energy(H, chain.sites) - 1e-13 * size);
  RC_ASSERT(variance(mpo, result.state) > -1e-13 * size * size);
}

RC_BOOST_PROP(the_discarded_weight_is_the_norm_that_is_lost, (bool charged)) {
  const Chain chain = arbitrary_chain(charged);
  const auto state = arbitrary_state<double>(chain);
  auto cut = state;
  TruncationPolicy policy;
  policy.maximum_rank = *rc::gen::inRange<Index>(1, 5).as("maximum rank");
  policy.cutoff = std::pow(10.0, -*rc::gen::inRange(1, 12).as("digits of the cutoff"));
  const auto report = sweep(cut, policy, SweepMode::rounding);
  double lost = 0;
  for (const auto& bond : report.bonds)
    lost += bond.truncation.discarded_norm * bond.truncation.discarded_norm;
  RC_ASSERT(std::abs(lost - std::pow(distance(cut, state), 2)) < 1e-13);
  RC_ASSERT(std::abs(1 - lost - cut.norm() * cut.norm()) < 1e-13);
  // What was cut is orthogonal to what is left, so that the fidelity is the weight kept.
  const double fidelity =
      std::pow(inner(cut, state), 2) / std::pow(static_cast<double>(cut.norm()), 2);
  RC_ASSERT(std::abs(fidelity - (1 - lost)) < 1e-13);
}

RC_BOOST_PROP(rounding_twice_and_expanding_change_nothing, (bool charged)) {
  const Chain chain = arbitrary_chain(charged);
  auto once = arbitrary_state<double>(chain);
  TruncationPolicy policy;
  policy.maximum_rank = *rc::gen::inRange<Index>(1, 5).as("maximum rank");
  sweep(once, policy, SweepMode::rounding);
  auto twice = once;
  sweep(twice, policy, SweepMode::rounding);
  RC_ASSERT(distance(once, twice) < 1e-13);
  // Bonds that are twice as wide as the state needs are found out.
  const auto wide = once + once;
  auto narrow = wide;
  sweep(narrow, {.cutoff = 1e-26}, SweepMode::rounding);
  RC_ASSERT(distance(narrow, wide) < 1e-11);
  for (std::size_t k = 0; k < narrow.ranks().size(); ++k)
    RC_ASSERT(narrow.ranks()[k] <= once.ranks()[k]);
}

RC_BOOST_PROP(sums_of_trains_are_sums_of_their_elements, (bool charged)) {
  const Chain chain = arbitrary_chain(charged);
  const auto a = arbitrary_state<Complex>(chain), b = arbitrary_state<Complex>(chain);
  RC_ASSERT((as_vector(a + b) - as_vector(a) - as_vector(b)).norm() < 1e-13);
  const double bound = static_cast<double>(a.norm()) + static_cast<double>(b.norm());
  RC_ASSERT(static_cast<double>((a + b).norm()) <= bound + 1e-13);
  RC_ASSERT(std::abs(inner(a, b) - dot(as_vector(a), as_vector(b))) < 1e-13);
}

RC_BOOST_PROP(sum_rules_of_the_magnetisation_hold, ()) {
  const Chain chain = arbitrary_chain(true);
  const auto state = arbitrary_state<Complex>(chain);
  double total = 0;
  for (const std::string& name : chain.sector)
    total += (name == "up" ? 1 : -1) * static_cast<double>(chain.sites[0].dimension() - 1) / 2;
  const auto local = local_expectations(state, chain.sites, "Sz");
  const auto correlations = correlation_matrix(state, chain.sites, "Sz", "Sz");
  Complex sum = 0;
  for (std::size_t i = 0; i < local.size(); ++i) {
    sum += local[i];
    Complex row = 0;
    for (const Complex& value : correlations[i]) row += value;
    RC_ASSERT(std::abs(row - total * local[i]) < 1e-12);
  }
  RC_ASSERT(std::abs(sum - total) < 1e-12);
}

RC_BOOST_PROP(charges_change_no_result, ()) {
  const Chain chain = arbitrary_chain(true);
  const auto n = static_cast<Index>(chain.sites.size());
  const Sites plain = uniform_chain(n, spin_site(static_cast<int>(chain.sites[0].dimension()) - 1));
  const OperatorSum H = arbitrary_hamiltonian(n);
  const auto with = arbitrary_state<double>(chain);
  const auto without = dense(with);
  RC_ASSERT(distance(with, without) == 0);
  const auto mpo = matrix_product_operator<double>(H, chain.sites),
             plain_mpo = matrix_product_operator<double>(H, plain);
  const double size = 1 + exact_matrix(H, plain).norm();
  RC_ASSERT(std::abs(expectation(mpo, with) - expectation(plain_mpo, without)) < 1e-13 * size);
  RC_ASSERT(std::abs(variance(mpo, with) - variance(plain_mpo, without)) < 1e-13 * size * size);
  RC_ASSERT(distance(apply(mpo, with, {}).state, apply(plain_mpo, without, {}).state) <
            1e-12 * size);
  const auto spectra = entanglement_spectra(with), plain_spectra = entanglement_spectra(without);
  for (std::size_t k = 0; k < spectra.size(); ++k)
    RC_ASSERT(std::abs(entropy(spectra[k]) - entropy(plain_spectra[k])) < 1e-11);
}

RC_BOOST_PROP(every_way_of_applying_keeps_its_error_bound, (bool charged)) {
  const Chain chain = arbitrary_chain(charged);
  const OperatorSum H = arbitrary_hamiltonian(static_cast<Index>(chain.sites.size()));
  const auto mpo = matrix_product_operator<double>(H, chain.sites);
  const auto state = arbitrary_state<double>(chain);
  const Matrix exact = exact_matrix(H, chain.sites) * as_vector(state);
  TruncationPolicy policy;
  policy.maximum_rank = *rc::gen::inRange<Index>(1, 5).as("maximum rank");
  const auto method =
      *rc::gen::element(Application::exact, Application::density_matrix, Application::zip_up)
           .as("method");
  const auto cut = apply(mpo, state, policy, method);
  const double size = 1 + exact_matrix(H, chain.sites).norm();
  RC_ASSERT(std::abs((as_vector(cut.state) - exact).norm() - cut.error) < 1e-6 * size);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
