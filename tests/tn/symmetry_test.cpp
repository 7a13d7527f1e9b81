#include "compare.hpp"

#include <metatt/tn/contraction_order.hpp>
#include <metatt/tn/symmetry/block_decompositions.hpp>

#include <array>
#include <functional>
#include <limits>
#include <random>
#include <tuple>

namespace metatt::tn {
namespace {

using namespace testing;
using Types = std::tuple<float, double, std::complex<float>, std::complex<double>>;

template <class T>
constexpr double epsilon = std::numeric_limits<Real<T>>::epsilon();

const Symmetry number_and_parity({{"N"}, {"parity", 2}});

/// One to four sectors, charges in no order and possibly twice.
Leg random_leg(std::mt19937& chance, Direction direction) {
  const auto below = [&](unsigned bound) { return static_cast<int>(chance() % bound); };
  std::vector<Sector> sectors;
  for (int count = 1 + below(4); count > 0; --count) {
    const std::array<int, 2> values{below(3) - 1, below(2)};
    sectors.push_back({number_and_parity.charge(values), 1 + below(3)});
  }
  return Leg(number_and_parity, std::move(sectors), direction);
}

template <class T>
BlockTensor<T> identity_on(const Leg& leg) {
  return BlockTensor<T>::from_dense(identity<T>(leg.dimension(), leg.dimension()),
                                    {leg, leg.reversed()});
}

BOOST_AUTO_TEST_SUITE(symmetry)

BOOST_AUTO_TEST_CASE(charges_add_up_modulo_their_groups) {
  const auto charge = [](int n, int p) {
    return number_and_parity.charge(std::array<int, 2>{n, p});
  };
  BOOST_TEST((number_and_parity.sum(charge(2, 1), charge(-5, 1)) == charge(-3, 0)));
  BOOST_TEST((number_and_parity.difference(charge(2, 0), charge(0, 1)) == charge(2, 1)));
  BOOST_TEST((charge(0, -3) == charge(0, 1)));
  BOOST_TEST(number_and_parity.text(charge(2, 1)) == "(N = 2, parity = 1)");
  BOOST_TEST(Symmetry().trivial());
}

BOOST_AUTO_TEST_CASE(symmetries_that_contradict_themselves_are_refused) {
  BOOST_TEST(message_of([] {
               Symmetry({{"N", 1}});
             }) == "Symmetry: \"N\" needs the modulus 0 (an integer) or at least 2, found 1");
  BOOST_TEST(message_of([] {
               Symmetry({{"N"}, {"N", 2}});
             }) == "Symmetry: there are two quantities \"N\"");
  BOOST_CHECK_THROW(Symmetry(std::vector<ConservedQuantity>(5)), Error);
  BOOST_CHECK_THROW(number_and_parity.charge(std::array<int, 1>{1}), Error);
  BOOST_CHECK_THROW(Leg(0), Error);
  BOOST_CHECK_THROW(Leg(number_and_parity, {}), Error);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(blocks_and_the_dense_tensor_are_the_same_elements, T, Types) {
  std::mt19937 chance(1);
  for (int round = 0; round < 20; ++round) {
    const auto x =
        random_blocks<T>({random_leg(chance, Direction::in), random_leg(chance, Direction::in),
                          random_leg(chance, Direction::out)},
                         3, static_cast<std::uint64_t>(round));
    const Tensor<T> dense = x.to_dense();
    const auto again = BlockTensor<T>::from_dense(dense, x.legs());
    BOOST_TEST(distance(again.to_dense(), dense) == 0);
    BOOST_TEST(std::abs(norm(x) - frobenius_norm(dense)) <= 10 * epsilon<T> * (norm(x) + 1));
    BOOST_TEST(std::abs(dot(x, x) - T(norm(x) * norm(x))) <=
               100 * epsilon<T> * (1 + norm(x) * norm(x)));
    BOOST_TEST(distance(permute(x, std::array{2, 0, 1}).to_dense(),
                        permute(dense, std::array{2, 0, 1})) == 0);
  }
}

BOOST_AUTO_TEST_CASE(an_element_that_breaks_the_charge_is_named) {
  const Symmetry N({{"N"}});
  const Leg leg(N, {{{{0}}, 1}, {{{1}}, 1}});
  const auto lowering = Tensor<double>::from({2, 2}, {0, 1, 0, 0});
  BOOST_TEST(message_of([&] {
               BlockTensor<double>::from_dense(lowering, {leg, leg.reversed()});
             }) == "BlockTensor::from_dense: an element of charge (N = -1) is not zero");
  BlockTensor<double> x({leg, leg.reversed()});
  BOOST_TEST(message_of([&] {
               x.set_block({0, 1}, Tensor<double>::zeros({1, 1}));
             }) == "BlockTensor: a block of charge (N = -1) is not allowed");
  BOOST_CHECK_THROW(x.set_block({0, 0}, Tensor<double>::zeros({2, 1})), Error);
  BOOST_CHECK_THROW(x.set_block({0}, Tensor<double>::zeros({1})), Error);
  BOOST_CHECK_THROW(x.set_block({7, 0}, Tensor<double>::zeros({1, 1})), Error);
  BOOST_TEST(!Leg(Symmetry({{"parity", 2}}), {{{{0}}, 1}, {{{2}}, 1}}).unique());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(contractions_are_those_of_the_dense_tensors, T, Types) {
  std::mt19937 chance(2);
  for (int round = 0; round < 30; ++round) {
    const Leg a = random_leg(chance, Direction::in), b = random_leg(chance, Direction::out),
              c = random_leg(chance, Direction::in), d = random_leg(chance, Direction::out),
              e = random_leg(chance, Direction::in);
    const auto stream = static_cast<std::uint64_t>(2 * round);
    const auto x = random_blocks<T>({a, b, c, d}, 5, stream);
    const auto y = random_blocks<T>({d.reversed(), e, b.reversed()}, 5, stream + 1);
    const auto both = contract("abcd,deb->eca", x, y);
    const Tensor<T> dense = contract("abcd,deb->eca", x.to_dense(), y.to_dense());
    BOOST_TEST(distance(both.to_dense(), dense) <= 20 * epsilon<T> * (frobenius_norm(dense) + 1));
    const auto outer = contract("deb,acx->acxdeb", y, random_blocks<T>({a, c, d}, 6, stream));
    BOOST_TEST(outer.order() == 6);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(networks_and_traces_are_those_of_the_dense_tensors, T, Types) {
  std::mt19937 chance(8);
  for (int round = 0; round < 20; ++round) {
    const Leg a = random_leg(chance, Direction::in), b = random_leg(chance, Direction::out),
              c = random_leg(chance, Direction::in), d = random_leg(chance, Direction::out);
    const auto stream = static_cast<std::uint64_t>(3 * round);
    const auto x = random_blocks<T>({a, b, c}, 5, stream);
    const auto y = random_blocks<T>({c.reversed(), d, b.reversed()}, 5, stream + 1);
    const auto z = random_blocks<T>({d.reversed(), a, d, a.reversed()}, 5, stream + 2);
    const auto network = contract<T>("abc,cdb,deDA->eADa", {x, y, z});
    const auto dense =
        contract<T>("abc,cdb,deDA->eADa", {x.to_dense(), y.to_dense(), z.to_dense()});
    BOOST_TEST(distance(network.to_dense(), dense) <=
               20 * epsilon<T> * (frobenius_norm(dense) + 1));
    BOOST_TEST(distance(contract<T>("abc->cab", {x}).to_dense(),
                        contract<T>("abc->cab", {x.to_dense()})) == 0);
    const auto once = trace(z, 2, 0);
    const double loose = 50 * epsilon<T> * (norm(z) + 1);
    BOOST_TEST(distance(once.to_dense(), trace(z.to_dense(), 0, 2)) <= loose);
    BOOST_TEST(std::abs(trace(once, 0, 1).item() - trace(trace(z.to_dense(), 0, 2), 0, 1).item()) <=
               loose);
    BOOST_CHECK_THROW(trace(z, 1, 1), Error);
    BOOST_CHECK_THROW(trace(z, 0, 4), Error);
    BOOST_CHECK_THROW(trace(random_blocks<T>({a, a}, 1), 0, 1), Error);
  }
}

BOOST_AUTO_TEST_CASE(legs_that_do_not_match_are_shown) {
  const Symmetry N({{"N"}});
  const Leg leg(N, {{{{0}}, 1}, {{{1}}, 2}}, Direction::out);
  const auto x = random_blocks<double>({leg.reversed(), leg}, 1);
  BOOST_TEST(
      message_of([&] { contract("ab,cb->ac", x, x); }) ==
      "contract: index b of \"ab,cb->ac\" joins the legs (out, 3 = 1 (N = 0) + 2 (N = 1)) and "
      "(out, 3 = 1 (N = 0) + 2 (N = 1))");
  BOOST_CHECK_THROW(contract("ab,bc->abc", x, x), Error);
  BOOST_CHECK_THROW(contract("ab,bc->a", x, x), Error);
  BOOST_CHECK_THROW(contract("abc,cd->abd", x, x), Error);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(factorisations_give_the_tensor_back, T, Types) {
  std::mt19937 chance(3);
  int done = 0;
  for (int round = 0; done < 20; ++round) {
    const std::vector<Leg> legs{
        random_leg(chance, Direction::in), random_leg(chance, Direction::out),
        random_leg(chance, Direction::in), random_leg(chance, Direction::out)};
    if (allowed_keys(legs).empty()) continue;
    ++done;
    const auto x = random_blocks<T>(legs, 7, static_cast<std::uint64_t>(round));
    const double loose = 50 * epsilon<T> * (norm(x) + 1);
    const auto [q, r] = qr(x, 2);
    BOOST_TEST(distance(contract("abm,mcd->abcd", q, r).to_dense(), x.to_dense()) <= loose);
    BOOST_TEST(distance(contract("abm,abn->mn", conjugate(q), q).to_dense(),
                        identity_on<T>(q.leg(2).reversed()).to_dense()) <= loose);
    const auto parts = lq(x, 1);
    BOOST_TEST(distance(contract("am,mbcd->abcd", parts.l, parts.q).to_dense(), x.to_dense()) <=
               loose);
    const auto cut = truncated_svd(x, 2, {});
    const auto weighted = leg_scaled(cut.vh, 0, cut.singular_values);
    BOOST_TEST(distance(contract("abm,mcd->abcd", cut.u, weighted).to_dense(), x.to_dense()) <=
               loose);
    BOOST_TEST(cut.u.leg(2).unique());
  }
}

BOOST_AUTO_TEST_CASE(the_spectrum_is_that_of_the_dense_matrix_and_is_cut_as_a_whole) {
  std::mt19937 chance(4);
  int done = 0;
  for (int round = 0; done < 20; ++round) {
    const std::vector<Leg> legs{random_leg(chance, Direction::in),
                                random_leg(chance, Direction::in),
                                random_leg(chance, Direction::out)};
    if (allowed_keys(legs).empty()) continue;
    ++done;
    const auto x = random_blocks<double>(legs, 8, static_cast<std::uint64_t>(round));
    const Shape shape = x.shape();
    const auto dense = svd(x.to_dense().reshaped({shape[0] * shape[1], shape[2]}));
    const auto cut = truncated_svd(x, 2, {.maximum_rank = 3});
    for (std::size_t i = 0; i < dense.singular_values.size(); ++i) {
      const double own = i < cut.spectrum.size() ? cut.spectrum[i] : 0;
      BOOST_TEST(std::abs(own - dense.singular_values[i]) < 1e-12);
    }
    const auto rest = contract("abm,mc->abc", cut.u, leg_scaled(cut.vh, 0, cut.singular_values));
    BOOST_TEST(std::abs(distance(rest.to_dense(), x.to_dense()) - cut.truncation.discarded_norm) <
               1e-12);
    BOOST_TEST(cut.u.extent(2) == cut.truncation.kept);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_randomized_decomposition_finds_the_leading_values, T, Types) {
  // Values that fall by a third from one to the next, in the matrix of each charge.
  const Symmetry N({{"N"}});
  const std::vector<Sector> sectors{{{{0}}, 40}, {{{1}}, 30}, {{{2}}, 3}};
  const Leg rows(N, sectors, Direction::in), columns(N, sectors, Direction::out);
  auto whole = truncated_svd(random_blocks<T>({rows, columns}, 3), 1, {});
  for (std::size_t s = 0; s < sectors.size(); ++s)
    for (std::size_t i = 0; i < whole.singular_values[s].size(); ++i)
      whole.singular_values[s][i] =
          (1 + 0.1 * static_cast<double>(s)) * std::pow(1.5, -static_cast<double>(i));
  const auto x = contract("am,mb->ab", whole.u, leg_scaled(whole.vh, 0, whole.singular_values));
  for (const Index rank : {1, 8, 14}) {
    const auto exact = truncated_svd(x, 1, {.maximum_rank = rank});
    const auto found = randomized_svd(x, 1, rank);
    BOOST_TEST(found.u.extent(1) == rank);
    BOOST_TEST((found.u.leg(1) == exact.u.leg(1)));
    for (std::size_t s = 0; s < exact.singular_values.size(); ++s)
      for (std::size_t i = 0; i < exact.singular_values[s].size(); ++i)
        BOOST_TEST(std::abs(found.singular_values[s][i] - exact.singular_values[s][i]) <
                   100 * epsilon<T>);
    const auto kept =
        contract("am,mb->ab", found.u, leg_scaled(found.vh, 0, found.singular_values));
    BOOST_TEST(std::abs(distance(kept.to_dense(), x.to_dense()) - found.error) <
               4 * std::sqrt(epsilon<T>));
    BOOST_TEST(std::abs(found.error - exact.truncation.discarded_norm) < 4 * std::sqrt(epsilon<T>));
  }
  BOOST_CHECK_THROW(randomized_svd(x, 1, 0), Error);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(eigenvectors_of_a_hermitian_tensor_give_it_back, T, Types) {
  std::mt19937 chance(9);
  for (int round = 0; round < 10; ++round) {
    const Leg a = random_leg(chance, Direction::in), b = random_leg(chance, Direction::out);
    auto x =
        random_blocks<T>({a, b, a.reversed(), b.reversed()}, 4, static_cast<std::uint64_t>(round));
    add_scaled(T(1), permute(conjugate(x), std::array{2, 3, 0, 1}), x);
    const auto [vectors, values] = eigh(x);
    const auto weighted = leg_scaled(vectors, 2, values);
    const double loose = 50 * epsilon<T> * (norm(x) + 1);
    BOOST_TEST(distance(contract("abm,cdm->abcd", weighted, conjugate(vectors)).to_dense(),
                        x.to_dense()) <= loose);
    BOOST_TEST(distance(contract("abm,abn->mn", conjugate(vectors), vectors).to_dense(),
                        identity_on<T>(vectors.leg(2).reversed()).to_dense()) <= loose);
    BOOST_CHECK_THROW(eigh(random_blocks<T>({a, b, a.reversed()}, 1)), Error);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(leading_vectors_are_those_of_the_decomposition, T, Types) {
  // Through eigenvectors (a cap that cuts), through the decomposition (none), wide and tall.
  std::mt19937 chance(6);
  int done = 0;
  for (int round = 0; done < 20; ++round) {
    const std::vector<Leg> legs{
        random_leg(chance, Direction::in), random_leg(chance, Direction::in),
        random_leg(chance, Direction::out), random_leg(chance, Direction::out)};
    if (allowed_keys(legs).empty()) continue;
    ++done;
    const auto x = random_blocks<T>(legs, 9, static_cast<std::uint64_t>(round));
    const double loose = 4 * std::sqrt(epsilon<T>) * norm(x);
    for (const TruncationPolicy& policy : {TruncationPolicy{}, TruncationPolicy{.maximum_rank = 3},
                                           TruncationPolicy{.maximum_rank = 2, .cutoff = 0.01}}) {
      const auto cut = truncated_svd(x, 2, policy);
      const auto left = leading_left_vectors(x, 2, policy),
                 right = leading_right_vectors(x, 2, policy);
      for (const auto* found : {&left, &right}) {
        BOOST_REQUIRE(found->truncation.kept == cut.truncation.kept);
        BOOST_REQUIRE(found->spectrum.size() == cut.spectrum.size());
        for (std::size_t i = 0; i < cut.spectrum.size(); ++i)
          BOOST_TEST(std::abs(found->spectrum[i] - cut.spectrum[i]) < loose);
      }
      BOOST_TEST(distance(contract("abm,abn->mn", conjugate(left.vectors), left.vectors).to_dense(),
                          identity_on<T>(left.vectors.leg(2).reversed()).to_dense()) <
                 1e3 * epsilon<T>);
      // What the vectors keep of x is what the decomposition keeps.
      const double kept = norm(contract("abm,abcd->mcd", conjugate(left.vectors), x)),
                   other = norm(contract("abcd,mcd->abm", x, conjugate(right.vectors)));
      double weight = 0;
      for (const auto& values : cut.singular_values)
        for (const double value : values) weight += value * value;
      BOOST_TEST(std::abs(kept - std::sqrt(weight)) < 1e3 * epsilon<T> * (norm(x) + 1));
      BOOST_TEST(std::abs(other - std::sqrt(weight)) < 1e3 * epsilon<T> * (norm(x) + 1));
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(leading_vectors_of_large_matrices_keep_the_same_weight, T, Types) {
  // Larger than the panels in which the square of a matrix is made, and not a multiple of them.
  const BlockTensor<T> x(random_normal<T>({300, 310}, 4));
  const TruncationPolicy policy{.maximum_rank = 20};
  const auto cut = truncated_svd(x, 1, policy);
  double weight = 0;
  for (const double value : cut.singular_values[0]) weight += value * value;
  const auto left = leading_left_vectors(x, 1, policy);
  const auto right = leading_right_vectors(permute(x, std::array{1, 0}), 1, policy);
  for (const auto* found : {&left, &right})
    for (std::size_t i = 0; i < 300; ++i)
      BOOST_TEST(std::abs(found->spectrum[i] - cut.spectrum[i]) < std::sqrt(epsilon<T>));
  const double kept = norm(contract("am,ab->mb", conjugate(left.vectors), x)),
               other = norm(
                   contract("ba,ma->bm", permute(x, std::array{1, 0}), conjugate(right.vectors)));
  BOOST_TEST(std::abs(kept - std::sqrt(weight)) < 1e3 * epsilon<T> * std::sqrt(weight));
  BOOST_TEST(std::abs(other - std::sqrt(weight)) < 1e3 * epsilon<T> * std::sqrt(weight));
}

BOOST_AUTO_TEST_CASE(matrices_without_an_allowed_block_are_refused) {
  const Symmetry N({{"N"}});
  const BlockTensor<double> x({Leg(N, {{{{0}}, 2}}), Leg(N, {{{{1}}, 2}}, Direction::out)});
  BOOST_TEST(message_of([&] { qr(x, 1); }) == "qr: the charges of the legs allow no block");
  BOOST_CHECK_THROW(lq(x, 2), Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace metatt::tn
