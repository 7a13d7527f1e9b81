#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/contract.hpp>

#include <algorithm>
#include <cmath>

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

template <class T>
Tensor<T> matrix_of(const LocalOperator& op, const char* function) {
  std::vector<T> elements;
  for (const Complex value : op.elements) elements.push_back(scalar_of<T>(value, function));
  return Tensor<T>::from({op.dimension, op.dimension}, std::span<const T>(elements));
}

template <class T>
Tensor<T> conjugated(Tensor<T> x) {
  backend::conjugate(backend::queue(), x.size(), x.mutable_data());
  return x;
}

void check_sites(std::size_t sites, Index length, const char* function) {
  if (static_cast<Index>(sites) != length)
    fail(function, ": the state has ", length, " sites, found ", sites);
}

/// ⟨A|O|A⟩ over a core whose surroundings are `left` (bra × ket): the next left environment.
template <class T>
Tensor<T> transfer(const Tensor<T>& left, const Tensor<T>& core, const Tensor<T>* op) {
  Tensor<T> ket = contract("bk,kse->bse", left, core);
  if (op) ket = contract("bse,ts->bte", ket, *op);
  return contract("bsf,bse->fe", conjugated(core), ket);
}

template <class T>
Complex trace_of(const Tensor<T>& square) {
  const auto values = square.to_vector();
  const Index n = square.extent(0);
  Complex sum = 0;
  for (Index i = 0; i < n; ++i) sum += Complex(values[static_cast<std::size_t>(i * (n + 1))]);
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
  const auto core = [&](std::size_t k) { return state.core(static_cast<Index>(k)); };
  const Tensor<T> first = matrix_of<T>(X.fermionic ? X * sites[i].find_operator("F") : X, name);
  Tensor<T> environment =
      transfer(identity<T>(core(i).extent(0), core(i).extent(0)), core(i), &first);
  std::vector<Complex> values(sites.size());
  for (std::size_t j = i + 1; j < sites.size(); ++j) {
    const Tensor<T> last = matrix_of<T>(sites[j].find_operator(Y), name);
    values[j] = trace_of(transfer(environment, core(j), &last));
    const Tensor<T> parity = matrix_of<T>(sites[j].find_operator("F"), name);
    environment = transfer(environment, core(j), X.fermionic ? &parity : nullptr);
  }
  return values;
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
  std::vector<Tensor<T>> cores;
  for (std::size_t k = 0; k < sites.size(); ++k) {
    std::vector<T> values(static_cast<std::size_t>(sites[k].dimension()));
    values[static_cast<std::size_t>(sites[k].find_state(names[k]))] = T(1);
    cores.push_back(Tensor<T>::from({1, sites[k].dimension(), 1}, std::span<const T>(values)));
  }
  return TensorTrain<T>(std::move(cores));
}

template <class T>
TensorTrain<T> random_state(const Sites& sites, Index bond, std::uint64_t seed) {
  if (bond < 1) fail("random_state: expected a bond of at least 1, found ", bond);
  std::vector<Index> modes;
  for (const Site& site : sites) modes.push_back(site.dimension());
  std::vector<Index> ranks = maximal_ranks(modes);
  for (Index& rank : ranks) rank = std::min(rank, bond);
  auto state = TensorTrain<T>::random(modes, ranks, seed);
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
  check_sites(sites.size(), state.length(), "local_expectations");
  TensorTrain<T> moving = state;
  moving.orthogonalise(0);
  const double weight = std::pow(static_cast<double>(moving.norm()), 2);
  std::vector<Complex> values;
  for (Index k = 0; k < state.length(); ++k) {
    const LocalOperator& op = sites[static_cast<std::size_t>(k)].find_operator(name);
    if (op.fermionic)
      fail("local_expectations: \"", name, "\" is fermionic, so its mean value is zero");
    moving.orthogonalise(k);
    const Tensor<T> matrix = matrix_of<T>(op, "local_expectations");
    const Tensor<T>& core = moving.core(k);
    values.push_back(
        trace_of(transfer(identity<T>(core.extent(0), core.extent(0)), core, &matrix)) / weight);
  }
  return values;
}

template <class T>
std::vector<std::vector<Complex>> correlation_matrix(const TensorTrain<T>& state,
                                                     const Sites& sites, const std::string& A,
                                                     const std::string& B) {
  constexpr const char* name = "correlation_matrix";
  check_sites(sites.size(), state.length(), name);
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
    const Tensor<T>& core = moving.core(static_cast<Index>(i));
    const LocalOperator &a = sites[i].find_operator(A), &b = sites[i].find_operator(B);
    const Tensor<T> both = matrix_of<T>(a * b, name);
    result[i][i] =
        trace_of(transfer(identity<T>(core.extent(0), core.extent(0)), core, &both)) / weight;
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
  template TensorTrain<T> random_state(const Sites&, Index, std::uint64_t);              \
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
