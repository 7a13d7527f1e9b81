/// Every kind of site and every algorithm against exact diagonalisation of 10⁴ to 10⁵ states.

#include "chain_testing.hpp"

#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/chain/evolution_operator.hpp>
#include <metatt/tn/chain/fitting.hpp>
#include <metatt/tn/chain/linear_solver.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/chain/measurement.hpp>
#include <metatt/tn/chain/operator_application.hpp>
#include <metatt/tn/chain/tdvp.hpp>
#include <metatt/tn/chain/tebd.hpp>

#include <cmath>

using namespace metatt::tn;
using namespace metatt::tn::testing;

namespace {

/// Raising and lowering hops to the next site with a phase, `density` repels there and feels a
/// field that differs from site to site, so that every level is simple.
struct Kind {
  const char* name;
  Site site;
  std::vector<std::string> quantities;
  std::array<Index, 2> lengths;  ///< without charges 10⁴ states, with them 10⁵
  std::vector<std::array<const char*, 2>> raise_and_lower;
  const char* density;
  std::array<const char*, 2> start;  ///< of even and odd sites
  double weakest_field = 0.1;        ///< such that the lowest levels of all sectors are well apart

  Index length(bool charged) const { return lengths[charged ? 1 : 0]; }
  template <class T>
  OperatorSum hamiltonian(bool charged) const {
    const Index n = length(charged);
    const Complex phase = std::is_same_v<T, double> ? Complex(1) : std::polar(1.0, 0.4);
    OperatorSum H;
    for (Index i = 0; i < n; ++i) {
      const double field = weakest_field + 0.15 * static_cast<double>(i * i % 5);
      H += field * op(density, i);
      if (raise_and_lower.size() > 1) H += 0.4 * field * op("Ndown", i);
      if (i + 1 == n) break;
      for (const auto& [raise, lower] : raise_and_lower) {
        H -= 0.7 * phase * op(raise, i) * op(lower, i + 1);
        H -= 0.7 * std::conj(phase) * op(raise, i + 1) * op(lower, i);
      }
      H += 0.9 * op(density, i) * op(density, i + 1);
    }
    return H;
  }
  Sites sites(bool charged) const {
    return uniform_chain(length(charged), charged ? site.conserving(quantities) : site);
  }
  std::vector<std::string> start_states(bool charged) const {
    std::vector<std::string> result;
    for (Index i = 0; i < length(charged); ++i)
      result.emplace_back(start[static_cast<std::size_t>(i % 2)]);
    return result;
  }
};

std::vector<Kind> kinds() {
  return {{"spin 1/2", spin_site(1), {"2Sz"}, {14, 16}, {{"S+", "S-"}}, "Sz", {"up", "down"}},
          {"spin 1", spin_site(2), {"2Sz"}, {9, 10}, {{"S+", "S-"}}, "Sz", {"up", "down"}},
          {"spin 3/2", spin_site(3), {"2Sz"}, {7, 8}, {{"S+", "S-"}}, "Sz", {"0", "3"}},
          {"fermions", fermion_site(), {"N"}, {14, 16}, {{"Cdag", "C"}}, "N", {"full", "empty"}},
          {"electrons",
           electron_site(),
           {"N", "2Sz"},
           {7, 8},
           {{"Cdagup", "Cup"}, {"Cdagdown", "Cdown"}},
           "Nup",
           {"up", "down"}},
          {"bosons", boson_site(3), {"N"}, {7, 8}, {{"Adag", "A"}}, "N", {"2", "1"}, -0.1}};
}

/// `check(kind, T(), charged)` for every kind, real without charges and complex with them.
template <class Check>
void for_every_kind(const Check& check) {
  for (const Kind& kind : kinds()) BOOST_TEST_CONTEXT(kind.name) {
      check(kind, double(), false);
      check(kind, Complex(), true);
    }
}

/// 10⁴ states with charges too, where 10⁵ take minutes.
void shorten(Kind& kind) {
  if (!long_tests()) kind.lengths[1] = kind.lengths[0];
}

DmrgSettings sweeps(std::size_t count, Index bond) {
  DmrgSettings settings{.sweeps = std::vector<DmrgSweep>(count, {bond, 1e-15, 4})};
  settings.energy_tolerance = 1e-12;
  return settings;
}

BOOST_AUTO_TEST_SUITE(chain_exact, *boost::unit_test::precondition(without_sanitizers))

BOOST_AUTO_TEST_CASE(ground_states_and_the_levels_above) {
  for_every_kind([]<class T>(const Kind& kind, T, bool charged) {
    const OperatorSum H = kind.hamiltonian<T>(charged);
    const Sites sites = kind.sites(charged);
    const auto random = [&](std::uint64_t seed) {
      return random_state<T>(sites, 12, seed, kind.start_states(charged));
    };
    const auto exact = lowest_pairs(SparseOperator(H, sites), as_vector(random(3)), 2);
    const auto mpo = matrix_product_operator<T>(H, sites);
    const auto ground = dmrg(mpo, random(3), sweeps(40, 256));
    BOOST_TEST(std::abs(ground.energy - exact.values[0]) < 1e-10);
    BOOST_TEST(1 - std::abs(dot(exact.vectors.column(0), as_vector(ground.state))) < 1e-10);
    BOOST_TEST(variance(mpo, ground.state) < 1e-9);

    const std::vector lower{ground.state};
    DmrgSettings settings = sweeps(40, 256);
    const auto next = excited_state<T>(mpo, lower, random(4), settings);
    BOOST_TEST(std::abs(next.energy - exact.values[1]) < 1e-10);
    BOOST_TEST(1 - std::abs(dot(exact.vectors.column(1), as_vector(next.state))) < 1e-9);
  });
}

BOOST_AUTO_TEST_CASE(the_other_ways_to_the_lowest_levels) {
  for (Kind kind : kinds()) BOOST_TEST_CONTEXT(kind.name) {
      shorten(kind);
      const OperatorSum H = kind.hamiltonian<double>(true);
      const Sites sites = kind.sites(true);
      const auto random = [&](std::uint64_t seed) {
        return random_state<double>(sites, 12, seed, kind.start_states(true));
      };
      const auto exact = lowest_pairs(SparseOperator(H, sites), as_vector(random(3)), 3);
      const auto mpo = matrix_product_operator<double>(H, sites);
      DmrgSettings settings = sweeps(40, 256);
      settings.solver = EigenSolver::davidson;
      BOOST_TEST(std::abs(dmrg(mpo, random(3), settings).energy - exact.values[0]) < 1e-10);
      settings = sweeps(40, 256);
      settings.sites = 1;
      for (std::size_t i = 0; i < 6; ++i)
        settings.sweeps[i].noise = 1e-4 * std::pow(0.1, static_cast<double>(i));
      BOOST_TEST(std::abs(dmrg(mpo, random(3), settings).energy - exact.values[0]) < 1e-10);

      settings = sweeps(40, 256);
      const std::vector lower{dmrg(mpo, random(3), settings).state};
      settings.penalty = 10;
      BOOST_TEST(std::abs(excited_state<double>(mpo, lower, random(4), settings).energy -
                          exact.values[1]) < 1e-10);
      settings = sweeps(40, 256);
      settings.targets = 3;
      const auto several = dmrg(mpo, random(5), settings);
      BOOST_TEST_REQUIRE(several.further.size() == 2U);
      for (std::size_t i = 0; i < 2; ++i)
        BOOST_TEST(std::abs(several.further[i].energy - exact.values[i + 1]) < 1e-10);
    }
}

BOOST_AUTO_TEST_CASE(real_and_imaginary_time) {
  for_every_kind([]<class T>(Kind kind, T, bool charged) {
    shorten(kind);
    const OperatorSum H = kind.hamiltonian<T>(charged);
    const Sites sites = kind.sites(charged);
    const Complex z = std::is_same_v<T, double> ? Complex(-0.2) : Complex(0, -0.2);
    const auto start = product_state<T>(sites, kind.start_states(charged));
    const Matrix exact = exact_evolution(SparseOperator(H, sites), z, as_vector(start), 10);
    const auto distance = [&](TensorTrain<T> state) {
      state.scale(T(1 / state.norm()));
      return (as_vector(state) - exact).norm();
    };
    const auto error_of = [&](auto evolution, int steps) {
      for (int i = 0; i < steps; ++i) evolution.step(z / static_cast<double>(steps));
      return distance(evolution.state());
    };
    const auto tebd = [&](int order, int steps) {
      return error_of(Tebd<T>(H, sites, start, {.order = order, .cutoff = 1e-24}), steps);
    };
    BOOST_TEST(std::abs(std::log2(tebd(2, 8) / tebd(2, 16)) - 2) < 0.1);
    const double fourth = tebd(4, 4);
    BOOST_TEST(std::abs(std::log2(tebd(4, 2) / fourth) - 4) < 0.4);
    BOOST_TEST(fourth < 1e-5);
    const auto mpo = matrix_product_operator<T>(H, sites);
    BOOST_TEST(error_of(Tdvp<T>(mpo, start, {.cutoff = 1e-24}), 4) < 1e-3);

    const auto by_operators = [&](int order, int steps) {
      const auto operators =
          evolution_operators<T>(H, sites, z / static_cast<double>(steps), order);
      auto state = start;
      for (int i = 0; i < steps; ++i)
        for (const auto& each : operators) state = apply(each, state, {.cutoff = 1e-22}).state;
      return distance(std::move(state));
    };
    // Complex steps make the second order.
    if constexpr (std::is_same_v<T, double>)
      BOOST_TEST(std::abs(std::log2(by_operators(1, 16) / by_operators(1, 32)) - 1) < 0.3);
    else
      BOOST_TEST(std::abs(std::log2(by_operators(2, 4) / by_operators(2, 8)) - 2) < 0.2);
  });
}

BOOST_AUTO_TEST_CASE(with_bonds_as_large_as_they_need_be_tdvp_has_no_error) {
  for_every_kind([]<class T>(Kind kind, T, bool charged) {
    shorten(kind);
    const OperatorSum H = kind.hamiltonian<T>(charged);
    const Sites sites = kind.sites(charged);
    const Complex z = std::is_same_v<T, double> ? Complex(-0.2) : Complex(0, -0.2);
    const auto start = random_state<T>(sites, 256, 3, kind.start_states(charged));
    const Matrix exact = exact_evolution(SparseOperator(H, sites), z, as_vector(start), 10);
    const auto mpo = matrix_product_operator<T>(H, sites);
    for (const Index count : {1, 2}) {
      Tdvp<T> evolution(mpo, start, {.sites = count});
      evolution.step(z);
      auto state = evolution.state();
      state.scale(T(1 / state.norm()));
      BOOST_TEST((as_vector(state) - exact).norm() < 1e-9);
    }
  });
}

BOOST_AUTO_TEST_CASE(products_fits_sums_and_equations) {
  for_every_kind([]<class T>(const Kind& kind, T, bool charged) {
    const OperatorSum H = kind.hamiltonian<T>(charged);
    const Sites sites = kind.sites(charged);
    const SparseOperator exact(H, sites);
    const auto mpo = matrix_product_operator<T>(H, sites);
    const auto psi = random_state<T>(sites, 6, 3, kind.start_states(charged));
    const auto phi = random_state<T>(sites, 6, 4, kind.start_states(charged));
    const Matrix product = exact * as_vector(psi);
    const double size = product.norm();
    for (const Application method :
         {Application::exact, Application::density_matrix, Application::zip_up})
      BOOST_TEST((as_vector(apply(mpo, psi, {.cutoff = 1e-20}, method).state) - product).norm() <
                 1e-7 * size);
    BOOST_TEST((as_vector(fit(mpo, psi, random_state<T>(sites, 40, 5, kind.start_states(charged)),
                              {.cutoff = 1e-22, .sweeps = 12})
                              .state) -
                product)
                   .norm() < 1e-8 * size);
    BOOST_TEST(std::abs(Complex(matrix_element(phi, mpo, psi)) - dot(as_vector(phi), product)) <
               1e-12 * size);
    BOOST_TEST((as_vector(psi + phi) - as_vector(psi) - as_vector(phi)).norm() < 1e-13);
    const double mean = dot(as_vector(psi), product).real();
    BOOST_TEST(std::abs(variance(mpo, psi) - (size * size - mean * mean)) < 1e-11 * size * size);

    // H + 40 is positive definite.
    const OperatorSum shifted = H + 40.0 * op("Id", 0);
    const auto solution = solve(matrix_product_operator<T>(shifted, sites), psi, phi,
                                {.cutoff = 1e-22, .tolerance = 1e-9});
    BOOST_TEST(
        (SparseOperator(shifted, sites) * as_vector(solution.train) - as_vector(psi)).norm() <
        1e-7);
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
