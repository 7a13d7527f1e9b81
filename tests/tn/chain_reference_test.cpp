/// Long chains against values from elsewhere: Bethe ansatz with open ends (Alcaraz et al. 1987,
/// Schulz 1985) in 30 digits, correlation matrices of free fermions, energies that other programs
/// have published.

#include "chain_testing.hpp"

#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/chain/measurement.hpp>
#include <metatt/tn/chain/operator_application.hpp>
#include <metatt/tn/chain/tebd.hpp>
#include <metatt/tn/files/model_file.hpp>

#include <algorithm>
#include <cmath>
#include <complex>
#include <functional>

using namespace metatt::tn;
using namespace metatt::tn::testing;

namespace {

struct Ground {
  MatrixProductOperator<double> mpo;
  DmrgResult<double> result;
};

/// Of a built-in model: sweeps of rising bonds with noise at first, then `last` sweeps.
Ground ground_state(const std::string& name, Index length, Index bond, Index last,
                    const ModelChoices& model = {}, double cutoff = 1e-14, Index targets = 1) {
  ModelChoices choices = model;
  choices.length = length;
  const ChainModel chain = read_model(find_model(name).text, name, choices);
  DmrgSettings settings{.sweeps = {}, .targets = targets};
  for (const double noise : {1e-5, 1e-6, 1e-7})
    settings.sweeps.push_back({std::min<Index>(bond, 48), 1e-10, 3, noise});
  for (Index i = 0; i < last; ++i) settings.sweeps.push_back({bond, cutoff, 4});
  auto mpo = matrix_product_operator<double>(chain.hamiltonian, chain.sites);
  auto result = dmrg(mpo, product_state<double>(chain.sites, chain.start), settings);
  return {std::move(mpo), std::move(result)};
}

/// Σ SxSx + SySy of neighbours.
OperatorSum xx_chain(Index n) {
  OperatorSum H;
  for (Index i = 0; i + 1 < n; ++i)
    for (const auto& [a, b] : {std::pair{"S+", "S-"}, {"S-", "S+"}})
      H += 0.5 * op(a, i) * op(b, i + 1);
  return H;
}

/// Schmidt values of the middle bond.
std::vector<double> middle(const TensorTrain<double>& state) {
  return entanglement_spectra(state)[static_cast<std::size_t>(state.length() / 2 - 1)];
}

/// Occupations of the modes of the left half in the ground state of Σ SxSx + SySy, which is that of
/// hopping fermions, half filled: eigenvalues of their correlation matrix (Peschel,
/// cond-mat/0212631).
std::vector<double> hopping_modes(Index n) {
  Matrix hopping(n, n);
  for (Index i = 0; i + 1 < n; ++i) hopping(i, i + 1) = hopping(i + 1, i) = 0.5;
  const Matrix orbitals = eigenpairs(hopping).vectors;
  Matrix correlations(n / 2, n / 2);
  for (Index i = 0; i < n / 2; ++i)
    for (Index j = 0; j < n / 2; ++j)
      for (Index k = 0; k < n / 2; ++k)
        correlations(i, j) += orbitals(i, k) * std::conj(orbitals(j, k));
  return eigenvalues(correlations);
}

/// The same of −Σ ZZ − h Σ X: with M = U·S·Vᵀ the matrix that couples the two kinds of Majorana
/// fermions (h on the diagonal, 1 beside it), their correlations are U·Vᵀ.
std::vector<double> ising_modes(Index n, double h) {
  Matrix M(n, n);
  for (Index i = 0; i < n; ++i) {
    M(i, i) = h;
    if (i + 1 < n) M(i, i + 1) = 1;
  }
  const Eigenpairs left = eigenpairs(M * M.adjoint());
  const Matrix right = M.adjoint() * left.vectors;  // columns v_k·s_k
  Matrix half(n / 2, n / 2);
  for (Index i = 0; i < n / 2; ++i)
    for (Index j = 0; j < n / 2; ++j)
      for (Index k = 0; k < n; ++k)
        half(i, j) += left.vectors(i, k) * std::conj(right(j, k)) /
                      std::sqrt(left.values[static_cast<std::size_t>(k)]);
  std::vector<double> modes;
  for (const double square : eigenvalues(half * half.adjoint()))
    modes.push_back((1 + std::sqrt(std::clamp(square, 0.0, 1.0))) / 2);
  return modes;
}

/// The largest of the 2^modes products of ν or 1 − ν of every mode, descending.
std::vector<double> schmidt_weights(std::vector<double> modes) {
  std::ranges::sort(modes, {}, [](double mode) { return std::abs(mode - 0.5); });
  std::vector<double> weights{1};
  for (const double mode : modes) {
    std::vector<double> both;
    for (const double weight : weights) {
      both.push_back(weight * mode);
      both.push_back(weight * (1 - mode));
    }
    std::ranges::sort(both, std::greater());
    both.resize(std::min<std::size_t>(both.size(), 4000));
    weights = std::move(both);
  }
  return weights;
}

/// Schmidt values against those of free fermions: the first `count` one by one, what a cut to m
/// states loses, and that a cutoff just above that chooses m.
void check_spectrum(std::span<const double> spectrum, const std::vector<double>& modes,
                    std::initializer_list<Index> cuts, std::size_t count) {
  const std::vector<double> exact = schmidt_weights(modes);
  for (std::size_t k = 0; k < count; ++k) {
    const double found = k < spectrum.size() ? spectrum[k] * spectrum[k] : 0;
    BOOST_TEST(std::abs(found - exact[k]) < 1e-9);
  }
  for (const Index m : cuts) {
    double lost = 0;
    for (std::size_t k = exact.size(); k-- > static_cast<std::size_t>(m);) lost += exact[k];
    BOOST_TEST(std::abs(truncate(spectrum, {.maximum_rank = m}).discarded_weight - lost) <
               std::min(1e-9, 1e-3 * lost + 1e-13));
    const double next = exact[static_cast<std::size_t>(m - 1)];
    if (next > 1e-8 && next > 1.01 * exact[static_cast<std::size_t>(m)])
      BOOST_TEST(truncate(spectrum, {.cutoff = lost + 0.5 * next}).kept == m);
  }
}

BOOST_AUTO_TEST_SUITE(chain_reference, *boost::unit_test::precondition(without_sanitizers))

BOOST_AUTO_TEST_CASE(the_heisenberg_chain_of_forty_sites) {
  const auto [mpo, result] = ground_state("heisenberg", 40, 160, 4);
  BOOST_TEST(std::abs(result.energy - -17.54147329990470286) < 1e-10);
  BOOST_TEST(variance(mpo, result.state) < 1e-9);
  // ITensor, cutoff 1e-14.
  BOOST_TEST(std::abs(entropy(middle(result.state)) - 0.76185588) < 1e-7);
}

BOOST_AUTO_TEST_CASE(the_heisenberg_chain_of_a_hundred_sites) {
  const auto [mpo, result] = ground_state("heisenberg", 100, 160, 4, {}, 1e-13);
  BOOST_TEST(std::abs(result.energy - -44.12773989329623459) < 1e-9);
  BOOST_TEST(std::abs(entropy(middle(result.state)) - 0.92285920) < 1e-5);
}

BOOST_AUTO_TEST_CASE(spins_of_one_and_their_edge_states) {
  ModelChoices spin_one;
  spin_one.site = "spin 1";
  // ITensor, cutoff 1e-14; the singlet of the two edge spins lies below the triplet.
  const auto [mpo, result] = ground_state("heisenberg", 20, 220, 9, spin_one);
  BOOST_TEST(std::abs(result.energy - -26.839978650175) < 1e-9);
  BOOST_TEST(std::abs(entropy(middle(result.state)) - 1.4638331575) < 1e-6);
  BOOST_TEST(variance(mpo, result.state) < 1e-9);
  // ITensor, 14 sweeps with a cutoff of 1e-14; its README has −138.94008605883985.
  const auto long_chain = ground_state("heisenberg", 100, 180, 4, spin_one, 1e-12).result;
  BOOST_TEST(std::abs(long_chain.energy - -138.94008614352) < 1e-8);
  BOOST_TEST(std::abs(entropy(middle(long_chain.state)) - 0.8554981588) < 1e-5);
  // Exact diagonalisation: singlet, and the Sz = 0 states of triplet and quintet, in one run.
  const auto levels = ground_state("heisenberg", 10, 120, 12, spin_one, 1e-14, 3).result;
  BOOST_TEST_REQUIRE(levels.further.size() == 2U);
  BOOST_TEST(std::abs(levels.energy - -12.8945601322110) < 1e-9);
  BOOST_TEST(std::abs(levels.further[0].energy - -12.7562291969165) < 1e-9);
  BOOST_TEST(std::abs(levels.further[1].energy - -11.9907261077) < 1e-8);
}

BOOST_AUTO_TEST_CASE(ising_chains_have_the_spectra_of_free_fermions) {
  struct Case {
    double field, energy, entropy;
  };
  // Energies: minus the sum of the singular values of the same matrix.
  for (const auto& [field, energy, exact_entropy] :
       {Case{1, -126.96187673968073, 0.583873911934}, {2, -212.5773129100084, 0.088842973533}}) {
    ModelChoices choices;
    choices.parameters = {{"h", field}};
    const auto [mpo, result] = ground_state("tfim", 100, 48, 14, choices, 1e-15);
    BOOST_TEST(std::abs(result.energy - energy) < 1e-9);
    BOOST_TEST(variance(mpo, result.state) < 1e-9);
    const auto spectrum = middle(result.state);
    BOOST_TEST(std::abs(entropy(spectrum) - exact_entropy) < 1e-9);
    check_spectrum(spectrum, ising_modes(100, field), {4, 8, 16}, 24);
  }
}

BOOST_AUTO_TEST_CASE(the_xx_chain_has_the_spectrum_of_free_fermions_and_keeps_its_multiplets) {
  const auto [mpo, result] = ground_state("xx", 40, 200, 5);
  BOOST_TEST(std::abs(result.energy - -12.553898555811894) < 1e-9);
  BOOST_TEST(variance(mpo, result.state) < 1e-9);
  const auto spectrum = middle(result.state);
  BOOST_TEST(std::abs(entropy(spectrum) - 0.887598861232) < 1e-9);
  check_spectrum(spectrum, hopping_modes(40), {4, 8, 16}, 32);
  BOOST_TEST(std::abs(spectrum[1] / spectrum[2] - 1) < 1e-6);  // up and down, each alone
  BOOST_TEST(truncate(spectrum, {.maximum_rank = 2, .multiplet_tolerance = 1e-4}).kept == 1);
  BOOST_TEST(truncate(spectrum, {.maximum_rank = 3, .multiplet_tolerance = 1e-4}).kept == 3);
}

BOOST_AUTO_TEST_CASE(electrons_and_bosons) {
  ModelChoices repulsion;
  repulsion.parameters = {{"U", 4}};
  const auto [mpo, electrons] = ground_state("hubbard", 16, 400, 4, repulsion, 1e-12);
  BOOST_TEST(std::abs(electrons.energy - -8.8187674548117) < 2e-8);
  // The tutorial of block2: ten bosons on ten sites, at most five on each.
  ModelChoices weak;
  weak.parameters = {{"U", 0.1}};
  weak.site = "boson 5";
  weak.start = {"1"};
  BOOST_TEST(std::abs(ground_state("bose-hubbard", 10, 200, 5, weak, 1e-14).result.energy -
                      -18.58736942189) < 1e-10);
}

BOOST_AUTO_TEST_CASE(quenches_go_on_as_those_of_free_fermions) {
  const OperatorSum H = xx_chain(20);
  const Sites sites = uniform_chain(20, spin_site(1).conserving({"2Sz"}));
  std::vector<std::string> wall(20, "up"), neel(20, "up");
  for (std::size_t i = 0; i < 20; ++i) {
    if (i >= 10) wall[i] = "down";
    if (i % 2) neel[i] = "down";
  }
  Tebd<Complex> melting(H, sites, product_state<Complex>(sites, wall),
                        {.order = 4, .cutoff = 1e-17}),
      relaxing(H, sites, product_state<Complex>(sites, neel), {.order = 4, .cutoff = 1e-17});
  struct Moment {
    double site_9, site_10, wall_entropy, neel_entropy;  // after 1 and 2 units of time
  };
  for (const Moment& exact :
       {Moment{0.486408267771, 0.292763749757, 0.529412551125, 0.506837349755},
        {0.357675044374, 0.025063540492, 0.699501849008, 0.943551283760}}) {
    for (int i = 0; i < 20; ++i) {
      melting.step(Complex(0, -0.05));
      relaxing.step(Complex(0, -0.05));
    }
    const auto sz = local_expectations(melting.state(), sites, "Sz");
    BOOST_TEST(std::abs(sz[8].real() - exact.site_9) < 1e-7);
    BOOST_TEST(std::abs(sz[9].real() - exact.site_10) < 1e-7);
    BOOST_TEST(std::abs(sz[9] + sz[10]) < 1e-7);
    BOOST_TEST(std::abs(entropy(entanglement_spectra(melting.state())[9]) - exact.wall_entropy) <
               1e-6);
    BOOST_TEST(std::abs(entropy(entanglement_spectra(relaxing.state())[9]) - exact.neel_entropy) <
               1e-6);
  }
}

BOOST_AUTO_TEST_CASE(a_domain_wall_melts_as_that_of_free_fermions) {
  const OperatorSum H = xx_chain(20);
  const Sites sites = uniform_chain(20, spin_site(1).conserving({"2Sz"}));
  std::vector<std::string> wall(20, "up");
  std::fill(wall.begin() + 10, wall.end(), "down");
  Tebd<Complex> melting(H, sites, product_state<Complex>(sites, wall),
                        {.order = 4, .cutoff = 1e-15});
  for (int i = 0; i < 50; ++i) melting.step(Complex(0, -0.1));  // five units of time
  const auto sz = local_expectations(melting.state(), sites, "Sz");
  BOOST_TEST(std::abs(sz[8].real() - 0.123078397970) < 1e-5);
  BOOST_TEST(std::abs(sz[9].real() - 0.015770306588) < 1e-5);
  BOOST_TEST(std::abs(entropy(entanglement_spectra(melting.state())[9]) - 0.792847586945) < 1e-5);
  double moved = 0;
  for (std::size_t i = 0; i < 10; ++i) moved += 0.5 - sz[i].real();
  BOOST_TEST(std::abs(moved - 1.590166314115) < 1e-5);
}

BOOST_AUTO_TEST_CASE(hot_chains_have_the_energies_of_their_spectra) {
  struct Case {
    OperatorSum H;
    Index n;
    std::vector<double> energies;  // at β = 0.5, 1, 2 and 4
  };
  // Free fermions, and exact diagonalisation.
  const Case cases[] = {
      {spread(xx_chain(20), 2),
       20,
       {-1.169950855801, -2.242441267572, -3.880500268963, -5.387180855999}},
      {spread(heisenberg(8), 2), 8, {-0.717830768191, -1.451618312403, -2.483584724611}}};
  for (const Case& c : cases) {
    const Sites physical = uniform_chain(c.n, spin_site(1).conserving({"2Sz"}));
    const auto mpo = matrix_product_operator<double>(c.H, purification_sites(physical));
    Tdvp<double> run(mpo, infinite_temperature_state<double>(physical), {.cutoff = 1e-16});
    double beta = 0;
    for (const double energy : c.energies) {
      const double end = beta == 0 ? 0.5 : 2 * beta;
      for (int i = 0; i < std::lround((end - beta) / 0.025); ++i) run.step(-0.0125);
      BOOST_TEST(std::abs(expectation(mpo, run.state()) - energy) < 1e-6);
      beta = end;
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
