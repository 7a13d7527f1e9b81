#include <metatt/tn/chain/overlaps.hpp>

#include <metatt/tn/chain/environment.hpp>

namespace metatt::tn {

namespace {

template <class T>
void check_modes(const TensorTrain<T>& fixed, const TensorTrain<T>& state) {
  if (fixed.length() != state.length())
    fail("Overlaps: the states have ", fixed.length(), " and ", state.length(), " sites");
  for (Index k = 0; k < state.length(); ++k)
    if (fixed.core(k).leg(1) != state.core(k).leg(1))
      fail("Overlaps: site ", k, " is (", leg_text(fixed.core(k).leg(1)), ") in one state, (",
           leg_text(state.core(k).leg(1)), ") in the other");
}

/// The number one between legs of dimension one; zero where their charges forbid it.
template <class T>
BlockTensor<T> one(std::vector<Leg> legs) {
  const std::size_t order = legs.size();
  BlockTensor<T> result(std::move(legs));
  if (const BlockKey key(order, 0); result.allowed(key))
    result.set_block(key, Tensor<T>::from(Shape(order, 1), {T(1)}));
  return result;
}

}  // namespace

template <class T>
Overlaps<T>::Overlaps(TensorTrain<T> fixed, const TensorTrain<T>& state)
    : fixed_(std::move(fixed)),
      left_(static_cast<std::size_t>(state.length())),
      right_(static_cast<std::size_t>(state.length())) {
  check_modes(fixed_, state);
  const Index last = state.length() - 1;
  left_.front() = one<T>({state.core(0).leg(0), fixed_.core(0).leg(0).reversed()});
  right_.back() = one<T>({fixed_.core(last).leg(2).reversed(), state.core(last).leg(2)});
}

template <class T>
void Overlaps<T>::extend_left(const TensorTrain<T>& state, Index k) {
  const auto at = static_cast<std::size_t>(k);
  left_[at + 1] = contract("bsc,bsr->cr", conjugate(state.core(k)),
                           contract("bk,ksr->bsr", left_[at], fixed_.core(k)));
}

template <class T>
void Overlaps<T>::extend_right(const TensorTrain<T>& state, Index k) {
  const auto at = static_cast<std::size_t>(k);
  right_[at - 1] = contract("ksb,lsb->kl", contract("ksr,rb->ksb", fixed_.core(k), right_[at]),
                            conjugate(state.core(k)));
}

template <class T>
BlockTensor<T> Overlaps<T>::part(Index k, Index sites) const {
  const auto at = static_cast<std::size_t>(k);
  const auto first = contract("bk,ksm->bsm", left_[at], fixed_.core(k));
  if (sites == 1) return contract("bsm,mc->bsc", first, right_[at]);
  return contract("bsm,mtc->bstc", first,
                  contract("mtr,rc->mtc", fixed_.core(k + 1), right_[at + 1]));
}

template <class T>
OperatorOverlaps<T>::OperatorOverlaps(const MatrixProductOperator<T>& mpo, TensorTrain<T> fixed,
                                      const TensorTrain<T>& state)
    : mpo_(mpo),
      fixed_(std::move(fixed)),
      left_(static_cast<std::size_t>(state.length())),
      right_(static_cast<std::size_t>(state.length())) {
  check_modes(fixed_, state);
  check_match("Overlaps", mpo, state);
  const Index last = state.length() - 1;
  left_.front() =
      one<T>({state.core(0).leg(0), mpo.bond_leg(0).reversed(), fixed_.core(0).leg(0).reversed()});
  right_.back() = one<T>(
      {fixed_.core(last).leg(2).reversed(), mpo.bond_leg(last + 1), state.core(last).leg(2)});
}

template <class T>
BlockTensor<T> OperatorOverlaps<T>::with_left(Index k) const {
  const auto ket = contract("bwk,ksr->bwsr", left_[static_cast<std::size_t>(k)], fixed_.core(k));
  return contract("bwsr,wtsv->btvr", ket, mpo_.block_core(k));
}

template <class T>
BlockTensor<T> OperatorOverlaps<T>::with_right(Index k) const {
  const auto ket = contract("ksr,rvb->ksvb", fixed_.core(k), right_[static_cast<std::size_t>(k)]);
  return contract("ksvb,wtsv->kwtb", ket, mpo_.block_core(k));
}

template <class T>
void OperatorOverlaps<T>::extend_left(const TensorTrain<T>& state, Index k) {
  left_[static_cast<std::size_t>(k + 1)] =
      contract("btc,btvr->cvr", conjugate(state.core(k)), with_left(k));
}

template <class T>
void OperatorOverlaps<T>::extend_right(const TensorTrain<T>& state, Index k) {
  right_[static_cast<std::size_t>(k - 1)] =
      contract("kwtb,ltb->kwl", with_right(k), conjugate(state.core(k)));
}

template <class T>
BlockTensor<T> OperatorOverlaps<T>::part(Index k, Index sites) const {
  if (sites == 1)
    return contract("btvr,rvc->btc", with_left(k), right_[static_cast<std::size_t>(k)]);
  return contract("btvr,rvuc->btuc", with_left(k), with_right(k + 1));
}

#define METATT_INSTANTIATE(T) \
  template class Overlaps<T>; \
  template class OperatorOverlaps<T>;
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
