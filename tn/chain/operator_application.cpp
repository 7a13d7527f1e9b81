#include <metatt/tn/chain/operator_application.hpp>

#include <metatt/tn/chain/environment.hpp>
#include <metatt/tn/chain/overlaps.hpp>
#include <metatt/tn/symmetry/block_decompositions.hpp>

#include <algorithm>
#include <cmath>
#include <complex>

namespace metatt::tn {

namespace {

/// The legs left of the first site joined: (bond of the result, of the operator, of the state).
template <class T>
BlockTensor<T> joined_ends(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state) {
  const Leg& first = state.core(0).leg(0);
  BlockTensor<T> ends({first, mpo.bond_leg(0).reversed(), first.reversed()});
  ends.set_block({0, 0, 0}, Tensor<T>::from({1, 1, 1}, {T(1)}));
  return ends;
}

/// ⟨Hψ|Hψ⟩ up to a bond: (bond of the bra's operator, of the ket's, bra bond, ket bond).
template <class T>
BlockTensor<T> first_square(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state) {
  const Leg &first = state.core(0).leg(0), &bond = mpo.bond_leg(0);
  BlockTensor<T> square({bond, bond.reversed(), first, first.reversed()});
  square.set_block({0, 0, 0, 0}, Tensor<T>::from({1, 1, 1, 1}, {T(1)}));
  return square;
}

/// That of the next bond. Cost of order d·(m³·w² + m²·w³).
template <class T>
BlockTensor<T> next_square(const BlockTensor<T>& square, const MatrixProductOperator<T>& mpo,
                           const TensorTrain<T>& state, Index k) {
  const BlockTensor<T> W = mpo.block_core(k);
  const auto ket = contract("vwbk,ksr->vwbsr", square, state.core(k));
  const auto once = contract("vwbsr,wtsx->vbtrx", ket, W);
  const auto twice = contract("vbtrx,vtuy->yxbur", once, conjugate(W));
  return contract("yxbur,buc->yxcr", twice, conjugate(state.core(k)));
}

/// Site by site from the left, factorised by factors(x) into a core with two row legs and a rest.
template <class T, class Factors>
TensorTrain<T> product_from_left(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state,
                                 const Factors& factors) {
  // What the cores made so far leave over: (their last bond, operator bond, state bond).
  BlockTensor<T> rest = joined_ends(mpo, state);
  std::vector<BlockTensor<T>> cores;
  for (Index k = 0; k < state.length(); ++k) {
    const auto ket = contract("xwl,lsr->xwsr", rest, state.core(k));
    std::pair<BlockTensor<T>, BlockTensor<T>> parts =
        factors(contract("xwsr,wtsv->xtvr", ket, mpo.block_core(k)));
    cores.push_back(std::move(parts.first));
    rest = std::move(parts.second);
  }
  scale(cores.back(), rest.item());
  return TensorTrain<T>(std::move(cores));
}

template <class T>
AppliedState<T> apply_exactly(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state,
                              const TruncationPolicy& policy) {
  auto product = product_from_left(mpo, state, [](const BlockTensor<T>& x) {
    auto factors = qr(x, 2);
    return std::pair(std::move(factors.q), std::move(factors.r));
  });
  const double error = sweep(product, policy, SweepMode::rounding).error_bound;
  return {std::move(product), error};
}

template <class T>
AppliedState<T> zip_up(const MatrixProductOperator<T>& mpo, TensorTrain<T> state,
                       const TruncationPolicy& policy) {
  TruncationPolicy loose = policy;
  loose.cutoff = policy.cutoff / 10;
  loose.maximum_rank = policy.maximum_rank > unlimited / 2 ? unlimited : 2 * policy.maximum_rank;
  state.orthogonalise(0);
  auto product = product_from_left(mpo, state, [&](const BlockTensor<T>& x) {
    auto cut = truncated_svd(x, 2, loose);
    return std::pair(std::move(cut.u), leg_scaled(std::move(cut.vh), 0, cut.singular_values));
  });
  sweep(product, policy, SweepMode::rounding);
  const double whole = norm_of_product(mpo, state), kept = product.norm();
  const double overlap = std::real(matrix_element(product, mpo, state));
  return {std::move(product), std::sqrt(std::max(0.0, whole * whole + kept * kept - 2 * overlap))};
}

template <class T>
AppliedState<T> apply_by_density_matrices(const MatrixProductOperator<T>& mpo,
                                          const TensorTrain<T>& state,
                                          const TruncationPolicy& policy) {
  const Index last = state.length() - 1;
  std::vector<BlockTensor<T>> squares{first_square(mpo, state)};
  for (Index k = 0; k < last; ++k) squares.push_back(next_square(squares.back(), mpo, state, k));
  // What stands right of a bond in the basis made so far: (operator bond, state bond, new bond).
  const Leg& end = state.core(last).leg(2);
  BlockTensor<T> rest({mpo.bond_leg(last + 1), end.reversed(), end});
  rest.set_block({0, 0, 0}, Tensor<T>::from({1, 1, 1}, {T(1)}));
  std::vector<BlockTensor<T>> cores(static_cast<std::size_t>(last + 1));
  double discarded = 0;
  for (Index k = last;; --k) {
    const auto ket = contract("lsr,vrx->lsvx", state.core(k), rest);
    const auto site = contract("lsvx,wtsv->wltx", ket, mpo.block_core(k));
    BlockTensor<T>& core = cores[static_cast<std::size_t>(k)];
    if (k == 0) {
      core = contract("awl,wltx->atx", joined_ends(mpo, state), site);
      break;
    }
    const auto half = contract("vwbl,wltx->vbtx", squares[static_cast<std::size_t>(k)], site);
    // The site has more vectors than the product where w·m is smaller; those are rounding.
    TruncationPolicy bounded = policy;
    bounded.maximum_rank = std::min(policy.maximum_rank, site.extent(0) * site.extent(1));
    bounded.minimum_rank = std::min(policy.minimum_rank, bounded.maximum_rank);
    auto kept = leading_eigenvectors(contract("vbuy,vbtx->uytx", conjugate(site), half), bounded);
    discarded += kept.truncation.discarded_norm * kept.truncation.discarded_norm;
    core = std::move(kept.vectors);
    rest = contract("wltx,ntx->wln", site, conjugate(core));
  }
  return {TensorTrain<T>::canonical(std::move(cores), 0), std::sqrt(discarded)};
}

}  // namespace

template <class T>
AppliedState<T> apply(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state,
                      const TruncationPolicy& policy, Application method) {
  check_match("apply", mpo, state);
  switch (method) {
    case Application::exact:
      return apply_exactly(mpo, state, policy);
    case Application::density_matrix:
      return apply_by_density_matrices(mpo, state, policy);
    case Application::zip_up:
      return zip_up(mpo, state, policy);
  }
  fail("apply: there is no method ", static_cast<int>(method));
}

template <class T>
T matrix_element(const TensorTrain<T>& bra, const MatrixProductOperator<T>& mpo,
                 const TensorTrain<T>& ket) {
  check_match("matrix_element", mpo, ket);
  OperatorOverlaps<T> overlaps(mpo, ket, bra);
  const Index last = bra.length() - 1;
  for (Index k = 0; k < last; ++k) overlaps.extend_left(bra, k);
  const BlockTensor<T> part = overlaps.part(last, 1);
  return part.blocks().empty() ? T(0) : dot(bra.core(last), part);
}

template <class T>
double norm_of_product(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state) {
  check_match("norm_of_product", mpo, state);
  BlockTensor<T> square = first_square(mpo, state);
  for (Index k = 0; k < state.length(); ++k) square = next_square(square, mpo, state, k);
  return std::sqrt(std::max(0.0, static_cast<double>(std::real(square.item()))));
}

template <class T>
double variance(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state) {
  const double weight = std::real(inner(state, state)), length = norm_of_product(mpo, state);
  const double mean = std::real(expectation(mpo, state)) / weight;
  return length * length / weight - mean * mean;
}

#define METATT_INSTANTIATE(T)                                                              \
  template AppliedState<T> apply(const MatrixProductOperator<T>&, const TensorTrain<T>&,   \
                                 const TruncationPolicy&, Application);                    \
  template T matrix_element(const TensorTrain<T>&, const MatrixProductOperator<T>&,        \
                            const TensorTrain<T>&);                                        \
  template double norm_of_product(const MatrixProductOperator<T>&, const TensorTrain<T>&); \
  template double variance(const MatrixProductOperator<T>&, const TensorTrain<T>&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
