/// How DMRG solves its local problems: Lanczos and Davidson, one target and several, lower states
/// kept out and penalised.

#include "../file_testing.hpp"
#include "chain_testing.hpp"

#include <metatt/tn/chain/davidson.hpp>
#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/chain/effective_hamiltonian.hpp>
#include <metatt/tn/chain/lanczos.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/chain/operator_application.hpp>
#include <metatt/tn/contract.hpp>

#include <bit>
#include <cmath>

using namespace metatt::tn;
using namespace metatt::tn::testing;
using metatt::testing::check_error;

namespace {

const std::vector<std::string> neel{"up", "down", "up", "down", "up", "down"};

DmrgSettings sweeps(Index count, Index bond, Index steps = 8) {
  DmrgSettings settings;
  settings.sweeps.assign(static_cast<std::size_t>(count), {bond, 1e-15, steps});
  return settings;
}

/// A Hermitian matrix whose diagonal, 1 … n, is large against the rest.
Tensor<Complex> dominant_matrix(Index n) {
  std::vector<Complex> elements;
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j)
      elements.push_back(i == j ? Complex(static_cast<double>(i + 1))
                                : std::polar(0.1, static_cast<double>(i - j)));
  return Tensor<Complex>::from({n, n}, std::span<const Complex>(elements));
}

std::function<Tensor<Complex>(const Tensor<Complex>&)> product_with(const Tensor<Complex>& matrix) {
  return [matrix](const Tensor<Complex>& x) { return contract("ij,j->i", matrix, x); };
}

/// Residuals divided by 1 − value, 2 − value, …
void divide_by_diagonal(Tensor<Complex>& residual, double value) {
  std::vector<Complex> diagonal;
  for (Index i = 0; i < residual.size(); ++i) diagonal.emplace_back(static_cast<double>(i + 1));
  const auto d = Tensor<Complex>::from({residual.size()}, std::span<const Complex>(diagonal));
  backend::divide_by_difference(backend::queue(), residual.size(), d.data(), value, 1e-3,
                                residual.mutable_data());
}

BOOST_AUTO_TEST_SUITE(chain_solvers)

BOOST_AUTO_TEST_CASE(davidson_finds_the_lowest_pairs_of_a_matrix) {
  const Tensor<Complex> matrix = dominant_matrix(60);
  const auto exact = eigenvalues(Matrix(60, matrix.to_vector()));
  std::vector<Tensor<Complex>> starts;
  for (std::uint64_t i = 0; i < 3; ++i) starts.push_back(random_normal<Complex>({60}, 1, i));
  const auto pairs = lowest_eigenpairs<Complex>(product_with(matrix), divide_by_diagonal, starts,
                                                {.rounds = 60, .tolerance = 1e-12});
  for (std::size_t i = 0; i < 3; ++i) {
    BOOST_TEST(std::abs(pairs.values[i] - exact[i]) < 1e-11);
    for (std::size_t j = 0; j < 3; ++j) {
      const Complex overlap = dot(Matrix::column(pairs.vectors[j].to_vector()),
                                  Matrix::column(pairs.vectors[i].to_vector()));
      BOOST_TEST(std::abs(overlap - (i == j ? 1.0 : 0.0)) < 1e-12);
    }
  }
  BOOST_TEST(pairs.residual < 1e-10);
  // The diagonal spares products.
  const auto krylov =
      lowest_eigenpair<Complex>(product_with(matrix), starts[0], {.steps = 60, .tolerance = 1e-12});
  const auto one =
      lowest_eigenpairs<Complex>(product_with(matrix), divide_by_diagonal,
                                 std::span(starts).first(1), {.rounds = 60, .tolerance = 1e-12});
  BOOST_TEST(one.products < krylov.products);
}

BOOST_AUTO_TEST_CASE(without_a_correction_davidson_is_lanczos) {
  const Tensor<Complex> matrix = dominant_matrix(30);
  const std::vector starts{random_normal<Complex>({30}, 1)};
  const auto nothing = [](Tensor<Complex>&, double) {};
  for (const Index steps : {1, 2, 5}) {
    const auto davidson =
        lowest_eigenpairs<Complex>(product_with(matrix), nothing, starts, {.rounds = steps});
    const auto lanczos = lowest_eigenpair<Complex>(product_with(matrix), starts[0], {steps});
    BOOST_TEST(std::abs(davidson.values[0] - lanczos.value) < 1e-12);
    BOOST_TEST(std::abs(davidson.residual - lanczos.residual) < 1e-10);
    BOOST_TEST(davidson.products == steps);
  }
}

