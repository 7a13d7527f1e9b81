#include "chain_testing.hpp"

#include <metatt/tn/chain/lanczos.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/chain/measurement.hpp>
#include <metatt/tn/chain/tdvp.hpp>
#include <metatt/tn/chain/tebd.hpp>

#include <cmath>
#include <complex>

using namespace metatt::tn;
using namespace metatt::tn::testing;

namespace {

/// XXZ chain with a field that differs from site to site.
OperatorSum chain(Index n) {
  OperatorSum H;
  for (Index i = 0; i + 1 < n; ++i) {
    H += 0.5 * op("S+", i) * op("S-", i + 1) + 0.5 * op("S-", i) * op("S+", i + 1);
    H += 0.7 * op("Sz", i) * op("Sz", i + 1);
  }
  for (Index i = 0; i < n; ++i) H += (0.2 + 0.15 * static_cast<double>(i * i % 5)) * op("Sz", i);
  return H;
}

const std::vector<std::string> neel{"up", "down", "up", "down", "up", "down"};

/// Distance from the exact state after time 0.8 in so many steps.
template <class Evolution>
double error_after(Evolution evolution, int steps, const Matrix& exact) {
  for (int i = 0; i < steps; ++i) evolution.step(Complex(0, -0.8 / steps));
  return (as_vector(evolution.state()) - exact).norm();
}

BOOST_AUTO_TEST_SUITE(chain_evolution)

BOOST_AUTO_TEST_CASE(the_exponential_is_that_of_the_matrix) {
  const Sites sites = uniform_chain(5, spin_site(1));
  const Matrix H = exact_matrix(chain(5), sites);
  const auto apply = [&](const Tensor<Complex>& x) {
    return Tensor<Complex>::from({H.rows()}, (H * Matrix::column(x.to_vector())).elements());
  };
  const auto start = random_normal<Complex>({H.rows()}, 4);
  for (const Complex z : {Complex(0, -1.3), Complex(-0.9, 0), Complex(0.2, 0.7)}) {
    const auto result = exponential<Complex>(apply, z, start, {});
    const Matrix exact = exact_evolution(chain(5), sites, z, Matrix::column(start.to_vector()));
    const Matrix found = Matrix::column(result.vector.to_vector()).normalised();
    BOOST_TEST((found - exact).norm() < 1e-11);
    BOOST_TEST(result.products < 32);
  }
  const std::function<Tensor<double>(const Tensor<double>&)> identity =
      [](const Tensor<double>& x) { return x; };
  BOOST_CHECK_THROW(exponential<double>(identity, Complex(0, 1), random_normal<double>({3}, 1), {}),
                    Error);
}

BOOST_AUTO_TEST_CASE(time_evolution_has_the_order_of_its_error,
                     *boost::unit_test::precondition(without_sanitizers)) {
  for (const bool charged : {false, true}) {
    const Sites sites = uniform_chain(6, charged ? spin_site(1).conserving({"2Sz"}) : spin_site(1));
    const auto start = product_state<Complex>(sites, neel);
    const auto mpo = matrix_product_operator<Complex>(chain(6), sites);
    const Matrix exact = exact_evolution(chain(6), sites, Complex(0, -0.8), as_vector(start));
    const auto tebd = [&](int order, int steps) {
      return error_after(Tebd<Complex>(chain(6), sites, start, {.order = order}), steps, exact);
    };
    const double second = tebd(2, 8) / tebd(2, 16), fourth = tebd(4, 4) / tebd(4, 8);
    BOOST_TEST(std::abs(std::log2(second) - 2) < 0.1);
    BOOST_TEST(std::abs(std::log2(fourth) - 4) < 0.2);
    BOOST_TEST(tebd(4, 32) < 1e-7);
    const auto tdvp = [&](int steps) {
      return error_after(Tdvp<Complex>(mpo, start, {.cutoff = 1e-24}), steps, exact);
    };
    BOOST_TEST(tdvp(16) < 2e-3);
    // Second order in general; six sites soon have all the bonds they need, and then it is more.
    BOOST_TEST(std::log2(tdvp(32) / tdvp(64)) > 1.9);
  }
}

BOOST_AUTO_TEST_CASE(long_range_couplings_are_evolved_by_tdvp) {
  OperatorSum H = chain(6);
  H += 0.4 * op("Sz", 0) * op("Sz", 4);
  H += 0.3 * op("S+", 1) * op("S-", 5) + 0.3 * op("S-", 1) * op("S+", 5);
  const Sites sites = uniform_chain(6, spin_site(1).conserving({"2Sz"}));
  const auto mpo = matrix_product_operator<Complex>(H, sites);
  const auto start = random_state<Complex>(sites, 8, 5, neel);
  const Matrix exact = exact_evolution(H, sites, Complex(0, -0.8), as_vector(start));
  // Bonds of 8 hold every state of six spins, and then the splitting has no error whatever the
  // step.
  for (const Index count : {1, 2})
    for (const int steps : {2, 16})
      BOOST_TEST(error_after(Tdvp<Complex>(mpo, start, {.sites = count}), steps, exact) < 1e-9);
  BOOST_CHECK_THROW(Tebd<Complex>(H, sites, start, {}), Error);
}

BOOST_AUTO_TEST_CASE(single_site_tdvp_conserves_energy_norm_and_bonds) {
  const Sites sites = uniform_chain(10, spin_site(1));
  const auto mpo = matrix_product_operator<Complex>(chain(10), sites);
  Tdvp<Complex> evolution(mpo, random_state<Complex>(sites, 6, 8), {.sites = 1});
  const double energy = expectation(mpo, evolution.state()).real();
  const auto bonds = evolution.state().ranks();
  for (int i = 0; i < 10; ++i)
    BOOST_TEST(std::abs(evolution.step(Complex(0, -0.1)).norm - 1) < 1e-9);
  BOOST_TEST(std::abs(expectation(mpo, evolution.state()).real() - energy) < 1e-9);
  BOOST_TEST(evolution.state().ranks() == bonds, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(imaginary_time_finds_the_ground_state_of_the_sector,
                     *boost::unit_test::precondition(without_sanitizers)) {
  const Sites sites = uniform_chain(6, spin_site(1).conserving({"2Sz"}));
  const auto mpo = matrix_product_operator<double>(chain(6), sites);
  const auto start = product_state<double>(sites, neel);
  const Matrix exact = exact_evolution(chain(6), sites, -40.0, as_vector(start));
  const double energy = dot(exact, exact_matrix(chain(6), sites) * exact).real();
  Tdvp<double> tdvp(mpo, start, {.cutoff = 1e-20});
  Tebd<double> tebd(chain(6), sites, start, {.order = 4, .cutoff = 1e-20});
  for (int i = 0; i < 80; ++i) {
    tdvp.step(-0.5);
    tebd.step(-0.25);
  }
  BOOST_TEST(std::abs(expectation(mpo, tdvp.state()) - energy) < 1e-8);
  BOOST_TEST(std::abs(expectation(mpo, tebd.state()) - energy) < 1e-5);
  BOOST_TEST(std::abs(std::log(tdvp.step(-0.5).norm) + 0.5 * energy) < 1e-7);
}

/// Evolves a state with as large bonds as its sites can need: TDVP is exact then, whatever the
/// step.
template <class T>
void check_every_evolution(const OperatorSum& H, const Sites& sites,
                           const std::vector<std::string>& sector, std::complex<double> z) {
  const auto mpo = matrix_product_operator<T>(H, sites);
  const auto start = random_state<T>(sites, 64, 3, sector);
  const Matrix exact = exact_evolution(H, sites, z, as_vector(start));
  const auto distance_of = [&](auto evolution, int steps) {
    for (int i = 0; i < steps; ++i) evolution.step(z / static_cast<double>(steps));
    auto state = evolution.state();
    state.scale(T(1 / state.norm()));
    return (as_vector(state) - exact).norm();
  };
  for (const Index count : {1, 2})
    BOOST_TEST(distance_of(Tdvp<T>(mpo, start, {.sites = count}), 2) < 1e-9);
  const auto tebd = [&](int order, int steps) {
    return distance_of(Tebd<T>(H, sites, start, {.order = order}), steps);
  };
  BOOST_TEST(tebd(4, 16) < 1e-5);
  BOOST_TEST(std::abs(std::log2(tebd(2, 16) / tebd(2, 32)) - 2) < 0.1);
}

BOOST_AUTO_TEST_CASE(every_kind_of_site_evolves_as_its_matrix,
                     *boost::unit_test::precondition(without_sanitizers)) {
  struct Case {
    const char* name;
    Site site;
    std::vector<std::string> quantities;
    OperatorSum H;
    std::vector<std::string> sector;
  };
  OperatorSum fermions, bosons;
  for (Index i = 0; i + 1 < 6; ++i) {
    fermions -= op("Cdag", i) * op("C", i + 1) + op("Cdag", i + 1) * op("C", i);
    fermions += 0.8 * op("N", i) * op("N", i + 1) + 0.1 * static_cast<double>(i) * op("N", i);
  }
  for (Index i = 0; i < 4; ++i) bosons += op("N", i) * op("N", i);
  for (Index i = 0; i + 1 < 4; ++i)
    bosons -= op("Adag", i) * op("A", i + 1) + op("Adag", i + 1) * op("A", i);
  const Case cases[] = {
      {"spin 1", spin_site(2), {"2Sz"}, heisenberg(4), {"up", "down", "zero", "zero"}},
      {"fermions",
       fermion_site(),
       {"N"},
       fermions,
       {"full", "empty", "full", "empty", "full", "empty"}},
      {"electrons", electron_site(), {"N", "2Sz"}, hubbard(4, 2), {"up", "down", "both", "empty"}},
      {"bosons", boson_site(3), {"N"}, bosons, {"3", "0", "2", "1"}}};
  for (const Case& c : cases)
    for (const bool charged : {false, true})
      BOOST_TEST_CONTEXT(c.name << (charged ? " charged" : "")) {
        const Sites sites = uniform_chain(static_cast<Index>(c.sector.size()),
                                          charged ? c.site.conserving(c.quantities) : c.site);
        check_every_evolution<Complex>(c.H, sites, c.sector, Complex(0, -0.5));
        check_every_evolution<double>(c.H, sites, c.sector, -0.5);
        check_every_evolution<Complex>(c.H, sites, c.sector, -0.5);
      }
}

BOOST_AUTO_TEST_CASE(fermions_hop_with_their_signs) {
  const Sites sites = uniform_chain(3, electron_site().conserving({"N", "2Sz"}));
  const std::vector<std::string> names{"both", "up", "empty"};
  const auto start = product_state<Complex>(sites, names);
  const Matrix exact = exact_evolution(hubbard(3, 2), sites, Complex(0, -0.8), as_vector(start));
  BOOST_TEST(error_after(Tebd<Complex>(hubbard(3, 2), sites, start, {.order = 4}), 32, exact) <
             1e-5);
  const auto mpo = matrix_product_operator<Complex>(hubbard(3, 2), sites);
  BOOST_TEST(error_after(Tdvp<Complex>(mpo, start, {.cutoff = 1e-24}), 64, exact) < 4e-3);
}

BOOST_AUTO_TEST_CASE(purifications_have_the_thermal_mean_values,
                     *boost::unit_test::precondition(without_sanitizers)) {
  struct Case {
    const char* name;
    Index n;
    Site site;
    const char* measured;
  };
  const Case cases[] = {{"spins", 5, spin_site(1).conserving({"2Sz"}), "Sz"},
                        {"electrons", 3, electron_site().conserving({"N", "2Sz"}), "N"},
                        {"electrons without charges", 3, electron_site(), "N"}};
  for (const Case& c : cases) BOOST_TEST_CONTEXT(c.name) {
      const Sites physical = uniform_chain(c.n, c.site);
      const bool spins = c.n == 5;
      const OperatorSum H = spins ? chain(c.n) : hubbard(c.n, 3) + 0.3 * op("Nup", 0);
      const double beta = 1.2;
      const Eigenpairs pairs = eigenpairs(exact_matrix(H, physical));
      double partition = 0;
      for (const double level : pairs.values) partition += std::exp(-beta * level);
      const auto mean = [&](const Matrix& X) {
        const Matrix rotated = pairs.vectors.adjoint() * X * pairs.vectors;
        double sum = 0;
        for (Index i = 0; i < rotated.rows(); ++i)
          sum += std::exp(-beta * pairs.values[static_cast<std::size_t>(i)]) * rotated(i, i).real();
        return sum / partition;
      };
      const Sites sites = purification_sites(physical);
      const auto mpo = matrix_product_operator<double>(spread(H, 2), sites);
      Tdvp<double> cooling(mpo, infinite_temperature_state<double>(physical), {.cutoff = 1e-20});
      double logarithm = 0;
      for (int i = 0; i < 12; ++i) logarithm += 2 * std::log(cooling.step(-beta / 24).norm);
      BOOST_TEST(std::abs(expectation(mpo, cooling.state()) - mean(exact_matrix(H, physical))) <
                 1e-3);
      const auto values = local_expectations(cooling.state(), sites, c.measured);
      for (Index k = 0; k < c.n; ++k)
        BOOST_TEST(std::abs(values[static_cast<std::size_t>(2 * k)].real() -
                            mean(exact_matrix(op(c.measured, k), physical))) < 1e-3);
      const double states = static_cast<double>(pairs.values.size());
      BOOST_TEST(std::abs(logarithm - std::log(partition / states)) < 1e-3);
    }
}

BOOST_AUTO_TEST_CASE(settings_that_make_no_sense_are_refused) {
  const Sites sites = uniform_chain(4, spin_site(1));
  const auto start = random_state<double>(sites, 2, 1);
  const auto mpo = matrix_product_operator<double>(chain(4), sites);
  BOOST_CHECK_THROW(Tdvp<double>(mpo, start, {.sites = 3}), Error);
  BOOST_CHECK_THROW(Tebd<double>(chain(4), sites, start, {.order = 3}), Error);
  BOOST_CHECK_THROW(Tebd<double>(chain(4), sites, start, {}).step(Complex(0, 1)), Error);
  BOOST_CHECK_THROW(Tdvp<double>(mpo, start, {}).step(Complex(0, 1)), Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
