#include <metatt/tn/chain/matrix_product_state.hpp>

#include <algorithm>
#include <cmath>
#include <map>

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

/// Bond legs of a state of the given total charge with dimensions of at most `bond`: to every
/// charge its share of the paths that lead through it.
std::vector<Leg> random_bonds(const Sites& sites, const Charge& total, Index bond) {
  const Symmetry& symmetry = sites.front().leg().symmetry();
  const auto n = sites.size();
  using Paths = std::map<Charge, double>;
  std::vector<Paths> left(n + 1), right(n + 1);
  left[0] = {{Charge{}, 1}};
  right[n] = {{total, 1}};
  for (std::size_t k = 0; k < n; ++k) {
    for (const auto& [charge, paths] : left[k])
      for (const Sector& s : sites[k].leg().sectors())
        left[k + 1][symmetry.sum(charge, s.charge)] += paths * static_cast<double>(s.dimension);
    const std::size_t j = n - 1 - k;
    for (const auto& [charge, paths] : right[j + 1])
      for (const Sector& s : sites[j].leg().sectors())
        right[j][symmetry.difference(charge, s.charge)] += paths * static_cast<double>(s.dimension);
  }
  std::vector<Leg> legs;
  for (std::size_t k = 0; k <= n; ++k) {
    Paths most;
    double sum = 0;
    for (const auto& [charge, paths] : left[k])
      if (right[k].count(charge)) sum += most[charge] = std::min(paths, right[k][charge]);
    std::vector<Sector> sectors;
    for (const auto& [charge, paths] : most) {
      const double share =
          sum > static_cast<double>(bond) ? paths / sum * static_cast<double>(bond) : paths;
      if (share >= 1 || most.size() == 1) sectors.push_back({charge, static_cast<Index>(share)});
    }
    // Where there are more charges than indices, the most likely ones have one each.
    if (sectors.empty() && !most.empty())
      sectors.push_back({std::ranges::max_element(most, {}, &Paths::value_type::second)->first, 1});
    if (sectors.empty())
      fail("random_state: no state of the chain has the charge ", symmetry.text(total));
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
    const Index state = sites[k].find_state(names[k]);
    Index sector = 0;
    while (mode.offset(sector) + mode.sector(sector).dimension <= state) ++sector;
    const Leg left(mode.symmetry(), {{charge, 1}});
    charge = mode.add_to(charge, sector);
    BlockTensor<T> core({left, mode, Leg(mode.symmetry(), {{charge, 1}}, Direction::out)});
    std::vector<T> values(static_cast<std::size_t>(mode.sector(sector).dimension));
    values[static_cast<std::size_t>(state - mode.offset(sector))] = T(1);
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
  const Charge total = like.empty() ? Charge{} : product_state<T>(sites, like).charge();
  const std::vector<Leg> bonds = random_bonds(sites, total, bond);
  std::vector<BlockTensor<T>> cores;
  for (std::size_t k = 0; k < sites.size(); ++k) {
    cores.push_back(random_blocks<T>({bonds[k], sites[k].leg(), bonds[k + 1].reversed()}, seed, k));
    scale(cores.back(), T(1 / std::sqrt(Real<T>(bonds[k].dimension()))));
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