BOOST_AUTO_TEST_CASE(spaces_that_end_and_starts_that_are_none) {
  const Tensor<Complex> matrix = dominant_matrix(2);
  const auto start = random_normal<Complex>({2}, 1);
  // Two equal starts are one; three vectors have no room in two dimensions.
  const std::vector equal{start, start},
      three{start, random_normal<Complex>({2}, 1, 1), random_normal<Complex>({2}, 1, 2)};
  const auto solve = [&](std::span<const Tensor<Complex>> starts) {
    return lowest_eigenpairs<Complex>(product_with(matrix), divide_by_diagonal, starts, {});
  };
  BOOST_TEST(solve(equal).values.size() == 1U);
  BOOST_TEST(solve(three).values.size() == 2U);
  check_error([&] { solve(std::vector{Tensor<Complex>::zeros({2})}); },
              {"lowest_eigenpairs", "not zero"});
  check_error(
      [&] {
        solve(std::vector{Tensor<Complex>::from({2}, {Complex(NAN), Complex(1)})});
      },
      {"lowest_eigenpairs", "not finite"});
}

BOOST_AUTO_TEST_CASE(the_diagonal_is_that_of_the_effective_hamiltonian) {
  for (const bool charged : {false, true})
    for (const Index count : {1, 2}) {
      const Sites sites =
          uniform_chain(6, charged ? spin_site(1).conserving({"2Sz"}) : spin_site(1));
      const auto mpo = matrix_product_operator<double>(heisenberg(6), sites);
      auto state = random_state<double>(sites, 6, 3, neel);
      state.orthogonalise(2);
      Environments<double> environments(mpo, state);
      for (Index k = 0; k < 2; ++k) environments.extend_left(state, k);
      for (Index k = 5; k > 1 + count; --k) environments.extend_right(state, k);
      environments.extend_right(state, 2 + count);
      const EffectiveHamiltonian<double> hamiltonian(environments, 2, count);
      const auto diagonal = hamiltonian.diagonal().to_vector();
      for (std::size_t i = 0; i < diagonal.size(); ++i) {
        std::vector<double> unit(diagonal.size());
        unit[i] = 1;
        const auto column = hamiltonian(
            Tensor<double>::from({static_cast<Index>(unit.size())}, std::span<const double>(unit)));
        BOOST_TEST(std::abs(column.to_vector()[i] - diagonal[i]) < 1e-12);
      }
    }
}

BOOST_AUTO_TEST_CASE(davidson_reaches_the_ground_state) {
  for (const Index at_a_time : {1, 2}) {
    const Sites sites = uniform_chain(4, electron_site().conserving({"N", "2Sz"}));
    const auto mpo = matrix_product_operator<double>(hubbard(4, 8), sites);
    const std::vector<std::string> start{"up", "down", "up", "down"};
    DmrgSettings settings = sweeps(10, 40, 4);
    settings.sites = at_a_time;
    settings.solver = EigenSolver::davidson;
    const auto result = dmrg(mpo, random_state<double>(sites, 16, 1, start), settings);
    // Half filling has the lowest energy of H − (U/2)·N, whose extra is a constant here.
    OperatorSum H = hubbard(4, 8);
    for (Index i = 0; i < 4; ++i) H -= 4.0 * op("N", i);
    const double exact = ground_state_energy(H, uniform_chain(4, electron_site()));
    BOOST_TEST(std::abs(result.energy - 16 - exact) < 1e-9);
    BOOST_TEST(variance(mpo, result.state) < 1e-9);
  }
}

