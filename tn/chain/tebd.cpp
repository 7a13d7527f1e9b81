#include <metatt/tn/chain/tebd.hpp>

#include <metatt/tn/chain/pairs.hpp>
#include <metatt/tn/chain/vectors.hpp>
#include <metatt/tn/contract.hpp>
#include <metatt/tn/symmetry/block_decompositions.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::tn {

namespace {

using Complex = std::complex<double>;

/// A ⊗ B.
std::vector<Complex> kronecker(const LocalOperator& a, const LocalOperator& b) {
  const Index d = a.dimension, e = b.dimension, n = d * e;
  std::vector<Complex> result(static_cast<std::size_t>(n * n));
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j)
      result[static_cast<std::size_t>(i * n + j)] =
          a.elements[static_cast<std::size_t>(i / e * d + j / e)] *
          b.elements[static_cast<std::size_t>(i % e * e + j % e)];
  return result;
}

/// The sum cut into one matrix for each bond; a term on one site goes half to each of its bonds.
class BondTerms {
 public:
  BondTerms(const OperatorSum& sum, const Sites& sites) : sites_(sites) {
    for (std::size_t k = 0; k + 1 < sites.size(); ++k) {
      const auto n = static_cast<std::size_t>(sites[k].dimension() * sites[k + 1].dimension());
      matrices_.emplace_back(n * n);
    }
    for (const OperatorProduct& term : sum.terms()) add(term);
  }

  std::vector<Tensor<Complex>> tensors() const {
    std::vector<Tensor<Complex>> result;
    for (std::size_t k = 0; k < matrices_.size(); ++k) {
      const Index n = sites_[k].dimension() * sites_[k + 1].dimension();
      result.push_back(Tensor<Complex>::from({n, n}, std::span<const Complex>(matrices_[k])));
    }
    return result;
  }

 private:
  void add(const OperatorProduct& term) {
    LocalProduct product = local_product(term, sites_);
    std::erase_if(product.factors, [](const auto& factor) { return factor.second.is_identity(); });
    const auto& factors = product.factors;
    const Index last = static_cast<Index>(sites_.size()) - 1;
    const Index k = factors.empty() ? 0 : factors.front().first;
    const auto identity = [&](Index site) {
      return LocalOperator::identity(sites_[static_cast<std::size_t>(site)].dimension());
    };
    const LocalOperator own = factors.empty() ? identity(0) : factors.front().second;
    if (factors.size() > 2 || (factors.size() == 2 && factors[1].first != k + 1))
      fail("Tebd: term ", to_string(term), " reaches further than to a neighbour");
    if (factors.size() == 2) return add(k, product.coefficient, kronecker(own, factors[1].second));
    const double share = k > 0 && k < last ? 0.5 : 1;
    if (k > 0) add(k - 1, share * product.coefficient, kronecker(identity(k - 1), own));
    if (k < last) add(k, share * product.coefficient, kronecker(own, identity(k + 1)));
  }

  void add(Index bond, Complex coefficient, const std::vector<Complex>& matrix) {
    auto& sum = matrices_[static_cast<std::size_t>(bond)];
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += coefficient * matrix[i];
  }

  const Sites& sites_;
  std::vector<std::vector<Complex>> matrices_;
};

/// exp(z·A) of a Hermitian matrix, row-major.
std::vector<Complex> exponential_of(const Tensor<Complex>& matrix, Complex z) {
  const Eigh<Complex> pairs = eigh(matrix);
  const Index n = matrix.extent(0);
  const auto vectors = pairs.vectors.to_vector();
  std::vector<Complex> result(static_cast<std::size_t>(n * n));
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j)
      for (Index m = 0; m < n; ++m)
        result[static_cast<std::size_t>(i * n + j)] +=
            vectors[static_cast<std::size_t>(i * n + m)] *
            std::conj(vectors[static_cast<std::size_t>(j * n + m)]) *
            std::exp(z * pairs.values[static_cast<std::size_t>(m)]);
  return result;
}

