#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/symmetry/block_decompositions.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace metatt::tn {

namespace {

using Dimensions = std::map<Charge, Index>;

/// Charges that each bond can have beside those of `path`, one for each bond, at most `most` for a
/// bond: first those that differ from it by what two neighbouring sites can exchange, then those
/// that differ from these, and so on.
std::vector<std::vector<Charge>> charges_around(const std::vector<Charge>& path, const Sites& sites,
                                                Index most) {
  const Symmetry& symmetry = sites.front().leg().symmetry();
  std::vector<std::vector<Charge>> found;
  std::vector<std::set<Charge>> known;
  for (const Charge& charge : path) {
    found.push_back({charge});
    known.push_back({charge});
  }
  const auto leads_on = [&](std::size_t k, const Charge& charge) {
    return std::ranges::any_of(sites[k].leg().sectors(), [&](const Sector& s) {
      return known[k + 1].count(symmetry.sum(charge, s.charge)) > 0;
    });
  };
  for (bool grown = true; grown;) {
    grown = false;
    for (std::size_t k = 1; k < sites.size(); ++k)
      for (std::size_t i = 0; i < found[k - 1].size(); ++i)
        for (const Sector& s : sites[k - 1].leg().sectors()) {
          const Charge charge = symmetry.sum(found[k - 1][i], s.charge);
          if (static_cast<Index>(found[k].size()) >= most || known[k].count(charge) ||
              !leads_on(k, charge))
            continue;
          known[k].insert(charge);
          found[k].push_back(charge);
          grown = true;
        }
  }
  return found;
}

/// Bond legs of a state with the charges of a product state, of dimension at most `bond`: one index
/// for every charge, and the rest in shares of what the sites left and right of it can make of it.
std::vector<Leg> random_bonds(const Sites& sites, const std::vector<Charge>& path, Index bond) {
  const Symmetry& symmetry = sites.front().leg().symmetry();
  const auto n = sites.size();
  const auto charges = charges_around(path, sites, bond);
  const Index enough = std::min<Index>(bond, Index{1} << 40);  // nothing overflows below it
  std::vector<Dimensions> left(n + 1), right(n + 1);
  left[0][path[0]] = right[n][path[n]] = 1;
  for (std::size_t k = 0; k < n; ++k)
    for (const Sector& s : sites[k].leg().sectors())
      for (const Charge& charge : charges[k]) {
        Index& sum = left[k + 1][symmetry.sum(charge, s.charge)];
        sum = std::min(enough, sum + left[k][charge] * s.dimension);
      }
  for (std::size_t k = n; k-- > 0;)
    for (const Sector& s : sites[k].leg().sectors())
      for (const Charge& charge : charges[k]) {
        const auto after = right[k + 1].find(symmetry.sum(charge, s.charge));
        if (after == right[k + 1].end()) continue;
        Index& sum = right[k][charge];
        sum = std::min(enough, sum + after->second * s.dimension);
      }
  std::vector<Leg> legs;
  for (std::size_t k = 0; k <= n; ++k) {
    Dimensions possible;
    Index all = 0;
    for (const Charge& charge : charges[k])
      all += possible[charge] = std::min(left[k][charge], right[k][charge]);
    const Index rest = std::max<Index>(0, bond - static_cast<Index>(possible.size()));
    std::vector<Sector> sectors;
    for (const auto& [charge, most] : possible) {
      const double share = static_cast<double>(most) / static_cast<double>(std::max<Index>(1, all));
      const Index dimension =
          all <= bond ? most : 1 + static_cast<Index>(share * static_cast<double>(rest));
      if (most > 0) sectors.push_back({charge, std::min(most, dimension)});
    }
    legs.emplace_back(symmetry, std::move(sectors));
  }
  return legs;
}

}  // namespace

