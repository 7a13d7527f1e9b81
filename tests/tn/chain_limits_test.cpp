/// Chains at the limits, through every algorithm: one and two sites, sites of a single state, zero
/// states, starts in another sector, settings that cannot be, runs side by side.

#include "../file_testing.hpp"
#include "chain_testing.hpp"

#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/chain/fitting.hpp>
#include <metatt/tn/chain/linear_solver.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/chain/measurement.hpp>
#include <metatt/tn/chain/operator_application.hpp>
#include <metatt/tn/chain/tdvp.hpp>
#include <metatt/tn/chain/tebd.hpp>

#include <cmath>
#include <thread>

using namespace metatt::tn;
using namespace metatt::tn::testing;
using metatt::testing::check_error;

namespace {

DmrgSettings sweeps(Index count, Index bond) {
  return {.sweeps = std::vector<DmrgSweep>(static_cast<std::size_t>(count), {bond, 1e-15, 8})};
}

/// A positive definite Hamiltonian with a simple ground state.
OperatorSum with_field(Index n) {
  OperatorSum H = heisenberg(n) + 3.0 * op("Id", 0);
  for (Index i = 0; i < n; ++i) H += (0.2 + 0.1 * static_cast<double>(i)) * op("Sz", i);
  return H;
}

BOOST_AUTO_TEST_SUITE(chain_limits)

BOOST_AUTO_TEST_CASE(chains_of_one_and_two_sites_go_through_everything) {
  for (const Index n : {1, 2})
    for (const bool charged : {false, true}) {
      const Sites sites =
          uniform_chain(n, charged ? spin_site(1).conserving({"2Sz"}) : spin_site(1));
      const std::vector<std::string> sector = {"up", "down"};
      const std::span<const std::string> like =
          std::span(sector).first(static_cast<std::size_t>(n));
      const OperatorSum H = with_field(n);
      const auto mpo = matrix_product_operator<Complex>(H, sites);
      const auto state = random_state<Complex>(sites, 2, 1, like);
      const Matrix psi = as_vector(state), exact = exact_matrix(H, sites);
      const auto evolved = exact_evolution(H, sites, Complex(0, -0.7), psi);
      for (const Index at_a_time : {1, 2}) {
        Tdvp<Complex> tdvp(mpo, state, {.sites = at_a_time});
        tdvp.step(Complex(0, -0.7));
        BOOST_TEST((as_vector(tdvp.state()) - evolved).norm() < 1e-11);
        DmrgSettings settings = sweeps(3, 4);
        settings.sites = at_a_time;
        settings.targets = n;
        BOOST_TEST(variance(mpo, dmrg(mpo, state, settings).state) < 1e-12);
      }
      if (n == 2) {
        Tebd<Complex> tebd(H, sites, state, {});
        tebd.step(Complex(0, -0.7));
        BOOST_TEST((as_vector(tebd.state()) - evolved).norm() < 1e-11);
      }
      for (const Application method :
           {Application::exact, Application::density_matrix, Application::zip_up})
        BOOST_TEST((as_vector(apply(mpo, state, {}, method).state) - exact * psi).norm() < 1e-7);
      const auto start = random_state<Complex>(sites, 2, 2, like);
      BOOST_TEST((as_vector(fit(mpo, state, start, {}).state) - exact * psi).norm() < 1e-11);
      const auto solution = solve(mpo, state, start);
      BOOST_TEST((exact * as_vector(solution.train) - psi).norm() < 1e-7);
      const auto sz = local_expectations(state, sites, "Sz");
      const auto correlations = correlation_matrix(state, sites, "Sz", "Sz");
      for (Index k = 0; k < n; ++k) {
        const auto i = static_cast<std::size_t>(k);
        BOOST_TEST(std::abs(sz[i] - dot(psi, exact_matrix(op("Sz", k), sites) * psi)) < 1e-12);
        BOOST_TEST(std::abs(correlations[i][i] - 0.25) < 1e-12);
      }
      BOOST_TEST(sample(state, 3, 1)[2].size() == static_cast<std::size_t>(n));
      BOOST_TEST(std::abs(reduced_density_matrix(state, 0, n).at({0, 0}) -
                          psi(0) * std::conj(psi(0))) < 1e-12);
      BOOST_TEST(entanglement_spectra(state).size() == static_cast<std::size_t>(n - 1));
    }
}

BOOST_AUTO_TEST_CASE(single_precision_solves_and_fits_two_sites) {
  const Sites sites = uniform_chain(2, spin_site(1));
  const auto mpo = matrix_product_operator<float>(with_field(2), sites);
  const auto b = random_state<float>(sites, 2, 1), start = random_state<float>(sites, 2, 2);
  BOOST_TEST(solve(mpo, b, start, {.tolerance = 1e-5}).residual < 1e-3);
  BOOST_TEST(fit(mpo, b, start, {.tolerance = 1e-5}).error < 1e-3);
}

BOOST_AUTO_TEST_CASE(zero_states_are_refused_by_name) {
  const Sites sites = uniform_chain(4, spin_site(1));
  const OperatorSum H = with_field(4);
  const auto mpo = matrix_product_operator<double>(H, sites);
  const auto state = random_state<double>(sites, 4, 1);
  auto zero = state;
  zero.scale(0);
  check_error([&] { dmrg(mpo, zero, sweeps(1, 4)); }, {"dmrg", "norm 0"});
  check_error([&] { Tdvp<double>(mpo, zero, {}); }, {"Tdvp", "norm 0"});
  check_error([&] { Tebd<double>(H, sites, zero, {}); }, {"Tebd", "norm 0"});
  check_error([&] { fit(state, zero, {}); }, {"fit", "not zero"});
  check_error([&] { solve(mpo, state, zero); }, {"solve", "not zero"});
  check_error([&] { sample(zero, 1, 1); }, {"sample", "norm zero"});
  const std::vector lower{zero};
  check_error([&] { excited_state<double>(mpo, lower, state, sweeps(1, 4)); },
              {"excited_state", "norm 0"});
  BOOST_TEST(apply(mpo, zero, {.cutoff = 1e-10}).state.norm() == 0);
}

BOOST_AUTO_TEST_CASE(a_start_in_another_sector_stays_there_and_its_residual_is_zero) {
  const Sites plain = uniform_chain(6, spin_site(1));
  const auto mpo = matrix_product_operator<double>(heisenberg(6), plain);
  const std::vector<std::string> up(6, "up");
  const auto result = dmrg(mpo, product_state<double>(plain, up), sweeps(4, 8));
  BOOST_TEST(std::abs(result.energy - 1.25) < 1e-12);  // an eigenstate, though the highest
  BOOST_TEST(result.sweeps.back().residual < 1e-12);
  BOOST_TEST(variance(mpo, result.state) < 1e-12);
  // A lower state of another charge is orthogonal already.
  const Sites sites = uniform_chain(6, spin_site(1).conserving({"2Sz"}));
  const auto charged = matrix_product_operator<double>(heisenberg(6), sites);
  const std::vector lower{product_state<double>(sites, up)};
  const std::vector<std::string> neel{"up", "down", "up", "down", "up", "down"};
  BOOST_TEST(std::abs(excited_state<double>(charged, lower, product_state<double>(sites, neel),
                                            sweeps(6, 8))
                          .energy -
                      -2.49357713388793) < 1e-10);
}

BOOST_AUTO_TEST_CASE(settings_that_cannot_be_are_refused_before_the_work) {
  const Sites sites = uniform_chain(4, spin_site(1));
  const OperatorSum H = with_field(4);
  const auto mpo = matrix_product_operator<double>(H, sites);
  const auto state = random_state<double>(sites, 4, 1);
  for (const auto& [bond, cutoff] : {std::pair<Index, double>{0, 0}, {4, 1.5}, {4, -1}, {4, NAN}}) {
    BOOST_CHECK_THROW(dmrg(mpo, state, {.sweeps = {{bond, cutoff}}}), Error);
    BOOST_CHECK_THROW(Tdvp<double>(mpo, state, {.maximum_bond = bond, .cutoff = cutoff}), Error);
    BOOST_CHECK_THROW(Tebd<double>(H, sites, state, {.maximum_bond = bond, .cutoff = cutoff}),
                      Error);
    BOOST_CHECK_THROW(fit(state, state, {.maximum_bond = bond, .cutoff = cutoff}), Error);
    BOOST_CHECK_THROW(solve(mpo, state, state, {.maximum_bond = bond, .cutoff = cutoff}), Error);
  }
  BOOST_CHECK_THROW(random_state<double>(sites, 0, 1), Error);
  check_error([&] { dmrg(mpo, state, {.sweeps = {{.maximum_bond = 0}}}); }, {"dmrg", "at least 1"});
}

BOOST_AUTO_TEST_CASE(every_term_that_breaks_a_charge_is_named) {
  const Sites sites = uniform_chain(13, spin_site(1).conserving({"2Sz"}));
  OperatorSum H = heisenberg(13);
  H += op("S+", 2) * op("S+", 5);
  H += 0.5 * op("S-", 7);
  check_error([&] { matrix_product_operator<double>(H, sites); }, {"S+(2) S+(5)", "S-(7)"});
  for (Index i = 0; i < 13; ++i) H += op("S+", i);
  check_error([&] { matrix_product_operator<double>(H, sites); },
              {"S+(2) S+(5)", "and 5 more terms"});
}

BOOST_AUTO_TEST_CASE(own_sites_conserve_what_they_are_told) {
  // Three-state clock: a charge modulo 3, raised by sigma.
  Site clock("clock", {"0", "1", "2"});
  clock.add_operator("sigma", {0, 0, 1, 1, 0, 0, 0, 1, 0});
  clock.add_operator("sigmadag", {0, 1, 0, 0, 0, 1, 1, 0, 0});
  clock.add_operator("tau", {1, 0, 0, 0, -0.5, 0, 0, 0, -0.5});
  clock.add_quantity({"clock", 3}, {0, 1, 2});
  OperatorSum H;
  for (Index i = 0; i < 5; ++i) H -= 0.8 * op("tau", i);
  for (Index i = 0; i + 1 < 5; ++i)
    H -= op("sigma", i) * op("sigmadag", i + 1) + op("sigmadag", i) * op("sigma", i + 1);
  const Sites plain = uniform_chain(5, clock),
              charged = uniform_chain(5, clock.conserving({"clock"}));
  const auto levels = eigenvalues(exact_matrix(H, plain));
  std::vector<double> found;
  for (const char* last : {"0", "1", "2"}) {
    const std::vector<std::string> like{"0", "0", "0", "0", last};
    const auto mpo = matrix_product_operator<double>(H, charged);
    const auto result = dmrg(mpo, random_state<double>(charged, 9, 1, like), sweeps(10, 27));
    std::vector<Index> sector;
    for (Index state = 0; state < 243; ++state) {
      Index sum = 0;
      for (Index rest = state; rest > 0; rest /= 3) sum += rest % 3;
      if (sum % 3 == last[0] - '0') sector.push_back(state);
    }
    const double exact = eigenvalues(exact_matrix(H, plain).part(sector)).front();
    BOOST_TEST(std::abs(result.energy - exact) < 1e-10);
    found.push_back(result.energy);
  }
  BOOST_TEST(std::abs(*std::ranges::min_element(found) - levels[0]) < 1e-10);
}

BOOST_AUTO_TEST_CASE(runs_side_by_side_are_those_one_after_the_other) {
  const auto run = [](std::uint64_t seed) {
    const Sites sites = uniform_chain(8, spin_site(1).conserving({"2Sz"}));
    const std::vector<std::string> like{"up", "down", "up", "down", "up", "down", "up", "down"};
    return dmrg(matrix_product_operator<double>(heisenberg(8), sites),
                random_state<double>(sites, 6, seed, like), sweeps(4, 12))
        .state.to_dense()
        .to_vector();
  };
  const auto first = run(1), second = run(2);
  std::vector<double> beside_first, beside_second;
  std::thread one([&] { beside_first = run(1); }), two([&] { beside_second = run(2); });
  one.join();
  two.join();
  BOOST_TEST((beside_first == first));
  BOOST_TEST((beside_second == second));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
