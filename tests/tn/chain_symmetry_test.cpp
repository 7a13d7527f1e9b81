#include "chain_testing.hpp"

#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/chain/measurement.hpp>
#include <metatt/tn/chain/operator_application.hpp>

#include <cmath>

using namespace metatt::tn;
using namespace metatt::tn::testing;

namespace {

using Names = std::vector<std::string>;

/// The product of the basis states of every site that has the charge of a product state.
std::vector<Index> sector_states(const Sites& sites, const Names& like) {
  const Symmetry& symmetry = sites.front().leg().symmetry();
  std::vector<Charge> charges(1);
  Charge total;
  for (std::size_t k = 0; k < sites.size(); ++k) {
    std::vector<Charge> own;
    for (const Sector& s : sites[k].leg().sectors())
      own.insert(own.end(), static_cast<std::size_t>(s.dimension), s.charge);
    total = symmetry.sum(total, own[static_cast<std::size_t>(sites[k].find_state(like[k]))]);
    std::vector<Charge> next;
    for (const Charge& before : charges)
      for (const Charge& here : own) next.push_back(symmetry.sum(before, here));
    charges = std::move(next);
  }
  std::vector<Index> states;
  for (std::size_t i = 0; i < charges.size(); ++i)
    if (charges[i] == total) states.push_back(static_cast<Index>(i));
  return states;
}

double sector_energy(const OperatorSum& H, const Sites& sites, const Names& like) {
  const auto states = sector_states(sites, like);
  return eigenvalues(exact_matrix(H, sites).part(states)).front();
}

DmrgSettings tight() {
  DmrgSettings settings;
  for (Index i = 0; i < 14; ++i) settings.sweeps.push_back({64, 1e-15, 6});
  settings.energy_tolerance = 1e-13;
  return settings;
}

BOOST_AUTO_TEST_SUITE(chain_symmetry)

BOOST_AUTO_TEST_CASE(every_sector_has_the_energy_of_exact_diagonalisation) {
  struct Case {
    const char* name;
    OperatorSum H;
    Sites sites;
    Names like;
  };
  const auto spins = [](Index n, int twice_spin, const char* quantity) {
    return uniform_chain(n, spin_site(twice_spin).conserving({quantity}));
  };
  OperatorSum ising;  // −Σ XX − 0.7 Σ Z: parity of the down spins
  for (Index i = 0; i < 8; ++i) ising -= 0.7 * op("Z", i);
  for (Index i = 0; i + 1 < 8; ++i) ising -= op("X", i) * op("X", i + 1);
  OperatorSum bosons;
  for (Index i = 0; i < 4; ++i) bosons += 1.5 * op("N", i) * op("N", i) - 3.0 * op("N", i);
  for (Index i = 0; i + 1 < 4; ++i)
    bosons -= op("Adag", i) * op("A", i + 1) + op("Adag", i + 1) * op("A", i);
  OperatorSum pairs;  // p-wave superconductor: only the parity of the number is conserved
  for (Index i = 0; i < 7; ++i) pairs -= 0.4 * op("N", i);
  for (Index i = 0; i + 1 < 7; ++i) {
    pairs -= op("Cdag", i) * op("C", i + 1) + op("Cdag", i + 1) * op("C", i);
    pairs += 0.5 * op("C", i) * op("C", i + 1) + 0.5 * op("Cdag", i + 1) * op("Cdag", i);
  }
  const Sites electrons = uniform_chain(3, electron_site().conserving({"N", "2Sz"}));
  const Sites fermions = uniform_chain(7, fermion_site().conserving({"parity"}));
  const Case cases[] = {
      {"Sz = 0",
       heisenberg(8),
       spins(8, 1, "2Sz"),
       {"up", "down", "up", "down", "up", "down", "up", "down"}},
      {"Sz = 2",
       heisenberg(8),
       spins(8, 1, "2Sz"),
       {"up", "up", "up", "down", "up", "down", "up", "down"}},
      {"spin 1, Sz = 1", heisenberg(5), spins(5, 2, "2Sz"), {"up", "zero", "zero", "zero", "zero"}},
      {"Ising, even", ising, spins(8, 1, "parity"), Names(8, "up")},
      {"Ising, odd",
       ising,
       spins(8, 1, "parity"),
       {"down", "up", "up", "up", "up", "up", "up", "up"}},
      {"Hubbard, half filled", hubbard(3, 4), electrons, {"up", "down", "up"}},
      {"Hubbard, two electrons", hubbard(3, 4), electrons, {"up", "down", "empty"}},
      {"bosons", bosons, uniform_chain(4, boson_site(3).conserving({"N"})), {"1", "1", "1", "1"}},
      {"superconductor, odd",
       pairs,
       fermions,
       {"full", "empty", "empty", "empty", "empty", "empty", "empty"}},
      {"superconductor, even", pairs, fermions, Names(7, "empty")},
  };
  for (const Case& c : cases) BOOST_TEST_CONTEXT(c.name) {
      const double exact = sector_energy(c.H, c.sites, c.like);
      const auto real = dmrg(matrix_product_operator<double>(c.H, c.sites),
                             random_state<double>(c.sites, 8, 3, c.like), tight());
      BOOST_TEST(std::abs(real.energy - exact) < 1e-10);
      const auto mpo = matrix_product_operator<Complex>(c.H, c.sites);
      const auto complex = dmrg(mpo, random_state<Complex>(c.sites, 8, 3, c.like), tight());
      BOOST_TEST(std::abs(complex.energy - exact) < 1e-10);
      BOOST_TEST(std::abs(expectation(mpo, complex.state) - exact) < 1e-10);
      BOOST_TEST((complex.state.charge() == product_state<Complex>(c.sites, c.like).charge()));
    }
}

BOOST_AUTO_TEST_CASE(charges_store_the_same_operator) {
  const Sites plain = uniform_chain(4, electron_site()),
              charged = uniform_chain(4, electron_site().conserving({"N", "2Sz"}));
  const auto a = dense_matrix(matrix_product_operator<double>(hubbard(4, 3), plain)).to_vector();
  const auto b = dense_matrix(matrix_product_operator<double>(hubbard(4, 3), charged)).to_vector();
  BOOST_TEST(a == b, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(measurements_are_those_of_the_state_without_charges) {
  const Sites plain = uniform_chain(5, electron_site()),
              charged = uniform_chain(5, electron_site().conserving({"N", "2Sz"}));
  const auto state =
      random_state<Complex>(charged, 12, 5, Names{"up", "down", "both", "up", "empty"});
  std::vector<Tensor<Complex>> cores;
  for (Index k = 0; k < 5; ++k) {
    // The dense core lists the basis states in the order of the site.
    cores.push_back(state.dense_core(k));
  }
  const TensorTrain<Complex> dense(cores);
  BOOST_TEST(std::abs(dense.norm() - 1) < 1e-12);
  for (const char* name : {"Nup", "Sz", "NupNdown"}) {
    const auto a = local_expectations(state, charged, name),
               b = local_expectations(dense, plain, name);
    for (std::size_t i = 0; i < 5; ++i) BOOST_TEST(std::abs(a[i] - b[i]) < 1e-12);
  }
  const std::pair<const char*, const char*> pairs[] = {
      {"Cdagup", "Cup"}, {"S+", "S-"}, {"N", "N"}, {"Cup", "Cup"}};
  for (const auto& [A, B] : pairs) {
    const auto a = correlation_matrix(state, charged, A, B),
               b = correlation_matrix(dense, plain, A, B);
    for (std::size_t i = 0; i < 5; ++i)
      for (std::size_t j = 0; j < 5; ++j) BOOST_TEST(std::abs(a[i][j] - b[i][j]) < 1e-12);
    for (std::size_t i = 0; i < 5; ++i) {
      const auto row = correlations(state, charged, static_cast<Index>(i), A, B);
      for (std::size_t j = 0; j < 5; ++j) BOOST_TEST(std::abs(row[j] - a[i][j]) < 1e-12);
    }
  }
  BOOST_CHECK_THROW(correlations(state, charged, 5, "N", "N"), Error);
  BOOST_CHECK_THROW(correlations(state, charged, 0, "N", "Cup"), Error);
  const auto spectra = entanglement_spectra(state), expected = entanglement_spectra(dense);
  for (std::size_t k = 0; k < 4; ++k)
    for (std::size_t i = 0; i < expected[k].size(); ++i) {
      const double own = i < spectra[k].size() ? spectra[k][i] : 0;
      BOOST_TEST(std::abs(own - expected[k][i]) < 1e-12);
    }
  const auto elements = state.to_dense().to_vector();
  const std::vector<Index> place{1, 2, 3, 1, 0};
  BOOST_TEST(std::abs(state.element(place) -
                      elements[static_cast<std::size_t>((((1 * 4 + 2) * 4 + 3) * 4 + 1) * 4)]) <
             1e-14);
}

BOOST_AUTO_TEST_CASE(density_matrices_are_partial_traces) {
  const Sites sites = uniform_chain(5, spin_site(2).conserving({"2Sz"}));
  const auto state = random_state<Complex>(sites, 9, 6, Names{"up", "zero", "down", "up", "zero"});
  const auto elements = state.to_dense().to_vector();  // 3 · 9 · 9 basis states
  const auto density = reduced_density_matrix(state, 1, 2).to_vector();
  for (std::size_t i = 0; i < 9; ++i)
    for (std::size_t j = 0; j < 9; ++j) {
      Complex sum = 0;
      for (std::size_t before = 0; before < 3; ++before)
        for (std::size_t after = 0; after < 9; ++after)
          sum += elements[(before * 9 + i) * 9 + after] *
                 std::conj(elements[(before * 9 + j) * 9 + after]);
      BOOST_TEST(std::abs(density[i * 9 + j] - sum) < 1e-13);
    }
  BOOST_CHECK_THROW(reduced_density_matrix(state, 4, 2), Error);
}

BOOST_AUTO_TEST_CASE(samples_come_as_often_as_the_state_says) {
  const Sites sites = uniform_chain(4, spin_site(1).conserving({"2Sz"}));
  const auto state = random_state<Complex>(sites, 4, 7, Names{"up", "down", "up", "down"});
  const auto elements = state.to_dense().to_vector();
  const Index count = 10000;
  std::vector<double> seen(16);
  for (const auto& states : sample(state, count, 3))
    seen[static_cast<std::size_t>(((states[0] * 2 + states[1]) * 2 + states[2]) * 2 + states[3])] +=
        1;
  for (std::size_t i = 0; i < 16; ++i) {
    const double expected = static_cast<double>(count) * std::norm(elements[i]);
    BOOST_TEST(std::abs(seen[i] - expected) <= 4 * std::sqrt(expected));
  }
  BOOST_TEST((sample(state, 5, 3) == sample(state, 5, 3)));
}

BOOST_AUTO_TEST_CASE(sums_and_inner_products_are_those_of_the_elements) {
  const Sites sites = uniform_chain(6, spin_site(2).conserving({"2Sz"}));
  const Names like{"up", "down", "zero", "up", "zero", "zero"};
  const auto a = random_state<double>(sites, 9, 1, like),
             b = random_state<double>(sites, 5, 2, like);
  auto sum = a + b;
  const auto x = a.to_dense().to_vector(), y = b.to_dense().to_vector(),
             z = sum.to_dense().to_vector();
  double overlap = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    BOOST_TEST(std::abs(z[i] - x[i] - y[i]) < 1e-13);
    overlap += x[i] * y[i];
  }
  BOOST_TEST(std::abs(inner(a, b) - overlap) < 1e-13);
  const double norm = sum.norm();
  const auto report = sweep(sum, {.cutoff = 1e-12}, SweepMode::rounding);
  BOOST_TEST(std::abs(sum.norm() - norm) < 1e-5);
  BOOST_TEST(report.error_bound < 1e-5 * norm);
  const auto other = random_state<double>(sites, 4, 3, Names(6, "zero"));
  BOOST_TEST(inner(a, other) == 0);
  BOOST_CHECK_THROW(a + other, Error);
}

BOOST_AUTO_TEST_CASE(operators_act_on_states_as_their_matrices_do) {
  for (const bool charged : {false, true}) {
    const Site site = charged ? electron_site().conserving({"N", "2Sz"}) : electron_site();
    const Sites sites = uniform_chain(3, site);
    const auto state =
        random_state<Complex>(sites, 9, 2, charged ? Names{"up", "down", "up"} : Names());
    const auto mpo = matrix_product_operator<Complex>(hubbard(3, 3), sites);
    const Matrix H = exact_matrix(hubbard(3, 3), sites);
    const Matrix psi = as_vector(state);
    const auto exact = apply(mpo, state, {});
    BOOST_TEST((as_vector(exact.state) - H * psi).norm() < 1e-12);
    const auto cut = apply(mpo, state, {.maximum_rank = 3});
    const double error = (as_vector(cut.state) - H * psi).norm();
    BOOST_TEST(error > 1e-3);
    BOOST_TEST(std::abs(error - cut.error) < 1e-10);
    const double mean = dot(psi, H * psi).real();
    BOOST_TEST(std::abs(variance(mpo, state) - (dot(H * psi, H * psi).real() - mean * mean)) <
               1e-11);
  }
}

BOOST_AUTO_TEST_CASE(random_states_exist_in_every_sector) {
  const Site sites_of[] = {
      spin_site(1).conserving({"2Sz"}),         spin_site(2).conserving({"2Sz"}),
      electron_site().conserving({"N", "2Sz"}), boson_site(3).conserving({"N"}),
      fermion_site().conserving({"parity"}),    spin_site(3)};
  const std::vector<Names> states{
      {"up", "down"},       {"up", "zero", "down"}, {"empty", "up", "down", "both"},
      {"0", "1", "2", "3"}, {"empty", "full"},      {"0", "1", "2", "3"}};
  std::uint64_t chance = 1;
  for (std::size_t kind = 0; kind < states.size(); ++kind)
    for (int round = 0; round < 40; ++round) {
      const Index n = 2 + round % 19;
      Names like;
      for (Index i = 0; i < n; ++i) {
        chance = chance * 6364136223846793005U + 1442695040888963407U;
        like.push_back(states[kind][(chance >> 33) % states[kind].size()]);
      }
      const Sites sites = uniform_chain(n, sites_of[kind]);
      const auto state = random_state<double>(sites, 1 + round % 8, 2, like);
      BOOST_TEST((state.charge() == product_state<double>(sites, like).charge()));
      for (const Index rank : state.ranks()) BOOST_TEST(rank <= 1 + round % 8);
    }
  const auto ranks = random_state<double>(uniform_chain(1100, electron_site()), 4, 1).ranks();
  BOOST_TEST(ranks == std::vector<Index>(1099, 4), boost::test_tools::per_element());
  const Sites hundred = uniform_chain(100, electron_site().conserving({"N", "2Sz"}));
  Names alternating;
  for (Index i = 0; i < 100; ++i) alternating.push_back(i % 2 ? "down" : "up");
  const auto bonds = random_state<double>(hundred, 16, 1, alternating).ranks();
  BOOST_TEST(bonds[50] > 12);
}

BOOST_AUTO_TEST_CASE(operators_of_the_user_are_cleaned_or_refused) {
  const Sites sites = uniform_chain(2, spin_site(1).conserving({"2Sz"}));
  using Core = MatrixProductOperator<double>::Core;
  const std::vector<double> identity{1, 0, 0, 1}, raising{0, 1, 0, 0}, zero(4);
  // Index 1 of the bond leads nowhere, so what follows it has no charge.
  const MatrixProductOperator<double> mpo({Core{1, 2, 2, {{0, 0, identity}, {0, 1, zero}}},
                                           Core{2, 2, 1, {{0, 0, identity}, {1, 0, raising}}}},
                                          sites);
  const auto state = random_state<double>(sites, 2, 1, Names{"up", "down"});
  BOOST_TEST(std::abs(expectation(mpo, state) - 1) < 1e-14);
  BOOST_CHECK_THROW(
      MatrixProductOperator<double>(
          {Core{1, 2, 1, {{0, 0, raising}}}, Core{1, 2, 1, {{0, 0, identity}}}}, sites),
      Error);
  const OperatorSum scan = heisenberg(2) + 0.0 * op("S+", 1);
  BOOST_TEST(matrix_product_operator<double>(scan, sites).length() == 2);
}

BOOST_AUTO_TEST_CASE(terms_that_break_a_charge_are_named) {
  const Sites sites = uniform_chain(3, spin_site(1).conserving({"2Sz"}));
  const auto refusal = [&](const OperatorSum& H) {
    try {
      matrix_product_operator<double>(H, sites);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  BOOST_TEST(refusal(heisenberg(3) + op("S+", 1)) ==
             "term 1 S+(1): changes the conserved charge by (2Sz = 2)");
  BOOST_TEST(
      refusal(0.5 * op("Sx", 0) * op("Sx", 2)) ==
      "term 0.5 Sx(0) Sx(2): site spin 1/2: an operator takes \"down\" to \"up\" and \"up\" to "
      "\"down\", which change the conserved charge by (2Sz = 2) and (2Sz = -2)");
  BOOST_CHECK_THROW(spin_site(1).conserving({"N"}), Error);
  const auto mpo = matrix_product_operator<double>(heisenberg(3), sites);
  const auto dense = random_state<double>(uniform_chain(3, spin_site(1)), 2, 1);
  BOOST_CHECK_THROW(dmrg(mpo, dense, tight()), Error);
  BOOST_CHECK_THROW(random_state<double>(sites, 2, 1), Error);
}

BOOST_AUTO_TEST_CASE(one_site_has_the_lowest_state_of_its_charge) {
  const Sites sites{electron_site().conserving({"N"})};
  const OperatorSum H = 2.0 * op("N", 0) + 0.5 * op("Sz", 0);
  const auto mpo = matrix_product_operator<double>(H, sites);
  const auto result = dmrg(mpo, product_state<double>(sites, Names{"up"}), tight());
  BOOST_TEST(std::abs(result.energy - 1.75) < 1e-14);
  BOOST_TEST(std::abs(std::abs(result.state.element(std::vector<Index>{2})) - 1) < 1e-14);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
