#include "../file_testing.hpp"
#include "chain_testing.hpp"

#include <metatt/tn/chain/matrix_product_operator.hpp>

#include <random>

using namespace metatt::tn;
using namespace metatt::tn::testing;
using metatt::testing::check_error;

namespace {

/// Distance of the MPO as a matrix from the sum built by Kronecker products.
double difference(const OperatorSum& sum, const Sites& sites) {
  const auto mpo = matrix_product_operator<Complex>(sum, sites);
  const Matrix exact = exact_matrix(sum, sites);
  const auto values = dense_matrix(mpo).to_vector();
  return (exact - Matrix(exact.rows(), values)).norm();
}

Index largest_bond(const OperatorSum& sum, const Sites& sites) {
  const auto bonds = matrix_product_operator<Complex>(sum, sites).bonds();
  return *std::max_element(bonds.begin(), bonds.end());
}

BOOST_AUTO_TEST_SUITE(chain_operators)

BOOST_AUTO_TEST_CASE(spin_operators_obey_their_algebra) {
  for (const int twice_spin : {1, 2, 3, 5}) {
    const Sites sites = uniform_chain(1, spin_site(twice_spin));
    const auto matrix = [&](const char* name) { return exact_matrix(op(name, 0), sites); };
    const Matrix x = matrix("Sx"), y = matrix("Sy"), z = matrix("Sz");
    const double S = twice_spin / 2.0;
    BOOST_TEST((x * y - y * x - Complex(0, 1) * z).norm() < 1e-13);
    BOOST_TEST((x * x + y * y + z * z - S * (S + 1) * Matrix::identity(twice_spin + 1)).norm() <
               1e-12);
    BOOST_TEST((matrix("S+") - x - Complex(0, 1) * y).norm() < 1e-13);
  }
}

BOOST_AUTO_TEST_CASE(fermions_of_all_sites_and_spins_anticommute) {
  const Sites sites{fermion_site(), electron_site(), spin_site(1), electron_site()};
  std::vector<std::pair<OperatorProduct, OperatorProduct>> pairs{{op("C", 0), op("Cdag", 0)}};
  for (const Index k : {1, 3})
    for (const std::string spin : {"up", "down"})
      pairs.emplace_back(op("C" + spin, k), op("Cdag" + spin, k));
  for (std::size_t i = 0; i < pairs.size(); ++i)
    for (std::size_t j = 0; j < pairs.size(); ++j) {
      const Matrix a = exact_matrix(pairs[i].first, sites), b = exact_matrix(pairs[j].first, sites),
                   c = exact_matrix(pairs[j].second, sites);
      const Matrix one = Matrix::identity(a.rows());
      BOOST_TEST((a * b + b * a).norm() < 1e-13);
      BOOST_TEST((a * c + c * a - (i == j ? 1.0 : 0.0) * one).norm() < 1e-12);
    }
}

BOOST_AUTO_TEST_CASE(an_mpo_is_the_sum_that_it_was_made_from) {
  BOOST_TEST(difference(heisenberg(5), uniform_chain(5, spin_site(1))) < 1e-14);
  BOOST_TEST(difference(heisenberg(4), uniform_chain(4, spin_site(2))) < 1e-13);
  BOOST_TEST(difference(hubbard(4, 3.5), uniform_chain(4, electron_site())) < 1e-13);
  OperatorSum hopping;  // long-range, complex, with operators in any order
  for (Index i = 0; i < 6; ++i)
    for (Index j = 0; j < 6; ++j)
      if (i != j)
        hopping +=
            Complex(1.0 / static_cast<double>(1 + i + 2 * j), 0.1 * static_cast<double>(i - j)) *
            op("Cdag", i) * op("C", j);
  BOOST_TEST(difference(hopping, uniform_chain(6, fermion_site())) < 1e-14);
}

BOOST_AUTO_TEST_CASE(an_mpo_of_random_products_is_their_sum) {
  std::mt19937_64 generator(7);
  const Sites sites{electron_site(), fermion_site(), spin_site(1), boson_site(2), electron_site()};
  const std::vector<std::vector<std::string>> names{{"Cup", "Cdagdown", "Ntot", "S+"},
                                                    {"C", "Cdag", "N"},
                                                    {"Sy", "X"},
                                                    {"A", "N"},
                                                    {"Cdagup", "Cdown"}};
  OperatorSum sum;
  for (int term = 0; term < 16; ++term) {
    OperatorProduct product = Complex(0.1 * term, 1.0 - 0.05 * term) * op("Id", 2);
    for (int factor = 0; factor < 4; ++factor) {
      const std::size_t site = generator() % 5;
      auto name = names[site][generator() % names[site].size()];
      if (name == "Ntot") name = "N";
      product = product * op(name, static_cast<Index>(site));
    }
    sum += product;
  }
  BOOST_TEST(difference(sum, sites) < 1e-12);
}

BOOST_AUTO_TEST_CASE(bond_dimensions_are_as_small_as_known) {
  BOOST_TEST(largest_bond(heisenberg(12), uniform_chain(12, spin_site(1))) == 5);
  BOOST_TEST(largest_bond(hubbard(10, 1), uniform_chain(10, electron_site())) == 6);
  const Sites spins = uniform_chain(16, spin_site(1));
  OperatorSum exponential, density, transverse;
  for (Index i = 0; i < 16; ++i) {
    transverse += op("X", i);
    for (Index j = i + 1; j < 16; ++j) {
      exponential += std::pow(0.7, static_cast<double>(j - i)) * op("Sz", i) * op("Sz", j);
      density += 1 / static_cast<double>((j - i) * (j + 2 * i + 1)) * op("Sz", i) * op("Sz", j);
    }
    if (i < 15) transverse += op("Z", i) * op("Z", i + 1);
  }
  BOOST_TEST(largest_bond(transverse, spins) == 3);
  // Operators that depend on each other linearly: the nine products of the components of two spins
  // are eight and the identity, and N = Nup + Ndown.
  OperatorSum aklt, densities;
  const OperatorSum pair = heisenberg(2);
  for (Index i = 0; i + 1 < 5; ++i) {
    std::vector<OperatorProduct> terms = pair.terms();
    for (OperatorProduct& term : terms)
      for (auto& factor : term.factors) factor.site += i;
    for (const OperatorProduct& a : terms) {
      aklt += a;
      for (const OperatorProduct& b : terms) aklt += (1.0 / 3) * a * b;
    }
    densities += op("N", i) * op("Nup", i + 1) + op("Nup", i) * op("N", i + 1);
    densities += op("Ndown", i) * op("Ndown", i + 1);
  }
  BOOST_TEST(largest_bond(aklt, uniform_chain(5, spin_site(2))) == 10);
  BOOST_TEST(difference(aklt, uniform_chain(5, spin_site(2))) < 1e-11);
  BOOST_TEST(largest_bond(densities, uniform_chain(5, electron_site())) == 4);
  BOOST_TEST(largest_bond(exponential, spins) == 3);
  BOOST_TEST(largest_bond(density, spins) == 16 / 2 + 2);
  // The same couplings among eight, whose matrix can be looked at.
  const Sites few = uniform_chain(8, spin_site(1));
  for (const bool decaying : {true, false}) {
    OperatorSum sum;
    for (Index i = 0; i < 8; ++i)
      for (Index j = i + 1; j < 8; ++j) {
        const double strength = decaying ? std::pow(0.7, static_cast<double>(j - i))
                                         : 1 / static_cast<double>((j - i) * (j + 2 * i + 1));
        sum += strength * op("Sz", i) * op("Sz", j);
      }
    const auto mpo = matrix_product_operator<double>(sum, few);
    const Matrix exact = exact_matrix(sum, few);
    const Matrix made(256, [&] {
      const auto real = dense_matrix(mpo).to_vector();
      return std::vector<Complex>(real.begin(), real.end());
    }());
    BOOST_TEST((made - exact).norm() < 1e-13 * exact.norm());
  }
}

/// The coefficients of the sum on qubits in Pauli strings, the first site slowest.
std::vector<Complex> pauli_coefficients(const OperatorSum& sum, const Sites& sites) {
  static const std::vector<std::string> names{"Id", "X", "Y", "Z"};
  const Matrix whole = exact_matrix(sum, sites);
  const Index n = static_cast<Index>(sites.size());
  std::vector<Complex> result;
  for (Index string = 0; string < Index{1} << (2 * n); ++string) {
    OperatorProduct product = op("Id", 0);
    for (Index k = 0; k < n; ++k)
      product = product * op(names[static_cast<std::size_t>(string >> (2 * (n - 1 - k)) & 3)], k);
    result.push_back(dot(exact_matrix(product, sites), whole) / static_cast<double>(whole.rows()));
  }
  return result;
}

/// The same as a matrix, those of the first `left` sites as rows.
Matrix unfolded(const std::vector<Complex>& coefficients, Index left) {
  const Index rows = Index{1} << (2 * left);
  const Index columns = static_cast<Index>(coefficients.size()) / rows;
  Matrix result(rows, columns);
  for (Index i = 0; i < rows * columns; ++i)
    result(i / columns, i % columns) = coefficients[static_cast<std::size_t>(i)];
  return result;
}

Index rank(const Matrix& matrix) {
  const auto squares = eigenvalues(matrix * matrix.adjoint());
  return std::ranges::count_if(squares, [&](double s) { return s > 1e-12 * squares.back(); });
}

BOOST_AUTO_TEST_CASE(bonds_are_minimal_beside_two_channels_of_identities) {
  std::mt19937_64 generator(11);
  const std::vector<std::string> names{"Sx", "Sy", "Sz", "S+", "S-", "Up", "Down", "Id"};
  Site spin = spin_site(1);
  spin.add_operator("Up", {1, 0, 0, 0});
  spin.add_operator("Down", {0, 0, 0, 1});
  const Sites sites = uniform_chain(5, spin);
  for (int round = 0; round < 8; ++round) {
    OperatorSum sum;
    for (int term = 0; term < 3 + 3 * round; ++term) {
      OperatorProduct product = (0.3 + 0.1 * term) * op("Id", 0);
      for (Index k = 0; k < 5; ++k) product = product * op(names[generator() % names.size()], k);
      sum += product;
    }
    BOOST_TEST(difference(sum, sites) < 1e-12);
    const auto bonds = matrix_product_operator<Complex>(sum, sites).bonds();
    const auto coefficients = pauli_coefficients(sum, sites);
    for (Index left = 1; left < 5; ++left) {
      const Matrix all = unfolded(coefficients, left);
      Matrix others(all.rows() - 1, all.columns() - 1), begin(1, others.columns()),
          end(others.rows(), 1);
      for (Index i = 0; i < others.rows(); ++i)
        for (Index j = 0; j < others.columns(); ++j) others(i, j) = all(i + 1, j + 1);
      for (Index j = 0; j < others.columns(); ++j) begin(0, j) = all(0, j + 1);
      for (Index i = 0; i < others.rows(); ++i) end(i) = all(i + 1, 0);
      const Index channels = (begin.norm() > 1e-12 ? 1 : 0) + (end.norm() > 1e-12 ? 1 : 0);
      BOOST_TEST(bonds[static_cast<std::size_t>(left - 1)] <= rank(others) + channels);
      BOOST_TEST(bonds[static_cast<std::size_t>(left - 1)] >= rank(all));
    }
  }
}

/// All c†c†cc of n orbitals with random coefficients.
OperatorSum two_electron_terms(Index n) {
  OperatorSum sum;
  std::mt19937_64 generator(3);
  std::normal_distribution<double> normal;
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j)
      for (Index k = 0; k < n; ++k)
        for (Index l = 0; l < n; ++l)
          if (i != j && k != l)
            sum += normal(generator) * op("Cdag", i) * op("Cdag", j) * op("C", k) * op("C", l);
  return sum;
}

