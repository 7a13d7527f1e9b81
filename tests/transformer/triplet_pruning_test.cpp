#include "model_testing.hpp"

#include <metatt/tn/contract.hpp>
#include <metatt/tn/decompositions.hpp>
#include <metatt/transformer/triplet_pruning.hpp>

#include <cmath>

using namespace metatt;
using namespace metatt::testing;

namespace {

using Triplets = std::vector<Adapter<double>::Triplet>;

/// Two sites with four directions each among weights of their own.
struct Sites {
  Weights<double> weights;
  Triplets triplets;

  Sites() {
    for (int site = 0; site < 2; ++site) {
      const std::string name = "site." + std::to_string(site);
      const auto add = [&](const char* part, const Shape& shape, std::uint64_t stream) {
        const auto id = weights.add(name + part, tn::random_normal<double>(shape, 6, stream));
        weights.train(id, WeightGroup::decayed);
        return id;
      };
      const auto stream = static_cast<std::uint64_t>(10 * site);
      triplets.push_back(
          {add(".U", {5, 4}, stream), add(".E", {4}, stream + 1), add(".V", {4, 3}, stream + 2)});
    }
    weights.build_arena();
  }
  /// Gradients that make the sensitivity of direction i of a site that which `wanted` says, times
  /// one for even batches and two for odd ones.
  void give_gradients(const std::vector<std::vector<double>>& wanted, Index batch) {
    auto& arena = weights.arena();
    for (std::size_t site = 0; site < 2; ++site)
      for (const auto id : {triplets[site].U, triplets[site].E, triplets[site].V}) {
        const auto values = weights.value(id).to_vector();
        const Index p = arena.find(weights.name(id));
        const std::size_t behind = id == triplets[site].V ? 3 : 1;
        std::vector<double> gradient;
        for (std::size_t i = 0; i < values.size(); ++i)
          gradient.push_back((batch % 2 == 0 ? 1 : 2) * wanted[site][i / behind % 4] / values[i]);
        tn::backend::copy(tn::backend::queue(), static_cast<Index>(gradient.size()),
                          gradient.data(), arena.gradient_target(p).data);
      }
  }
  std::vector<double> values(Index id) const { return weights.value(id).to_vector(); }
};

BOOST_AUTO_TEST_SUITE(triplet_pruning)

BOOST_AUTO_TEST_CASE(the_best_directions_of_all_sites_stay_and_one_of_each) {
  Sites sites;
  AdamW<double> optimiser(sites.weights, {}, {0, 100});
  const std::vector<std::vector<double>> wanted{{1, 9, 8, 7}, {0.1, 0.4, 0.2, 0.3}};
  const auto U = sites.values(sites.triplets[0].U), E = sites.values(sites.triplets[0].E),
             V = sites.values(sites.triplets[1].V);
  const RankSweep sweep = prune_triplets<double>(sites.triplets, sites.weights, optimiser, {{2}},
                                                 OptimizerState::reset, [&](Index batch) {
                                                   sites.weights.arena().clear_gradients();
                                                   sites.give_gradients(wanted, batch);
                                                 });
  // Four in all: three of the first site, and the best of the second though others beat it.
  BOOST_TEST(sweep.ranks_before() == (std::vector<Index>{4, 4}), boost::test_tools::per_element());
  BOOST_TEST(sweep.ranks_after() == (std::vector<Index>{3, 1}), boost::test_tools::per_element());
  BOOST_TEST(sites.values(sites.triplets[0].E) == (std::vector<double>{E[1], E[2], E[3]}),
             boost::test_tools::per_element());
  const auto kept = sites.values(sites.triplets[0].U);
  for (std::size_t row = 0; row < 5; ++row)
    for (std::size_t i = 0; i < 3; ++i) BOOST_TEST(kept[3 * row + i] == U[4 * row + i + 1]);
  BOOST_TEST(sites.values(sites.triplets[1].V) == (std::vector<double>{V[3], V[4], V[5]}),
             boost::test_tools::per_element());
  // The sensitivity of every number is wanted times 1 or 2: mean 1.5, mean deviation 0.5 for wanted
  // = 1; E and the means over U and V give three times their product.
  BOOST_TEST(sweep.bonds[0].spectrum[0] == 3 * 0.75 * 81, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(sweep.bonds[1].spectrum[3] == 3 * 0.75 * 0.01, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(std::isnan(sweep.bonds[0].discarded_weight));  // nothing is cut by singular values
}

BOOST_AUTO_TEST_CASE(numbers_that_vary_in_turns_are_uncertain_though_their_sum_is_not) {
  Sites sites;
  AdamW<double> optimiser(sites.weights, {}, {0, 100});
  const RankSweep sweep = prune_triplets<double>(
      sites.triplets, sites.weights, optimiser, {{2}}, OptimizerState::project, [&](Index batch) {
        sites.weights.arena().clear_gradients();
        // E of every direction has a sensitivity of 0 and 2 in turns, U of 2 and 0.
        for (const auto& triplet : sites.triplets)
          for (const auto id : {triplet.U, triplet.E}) {
            const bool now = (batch % 2 == 0) == (id == triplet.U);
            std::vector<double> gradient = sites.values(id);
            for (double& g : gradient) g = now ? 2 / g : 0;
            auto& arena = sites.weights.arena();
            tn::backend::copy(tn::backend::queue(), static_cast<Index>(gradient.size()),
                              gradient.data(),
                              arena.gradient_target(arena.find(sites.weights.name(id))).data);
          }
      });
  // Mean 1, mean deviation 1, of E and of the column of U.
  for (const double score : sweep.bonds[0].spectrum)
    BOOST_TEST(score == 2, boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(what_stays_keeps_its_moments_if_they_are_wanted) {
  for (const auto state : {OptimizerState::project, OptimizerState::reset}) {
    Sites sites;
    AdamW<double> optimiser(sites.weights, {}, {0, 100});
    const std::vector<std::vector<double>> wanted{{4, 3, 2, 1}, {4, 3, 2, 1}};
    sites.give_gradients(wanted, 0);
    optimiser.step();
    auto& arena = sites.weights.arena();
    const std::string name = sites.weights.name(sites.triplets[0].E);
    const auto before = arena.first_moment(arena.find(name)).to_vector();
    prune_triplets<double>(sites.triplets, sites.weights, optimiser, {{2}}, state,
                           [&](Index batch) {
                             sites.weights.arena().clear_gradients();
                             sites.give_gradients(wanted, batch);
                           });
    auto& after = sites.weights.arena();
    const auto moments = after.first_moment(after.find(name)).to_vector();
    const bool kept = state == OptimizerState::project;
    BOOST_TEST(
        moments == (kept ? std::vector<double>{before[0], before[1]} : std::vector<double>{0, 0}),
        boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(the_penalty_has_the_gradients_of_its_differences) {
  Sites sites;
  auto& arena = sites.weights.arena();
  const auto distance_of = [&](Index id, bool rows) {
    const Tensor<double> matrix = sites.weights.value(id);
    const Tensor<double> W = rows ? tn::adjoint(matrix) : matrix;
    auto gram = tn::matrix_product(tn::adjoint(W), W).to_vector();
    const auto n = static_cast<std::size_t>(W.extent(1));
    double squares = 0;
    for (std::size_t i = 0; i < gram.size(); ++i)
      squares += std::pow(gram[i] - (i / n == i % n ? 1.0 : 0.0), 2);
    return std::sqrt(squares);
  };
  const auto penalty = [&] {
    double sum = 0;
    for (const auto& triplet : sites.triplets)
      sum += distance_of(triplet.U, false) + distance_of(triplet.V, true);
    return 0.3 * sum / 4;
  };
  for (Index p = 0; p < arena.count(); ++p)
    tn::backend::fill(tn::backend::queue(), arena.value(p).size(), 2.0,
                      arena.gradient_target(p).data);
  add_orthogonality_gradients<double>(sites.triplets, sites.weights, 0.3);
  for (const auto id : {sites.triplets[0].U, sites.triplets[1].V, sites.triplets[1].E}) {
    const auto gradient = arena.gradient(arena.find(sites.weights.name(id))).to_vector();
    const auto values = sites.values(id);
    for (const std::size_t place : {std::size_t{0}, values.size() - 1}) {
      const auto at = [&](double shift) {
        auto moved = values;
        moved[place] += shift;
        sites.weights.set_value(
            id, Tensor<double>::from(sites.weights.shape(id), std::span<const double>(moved)));
        const double value = penalty();
        sites.weights.set_value(
            id, Tensor<double>::from(sites.weights.shape(id), std::span<const double>(values)));
        return value;
      };
      const double difference = (at(1e-6) - at(-1e-6)) / 2e-6;
      BOOST_TEST(gradient[place] - 2 == difference, boost::test_tools::tolerance(1e-6));
    }
  }
}

BOOST_AUTO_TEST_CASE(schedules_that_pruning_cannot_follow_are_refused) {
  const auto check = [](const char* schedule, const char* fragment) {
    check_error([&] { check_pruning_schedule(parse_rank_schedule(schedule)); },
                {"rank_schedule", fragment});
  };
  check_pruning_schedule(parse_rank_schedule("0:12,1:10,2:8"));
  check("0:8,1:10", "ranks that fall");
  check("0:8,1:4-4", "2 ranks");
  check("0:8,1:cutoff=1e-3", "a cutoff or a number of parameters");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