template <class T>
TensorTrain<T> product_state(const Sites& sites, std::span<const std::string> names) {
  if (names.size() != sites.size())
    fail("product_state: expected a state for each of ", sites.size(), " sites, found ",
         names.size());
  if (sites.empty()) fail("product_state: expected at least one site, found none");
  std::vector<BlockTensor<T>> cores;
  Charge charge;
  for (std::size_t k = 0; k < sites.size(); ++k) {
    const Leg& mode = sites[k].leg();
    const auto [sector, place] = mode.find_index(sites[k].find_state(names[k]));
    const Leg left(mode.symmetry(), {{charge, 1}});
    charge = mode.add_to(charge, sector);
    BlockTensor<T> core({left, mode, Leg(mode.symmetry(), {{charge, 1}}, Direction::out)});
    std::vector<T> values(static_cast<std::size_t>(mode.sector(sector).dimension));
    values[static_cast<std::size_t>(place)] = T(1);
    core.set_block({0, sector, 0}, Tensor<T>::from({1, mode.sector(sector).dimension, 1},
                                                   std::span<const T>(values)));
    cores.push_back(std::move(core));
  }
  return TensorTrain<T>(std::move(cores));
}

template <class T>
TensorTrain<T> random_state(const Sites& sites, Index bond, std::uint64_t seed,
                            std::span<const std::string> like) {
  if (bond < 1) fail("random_state: expected a bond of at least 1, found ", bond);
  if (sites.empty()) fail("random_state: expected at least one site, found none");
  if (like.empty() && !sites.front().leg().symmetry().trivial())
    fail(
        "random_state: the sites conserve charges; expected the names of a product state that has "
        "those wanted, found none");
  std::vector<Charge> path(sites.size() + 1);
  if (!like.empty()) {
    const auto product = product_state<T>(sites, like);
    for (Index k = 0; k < product.length(); ++k)
      path[static_cast<std::size_t>(k + 1)] = product.core(k).leg(2).sector(0).charge;
  }
  const std::vector<Leg> bonds = random_bonds(sites, path, bond);
  std::vector<BlockTensor<T>> cores;
  for (std::size_t k = 0; k < sites.size(); ++k) {
    cores.push_back(random_blocks<T>({bonds[k], sites[k].leg(), bonds[k + 1].reversed()}, seed, k));
    // Keeps the norm near one, however long the chain.
    const Index terms = bonds[k].dimension() * sites[k].dimension();
    scale(cores.back(), T(1 / std::sqrt(static_cast<Real<T>>(terms))));
  }
  TensorTrain<T> state(std::move(cores));
  state.orthogonalise(0);
  state.scale(T(1 / state.norm()));
  return state;
}

Sites purification_sites(const Sites& physical) {
  Sites sites;
  for (const Site& site : physical) {
    sites.push_back(site);
    sites.push_back(site.ancilla());
  }
  return sites;
}

template <class T>
TensorTrain<T> infinite_temperature_state(const Sites& physical) {
  if (physical.empty()) fail("infinite_temperature_state: expected at least one site, found none");
  std::vector<BlockTensor<T>> cores;
  for (const Site& site : physical) {
    const Leg &mode = site.leg(), partner = site.ancilla().leg();
    const Leg outer(mode.symmetry(), {{}});
    const Index d = mode.dimension();
    // Σ_s |s⟩|s⟩ / √d is one matrix, cut between the two.
    const auto pair = BlockTensor<T>::from_dense(identity<T>(d, d).reshaped({1, d, d, 1}),
                                                 {outer, mode, partner, outer.reversed()});
    auto parts = qr(pair, 2);
    scale(parts.r, T(1 / std::sqrt(static_cast<Real<T>>(d))));
    cores.push_back(std::move(parts.q));
    cores.push_back(std::move(parts.r));
  }
  return TensorTrain<T>(std::move(cores));
}

#define METATT_INSTANTIATE(T)                                                        \
  template TensorTrain<T> infinite_temperature_state(const Sites&);                  \
  template TensorTrain<T> product_state(const Sites&, std::span<const std::string>); \
  template TensorTrain<T> random_state(const Sites&, Index, std::uint64_t,           \
                                       std::span<const std::string>);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
