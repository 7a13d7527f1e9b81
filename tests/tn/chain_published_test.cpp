/// Lattices and a molecule as chains, against energies that other programs have published.

#include "chain_testing.hpp"

#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/chain/measurement.hpp>
#include <metatt/tn/chain/tebd.hpp>
#include <metatt/tn/files/model_file.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>

using namespace metatt::tn;
using namespace metatt::tn::testing;

namespace {

/// Of a start state, with bonds that rise to `bond` and noise at first.
DmrgResult<double> ground_state(const OperatorSum& H, const Sites& sites,
                                const std::vector<std::string>& start, Index bond, Index last) {
  DmrgSettings settings;
  for (const double noise : {1e-4, 1e-6, 1e-8})
    settings.sweeps.push_back({std::min<Index>(bond, 200), 1e-14, 3, noise});
  for (Index i = 0; i < last; ++i) settings.sweeps.push_back({bond, 1e-14, 4});
  settings.energy_tolerance = 1e-11;
  return dmrg(matrix_product_operator<double>(H, sites), product_state<double>(sites, start),
              settings);
}

/// Nearest neighbours of a square lattice with open edges, its columns of `height` sites one after
/// the other.
std::vector<std::pair<Index, Index>> square_lattice(Index width, Index height) {
  std::vector<std::pair<Index, Index>> pairs;
  for (Index site = 0; site < width * height; ++site) {
    if (site % height + 1 < height) pairs.emplace_back(site, site + 1);
    if (site + height < width * height) pairs.emplace_back(site, site + height);
  }
  return pairs;
}

OperatorSum exchange(Index i, Index j) {
  OperatorSum H = 0.5 * op("S+", i) * op("S-", j);
  H += 0.5 * op("S-", i) * op("S+", j);
  H += op("Sz", i) * op("Sz", j);
  return H;
}

OperatorSum hopping(Index i, Index j) {
  OperatorSum H;
  for (const std::string spin : {"up", "down"}) {
    H -= op("Cdag" + spin, i) * op("C" + spin, j);
    H -= op("Cdag" + spin, j) * op("C" + spin, i);
  }
  return H;
}

BOOST_AUTO_TEST_SUITE(chain_published)

BOOST_AUTO_TEST_CASE(spins_on_three_by_four_sites) {
  // quimb's documentation: -6.69168019351495.
  OperatorSum H;
  for (const auto& [i, j] : square_lattice(4, 3)) H += exchange(i, j);
  const Sites sites = uniform_chain(12, spin_site(1).conserving({"2Sz"}));
  std::vector<std::string> start;
  for (Index k = 0; k < 12; ++k) start.push_back((k % 3 + k / 3) % 2 == 0 ? "up" : "down");
  BOOST_TEST(std::abs(ground_state(H, sites, start, 64, 12).energy - -6.69168019351495) < 1e-9);
}

BOOST_AUTO_TEST_CASE(electrons_hop_on_a_ladder) {
  // Two legs of eight sites without repulsion, half filled: orbitals of -2 cos(kπ/9) ± 1, each for
  // two electrons. DMRG++ has -21.64279, with few states kept and so above the exact value.
  std::vector<double> levels;
  for (int k = 1; k <= 8; ++k)
    for (const double leg : {-1, 1}) levels.push_back(leg - 2 * std::cos(k * std::acos(-1.0) / 9));
  std::ranges::sort(levels);
  double exact = 0;
  for (std::size_t k = 0; k < 8; ++k) exact += 2 * levels[k];
  OperatorSum H;
  for (const auto& [i, j] : square_lattice(8, 2)) H += hopping(i, j);
  const Sites sites = uniform_chain(16, electron_site().conserving({"N", "2Sz"}));
  std::vector<std::string> start;
  for (Index k = 0; k < 16; ++k) start.push_back((k % 2 + k / 2) % 2 == 0 ? "up" : "down");
  const double energy = ground_state(H, sites, start, 300, 3).energy;
  BOOST_TEST(energy < -21.64279);
  BOOST_TEST(energy > exact);
  BOOST_TEST(energy < exact + 2e-3);
}

/// A site of the t-J model: an electron with either spin or none.
Site hole_or_spin() {
  Site site("t-J", {"empty", "up", "down"}, {"up", "down"});
  const auto entry = [](std::size_t out, std::size_t in) {
    std::vector<Complex> elements(9);
    elements[out * 3 + in] = 1;
    return elements;
  };
  site.add_operator("Cup", entry(0, 1), true);
  site.add_operator("Cdagup", entry(1, 0), true);
  site.add_operator("Cdown", entry(0, 2), true);
  site.add_operator("Cdagdown", entry(2, 0), true);
  site.add_operator("S+", entry(1, 2));
  site.add_operator("S-", entry(2, 1));
  site.add_operator("N", {0, 0, 0, 0, 1, 0, 0, 0, 1});
  site.add_operator("Sz", {0, 0, 0, 0, 0.5, 0, 0, 0, -0.5});
  site.add_quantity({"N"}, {0, 1, 1});
  site.add_quantity({"2Sz"}, {0, 1, -1});
  return site.conserving({"N", "2Sz"});
}

/// The t-J model on 4 × 4 sites with open edges, J (S·S − n n / 4), J = 0.4 and two holes.
DmrgResult<double> two_holes(Index bond, Index last) {
  OperatorSum H;
  for (const auto& [i, j] : square_lattice(4, 4)) {
    H += hopping(i, j);
    H += 0.4 * exchange(i, j);
    H -= 0.1 * op("N", i) * op("N", j);
  }
  std::vector<std::string> start;
  for (Index k = 0; k < 16; ++k) start.push_back((k % 4 + k / 4) % 2 == 0 ? "up" : "down");
  start[5] = start[6] = "empty";
  return ground_state(H, uniform_chain(16, hole_or_spin()), start, bond, last);
}

BOOST_AUTO_TEST_CASE(two_holes_move_among_the_spins_of_a_square) {
  // block2's documentation: -9.029868687. Bonds of 200 come within 0.01 of it, always from above.
  const double energy = two_holes(200, 2).energy;
  BOOST_TEST(energy > -9.029868687);
  BOOST_TEST(energy < -9.02);
}

BOOST_AUTO_TEST_CASE(two_holes_to_all_digits, *boost::unit_test::precondition(on_demand)) {
  BOOST_TEST(std::abs(two_holes(1400, 12).energy - -9.029868687) < 1e-9);
}

BOOST_AUTO_TEST_CASE(chains_have_their_closed_forms_and_exact_energies,
                     *boost::unit_test::precondition(without_sanitizers)) {
  struct Case {
    const char* model;
    const char* site;
    Index n;
    double parameter;  // h or U
    double energy;
  };
  // Bethe ansatz (heisenberg, hubbard), free fermions (tfim, xx, hubbard without U), exact
  // diagonalisation (larger spins).
  for (const Case& c : {Case{"heisenberg", "spin 1/2", 4, 0, -1.616025403784438647},
                        Case{"heisenberg", "spin 1/2", 6, 0, -2.49357713388793},
                        Case{"heisenberg", "spin 1/2", 8, 0, -3.374932598687890170},
                        Case{"heisenberg", "spin 1/2", 12, 0, -5.142090632840530527},
                        Case{"heisenberg", "spin 1/2", 16, 0, -6.911737145575102547},
                        Case{"heisenberg", "spin 1/2", 24, 0, -10.45378576040958095},
                        Case{"heisenberg", "spin 1/2", 32, 0, -13.99731561822432729},
                        Case{"heisenberg", "spin 1", 4, 0, -4.6457513110646},
                        Case{"heisenberg", "spin 1", 6, 0, -7.3702749694246},
                        Case{"heisenberg", "spin 1", 8, 0, -10.1246372223589},
                        Case{"heisenberg", "spin 3/2", 4, 0, -9.1811810027716},
                        Case{"heisenberg", "spin 3/2", 6, 0, -14.7570769608596},
                        Case{"tfim", "", 10, 0.5, -9.7655039579272},
                        Case{"tfim", "", 20, 1, -25.107797111623787},
                        Case{"tfim", "", 32, 1.5, -53.3176314120253},
                        Case{"tfim", "", 50, 2, -106.2228719126719},
                        Case{"xx", "", 10, 0, -3.0133370916661352},
                        Case{"xx", "", 20, 0, -6.1907449998273768},
                        Case{"xx", "", 32, 0, -10.00819395024257},
                        Case{"hubbard", "", 4, 2, -2.8759428090051},
                        Case{"hubbard", "", 4, 4, -1.9531453086846},
                        Case{"hubbard", "", 8, 0, -9.5175409662872671},
                        Case{"hubbard", "", 8, 2, -6.2256341446813},
                        Case{"hubbard", "", 8, 4, -4.2358069991297},
                        Case{"hubbard", "", 8, 8, -2.4208314000375},
                        Case{"hubbard", "", 10, 8, -3.0743889829060}})
    BOOST_TEST_CONTEXT(c.model << " " << c.site << " " << c.n << " " << c.parameter) {
      ModelChoices choices;
      choices.length = c.n;
      if (*c.site) choices.site = c.site;
      if (std::string(c.model) == "tfim") choices.parameters = {{"h", c.parameter}};
      if (std::string(c.model) == "hubbard") choices.parameters = {{"U", c.parameter}};
      const ChainModel chain = read_model(find_model(c.model).text, c.model, choices);
      const double energy =
          ground_state(chain.hamiltonian, chain.sites, chain.start, 256, 8).energy;
      BOOST_TEST(std::abs(energy - c.energy) < 1e-10 * std::max(1.0, std::abs(c.energy)));
    }
}

BOOST_AUTO_TEST_CASE(long_chains_to_more_digits, *boost::unit_test::precondition(on_demand)) {
  // Bethe ansatz, open ends.
  struct Case {
    OperatorSum H;
    Site site;
    Index n, bond;
    double energy;
  };
  const Site spin = spin_site(1).conserving({"2Sz"});
  const Site electron = electron_site().conserving({"N", "2Sz"});
  for (const Case& c : {Case{heisenberg(100), spin, 100, 300, -44.12773989329623459},
                        Case{heisenberg(200), spin, 200, 300, -88.44155556950091289},
                        Case{hubbard(16, 4), electron, 16, 1200, -8.8187674548117},
                        Case{hubbard(16, 8), electron, 16, 1000, -5.0371340916522}}) {
    std::vector<std::string> start;
    for (Index k = 0; k < c.n; ++k) start.push_back(k % 2 == 0 ? "up" : "down");
    const double energy = ground_state(c.H, uniform_chain(c.n, c.site), start, c.bond, 12).energy;
    BOOST_TEST(std::abs(energy - c.energy) < 5e-10);
  }
}

BOOST_AUTO_TEST_CASE(a_hundred_spins_of_one_to_more_digits,
                     *boost::unit_test::precondition(on_demand)) {
  // ITensor, 14 sweeps with a cutoff of 1e-14.
  const Sites sites = uniform_chain(100, spin_site(2).conserving({"2Sz"}));
  std::vector<std::string> start;
  for (Index k = 0; k < 100; ++k) start.push_back(k % 2 == 0 ? "up" : "down");
  const double energy = ground_state(heisenberg(100), sites, start, 300, 12).energy;
  BOOST_TEST(std::abs(energy - -138.94008614352) < 1e-10);
}

BOOST_AUTO_TEST_CASE(neel_s_order_after_five_units_of_time,
                     *boost::unit_test::precondition(without_sanitizers)) {
  // Σ SxSx + SySy as free fermions.
  OperatorSum H;
  for (Index i = 0; i + 1 < 20; ++i) H += exchange(i, i + 1) - op("Sz", i) * op("Sz", i + 1);
  const Sites sites = uniform_chain(20, spin_site(1).conserving({"2Sz"}));
  std::vector<std::string> start;
  for (Index k = 0; k < 20; ++k) start.push_back(k % 2 == 0 ? "up" : "down");
  Tebd<Complex> run(H, sites, product_state<Complex>(sites, start), {.order = 4, .cutoff = 1e-14});
  for (int i = 0; i < 50; ++i) run.step(Complex(0, -0.1));
  const auto sz = local_expectations(run.state(), sites, "Sz");
  double staggered = 0;
  for (std::size_t i = 0; i < 20; ++i) staggered += (i % 2 == 0 ? 1 : -1) * sz[i].real() / 20;
  BOOST_TEST(std::abs(staggered - -0.108139488110) < 1e-6);
  BOOST_TEST(std::abs(entropy(entanglement_spectra(run.state())[9]) - 2.290382285446) < 1e-5);
}

/// What an FCIDUMP file says: h_pq, (pq|rs) and the repulsion of the nuclei (see
/// fixtures/README.md).
OperatorSum molecule(const std::string& path) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line) && line.find("&END") == std::string::npos;) {
  }
  OperatorSum H;
  const std::array<std::string, 2> spins{"up", "down"};
  const auto add_two = [&](double value, Index p, Index q, Index r, Index s) {
    for (const std::string& a : spins)
      for (const std::string& b : spins)
        if (!(a == b && (p == r || q == s)))
          H +=
              0.5 * value * op("Cdag" + a, p) * op("Cdag" + b, r) * op("C" + b, s) * op("C" + a, q);
  };
  double value = 0;
  for (Index p, q, r, s; file >> value >> p >> q >> r >> s;) {
    if (r > 0) {
      // The eight orders of the indices of (pq|rs) that have its value.
      std::vector<std::array<Index, 4>> orders{{p, q, r, s}, {q, p, r, s}, {p, q, s, r},
                                               {q, p, s, r}, {r, s, p, q}, {s, r, p, q},
                                               {r, s, q, p}, {s, r, q, p}};
      std::ranges::sort(orders);
      orders.erase(std::unique(orders.begin(), orders.end()), orders.end());
      for (const auto& [a, b, c, d] : orders) add_two(value, a - 1, b - 1, c - 1, d - 1);
    } else if (p > 0) {
      for (const std::string& spin : spins) {
        H += value * op("Cdag" + spin, p - 1) * op("C" + spin, q - 1);
        if (p != q) H += value * op("Cdag" + spin, q - 1) * op("C" + spin, p - 1);
      }
    } else {
      H += value * op("Id", 0);
    }
  }
  return H;
}

BOOST_AUTO_TEST_CASE(nitrogen_has_the_energy_of_all_its_configurations) {
  // PySCF's full configuration interaction and block2's tutorial: -107.654122447525 hartree.
  const OperatorSum H = molecule(METATT_FIXTURES "/n2_sto3g.fcidump");
  BOOST_TEST_REQUIRE(H.terms().size() > 1000U);
  const Sites sites = uniform_chain(10, electron_site().conserving({"N", "2Sz"}));
  std::vector<std::string> start(10, "empty");
  std::fill(start.begin(), start.begin() + 7, "both");
  BOOST_TEST(std::abs(ground_state(H, sites, start, 1000, 10).energy - -107.654122447525) < 1e-10);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