BOOST_AUTO_TEST_CASE(two_electron_terms_need_bonds_of_order_n_squared) {
  // In the middle with h = n / 2 orbitals left of it: pairs cc and c†c† (h(h − 1)/2 each) and c†c
  // (h²) on the left, single c and c† on either side (2h each) with three on the other, and the two
  // identities.
  const auto bond = [](Index h) { return h * (h - 1) + h * h + 4 * h + 2; };
  for (const Index n : {6, 8, 10})
    BOOST_TEST(largest_bond(two_electron_terms(n), uniform_chain(n, fermion_site())) ==
               bond(n / 2));
  BOOST_TEST(difference(two_electron_terms(5), uniform_chain(5, fermion_site())) < 1e-12);
}

BOOST_AUTO_TEST_CASE(bonds_do_not_depend_on_units) {
  const Sites sites = uniform_chain(4, spin_site(1));
  for (const double weak : {1.0, 1e-3}) {
    OperatorSum sum = op("Sx", 0) * op("Sx", 1) * op("Sx", 2);
    sum += weak * op("Sx", 0) * op("Sz", 1);
    sum += op("Sz", 0) * op("Sx", 1) * op("Sx", 2);
    for (const char* name : {"Sx", "Sz", "S+", "S-"}) sum += op(name, 3);
    const auto bonds = matrix_product_operator<Complex>(sum, sites).bonds();
    for (const double unit : {1e-14, 1e-9, 1e9, 1e14}) {
      const OperatorSum scaled = unit * sum;
      BOOST_TEST(matrix_product_operator<Complex>(scaled, sites).bonds() == bonds,
                 boost::test_tools::per_element());
      BOOST_TEST(difference(scaled, sites) < 1e-13 * unit);
    }
  }
}

