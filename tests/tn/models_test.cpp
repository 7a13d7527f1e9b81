#include "../file_testing.hpp"
#include "chain_testing.hpp"

#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/files/model_file.hpp>

#include <cmath>
#include <map>
#include <numbers>

using namespace metatt::tn;
using namespace metatt::tn::testing;
using metatt::testing::check_error;

namespace {

ChainModel built_in(const std::string& name, Index length,
                    const std::map<std::string, double>& parameters = {}) {
  ModelChoices choices;
  choices.length = length;
  choices.parameters = parameters;
  return read_model(find_model(name).text, name, choices);
}

double distance(const ChainModel& model, const OperatorSum& expected) {
  return (exact_matrix(model.hamiltonian, model.sites) - exact_matrix(expected, model.sites))
      .norm();
}

double lowest(const std::string& name, Index length,
              const std::map<std::string, double>& parameters = {}) {
  const ChainModel model = built_in(name, length, parameters);
  return ground_state_energy(model.hamiltonian, model.sites);
}

ChainModel from_text(const std::string& text) {
  return read_model(text, "chain.txt", {});
}

BOOST_AUTO_TEST_SUITE(models)

BOOST_AUTO_TEST_CASE(built_in_models_have_their_known_energies,
                     *boost::unit_test::precondition(without_sanitizers)) {
  using std::numbers::pi;
  // Bethe ansatz with open ends; XX and the chain of −t Σ c†c are free fermions; the open critical
  // Ising chain has a closed form; Majumdar and Ghosh: −3N/8; AKLT: −2/3 a bond.
  BOOST_TEST(std::abs(lowest("heisenberg", 8) + 3.374932598687890170) < 1e-10);
  BOOST_TEST(std::abs(lowest("heisenberg", 6, {{"J", 2}}) + 2 * 2.49357713388793) < 1e-10);
  BOOST_TEST(std::abs(lowest("xxz", 8) + 3.374932598687890170) < 1e-10);
  double hopping = 0;
  for (int k = 1; k <= 4; ++k) hopping -= 2 * std::cos(pi * k / 9);
  BOOST_TEST(std::abs(lowest("xx", 8) - hopping / 2) < 1e-10);
  BOOST_TEST(std::abs(lowest("tv", 8, {{"V", 0}}) - hopping) < 1e-10);
  BOOST_TEST(std::abs(lowest("hubbard", 4, {{"U", 0}}) + 2 * std::sqrt(5.0)) < 1e-10);
  BOOST_TEST(std::abs(lowest("tfim", 10) + 12.381489999654754) < 1e-10);
  BOOST_TEST(std::abs(lowest("j1j2", 8) + 3.0) < 1e-10);
  BOOST_TEST(std::abs(lowest("aklt", 5) + 8.0 / 3) < 1e-10);
}

BOOST_AUTO_TEST_CASE(built_in_models_are_the_sums_that_they_name) {
  BOOST_TEST(distance(built_in("hubbard", 3, {{"U", 2.5}}), hubbard(3, 2.5)) < 1e-12);
  OperatorSum bosons, long_range, field = heisenberg(4);
  for (Index i = 0; i < 3; ++i)
    bosons += 1.5 * op("N", i) * op("N", i) - 1.5 * op("N", i) - 0.2 * op("N", i);
  for (Index i = 0; i < 2; ++i)
    bosons -= op("Adag", i) * op("A", i + 1) + op("A", i) * op("Adag", i + 1);
  BOOST_TEST(distance(built_in("bose-hubbard", 3, {{"U", 3}, {"mu", 0.2}}), bosons) < 1e-12);
  for (Index i = 0; i < 4; ++i) field -= 0.3 * op("Sz", i);
  BOOST_TEST(distance(built_in("heisenberg", 4, {{"h", 0.3}}), field) < 1e-12);
  for (Index i = 0; i < 5; ++i)
    for (Index j = i + 1; j < 5; ++j)
      for (const char* spin : {"Sx", "Sy", "Sz"})
        long_range += std::pow(static_cast<double>(j - i), -3.0) * op(spin, i) * op(spin, j);
  BOOST_TEST(distance(built_in("haldane-shastry", 5, {{"alpha", 3}}), long_range) < 1e-12);
}

BOOST_AUTO_TEST_CASE(every_built_in_model_runs_as_it_is,
                     *boost::unit_test::precondition(without_sanitizers)) {
  for (const BuiltInModel& model : built_in_models()) BOOST_TEST_CONTEXT(model.name) {
      const ChainModel chain = built_in(model.name, 6);
      BOOST_TEST(is_real(chain.hamiltonian, chain.sites));
      const auto mpo = matrix_product_operator<double>(chain.hamiltonian, chain.sites);
      const auto start = product_state<double>(chain.sites, chain.start);
      DmrgSettings settings;
      for (const double noise : {1e-3, 1e-4, 0.0, 0.0}) settings.sweeps.push_back({.noise = noise});
      BOOST_TEST(!chain.sites.front().leg().symmetry().trivial());
      // The lowest state that a start in the sector overlaps with.
      const auto random = random_state<double>(chain.sites, 8, 2, chain.start);
      const double exact =
          lowest_pairs(SparseOperator(chain.hamiltonian, chain.sites), as_vector(random), 1)
              .values[0];
      settings.sweeps.resize(12);
      BOOST_TEST(std::abs(dmrg(mpo, random, settings).energy - exact) < 1e-9);
      BOOST_TEST(std::isfinite(dmrg(mpo, start, settings).energy));
    }
  check_error([] { find_model("ising"); }, {"ising", "heisenberg", "tfim"});
}

BOOST_AUTO_TEST_CASE(texts_say_what_the_blackboard_says) {
  const ChainModel model = from_text(R"(
# a chain with everything
length     4
site       spin 1/2   # as usual
site_at    2 spin 1
parameter  D = 0.5
parameter  g = 3
conserve   none
start      first last
term       -2*D/4   Sz 0
everywhere i*D      Sx 0  Sy 1
everywhere -i*D     Sy 0  Sx 1
ring       g^2      Sz 0  Sz 1
pairs      r^-D*2   Sz    Sz
everywhere 0        Sz 0  Sz 3
everywhere 7        Sz 0  Sz 9   # a chain of four has none of these
)");
  OperatorSum expected = -0.25 * op("Sz", 0);
  for (Index i = 0; i < 3; ++i) {
    expected += Complex(0, 0.5) * op("Sx", i) * op("Sy", i + 1);
    expected -= Complex(0, 0.5) * op("Sy", i) * op("Sx", i + 1);
  }
  for (Index i = 0; i < 4; ++i) {
    expected += 9.0 * op("Sz", i) * op("Sz", (i + 1) % 4);
    for (Index j = i + 1; j < 4; ++j)
      expected += 2 / std::sqrt(static_cast<double>(j - i)) * op("Sz", i) * op("Sz", j);
  }
  BOOST_TEST(distance(model, expected) < 1e-12);
  BOOST_TEST(!is_real(model.hamiltonian, model.sites));
  BOOST_TEST(model.start == (std::vector<std::string>{"up", "down", "up", "down"}),
             boost::test_tools::per_element());
  BOOST_TEST(model.sites[2].dimension() == 3);
}

BOOST_AUTO_TEST_CASE(choices_go_before_the_text) {
  const std::string text = find_model("heisenberg").text;
  const ChainModel model = read_model(
      text, "heisenberg",
      {.length = 3, .site = "spin 1", .conserve = std::vector<std::string>{}, .start = {"zero"}});
  BOOST_TEST(model.sites.size() == 3u);
  BOOST_TEST(model.sites[0].dimension() == 3);
  BOOST_TEST(model.sites[0].leg().symmetry().trivial());
  BOOST_TEST(model.start[2] == "zero");
  check_error(
      [&] {
        read_model(text, "heisenberg", {.length = 3, .parameters = {{"K", 1}}});
      },
      {"heisenberg", "no parameter K", "J h"});
  check_error([&] { read_model(text, "heisenberg", {}); }, {"expected a length"});
}

BOOST_AUTO_TEST_CASE(lines_that_are_not_understood_are_named) {
  const std::string head = "length 3\nsite spin 1/2\nstart up\n";
  const std::pair<const char*, std::vector<std::string_view>> cases[] = {
      {"terms 1 Sz 0", {"line 4", "expected one of length", "\"terms\""}},
      {"term 1 Sz", {"line 4", "a coefficient and operators"}},
      {"term 1 Sz 0 Sz", {"line 4", "an operator and a site in turn"}},
      {"term 1 Sz -1", {"line 4", "a whole number from 0 to 1000000, found \"-1\""}},
      {"term 1 Sz 3", {"line 4", "3"}},
      {"term 1 Sq 0", {"line 4", "Sq", "Sz"}},
      {"term J Sz 0", {"line 4", "no parameter J"}},
      {"term 2^ Sz 0", {"line 4", "coefficient \"2^\""}},
      {"term 1/0 Sz 0", {"line 4", "not finite"}},
      {"term 1e999 Sz 0", {"line 4", "1e999"}},
      {"term 2** Sz 0", {"line 4", "expected a number or a name"}},
      {"term (1) Sz 0", {"line 4", "coefficient \"(1)\""}},
      {"pairs r Sz 0 Sz 1", {"line 4", "pairs COEFFICIENT OPERATOR OPERATOR"}},
      {"parameter J 1", {"line 4", "parameter NAME = NUMBER"}},
      {"parameter J = x", {"line 4", "expected a number, found \"x\""}},
      {"site_at 0 spin 1/3", {"line 4", "1/3"}},
      {"site_at 0 boson", {"line 4", "boson LARGEST"}},
      {"site_at 0 boson 5000", {"line 4", "from 1 to 1000, found \"5000\""}},
      {"site_at 0 spin 9223372036854775807", {"line 4", "from 1 to 1000"}},
      {"site fermion", {"line 4", "\"site\" is there twice"}},
      {"parameter i = 2", {"line 4", "other than i and r"}},
      {"parameter 2x = 2", {"line 4", "found \"2x\""}},
      {"site_at 5 fermion\nterm 1 Sz 0", {"site_at 5 is outside a chain of 3 sites"}},
      {"conserve N\nterm 1 Sz 0", {"N", "2Sz"}},
      {"site_at", {"line 4", "expected something behind \"site_at\""}},
      {"term 0 Sz 0", {"at least one term"}},
  };
  for (const auto& [line, fragments] : cases) BOOST_TEST_CONTEXT(line)
  check_error([&, text = head + line + "\n"] { from_text(text); }, fragments);
  check_error([] { from_text("length 3\nterm 1 Sz 0\n"); }, {"expected a line \"site"});
  check_error([] { from_text("length 3\nsite spin 1/2\nstart left\nterm 1 Sz 0\n"); },
              {"chain.txt: ", "left", "up"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
