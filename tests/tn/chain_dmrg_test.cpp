#include "chain_testing.hpp"

#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/chain/lanczos.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/chain/measurement.hpp>
#include <metatt/tn/chain/operator_application.hpp>

#include <cmath>
#include <numbers>

using namespace metatt::tn;
using namespace metatt::tn::testing;

namespace {

DmrgSettings sweeps(Index count, Index bond, double cutoff = 1e-13, Index steps = 4) {
  DmrgSettings settings;
  for (Index i = 0; i < count; ++i)
    settings.sweeps.push_back({std::min<Index>(bond, Index{8} << (2 * i)), cutoff, steps});
  settings.energy_tolerance = 1e-14;
  return settings;
}

template <class T>
DmrgResult<T> ground_state(const OperatorSum& H, const Sites& sites, const DmrgSettings& settings,
                           Index start_bond = 4) {
  return dmrg(matrix_product_operator<T>(H, sites), random_state<T>(sites, start_bond, 11),
              settings);
}

/// Transverse-field Ising chain −Σ ZZ − h Σ X.
OperatorSum ising(Index n, double h) {
  OperatorSum H;
  for (Index i = 0; i < n; ++i) H -= h * op("X", i);
  for (Index i = 0; i + 1 < n; ++i) H -= op("Z", i) * op("Z", i + 1);
  return H;
}

/// Σ SxSx + SySy.
OperatorSum xx(Index n) {
  OperatorSum H;
  for (Index i = 0; i + 1 < n; ++i)
    H += 0.5 * op("S+", i) * op("S-", i + 1) + 0.5 * op("S-", i) * op("S+", i + 1);
  return H;
}

BOOST_AUTO_TEST_SUITE(chain_dmrg)

BOOST_AUTO_TEST_CASE(ground_states_are_those_of_exact_diagonalisation) {
  struct Case {
    const char* name;
    OperatorSum H;
    Sites sites;
  };
  OperatorSum bosons;
  for (Index i = 0; i < 4; ++i) bosons += 1.5 * op("N", i) * op("N", i) - 3.0 * op("N", i);
  for (Index i = 0; i + 1 < 4; ++i)
    bosons -= op("Adag", i) * op("A", i + 1) + op("Adag", i + 1) * op("A", i);
  OperatorSum half_filled = hubbard(3, 4);  // over all particle numbers
  for (Index i = 0; i < 3; ++i) half_filled -= 2.5 * op("N", i);
  OperatorSum mixed = 0.3 * op("Sz", 0) * op("N", 1);
  mixed += op("Cdag", 1) * op("Cup", 2) + op("Cdagup", 2) * op("C", 1);
  mixed += 0.7 * op("Sx", 0) * op("Sx", 3) + -0.2 * op("NupNdown", 2) + 0.4 * op("N", 2);
  const Case cases[] = {
      {"spin 1/2", heisenberg(8), uniform_chain(8, spin_site(1))},
      {"spin 1", heisenberg(5), uniform_chain(5, spin_site(2))},
      {"Ising", ising(8, 0.7), uniform_chain(8, spin_site(1))},
      {"Hubbard", half_filled, uniform_chain(3, electron_site())},
      {"bosons", bosons, uniform_chain(4, boson_site(3))},
      {"mixed sites", mixed, {spin_site(2), fermion_site(), electron_site(), spin_site(2)}},
  };
  for (const Case& c : cases) BOOST_TEST_CONTEXT(c.name) {
      const double exact = ground_state_energy(c.H, c.sites);
      const auto real = ground_state<double>(c.H, c.sites, sweeps(16, 64, 1e-15, 6), 16);
      BOOST_TEST(std::abs(real.energy - exact) < 1e-10);
      const auto complex = ground_state<Complex>(c.H, c.sites, sweeps(16, 64, 1e-15, 6), 16);
      BOOST_TEST(std::abs(complex.energy - exact) < 1e-10);
      BOOST_TEST(std::abs(real.state.norm() - 1) < 1e-12);
      const auto mpo = matrix_product_operator<double>(c.H, c.sites);
      BOOST_TEST(std::abs(expectation(mpo, real.state) - exact) < 1e-10);
    }
}

BOOST_AUTO_TEST_CASE(complex_hamiltonians_are_minimised) {
  // A ring current through a chain: hopping with a phase and a field along y.
  OperatorSum H;
  for (Index i = 0; i + 1 < 6; ++i) {
    H += std::polar(1.0, 0.4) * (op("S+", i) * op("S-", i + 1));
    H += std::polar(1.0, -0.4) * (op("S-", i) * op("S+", i + 1));
  }
  for (Index i = 0; i < 6; ++i) H += 0.3 * op("Sy", i);
  const Sites sites = uniform_chain(6, spin_site(1));
  BOOST_TEST(std::abs(ground_state<Complex>(H, sites, sweeps(8, 64), 8).energy -
                      ground_state_energy(H, sites)) < 1e-10);
}

BOOST_AUTO_TEST_CASE(the_heisenberg_chain_has_its_bethe_ansatz_energy,
                     *boost::unit_test::precondition(without_sanitizers)) {
  // Bethe ansatz with open boundaries.
  const Sites sites = uniform_chain(16, spin_site(1));
  const auto result = ground_state<double>(heisenberg(16), sites, sweeps(8, 48, 1e-14), 8);
  BOOST_TEST(std::abs(result.energy - -6.911737145575102547) < 1e-10);
}

BOOST_AUTO_TEST_CASE(the_critical_ising_chain_has_its_closed_form,
                     *boost::unit_test::precondition(without_sanitizers)) {
  for (const Index n : {10, 32}) {
    const auto result =
        ground_state<double>(ising(n, 1), uniform_chain(n, spin_site(1)), sweeps(10, 64, 1e-14), 8);
    const double exact = 1 - 1 / std::sin(std::numbers::pi / (4.0 * static_cast<double>(n) + 2));
    BOOST_TEST(std::abs(result.energy - exact) < 1e-10);
  }
}

BOOST_AUTO_TEST_CASE(schmidt_values_are_those_of_free_fermions,
                     *boost::unit_test::precondition(without_sanitizers)) {
  // Transverse-field Ising chain, h = 2, N = 100: largest Schmidt weights at the centre, by the
  // correlation matrix of free fermions.
  const auto result = ground_state<double>(ising(100, 2), uniform_chain(100, spin_site(1)),
                                           sweeps(6, 32, 1e-15), 4);
  BOOST_TEST(std::abs(result.energy - -212.5773129100084) < 1e-9);
  const auto spectrum = entanglement_spectra(result.state)[49];
  const double weights[] = {9.8233921246e-1, 1.7654980500e-2, 5.7026768981e-6, 1.0249071620e-7};
  for (std::size_t i = 0; i < 4; ++i)
    BOOST_TEST(std::abs(spectrum[i] * spectrum[i] - weights[i]) < 1e-10);
  BOOST_TEST(std::abs(entropy(spectrum) - 0.088842973533) < 1e-9);
}

BOOST_AUTO_TEST_CASE(correlations_and_local_values_are_exact) {
  OperatorSum H = hubbard(3, 2);
  const Sites three = uniform_chain(3, electron_site());
  for (Index i = 0; i < 3; ++i) H += 0.1 * static_cast<double>(i) * op("Nup", i);
  const auto result = ground_state<double>(H, three, sweeps(10, 128), 16);
  const Matrix ground = eigenpairs(exact_matrix(H, three)).vectors.column(0);
  const auto mean = [&](const OperatorSum& sum) -> Complex {
    return dot(ground, exact_matrix(sum, three) * ground);
  };
  const auto numbers = local_expectations(result.state, three, "Nup");
  const auto hopping = correlation_matrix(result.state, three, "Cdagup", "Cup");
  const auto density = correlation_matrix(result.state, three, "N", "N");
  for (Index i = 0; i < 3; ++i) {
    const auto row = static_cast<std::size_t>(i);
    BOOST_TEST(std::abs(numbers[row] - mean(op("Nup", i))) < 1e-6);
    for (Index j = 0; j < 3; ++j) {
      const auto column = static_cast<std::size_t>(j);
      BOOST_TEST(std::abs(hopping[row][column] - mean(op("Cdagup", i) * op("Cup", j))) < 1e-6);
      BOOST_TEST(std::abs(density[row][column] - mean(op("N", i) * op("N", j))) < 1e-6);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_energy_never_rises_without_truncation) {
  const Sites sites = uniform_chain(10, spin_site(1));
  DmrgSettings settings;
  settings.sweeps.assign(6, {unlimited, 0, 3});
  const auto result = ground_state<double>(heisenberg(10), sites, settings, 2);
  for (std::size_t i = 1; i < result.sweeps.size(); ++i)
    BOOST_TEST(result.sweeps[i].energy < result.sweeps[i - 1].energy + 1e-13);
  BOOST_TEST(std::abs(result.energy - -4.258035207282881197) < 1e-11);
}

BOOST_AUTO_TEST_CASE(truncation_is_reported_and_bounded) {
  const Sites sites = uniform_chain(20, spin_site(1));
  const auto result = ground_state<double>(xx(20), sites, sweeps(8, 12, 0), 8);
  BOOST_TEST(result.sweeps.back().maximum_bond == 12);
  BOOST_TEST(result.sweeps.back().discarded_weight > 1e-8);
  BOOST_TEST(result.energy > -6.1907449998273768);  // variational
  BOOST_TEST(result.energy < -6.19);
}

BOOST_AUTO_TEST_CASE(the_energy_is_that_of_the_state_also_behind_a_hard_cut) {
  const Sites sites = uniform_chain(4, electron_site());
  const auto mpo = matrix_product_operator<double>(hubbard(4, 4), sites);
  for (const Index count : {1, 2}) {
    DmrgSettings settings = sweeps(4, 2);
    settings.sites = count;
    const auto result = dmrg(mpo, random_state<double>(sites, 2, 3), settings);
    BOOST_TEST(std::abs(result.energy - expectation(mpo, result.state)) < 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(a_run_ends_when_the_energy_stands_still) {
  const Sites sites = uniform_chain(8, spin_site(1));
  DmrgSettings settings = sweeps(30, 64);
  settings.energy_tolerance = 1e-9;
  const auto result = ground_state<double>(heisenberg(8), sites, settings);
  BOOST_TEST(result.converged);
  BOOST_TEST(result.sweeps.size() < 10u);
}

BOOST_AUTO_TEST_CASE(chains_of_one_and_two_sites_have_their_ground_states) {
  OperatorSum field = op("Sz", 0);
  field += op("Sx", 0);
  const auto one = ground_state<double>(field, uniform_chain(1, spin_site(1)), sweeps(1, 4));
  BOOST_TEST(std::abs(one.energy + std::sqrt(0.5)) < 1e-14);
  const auto two =
      ground_state<double>(heisenberg(2), uniform_chain(2, spin_site(1)), sweeps(2, 4));
  BOOST_TEST(std::abs(two.energy + 0.75) < 1e-13);
}

BOOST_AUTO_TEST_CASE(sites_of_dimension_one_do_no_harm) {
  Site single("single", {"only"});
  Sites sites = uniform_chain(4, spin_site(1));
  sites.insert(sites.begin() + 2, single);
  OperatorSum H;
  const std::vector<Index> places{0, 1, 3, 4};
  for (std::size_t i = 0; i + 1 < 4; ++i)
    for (const std::string axis : {"X", "Y", "Z"})
      H += 0.25 * op(axis, places[i]) * op(axis, places[i + 1]);
  BOOST_TEST(std::abs(ground_state<double>(H, sites, sweeps(6, 16)).energy -
                      -1.616025403784438647) < 1e-11);
}

BOOST_AUTO_TEST_CASE(lanczos_finds_the_lowest_pair_of_a_small_matrix) {
  const Sites sites = uniform_chain(4, spin_site(1));
  const auto matrix = dense_matrix(matrix_product_operator<double>(heisenberg(4), sites));
  const auto start = random_normal<double>({16}, 1);
  const auto pair = lowest_eigenpair<double>(
      [&](const Tensor<double>& x) {
        Tensor<double> y({16});
        backend::gemm(backend::queue(), Transpose::no, Transpose::no, Index{16}, Index{1},
                      Index{16}, 1.0, matrix.data(), Index{16}, x.data(), Index{1}, 0.0,
                      y.mutable_data(), Index{1});
        return y;
      },
      start, {16, 1e-14});
  BOOST_TEST(std::abs(pair.value - -1.616025403784438647) < 1e-13);
  BOOST_TEST(pair.products <= 16);
}

BOOST_AUTO_TEST_CASE(the_same_run_gives_the_same_bits) {
  const Sites sites = uniform_chain(12, spin_site(1));
  const auto run = [&] { return ground_state<double>(heisenberg(12), sites, sweeps(4, 32)); };
  const auto first = run(), second = run();
  BOOST_TEST(first.energy == second.energy);
  BOOST_TEST(first.state.to_dense().to_vector() == second.state.to_dense().to_vector(),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(excited_states_follow_one_by_one) {
  // With a field every level is simple, so that each state is the next of the list.
  OperatorSum H = heisenberg(6);
  for (Index i = 0; i < 6; ++i) H += (0.3 + 0.1 * static_cast<double>(i)) * op("Sz", i);
  H += 0.2 * op("Sx", 0);
  const Sites sites = uniform_chain(6, spin_site(1));
  const auto levels = eigenvalues(exact_matrix(H, sites));
  const auto mpo = matrix_product_operator<double>(H, sites);
  std::vector<TensorTrain<double>> found;
  for (std::size_t level = 0; level < 5; ++level) {
    const auto start = random_state<double>(sites, 8, level);
    const auto result = excited_state<double>(mpo, found, start, sweeps(30, 8, 1e-15, 8));
    BOOST_TEST(std::abs(result.energy - levels[level]) < 1e-9);
    BOOST_TEST(variance(mpo, result.state) < 1e-9);
    for (const auto& lower : found) BOOST_TEST(std::abs(inner(lower, result.state)) < 1e-9);
    found.push_back(result.state);
  }
  // The gap in the sector of Sz = 0 alone, from the ground state as the start.
  const Sites conserving = uniform_chain(6, spin_site(1).conserving({"2Sz"}));
  const auto heisenberg_mpo = matrix_product_operator<double>(heisenberg(6), conserving);
  const std::vector<std::string> neel{"up", "down", "up", "down", "up", "down"};
  const auto ground = dmrg(heisenberg_mpo, product_state<double>(conserving, neel), sweeps(10, 8));
  const std::vector lower{ground.state};
  const auto next =
      excited_state<double>(heisenberg_mpo, lower, ground.state, sweeps(30, 8, 1e-15, 8));
  const auto plain = eigenvalues(exact_matrix(heisenberg(6), sites));
  BOOST_TEST(std::abs(next.energy - plain[1]) < 1e-9);  // the triplet's Sz = 0
}

BOOST_AUTO_TEST_CASE(the_states_of_one_site_end) {
  const Sites sites{spin_site(2)};
  const auto mpo = matrix_product_operator<double>(op("Sz", 0), sites);
  const auto start = random_state<double>(sites, 1, 1);
  std::vector<TensorTrain<double>> found;
  for (const double energy : {-1.0, 0.0, 1.0}) {
    found.push_back(excited_state<double>(mpo, found, start, sweeps(1, 1)).state);
    BOOST_TEST(std::abs(expectation(mpo, found.back()) - energy) < 1e-12);
  }
  BOOST_CHECK_THROW(excited_state<double>(mpo, found, start, sweeps(1, 1)), Error);
}

BOOST_AUTO_TEST_CASE(noise_reaches_what_two_sites_do_not) {
  // Spins coupled to their third neighbours only: from a product state of conserved Sz no pair of
  // neighbours can be changed by H, so that two-site DMRG without noise stays where it is.
  OperatorSum H;
  for (Index i = 0; i + 3 < 9; ++i) {
    H += 0.5 * op("S+", i) * op("S-", i + 3) + 0.5 * op("S-", i) * op("S+", i + 3);
    H += op("Sz", i) * op("Sz", i + 3);
  }
  const Sites sites = uniform_chain(9, spin_site(1).conserving({"2Sz"}));
  const auto mpo = matrix_product_operator<double>(H, sites);
  // Three chains of three sites: each has the ground state of energy −1 and spin 1/2.
  const std::vector<std::string> names{"up", "up", "up", "down", "down", "down", "up", "up", "up"};
  DmrgSettings settings = sweeps(6, 64, 1e-14);
  const auto stuck = dmrg(mpo, product_state<double>(sites, names), settings);
  BOOST_TEST(stuck.energy > -2.9);
  for (std::size_t i = 0; i < 4; ++i) settings.sweeps[i].noise = 1e-3;
  settings.sweeps.insert(settings.sweeps.end(), 4, settings.sweeps.back());
  const auto result = dmrg(mpo, product_state<double>(sites, names), settings);
  BOOST_TEST(std::abs(result.energy - -3) < 1e-10);
}

BOOST_AUTO_TEST_CASE(single_site_sweeps_with_expansion_reach_the_same_states) {
  const std::vector<std::string> neel{"up", "down", "up", "down", "up", "down"};
  for (const bool charged : {false, true}) {
    const Sites sites = uniform_chain(6, charged ? spin_site(1).conserving({"2Sz"}) : spin_site(1));
    OperatorSum H = heisenberg(6);
    for (Index i = 0; i < 6; ++i) H += 0.05 * static_cast<double>(i) * op("Sz", i);
    const auto mpo = matrix_product_operator<double>(H, sites);
    DmrgSettings settings{.sweeps = {}, .sites = 1};
    for (int i = 0; i < 8; ++i) settings.sweeps.push_back({8, 1e-14, 4, 1e-3});
    for (int i = 0; i < 8; ++i) settings.sweeps.push_back({8, 1e-15, 6});
    const auto result = dmrg(mpo, product_state<double>(sites, neel), settings);
    BOOST_TEST(std::abs(result.energy - ground_state_energy(H, uniform_chain(6, spin_site(1)))) <
               1e-9);
    // Bonds that do not grow keep the product state.
    settings.sweeps.assign(3, {8, 1e-15, 6});
    const auto fixed = dmrg(mpo, product_state<double>(sites, neel), settings);
    BOOST_TEST(fixed.sweeps.back().maximum_bond == 1);
    BOOST_TEST(fixed.energy > result.energy + 0.1);
    const std::vector lower{result.state};
    settings.sweeps.assign(12, {8, 1e-15, 6});
    const auto two = excited_state<double>(mpo, lower, random_state<double>(sites, 8, 4, neel),
                                           {.sweeps = settings.sweeps});
    const auto one = excited_state<double>(mpo, lower, two.state, settings);
    BOOST_TEST(std::abs(one.energy - two.energy) < 1e-9);
  }
}

BOOST_AUTO_TEST_CASE(an_operator_that_is_not_hermitian_is_refused) {
  const Sites sites = uniform_chain(4, spin_site(1));
  const auto start = random_state<double>(sites, 2, 1);
  OperatorSum H = heisenberg(4);
  H += 0.5 * op("S+", 0) * op("S-", 2);
  const auto mpo = matrix_product_operator<double>(H, sites);
  BOOST_CHECK_THROW(dmrg(mpo, start, sweeps(1, 4)), Error);
  const Matrix exact = exact_matrix(H, sites);
  BOOST_TEST(std::abs(hermiticity_error(mpo) - (exact - exact.adjoint()).norm() / exact.norm()) <
             1e-7);
  BOOST_TEST(hermiticity_error(matrix_product_operator<double>(heisenberg(4), sites)) < 1e-7);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