BOOST_AUTO_TEST_CASE(several_targets_are_the_lowest_levels) {
  OperatorSum H = heisenberg(6);
  for (Index i = 0; i < 6; ++i) H += (0.3 + 0.1 * static_cast<double>(i)) * op("Sz", i);
  const auto plain = uniform_chain(6, spin_site(1));
  const auto levels = eigenvalues(exact_matrix(H, plain));
  const auto mpo = matrix_product_operator<double>(H, plain);
  for (const EigenSolver solver : {EigenSolver::lanczos, EigenSolver::davidson})
    for (const Index at_a_time : {1, 2}) {
      // Four states need wider bonds than one, where they have more sites on one side.
      DmrgSettings settings = sweeps(20, 32);
      settings.sites = at_a_time;
      settings.solver = solver;
      settings.targets = 4;
      const auto result = dmrg(mpo, random_state<double>(plain, 8, 1), settings);
      BOOST_TEST_REQUIRE(result.further.size() == 3U);
      BOOST_TEST(std::abs(result.energy - levels[0]) < 1e-9);
      double mean = levels[0] / 4;
      for (std::size_t i = 0; i < 3; ++i) {
        BOOST_TEST(std::abs(result.further[i].energy - levels[i + 1]) < 1e-9);
        mean += levels[i + 1] / 4;
      }
      BOOST_TEST(std::abs(result.sweeps.back().energy - mean) < 1e-9);
      for (Index i = 0; i < 4; ++i) {
        BOOST_TEST(variance(mpo, result.target(i)) < 1e-8);
        for (Index j = 0; j < i; ++j)
          BOOST_TEST(std::abs(inner(result.target(i), result.target(j))) < 1e-12);
      }
      check_error([&] { result.target(4); }, {"from 0 to 3, found 4"});
      DmrgSettings fewer = settings;
      fewer.targets = 2;
      check_error([&] { dmrg(mpo, result, fewer); }, {"4 targets", "found 2"});
    }
}

BOOST_AUTO_TEST_CASE(degenerate_levels_are_found_together) {
  // Majumdar-Ghosh ring of four sites, where every pair is coupled alike: two singlets at −3/2.
  OperatorSum H;
  for (Index i = 0; i < 4; ++i)
    for (const auto& [distance, strength] : {std::pair{1, 1.0}, {2, 0.5}}) {
      const Index j = (i + distance) % 4;  // half a diagonal, each is there twice
      H += 0.5 * strength * op("S+", i) * op("S-", j) + 0.5 * strength * op("S-", i) * op("S+", j);
      H += strength * op("Sz", i) * op("Sz", j);
    }
  const Sites sites = uniform_chain(4, spin_site(1).conserving({"2Sz"}));
  const auto mpo = matrix_product_operator<double>(H, sites);
  DmrgSettings settings = sweeps(20, 8);
  settings.targets = 2;
  const std::vector<std::string> start{"up", "down", "up", "down"};
  const auto result = dmrg(mpo, product_state<double>(sites, start), settings);
  BOOST_TEST(std::abs(result.energy - -1.5) < 1e-10);
  BOOST_TEST_REQUIRE(result.further.size() == 1U);
  BOOST_TEST(std::abs(result.further[0].energy - -1.5) < 1e-10);
}

BOOST_AUTO_TEST_CASE(there_are_no_more_targets_than_states) {
  const Sites sites{spin_site(2)};
  const auto mpo = matrix_product_operator<double>(op("Sz", 0), sites);
  DmrgSettings settings = sweeps(1, 1);
  settings.targets = 5;
  const auto result = dmrg(mpo, random_state<double>(sites, 1, 1), settings);
  BOOST_TEST_REQUIRE(result.further.size() == 2U);
  BOOST_TEST(std::abs(result.energy - -1) < 1e-12);
  BOOST_TEST(std::abs(result.further[1].energy - 1) < 1e-12);
}

BOOST_AUTO_TEST_CASE(a_target_that_a_cut_leaves_nothing_of_is_sought_anew) {
  // Nearly product states that differ everywhere: a bond of one has no room for two.
  OperatorSum H;
  for (Index i = 0; i + 1 < 4; ++i) H -= op("Sz", i) * op("Sz", i + 1);
  for (Index i = 0; i < 4; ++i) H -= 0.1 * op("Sx", i);
  const Sites sites = uniform_chain(4, spin_site(1));
  const auto levels = eigenvalues(exact_matrix(H, sites));
  const auto mpo = matrix_product_operator<double>(H, sites);
  DmrgSettings settings = sweeps(4, 1);
  settings.targets = 2;
  const auto narrow = dmrg(mpo, random_state<double>(sites, 2, 1), settings);
  BOOST_TEST(narrow.energy >= levels[0] - 1e-12);
  settings.sweeps.insert(settings.sweeps.end(), 8, {8, 1e-15, 8});
  const auto wide = dmrg(mpo, narrow, settings);
  BOOST_TEST_REQUIRE(wide.further.size() == 1U);
  BOOST_TEST(std::abs(wide.energy - levels[0]) < 1e-10);
  BOOST_TEST(std::abs(wide.further[0].energy - levels[1]) < 1e-10);
}