BOOST_AUTO_TEST_CASE(terms_that_cancel_leave_nothing) {
  const OperatorSum raised = op("S+", 1) + op("S-", 1) - 2.0 * op("Sx", 1);
  BOOST_TEST(difference(raised, uniform_chain(2, spin_site(1))) < 1e-15);
  const Sites sites = uniform_chain(4, spin_site(1));
  OperatorSum sum = heisenberg(4);
  sum -= heisenberg(4);
  BOOST_TEST(difference(sum, sites) == 0);
}

BOOST_AUTO_TEST_CASE(a_tolerance_leaves_small_coefficients_out_and_says_so) {
  // The coefficients of a bond are a Hilbert matrix, whose rank falls quickly with the tolerance.
  const Sites sites = uniform_chain(8, spin_site(1));
  OperatorSum sum;
  for (Index i = 0; i < 8; ++i)
    for (Index j = i + 1; j < 8; ++j)
      sum += 1 / static_cast<double>(j - i) * op("Sz", i) * op("Sz", j);
  const auto exact = matrix_product_operator<double>(sum, sites, 0);
  const auto usual = matrix_product_operator<double>(sum, sites);
  const auto rough = matrix_product_operator<double>(sum, sites, 0.05);
  BOOST_TEST(exact.largest_dropped() == 0);
  BOOST_TEST(usual.largest_dropped() < 1e-13);
  BOOST_TEST(rough.largest_dropped() > 1e-3);
  BOOST_TEST(rough.largest_dropped() < 0.05);
  const auto as_matrix = [](const MatrixProductOperator<double>& mpo) {
    const auto values = dense_matrix(mpo).to_vector();
    return Matrix(256, {values.begin(), values.end()});
  };
  BOOST_TEST((as_matrix(usual) - as_matrix(exact)).norm() < 1e-12);
  const double lost = (as_matrix(rough) - as_matrix(exact)).norm();
  BOOST_TEST(lost > 1e-3);
  BOOST_TEST(lost < 28 * 4 * 7 * rough.largest_dropped());  // 28 terms of norm 4, seven bonds
  BOOST_TEST(rough.bonds()[3] < usual.bonds()[3]);
  BOOST_CHECK_THROW(matrix_product_operator<double>(sum, sites, 1), Error);
}

