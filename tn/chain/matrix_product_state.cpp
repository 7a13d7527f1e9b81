#include <metatt/tn/chain/matrix_product_state.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace metatt::tn {

namespace {

using Complex = std::complex<double>;

template <class T>
T scalar_of(Complex value, const char* function) {
  if constexpr (std::is_same_v<T, Real<T>>) {
    if (value.imag() != 0) fail(function, ": the operator is complex, the state is not");
    return static_cast<T>(value.real());
  } else {
    return T(static_cast<Real<T>>(value.real()), static_cast<Real<T>>(value.imag()));
  }
}

void check_sites(const Sites& sites, Index length, const char* function) {
  if (static_cast<Index>(sites.size()) != length)
    fail(function, ": the state has ", length, " sites, found ", sites.size());
}

/// An operator as the core of an MPO whose bonds have dimension one: legs (left bond, out, in,
/// right bond). The left bond has the charge `left`, the right one what the operator makes of it.
template <class T>
BlockTensor<T> operator_core(const Site& site, const LocalOperator& op, const Charge& left,
                             const char* function) {
  const Symmetry& symmetry = site.leg().symmetry();
  const Charge right = symmetry.sum(left, site.charge_change(op).value_or(Charge{}));
  std::vector<T> elements;
  for (const Complex value : op.elements) elements.push_back(scalar_of<T>(value, function));
  return BlockTensor<T>::from_dense(
      Tensor<T>::from({1, op.dimension, op.dimension, 1}, std::span<const T>(elements)),
      {Leg(symmetry, {{left, 1}}), site.leg(), site.leg().reversed(),
       Leg(symmetry, {{right, 1}}, Direction::out)});
}

/// What stands left of the centre of a canonical form: legs as Environments::left.
template <class T>
BlockTensor<T> left_of_center(const BlockTensor<T>& core) {
  const Leg& bond = core.leg(0);
  BlockTensor<T> result({Leg(bond.symmetry(), {{}}, Direction::out), bond, bond.reversed()});
  for (Index s = 0; s < bond.sector_count(); ++s) {
    const Index n = bond.sector(s).dimension;
    result.set_block({0, s, s}, identity<T>(n, n).reshaped({1, n, n}));
  }
  return result;
}

/// ⟨A|O|A⟩ over a core: the next left environment.
template <class T>
BlockTensor<T> transfer(const BlockTensor<T>& left, const BlockTensor<T>& core,
                        const BlockTensor<T>& op) {
  const BlockTensor<T> ket = contract("wbk,ksr->wbsr", left, core);
  const BlockTensor<T> applied = contract("wbsr,wtsv->vbtr", ket, op);
  return contract("btc,vbtr->vcr", conjugate(core), applied);
}

/// The environment closed by a right-canonical rest: its trace over the bond, zero if the operators
/// changed a charge.
template <class T>
Complex trace_of(const BlockTensor<T>& environment) {
  Complex sum = 0;
  for (const auto& [key, block] : environment.blocks()) {
    if (key[1] != key[2]) continue;
    const auto values = block.to_vector();
    const Index n = block.extent(1);
    for (Index i = 0; i < n; ++i) sum += Complex(values[static_cast<std::size_t>(i * (n + 1))]);
  }
  return sum;
}

/// ⟨ψ|X_i Y_j|ψ⟩ for all j > i, for a state with its centre at site i: one environment that holds
/// X_i (and the parity operators behind it, if it is fermionic) moves to the right and is closed by
/// Y.
template <class T>
std::vector<Complex> correlations_to_the_right(const TensorTrain<T>& state, const Sites& sites,
                                               std::size_t i, const LocalOperator& X,
                                               const std::string& Y) {
  constexpr const char* name = "correlation_matrix";
  const LocalOperator first = X.fermionic ? X * sites[i].find_operator("F") : X;
  const Charge charge = sites[i].charge_change(first).value_or(Charge{});
  const BlockTensor<T>& center = state.core(static_cast<Index>(i));
  BlockTensor<T> environment =
      transfer(left_of_center(center), center, operator_core<T>(sites[i], first, {}, name));
  std::vector<Complex> values(sites.size());
  for (std::size_t j = i + 1; j < sites.size(); ++j) {
    const BlockTensor<T>& core = state.core(static_cast<Index>(j));
    const auto op = [&](const std::string& between) {
      return operator_core<T>(sites[j], sites[j].find_operator(between), charge, name);
    };
    values[j] = trace_of(transfer(environment, core, op(Y)));
    environment = transfer(environment, core, op(X.fermionic ? "F" : "Id"));
  }
  return values;
}

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

double entropy(std::span<const double> singular_values) {
  double weight = 0;
  for (const double value : singular_values) weight += value * value;
  double sum = 0;
  for (const double value : singular_values)
    if (const double p = value * value / weight; p > 0) sum -= p * std::log(p);
  return sum;
}

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

template <class T>
std::vector<std::vector<double>> entanglement_spectra(const TensorTrain<T>& state) {
  TensorTrain<T> copy = state;
  const auto report = sweep(copy, TruncationPolicy{}, SweepMode::rounding);
  const double norm = static_cast<double>(copy.norm());
  std::vector<std::vector<double>> spectra;
  for (const auto& bond : report.bonds) {
    spectra.push_back(bond.spectrum);
    for (double& value : spectra.back()) value /= norm;
  }
  return spectra;
}

template <class T>
std::vector<Complex> local_expectations(const TensorTrain<T>& state, const Sites& sites,
                                        const std::string& name) {
  check_sites(sites, state.length(), "local_expectations");
  TensorTrain<T> moving = state;
  moving.orthogonalise(0);
  const double weight = std::pow(static_cast<double>(moving.norm()), 2);
  std::vector<Complex> values;
  for (Index k = 0; k < state.length(); ++k) {
    const LocalOperator& op = sites[static_cast<std::size_t>(k)].find_operator(name);
    if (op.fermionic)
      fail("local_expectations: \"", name, "\" is fermionic, so its mean value is zero");
    moving.orthogonalise(k);
    const BlockTensor<T>& core = moving.core(k);
    const auto W =
        operator_core<T>(sites[static_cast<std::size_t>(k)], op, {}, "local_expectations");
    values.push_back(trace_of(transfer(left_of_center(core), core, W)) / weight);
  }
  return values;
}

template <class T>
std::vector<std::vector<Complex>> correlation_matrix(const TensorTrain<T>& state,
                                                     const Sites& sites, const std::string& A,
                                                     const std::string& B) {
  constexpr const char* name = "correlation_matrix";
  check_sites(sites, state.length(), name);
  const auto n = sites.size();
  TensorTrain<T> moving = state;
  moving.orthogonalise(0);
  const double weight = std::pow(static_cast<double>(moving.norm()), 2);
  std::vector<std::vector<Complex>> result(n, std::vector<Complex>(n));
  const bool odd = sites[0].find_operator(A).fermionic;
  for (const Site& site : sites)
    if (site.find_operator(A).fermionic != odd || site.find_operator(B).fermionic != odd)
      fail(name, ": expected \"", A, "\" and \"", B,
           "\" both fermionic or both not, on every site");
  for (std::size_t i = 0; i < n; ++i) {
    moving.orthogonalise(static_cast<Index>(i));
    const BlockTensor<T>& core = moving.core(static_cast<Index>(i));
    const LocalOperator &a = sites[i].find_operator(A), &b = sites[i].find_operator(B);
    const auto both = operator_core<T>(sites[i], a * b, {}, name);
    result[i][i] = trace_of(transfer(left_of_center(core), core, both)) / weight;
    const auto later_B = correlations_to_the_right(moving, sites, i, a, B);
    const auto later_A = correlations_to_the_right(moving, sites, i, b, A);
    for (std::size_t j = i + 1; j < n; ++j) {
      result[i][j] = later_B[j] / weight;
      result[j][i] = (odd ? -1.0 : 1.0) * later_A[j] / weight;  // A_j B_i = ∓ B_i A_j
    }
  }
  return result;
}

#define METATT_INSTANTIATE(T)                                                            \
  template TensorTrain<T> product_state(const Sites&, std::span<const std::string>);     \
  template TensorTrain<T> random_state(const Sites&, Index, std::uint64_t,               \
                                       std::span<const std::string>);                    \
  template std::vector<std::vector<double>> entanglement_spectra(const TensorTrain<T>&); \
  template std::vector<Complex> local_expectations(const TensorTrain<T>&, const Sites&,  \
                                                   const std::string&);                  \
  template std::vector<std::vector<Complex>> correlation_matrix(                         \
      const TensorTrain<T>&, const Sites&, const std::string&, const std::string&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
