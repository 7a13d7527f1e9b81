#include <metatt/tn/chain/measurement.hpp>
#include <metatt/tn/chain/vectors.hpp>
#include <metatt/tn/contract.hpp>

#include <algorithm>
#include <cmath>
#include <random>

namespace metatt::tn {

namespace {

using Complex = std::complex<double>;

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
  for (const Complex value : op.elements) {
    if (std::is_same_v<T, Real<T>> && value.imag() != 0)
      fail(function, ": the operator is complex, the state is not");
    elements.push_back(scalar_of<T>(value));
  }
  return BlockTensor<T>::from_dense(
      Tensor<T>::from({1, op.dimension, op.dimension, 1}, std::span<const T>(elements)),
      {Leg(symmetry, {{left, 1}}), site.leg(), site.leg().reversed(),
       Leg(symmetry, {{right, 1}}, Direction::out)});
}

/// What stands left of the centre of a canonical form (legs as Environments::left) or, if the bond
/// of the operator comes in, right of it (as Environments::right). `bond` comes in.
template <class T>
BlockTensor<T> identity_environment(const Leg& bond, Direction operator_bond) {
  BlockTensor<T> result({Leg(bond.symmetry(), {{}}, operator_bond), bond, bond.reversed()});
  for (Index s = 0; s < bond.sector_count(); ++s) {
    const Index n = bond.sector(s).dimension;
    result.set_block({0, s, s}, identity<T>(n, n).reshaped({1, n, n}));
  }
  return result;
}

template <class T>
BlockTensor<T> left_of_center(const BlockTensor<T>& core) {
  return identity_environment<T>(core.leg(0), Direction::out);
}

/// ⟨A|O|A⟩ over a core: the next left environment.
template <class T>
BlockTensor<T> transfer(const BlockTensor<T>& left, const BlockTensor<T>& core,
                        const BlockTensor<T>& op) {
  const BlockTensor<T> ket = contract("wbk,ksr->wbsr", left, core);
  const BlockTensor<T> applied = contract("wbsr,wtsv->vbtr", ket, op);
  return contract("btc,vbtr->vcr", conjugate(core), applied);
}

/// The next right environment.
template <class T>
BlockTensor<T> transfer_left(const BlockTensor<T>& right, const BlockTensor<T>& core,
                             const BlockTensor<T>& op) {
  const BlockTensor<T> ket = contract("vrc,ksr->vcks", right, core);
  const BlockTensor<T> applied = contract("wtsv,vcks->wtck", op, ket);
  return contract("btc,wtck->wkb", conjugate(core), applied);
}

/// The environment closed by the rest, which is canonical towards it: its trace over the bond, zero
/// if the operators changed a charge.
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
std::vector<Complex> correlations_to_the_right(const char* name, const TensorTrain<T>& state,
                                               const Sites& sites, std::size_t i,
                                               const LocalOperator& X, const std::string& Y) {
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

/// ⟨ψ|X_i Y_j|ψ⟩ for all j < i likewise, to the left. In the order of the chain it is Y_j X_i, with
/// the other sign if both are fermionic.
template <class T>
std::vector<Complex> correlations_to_the_left(const TensorTrain<T>& state, const Sites& sites,
                                              std::size_t i, const LocalOperator& X,
                                              const std::string& Y) {
  constexpr const char* name = "correlations";
  const Symmetry& symmetry = sites[i].leg().symmetry();
  // An operator whose right bond has the charge `right`.
  const auto core_of = [&](std::size_t j, const LocalOperator& op, const Charge& right) {
    const Charge change = sites[j].charge_change(op).value_or(Charge{});
    return operator_core<T>(sites[j], op, symmetry.difference(right, change), name);
  };
  const Charge charge = symmetry.difference({}, sites[i].charge_change(X).value_or(Charge{}));
  const BlockTensor<T>& center = state.core(static_cast<Index>(i));
  BlockTensor<T> environment = transfer_left(
      identity_environment<T>(center.leg(2).reversed(), Direction::in), center, core_of(i, X, {}));
  std::vector<Complex> values(sites.size());
  for (std::size_t j = i; j-- > 0;) {
    const BlockTensor<T>& core = state.core(static_cast<Index>(j));
    const LocalOperator &own = sites[j].find_operator(Y), &parity = sites[j].find_operator("F");
    const LocalOperator last = X.fermionic ? own * parity : own;
    const Complex value = trace_of(transfer_left(environment, core, core_of(j, last, charge)));
    values[j] = X.fermionic ? -value : value;
    const LocalOperator& between = X.fermionic ? parity : sites[j].find_operator("Id");
    environment = transfer_left(environment, core, core_of(j, between, charge));
  }
  return values;
}

/// Throws Error naming the operators unless they are fermionic on all sites or on none.
void check_statistics(const char* function, const Sites& sites, const std::string& A,
                      const std::string& B) {
  const bool odd = sites[0].find_operator(A).fermionic;
  for (const Site& site : sites)
    if (site.find_operator(A).fermionic != odd || site.find_operator(B).fermionic != odd)
      fail(function, ": expected \"", A, "\" and \"", B,
           "\" both fermionic or both not, on every site");
}

/// ⟨ψ|A_i B_i|ψ⟩ for a state with its centre at site i.
template <class T>
Complex same_site(const char* function, const TensorTrain<T>& state, const Sites& sites,
                  std::size_t i, const LocalOperator& product) {
  const BlockTensor<T>& core = state.core(static_cast<Index>(i));
  const auto op = operator_core<T>(sites[i], product, {}, function);
  return trace_of(transfer(left_of_center(core), core, op));
}

template <class T>
Tensor<T> conjugated(Tensor<T> x) {
  backend::conjugate(backend::queue(), x.size(), x.mutable_data());
  return x;
}

/// One measurement of all sites, of a state of norm one with its centre at site 0.
template <class T>
std::vector<Index> sampled(const TensorTrain<T>& state, std::mt19937_64& chance) {
  std::vector<Index> result;
  // What the sites so far leave of the state: a row vector in one sector of the bond.
  Tensor<T> row = Tensor<T>::from({1, 1}, {T(1)});
  Index sector = 0;
  for (Index k = 0; k < state.length(); ++k) {
    struct Outcome {
      Index state, sector;
      double weight;
      Tensor<T> row;
    };
    std::vector<Outcome> outcomes;
    double total = 0;
    for (const auto& [key, block] : state.core(k).blocks()) {
      if (key[0] != sector) continue;
      const Index d = block.extent(1), right = block.extent(2);
      const Tensor<T> rows =
          matrix_product(row, block.reshaped({block.extent(0), d * right})).reshaped({d, right});
      for (Index s = 0; s < d; ++s) {
        const Tensor<T> own = rows.slice(s, s + 1);
        const double norm = static_cast<double>(backend::norm(backend::queue(), right, own.data()));
        total += norm * norm;
        outcomes.push_back({state.core(k).leg(1).offset(key[1]) + s, key[2], norm * norm, own});
      }
    }
    double left = total * static_cast<double>(chance() >> 11) * 0x1p-53;
    std::size_t chosen = 0;
    while (chosen + 1 < outcomes.size() && left >= outcomes[chosen].weight)
      left -= outcomes[chosen++].weight;
    const Outcome& outcome = outcomes[chosen];
    result.push_back(outcome.state);
    sector = outcome.sector;
    row = outcome.row;
    backend::scale(backend::queue(), row.size(),
                   static_cast<T>(static_cast<Real<T>>(1 / std::sqrt(outcome.weight))),
                   row.mutable_data());
  }
  return result;
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
std::vector<std::vector<double>> entanglement_spectra(const TensorTrain<T>& state) {
  auto spectra = bond_spectra(state);
  for (auto& spectrum : spectra) {
    double weight = 0;
    for (const double value : spectrum) weight += value * value;
    for (double& value : spectrum) value /= std::sqrt(weight);
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
std::vector<Complex> correlations(const TensorTrain<T>& state, const Sites& sites, Index i,
                                  const std::string& A, const std::string& B) {
  check_sites(sites, state.length(), "correlations");
  if (i < 0 || i >= state.length())
    fail("correlations: expected a site of 0 … ", state.length() - 1, ", found ", i);
  check_statistics("correlations", sites, A, B);
  TensorTrain<T> moving = state;
  moving.orthogonalise(i);
  const double weight = std::pow(static_cast<double>(moving.norm()), 2);
  const auto place = static_cast<std::size_t>(i);
  const LocalOperator &a = sites[place].find_operator(A), &b = sites[place].find_operator(B);
  std::vector<Complex> values = correlations_to_the_left(moving, sites, place, a, B);
  const std::vector<Complex> later =
      correlations_to_the_right("correlations", moving, sites, place, a, B);
  std::copy(later.begin() + i, later.end(), values.begin() + i);
  values[place] = same_site("correlations", moving, sites, place, a * b);
  for (Complex& value : values) value /= weight;
  return values;
}

template <class T>
std::vector<std::vector<Complex>> correlation_matrix(const TensorTrain<T>& state,
                                                     const Sites& sites, const std::string& A,
                                                     const std::string& B) {
  constexpr const char* name = "correlation_matrix";
  check_sites(sites, state.length(), name);
  check_statistics(name, sites, A, B);
  const auto n = sites.size();
  TensorTrain<T> moving = state;
  moving.orthogonalise(0);
  const double weight = std::pow(static_cast<double>(moving.norm()), 2);
  const double sign = sites[0].find_operator(A).fermionic ? -1 : 1;  // A_j B_i = ∓ B_i A_j
  std::vector<std::vector<Complex>> result(n, std::vector<Complex>(n));
  for (std::size_t i = 0; i < n; ++i) {
    moving.orthogonalise(static_cast<Index>(i));
    const LocalOperator &a = sites[i].find_operator(A), &b = sites[i].find_operator(B);
    result[i][i] = same_site(name, moving, sites, i, a * b) / weight;
    const auto later_B = correlations_to_the_right(name, moving, sites, i, a, B);
    const auto later_A = A == B ? later_B : correlations_to_the_right(name, moving, sites, i, b, A);
    for (std::size_t j = i + 1; j < n; ++j) {
      result[i][j] = later_B[j] / weight;
      result[j][i] = sign * later_A[j] / weight;
    }
  }
  return result;
}

template <class T>
Tensor<T> reduced_density_matrix(const TensorTrain<T>& state, Index first, Index count) {
  if (first < 0 || count < 1 || first + count > state.length())
    fail("reduced_density_matrix: expected sites of 0 … ", state.length() - 1, ", found ", count,
         " from ", first, " on");
  TensorTrain<T> moving = state;
  moving.orthogonalise(first);
  Tensor<T> block = moving.dense_core(first);  // (left bond, basis states, right bond)
  for (Index k = first + 1; k < first + count; ++k) {
    const Tensor<T> core = moving.dense_core(k);
    block = contract("lim,msr->lisr", block, core)
                .reshaped({block.extent(0), block.extent(1) * core.extent(1), core.extent(2)});
  }
  Tensor<T> density = contract("lir,ljr->ij", block, conjugated(block));
  const Real<T> norm = moving.norm();
  backend::scale(backend::queue(), density.size(), T(1 / (norm * norm)), density.mutable_data());
  return density;
}

template <class T>
std::vector<std::vector<Index>> sample(const TensorTrain<T>& state, Index count,
                                       std::uint64_t seed) {
  TensorTrain<T> canonical = state;
  canonical.orthogonalise(0);
  if (!(canonical.norm() > 0)) fail("sample: expected a state, found one of norm zero");
  canonical.scale(T(1 / canonical.norm()));
  std::mt19937_64 chance(seed);
  std::vector<std::vector<Index>> samples;
  for (Index i = 0; i < count; ++i) samples.push_back(sampled(canonical, chance));
  return samples;
}

#define METATT_INSTANTIATE(T)                                                            \
  template std::vector<std::vector<double>> entanglement_spectra(const TensorTrain<T>&); \
  template std::vector<Complex> local_expectations(const TensorTrain<T>&, const Sites&,  \
                                                   const std::string&);                  \
  template std::vector<Complex> correlations(const TensorTrain<T>&, const Sites&, Index, \
                                             const std::string&, const std::string&);    \
  template std::vector<std::vector<Complex>> correlation_matrix(                         \
      const TensorTrain<T>&, const Sites&, const std::string&, const std::string&);      \
  template Tensor<T> reduced_density_matrix(const TensorTrain<T>&, Index, Index);        \
  template std::vector<std::vector<Index>> sample(const TensorTrain<T>&, Index, std::uint64_t);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