BOOST_AUTO_TEST_CASE(davidson_also_solves_what_is_diagonal) {
  DmrgSettings settings = sweeps(3, 4);
  settings.solver = EigenSolver::davidson;
  for (const Index n : {1, 2, 4}) {
    OperatorSum H = 0.1 * op("Sz", 0);
    for (Index i = 0; i + 1 < n; ++i) H -= op("Sz", i) * op("Sz", i + 1);
    const Sites sites = uniform_chain(n, spin_site(2));
    const auto result = dmrg(matrix_product_operator<double>(H, sites),
                             random_state<double>(sites, 2, 1), settings);
    BOOST_TEST(std::abs(result.energy - (-0.1 - static_cast<double>(n - 1))) < 1e-12);
  }
}

template <class T>
void check_every_solver(bool charged) {
  // Hopping with a phase, where T can hold it, and a field that makes every level simple.
  const Complex phase = std::is_same_v<T, double> ? Complex(1) : std::polar(1.0, 0.4);
  OperatorSum H;
  for (Index i = 0; i + 1 < 6; ++i) {
    H += 0.5 * phase * (op("S+", i) * op("S-", i + 1));
    H += 0.5 * std::conj(phase) * (op("S-", i) * op("S+", i + 1));
    H += op("Sz", i) * op("Sz", i + 1);
  }
  for (Index i = 0; i < 6; ++i) H += (0.3 + 0.1 * static_cast<double>(i)) * op("Sz", i);
  const Sites sites = uniform_chain(6, charged ? spin_site(1).conserving({"2Sz"}) : spin_site(1));
  const auto mpo = matrix_product_operator<T>(H, sites);
  // Of the sector where charges are kept.
  Matrix exact = exact_matrix(H, sites);
  if (charged) {
    std::vector<Index> sector;
    for (Index i = 0; i < 64; ++i)
      if (std::popcount(static_cast<unsigned>(i)) == 3) sector.push_back(i);
    exact = exact.part(sector);
  }
  const auto levels = eigenvalues(exact);
  const auto start = random_state<T>(sites, 8, 5, neel);
  for (const EigenSolver solver : {EigenSolver::lanczos, EigenSolver::davidson})
    for (const Index at_a_time : {1, 2}) {
      DmrgSettings settings = sweeps(16, 32);
      settings.solver = solver;
      settings.sites = at_a_time;
      const auto ground = dmrg(mpo, start, settings);
      BOOST_TEST(std::abs(ground.energy - levels[0]) < 1e-10);
      BOOST_TEST(variance(mpo, ground.state) < 1e-10);
      const std::vector lower{ground.state};
      const auto next = excited_state<T>(mpo, lower, random_state<T>(sites, 8, 6, neel), settings);
      BOOST_TEST(std::abs(next.energy - levels[1]) < 1e-10);
      DmrgSettings penalised = settings;
      penalised.penalty = 10;
      BOOST_TEST(
          std::abs(
              excited_state<T>(mpo, lower, random_state<T>(sites, 8, 6, neel), penalised).energy -
              levels[1]) < 1e-10);
      settings.targets = 3;
      const auto several = dmrg(mpo, start, settings);
      BOOST_TEST_REQUIRE(several.further.size() == 2U);
      for (std::size_t i = 0; i < 2; ++i)
        BOOST_TEST(std::abs(several.further[i].energy - levels[i + 1]) < 1e-10);
    }
}

BOOST_AUTO_TEST_CASE(every_solver_finds_the_levels_real_and_complex_with_and_without_charges,
                     *boost::unit_test::precondition(without_sanitizers)) {
  for (const bool charged : {false, true}) {
    check_every_solver<double>(charged);
    check_every_solver<Complex>(charged);
  }
}

BOOST_AUTO_TEST_CASE(ground_states_are_the_exact_eigenvectors) {
  OperatorSum H = heisenberg(8);
  for (Index i = 0; i < 8; ++i) H += 0.1 * static_cast<double>(i) * op("Sz", i);
  const Sites sites = uniform_chain(8, spin_site(1));
  const auto exact = eigenpairs(exact_matrix(H, sites)).vectors.column(0);
  const auto result = dmrg(matrix_product_operator<Complex>(H, sites),
                           random_state<Complex>(sites, 8, 1), sweeps(12, 16));
  BOOST_TEST(1 - std::abs(dot(exact, as_vector(result.state))) < 1e-12);
}

