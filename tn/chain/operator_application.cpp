#include <metatt/tn/chain/environment.hpp>
#include <metatt/tn/chain/operator_application.hpp>
#include <metatt/tn/chain/overlaps.hpp>
#include <metatt/tn/symmetry/block_decompositions.hpp>

#include <algorithm>
#include <cmath>
#include <complex>

namespace metatt::tn {

template <class T>
AppliedState<T> apply(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state,
                      const TruncationPolicy& policy) {
  check_match("apply", mpo, state);
  // What the cores made so far leave over: (their last bond, operator bond, state bond).
  const Leg& first = state.core(0).leg(0);
  BlockTensor<T> rest({first, mpo.bond_leg(0).reversed(), first.reversed()});
  rest.set_block({0, 0, 0}, Tensor<T>::from({1, 1, 1}, {T(1)}));
  std::vector<BlockTensor<T>> cores;
  for (Index k = 0; k < state.length(); ++k) {
    const auto ket = contract("xwl,lsr->xwsr", rest, state.core(k));
    auto factors = qr(contract("xwsr,wtsv->xtvr", ket, mpo.block_core(k)), 2);
    cores.push_back(std::move(factors.q));
    rest = std::move(factors.r);
  }
  scale(cores.back(), rest.item());
  AppliedState<T> result{TensorTrain<T>(std::move(cores)), 0};
  result.error_bound = sweep(result.state, policy, SweepMode::rounding).error_bound;
  return result;
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
  const Leg &first = state.core(0).leg(0), &bond = mpo.bond_leg(0);
  // (bond of the bra's operator, of the ket's, bra bond, ket bond).
  BlockTensor<T> environment({bond, bond.reversed(), first, first.reversed()});
  environment.set_block({0, 0, 0, 0}, Tensor<T>::from({1, 1, 1, 1}, {T(1)}));
  for (Index k = 0; k < state.length(); ++k) {
    const BlockTensor<T> W = mpo.block_core(k);
    const auto ket = contract("vwbk,ksr->vwbsr", environment, state.core(k));
    const auto once = contract("vwbsr,wtsx->vbtrx", ket, W);
    const auto twice = contract("vbtrx,vtuy->yxbur", once, conjugate(W));
    environment = contract("yxbur,buc->yxcr", twice, conjugate(state.core(k)));
  }
  return std::sqrt(std::max(0.0, static_cast<double>(std::real(environment.item()))));
}

template <class T>
double variance(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state) {
  const double weight = std::real(inner(state, state)), length = norm_of_product(mpo, state);
  const double mean = std::real(expectation(mpo, state)) / weight;
  return length * length / weight - mean * mean;
}

#define METATT_INSTANTIATE(T)                                                              \
  template AppliedState<T> apply(const MatrixProductOperator<T>&, const TensorTrain<T>&,   \
                                 const TruncationPolicy&);                                 \
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