BOOST_AUTO_TEST_CASE(chains_of_one_and_two_sites_work) {
  OperatorSum field;
  field += 2.0 * op("Sz", 0) + op("Sx", 0);
  BOOST_TEST(difference(field, uniform_chain(1, spin_site(1))) < 1e-15);
  BOOST_TEST(difference(heisenberg(2), uniform_chain(2, spin_site(2))) < 1e-14);
}

BOOST_AUTO_TEST_CASE(wrong_terms_are_named) {
  const Sites sites = uniform_chain(3, spin_site(1));
  check_error([&] { matrix_product_operator<double>(op("Sq", 1), sites); },
              {"1 Sq(1)", "expected an operator of", "\"Sq\""});
  check_error([&] { matrix_product_operator<double>(2.0 * op("Sz", 3), sites); },
              {"2 Sz(3)", "expected a site of 0 … 2", "found 3"});
  check_error([&] { matrix_product_operator<double>(op("Sy", 1), sites); }, {"complex"});
  check_error([&] { matrix_product_operator<double>(OperatorSum(), sites); }, {"no term"});
  Site site("own", {"a", "b"}, {"b"});
  check_error(
      [&] {
        site.add_operator("Bad", {0, 1, 0, 0});
      },
      {"\"Bad\"", "changes", "not fermionic"});
  check_error([&] { site.add_operator("Short", {0, 1}); }, {"expected 4 elements, found 2"});
  check_error([&] { site.find_state("c"); }, {"a, b", "\"c\""});
}

BOOST_AUTO_TEST_CASE(products_of_real_value_need_no_complex_type) {
  const Sites sites = uniform_chain(2, spin_site(1));
  const auto mpo = matrix_product_operator<double>(op("Sy", 0) * op("Sy", 1), sites);
  BOOST_TEST(dense_matrix(mpo).at({0, 3}) == -0.25);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