BOOST_AUTO_TEST_CASE(runs_end_by_entropy_and_by_variance) {
  const Sites sites = uniform_chain(8, spin_site(1));
  const auto mpo = matrix_product_operator<double>(heisenberg(8), sites);
  const auto start = random_state<double>(sites, 4, 1);
  DmrgSettings settings = sweeps(30, 16);
  settings.entropy_tolerance = 1e-8;
  std::vector<double> entropies;
  const auto by_entropy = dmrg<double>(mpo, start, settings, [&](const auto& so_far) {
    BOOST_TEST(so_far.sweeps.size() == entropies.size() + 1);
    BOOST_TEST(so_far.energy == so_far.sweeps.back().energy);
    entropies.push_back(so_far.sweeps.back().centre_entropy);
  });
  BOOST_TEST(by_entropy.converged);
  BOOST_TEST_REQUIRE(entropies.size() == by_entropy.sweeps.size());
  BOOST_TEST(entropies.size() < 30U);
  BOOST_TEST(std::abs(entropies.back() - entropies[entropies.size() - 2]) <= 1e-8);
  BOOST_TEST(std::isnan(by_entropy.sweeps.back().variance));
  settings.entropy_tolerance = 0;
  settings.variance_tolerance = 1e-9;
  const auto by_variance = dmrg(mpo, start, settings);
  BOOST_TEST(by_variance.converged);
  BOOST_TEST(by_variance.sweeps.size() < 30U);
  BOOST_TEST(by_variance.sweeps.back().variance <= 1e-9);
  BOOST_TEST(std::abs(by_variance.sweeps.back().variance - variance(mpo, by_variance.state)) <
             1e-13);
  settings.variance_tolerance = 1e-30;  // below rounding
  settings.sweeps.resize(4);
  BOOST_TEST(!dmrg(mpo, start, settings).converged);
}

BOOST_AUTO_TEST_CASE(sweeps_may_keep_more_than_the_cutoff_and_multiplets_whole) {
  const Sites sites = uniform_chain(8, spin_site(1));
  const auto mpo = matrix_product_operator<double>(heisenberg(8), sites);
  const auto start = random_state<double>(sites, 8, 1);
  DmrgSettings settings{.sweeps = std::vector<DmrgSweep>(6, {.cutoff = 1e-3})};
  BOOST_TEST(dmrg(mpo, start, settings).sweeps.back().maximum_bond < 6);
  settings.sweeps.back().minimum_bond = 6;
  BOOST_TEST(dmrg(mpo, start, settings).sweeps.back().maximum_bond == 6);
  // At the middle bond there are a singlet and a triplet; a cap of three would cut the triplet.
  settings.sweeps.back() = {.maximum_bond = 3, .multiplet_tolerance = 1e-3};
  BOOST_TEST(dmrg(mpo, start, settings).state.ranks()[3] == 1);
  settings.sweeps.back().multiplet_tolerance = 0;
  BOOST_TEST(dmrg(mpo, start, settings).state.ranks()[3] == 3);
  settings.sweeps.back().minimum_bond = 5;
  check_error([&] { dmrg(mpo, start, settings); },
              {"dmrg", "minimum_bond from 1 to maximum_bond (3), found 5"});
}

BOOST_AUTO_TEST_CASE(a_penalty_lifts_the_lower_states) {
  const Sites sites = uniform_chain(6, spin_site(1).conserving({"2Sz"}));
  const auto mpo = matrix_product_operator<double>(heisenberg(6), sites);
  const auto ground = dmrg(mpo, product_state<double>(sites, neel), sweeps(10, 8));
  auto twice = ground.state;
  twice.scale(2);  // the norm of a lower state does not matter
  const std::vector lower{twice};
  const auto start = random_state<double>(sites, 8, 5, neel);
  const auto exact = excited_state<double>(mpo, lower, start, sweeps(20, 8));
  DmrgSettings settings = sweeps(20, 8);
  settings.penalty = 5;
  const auto penalised = excited_state<double>(mpo, lower, start, settings);
  BOOST_TEST(std::abs(penalised.energy - exact.energy) < 1e-9);
  BOOST_TEST(std::abs(inner(penalised.state, ground.state)) < 1e-6);
  // Below the gap of 0.49 the ground state stays the lowest.
  settings.penalty = 0.1;
  const auto weak = excited_state<double>(mpo, lower, start, settings);
  BOOST_TEST(std::abs(weak.energy - ground.energy) < 1e-9);
  settings.penalty = 0;
  check_error([&] { excited_state<double>(mpo, lower, start, settings); }, {"penalty above 0"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
