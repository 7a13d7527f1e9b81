/// Fits, linear equations and evolution operators, against exact diagonalisation.

#include "../file_testing.hpp"
#include "chain_testing.hpp"

#include <metatt/tn/chain/evolution_operator.hpp>
#include <metatt/tn/chain/fitting.hpp>
#include <metatt/tn/chain/linear_solver.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/chain/operator_application.hpp>

#include <cmath>

using namespace metatt::tn;
using namespace metatt::tn::testing;
using metatt::testing::check_error;

namespace {

const std::vector<std::string> neel{"up", "down", "up", "down", "up", "down"};

/// Couplings of all pairs and a field that differs from site to site.
OperatorSum long_range(Index n) {
  OperatorSum H;
  for (Index i = 0; i < n; ++i) {
    H += (0.2 + 0.1 * static_cast<double>(i * i % 7)) * op("Sz", i);
    for (Index j = i + 1; j < n; ++j) {
      const double strength = std::pow(static_cast<double>(j - i), -2.0);
      H += 0.5 * strength * op("S+", i) * op("S-", j) + 0.5 * strength * op("S-", i) * op("S+", j);
      H += 0.7 * strength * op("Sz", i) * op("Sz", j);
    }
  }
  return H;
}

template <class T>
TensorTrain<T> applied(const std::vector<MatrixProductOperator<T>>& steps, TensorTrain<T> state) {
  for (const auto& step : steps) state = apply(step, state, {.cutoff = 1e-26}).state;
  return state;
}

BOOST_AUTO_TEST_SUITE(chain_numerics)

BOOST_AUTO_TEST_CASE(evolution_operators_have_their_order,
                     *boost::unit_test::precondition(without_sanitizers)) {
  struct Case {
    const char* name;
    OperatorSum H;
    Sites sites;
    std::vector<std::string> start;
  };
  const Case cases[] = {
      {"dense", long_range(6), uniform_chain(6, spin_site(1)), neel},
      {"charged", long_range(6), uniform_chain(6, spin_site(1).conserving({"2Sz"})), neel},
      {"electrons",
       hubbard(3, 2),
       uniform_chain(3, electron_site().conserving({"N", "2Sz"})),
       {"both", "up", "empty"}}};
  for (const Case& c : cases) BOOST_TEST_CONTEXT(c.name) {
      const auto start = product_state<Complex>(c.sites, c.start);
      const Complex z(0, -0.4);
      const Matrix exact = exact_evolution(c.H, c.sites, z, as_vector(start));
      const auto error = [&](int order, int steps, EvolutionMethod method = EvolutionMethod::w2) {
        const auto operators = evolution_operators<Complex>(
            c.H, c.sites, z / static_cast<double>(steps), order, method);
        auto state = start;
        for (int i = 0; i < steps; ++i) state = applied(operators, state);
        return (as_vector(state) - exact).norm();
      };
      BOOST_TEST(std::abs(std::log2(error(1, 32) / error(1, 64)) - 1) < 0.1);
      BOOST_TEST(std::abs(std::log2(error(2, 16) / error(2, 32)) - 2) < 0.15);
      BOOST_TEST(error(2, 32) < 1e-3);
      const double better = error(1, 64), once = error(1, 32, EvolutionMethod::w1),
                   twice = error(1, 64, EvolutionMethod::w1);
      BOOST_TEST(std::abs(std::log2(once / twice) - 1) < 0.1);
      BOOST_TEST(better < twice);
      BOOST_TEST(std::abs(std::log2(error(2, 32, EvolutionMethod::w1) /
                                    error(2, 64, EvolutionMethod::w1)) -
                          2) < 0.15);
    }
  const Sites sites = uniform_chain(6, spin_site(1));
  const auto bonds = evolution_operators<double>(heisenberg(6), sites, -0.1, 1).front().bonds();
  BOOST_TEST(bonds[2] == 4);  // the three couplings and none
  BOOST_CHECK_THROW(evolution_operators<double>(heisenberg(6), sites, Complex(0, 1), 1), Error);
  BOOST_CHECK_THROW(evolution_operators<double>(heisenberg(6), sites, 0.1, 2), Error);
  BOOST_CHECK_THROW(evolution_operators<Complex>(heisenberg(6), sites, 0.1, 3), Error);
}

BOOST_AUTO_TEST_CASE(constants_evolve_too) {
  for (const Index n : {1, 2, 4}) {
    OperatorSum H = 1.0 * op("Id", 0);
    if (n > 1) H += op("Sz", 0) * op("Sz", 1);
    const Sites sites = uniform_chain(n, spin_site(1));
    const auto start = random_state<double>(sites, 2, 3);
    const auto state = applied(evolution_operators<double>(H, sites, -0.3, 1), start);
    const Matrix exact = exact_evolution(H, sites, -0.3, as_vector(start));
    // The operators commute, but products of them on one site are not in W-II.
    BOOST_TEST((as_vector(state).normalised() - exact).norm() < 0.02);
    const Eigenpairs pairs = eigenpairs(exact_matrix(H, sites));
    Matrix weights = pairs.vectors.adjoint() * as_vector(start);
    for (Index i = 0; i < weights.rows(); ++i)
      weights(i) *= std::exp(-0.3 * pairs.values[static_cast<std::size_t>(i)]);
    BOOST_TEST(std::abs(state.norm() / weights.norm() - 1) < 0.02);
  }
}

BOOST_AUTO_TEST_CASE(single_sites_evolve_exactly) {
  OperatorSum H;
  for (Index i = 0; i < 4; ++i) H += 0.3 * op("Sx", i) + 0.8 * op("Sz", i);
  const Sites sites = uniform_chain(4, spin_site(1));
  const auto start = random_state<Complex>(sites, 4, 2);
  const Complex z(-0.3, -1.1);
  const auto state = applied(evolution_operators<Complex>(H, sites, z, 1), start);
  BOOST_TEST(
      (as_vector(state).normalised() - exact_evolution(H, sites, z, as_vector(start))).norm() <
      1e-12);
}

BOOST_AUTO_TEST_CASE(a_fit_is_at_least_as_good_as_rounding) {
  for (const bool charged : {false, true}) {
    const Sites sites = uniform_chain(6, charged ? spin_site(2).conserving({"2Sz"}) : spin_site(2));
    const auto target = random_state<Complex>(sites, 12, 3, neel);
    auto rounded = target;
    sweep(rounded, {.maximum_rank = 4}, SweepMode::rounding);
    const double before = (as_vector(rounded) - as_vector(target)).norm();
    const auto result = fit(target, rounded, {.maximum_bond = 4, .sweeps = 50});
    const double after = (as_vector(result.state) - as_vector(target)).norm();
    BOOST_TEST(after <= before);
    BOOST_TEST(std::abs(after - result.error) < 1e-9);
    BOOST_TEST(result.converged);
    // With enough room it is the state itself.
    const auto whole = fit(target, rounded, {.cutoff = 1e-28, .sweeps = 50});
    BOOST_TEST((as_vector(whole.state) - as_vector(target)).norm() < 1e-9);
  }
}

BOOST_AUTO_TEST_CASE(products_are_fitted_without_being_formed) {
  for (const bool charged : {false, true}) {
    const Sites sites = uniform_chain(6, charged ? spin_site(1).conserving({"2Sz"}) : spin_site(1));
    const auto mpo = matrix_product_operator<Complex>(long_range(6), sites);
    const auto state = random_state<Complex>(sites, 6, 3, neel);
    const Matrix exact = exact_matrix(long_range(6), sites) * as_vector(state);
    BOOST_TEST(std::abs(norm_of_product(mpo, state) - exact.norm()) < 1e-12);
    const auto whole = fit(mpo, state, state, {.cutoff = 1e-28, .sweeps = 40});
    BOOST_TEST((as_vector(whole.state) - exact).norm() < 1e-9 * exact.norm());
    const auto small = fit(mpo, state, state, {.maximum_bond = 3, .sweeps = 40});
    const auto rounded = apply(mpo, state, {.maximum_rank = 3});
    const double error = (as_vector(small.state) - exact).norm();
    BOOST_TEST(error <= rounded.error * (1 + 1e-6));
    BOOST_TEST(std::abs(small.error - error / exact.norm()) < 1e-8);
  }
  const Sites sites = uniform_chain(2, spin_site(1).conserving({"2Sz"}));
  const auto a = product_state<double>(sites, std::vector<std::string>{"up", "down"}),
             b = product_state<double>(sites, std::vector<std::string>{"up", "up"});
  BOOST_CHECK_THROW(fit(a, b, {}), Error);
}

BOOST_AUTO_TEST_CASE(every_way_of_applying_an_operator_cuts_well) {
  for (const bool charged : {false, true}) {
    const Sites sites = uniform_chain(6, charged ? spin_site(1).conserving({"2Sz"}) : spin_site(1));
    const auto mpo = matrix_product_operator<Complex>(long_range(6), sites);
    const auto state = random_state<Complex>(sites, 6, 3, neel);
    const Matrix exact = exact_matrix(long_range(6), sites) * as_vector(state);
    const double best = apply(mpo, state, {.maximum_rank = 4}).error;
    for (const Application method :
         {Application::exact, Application::density_matrix, Application::zip_up}) {
      const auto whole = apply(mpo, state, {.cutoff = 1e-28}, method);
      BOOST_TEST((as_vector(whole.state) - exact).norm() < 2e-7 * exact.norm());
      const auto cut = apply(mpo, state, {.maximum_rank = 4}, method);
      const double error = (as_vector(cut.state) - exact).norm();
      BOOST_TEST(std::abs(cut.error - error) < 1e-7 * exact.norm());
      BOOST_TEST(error < (method == Application::zip_up ? 2 : 1.0001) * best);
      for (const Index rank : cut.state.ranks()) BOOST_TEST(rank <= 4);
    }
    // Nothing cut, nothing invented: no bond is wider than that of the product.
    const auto whole = apply(mpo, state, {}, Application::density_matrix).state.ranks();
    for (std::size_t k = 0; k < whole.size(); ++k)
      BOOST_TEST(whole[k] <= mpo.bonds()[k] * state.ranks()[k]);
  }
}

BOOST_AUTO_TEST_CASE(products_that_cancel_leave_nothing_in_every_way) {
  // S² of a singlet, and a current whose operators have complex elements.
  const Sites sites = uniform_chain(4, spin_site(1).conserving({"2Sz"}));
  OperatorSum spin, current;
  for (Index i = 0; i < 4; ++i)
    for (Index j = 0; j < 4; ++j)
      spin += op("Sz", i) * op("Sz", j) + 0.5 * op("S+", i) * op("S-", j) +
              0.5 * op("S-", i) * op("S+", j);
  for (Index i = 0; i + 1 < 4; ++i)
    current += std::polar(1.0, 0.7) * (op("S+", i) * op("S-", i + 1)) +
               std::polar(1.0, -0.7) * (op("S-", i) * op("S+", i + 1));
  const std::vector<std::string> up_down{"up", "down", "up", "down"};
  TensorTrain<Complex> singlets = product_state<Complex>(sites, up_down);
  for (Index k = 0; k < 4; k += 2) {  // (S⁺S⁻ − S⁻S⁺) on each pair
    const OperatorSum pair = 1.0 * op("Id", k) - op("S-", k) * op("S+", k + 1);
    singlets = apply(matrix_product_operator<Complex>(pair, sites), singlets, {}).state;
  }
  const Matrix psi = as_vector(singlets);
  BOOST_TEST_REQUIRE((exact_matrix(spin, sites) * psi).norm() < 0.5 * psi.norm());
  for (const Application method :
       {Application::exact, Application::density_matrix, Application::zip_up})
    for (const OperatorSum& sum : {spin, current}) {
      const auto mpo = matrix_product_operator<Complex>(sum, sites);
      const auto result = apply(mpo, singlets, {.maximum_rank = 8}, method);
      BOOST_TEST((as_vector(result.state) - exact_matrix(sum, sites) * psi).norm() < 1e-6);
    }
}

BOOST_AUTO_TEST_CASE(gmres_solves_what_is_small_in_as_many_steps_as_it_has_unknowns) {
  const auto matrix = random_normal<Complex>({7, 7}, 3), b = random_normal<Complex>({7}, 4),
             start = random_normal<Complex>({7}, 5);
  const Matrix A(7, matrix.to_vector());
  const std::function<Tensor<Complex>(const Tensor<Complex>&)> apply =
      [&](const Tensor<Complex>& x) {
        return Tensor<Complex>::from({7}, (A * Matrix::column(x.to_vector())).elements());
      };
  double before = 1e300;
  for (Index steps = 1; steps <= 8; ++steps) {
    const auto result = gmres(apply, b, start, steps, 1e-14);
    const Matrix right = Matrix::column(b.to_vector());
    const double rest = (A * Matrix::column(result.vector.to_vector()) - right).norm();
    BOOST_TEST(std::abs(result.residual - rest / right.norm()) < 1e-10);
    BOOST_TEST(rest <= before * (1 + 1e-12));
    before = rest;
  }
  BOOST_TEST(before < 1e-11);
  const auto zero = Tensor<Complex>::zeros({7});
  BOOST_TEST(Matrix::column(gmres(apply, zero, start, 5, 1e-14).vector.to_vector()).norm() == 0);
}

BOOST_AUTO_TEST_CASE(linear_equations_have_their_exact_solutions) {
  for (const bool charged : {false, true}) {
    const Sites sites = uniform_chain(6, charged ? spin_site(1).conserving({"2Sz"}) : spin_site(1));
    OperatorSum A = long_range(6);
    A += 4.0 * op("Id", 0);  // positive definite
    const auto mpo = matrix_product_operator<Complex>(A, sites);
    const auto b = random_state<Complex>(sites, 3, 5, neel),
               start = random_state<Complex>(sites, 2, 6, neel);
    const auto result = solve(mpo, b, start, {.tolerance = 1e-10});
    BOOST_TEST(result.converged);
    BOOST_TEST((exact_matrix(A, sites) * as_vector(result.train) - as_vector(b)).norm() < 1e-8);
    // With bonds of the exact solution single cores are enough.
    const auto single =
        solve(mpo, b, random_state<Complex>(sites, 8, 7, neel), {.sites = 1, .tolerance = 1e-9});
    BOOST_TEST(single.converged);
    BOOST_TEST((exact_matrix(A, sites) * as_vector(single.train) - as_vector(b)).norm() < 1e-7);
    BOOST_TEST(result.residual < 1e-7);
    const auto few = solve(mpo, b, start, {.sweeps = 1, .gmres_steps = 2});
    BOOST_TEST(!few.converged);
    // Bonds of two cannot hold the solution: every core is as good as it can be, x is not.
    const auto small = solve(mpo, b, start, {.sites = 1, .sweeps = 200, .tolerance = 1e-6});
    const double rest = (exact_matrix(A, sites) * as_vector(small.train) - as_vector(b)).norm();
    BOOST_TEST(rest > 0.01);
    BOOST_TEST(std::abs(small.residual - rest / as_vector(b).norm()) < 1e-7);
    BOOST_TEST(std::abs(matrix_element(b, mpo, start) -
                        dot(as_vector(b), exact_matrix(A, sites) * as_vector(start))) < 1e-11);
  }
  const Sites sites = uniform_chain(4, spin_site(1));
  const auto mpo = matrix_product_operator<double>(heisenberg(4), sites);
  const auto b = random_state<double>(sites, 2, 1);
  auto zero = b;
  zero.scale(0);
  const auto up = product_state<double>(sites, std::vector<std::string>(4, "up")),
             down = product_state<double>(sites, std::vector<std::string>(4, "down"));
  BOOST_CHECK_THROW(solve(mpo, up, down), Error);
  const Sites conserving = uniform_chain(2, spin_site(1).conserving({"2Sz"}));
  const auto pair = matrix_product_operator<double>(heisenberg(2), conserving);
  BOOST_CHECK_THROW(
      solve(pair, product_state<double>(conserving, std::vector<std::string>{"up", "up"}),
            product_state<double>(conserving, std::vector<std::string>{"up", "down"})),
      Error);
  const Sites one = uniform_chain(1, spin_site(1));
  const auto field = matrix_product_operator<float>(2.0 * op("Sz", 0) + 3.0 * op("Id", 0), one);
  const auto right = random_state<float>(one, 1, 2);
  const auto single = solve(field, right, random_state<float>(one, 1, 3), {.tolerance = 1e-5});
  BOOST_TEST(single.converged);
  BOOST_TEST(single.residual < 1e-3);
  BOOST_CHECK_THROW(solve(mpo, zero, b), Error);
  BOOST_CHECK_THROW(solve(mpo, b, zero), Error);
  BOOST_CHECK_THROW(solve(mpo, b, b, {.sites = 3}), Error);
}

BOOST_AUTO_TEST_CASE(poisson_s_equation_on_a_quantics_grid) {
  // −u″ = 1 on (0, 1) with u = 0 at the ends, on 2^8 points: u = x(1 − x)/2 exactly, since the
  // second difference of a parabola is exact. The Laplace operator on bits: 2 − S − Sᵀ, where S
  // adds one, a sum of products over carries.
  const Index bits = 8, points = Index{1} << bits;
  Site bit("bit", {"0", "1"});
  bit.add_operator("up", {0, 0, 1, 0});    // 0 → 1
  bit.add_operator("down", {0, 1, 0, 0});  // 1 → 0
  const Sites sites = uniform_chain(bits, bit);
  OperatorSum A = 2.0 * op("Id", 0);
  for (const char* raise : {"up", "down"}) {
    const std::string lower = std::string(raise) == "up" ? "down" : "up";
    for (Index carry = 0; carry < bits; ++carry) {  // site `carry` changes, all behind it turn over
      OperatorProduct shift = -op(raise, carry);
      for (Index k = carry + 1; k < bits; ++k) shift = shift * op(lower, k);
      A += shift;
    }
  }
  const auto mpo = matrix_product_operator<double>(A, sites);
  for (const Index bond : mpo.bonds()) BOOST_TEST(bond == 3);
  const double step = 1.0 / static_cast<double>(points + 1);
  std::vector<Tensor<double>> ones(static_cast<std::size_t>(bits),
                                   Tensor<double>::from({1, 2, 1}, {1, 1}));
  TensorTrain<double> b(ones);
  b.scale(step * step);
  const auto result = solve(mpo, b, random_state<double>(sites, 3, 1),
                            {.cutoff = 1e-22, .tolerance = 1e-7, .gmres_steps = 300});
  BOOST_TEST(result.converged);
  double worst = 0;
  const auto found = result.train.to_dense().to_vector();
  for (Index i = 0; i < points; ++i) {
    const double x = static_cast<double>(i + 1) * step;
    worst = std::max(worst, std::abs(found[static_cast<std::size_t>(i)] - x * (1 - x) / 2));
  }
  BOOST_TEST(worst < 1e-6);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