/// A matrix of two sites as a block tensor (out, out, in, in). Elements between states of different
/// charge are rounding errors of the eigenvectors and are left out.
template <class T>
BlockTensor<T> gate_of(const std::vector<Complex>& matrix, const Leg& first, const Leg& second) {
  BlockTensor<T> gate({first, second, first.reversed(), second.reversed()});
  const Index n = first.dimension() * second.dimension();
  for (const BlockKey& key : allowed_keys(gate.legs())) {
    const Shape shape = gate.block_shape(key);
    std::vector<T> values;
    for (Index i = 0; i < shape[0]; ++i)
      for (Index j = 0; j < shape[1]; ++j)
        for (Index k = 0; k < shape[2]; ++k)
          for (Index m = 0; m < shape[3]; ++m) {
            const Index row = (first.offset(key[0]) + i) * second.dimension() +
                              second.offset(key[1]) + j,
                        column = (first.offset(key[2]) + k) * second.dimension() +
                                 second.offset(key[3]) + m;
            values.push_back(scalar_of<T>(matrix[static_cast<std::size_t>(row * n + column)]));
          }
    gate.set_block(key, Tensor<T>::from(shape, std::span<const T>(values)));
  }
  return gate;
}

}  // namespace

template <class T>
Tebd<T>::Tebd(const OperatorSum& sum, const Sites& sites, TensorTrain<T> start,
              const TebdSettings& settings)
    : sites_(sites), state_(std::move(start)), settings_(settings) {
  if (settings_.order != 2 && settings_.order != 4)
    fail("Tebd: expected order 2 or 4, found ", settings_.order);
  policy_ = bond_policy(settings_.maximum_bond, settings_.cutoff);
  if (sites_.size() < 2) fail("Tebd: expected at least two sites, found ", sites_.size());
  // The MPO finds what is wrong with a sum: unknown operators, charges, a sum that is not
  // Hermitian.
  const auto mpo = matrix_product_operator<T>(sum, sites_);
  check_match("Tebd", mpo, state_);
  check_hermitian("Tebd", mpo);
  terms_ = BondTerms(sum, sites_).tensors();
  const Real<T> norm = state_.norm();
  if (!(norm > 0) || !std::isfinite(norm))
    fail("Tebd: expected a start state, found one of norm ", norm);
  state_.scale(T(1 / norm));
}

template <class T>
EvolutionReport Tebd<T>::step(Complex z) {
  if (std::is_same_v<T, Real<T>> && z.imag() != 0)
    fail("Tebd: real states need a real exponent, found ", z, "; use a complex type");
  report_ = {};
  if (settings_.order == 2) {
    second_order(z);
  } else {  // Suzuki 1990, doi:10.1016/0375-9601(90)90962-N
    const double part = 1 / (4 - std::cbrt(4.0));
    for (const double weight : {part, part, 1 - 4 * part, part, part}) second_order(weight * z);
  }
  report_.norm = static_cast<double>(state_.norm());
  state_.scale(T(1 / state_.norm()));
  for (const Index rank : state_.ranks())
    report_.maximum_bond = std::max(report_.maximum_bond, rank);
  return report_;
}

template <class T>
void Tebd<T>::second_order(Complex z) {
  layer(0, 0.5 * z);
  layer(1, z);
  layer(0, 0.5 * z);
}

template <class T>
void Tebd<T>::layer(Index first, Complex z) {
  const auto& all = gates(z);
  for (Index k = first; k + 1 < state_.length(); k += 2) {
    state_.orthogonalise(k);
    const auto pair = contract("lsm,mtr->lstr", state_.core(k), state_.core(k + 1));
    const Truncation cut =
        split_pair(state_, k, contract("uvst,lstr->luvr", all[static_cast<std::size_t>(k)], pair),
                   policy_, k + 1);
    report_.discarded_weight = std::max(report_.discarded_weight, cut.discarded_weight);
  }
}

template <class T>
const std::vector<BlockTensor<T>>& Tebd<T>::gates(Complex z) {
  auto& result = gates_[{z.real(), z.imag()}];
  if (result.empty())
    for (std::size_t k = 0; k < terms_.size(); ++k)
      result.push_back(
          gate_of<T>(exponential_of(terms_[k], z), sites_[k].leg(), sites_[k + 1].leg()));
  return result;
}

template class Tebd<float>;
template class Tebd<double>;
template class Tebd<std::complex<float>>;
template class Tebd<std::complex<double>>;

}  // namespace metatt::tn
