#include <metatt/tn/chain/overlaps.hpp>

namespace metatt::tn {

template <class T>
Overlaps<T>::Overlaps(TensorTrain<T> fixed, const TensorTrain<T>& state)
    : fixed_(std::move(fixed)),
      left_(static_cast<std::size_t>(state.length())),
      right_(static_cast<std::size_t>(state.length())) {
  const Index last = state.length() - 1;
  if (fixed_.length() != state.length())
    fail("Overlaps: the states have ", fixed_.length(), " and ", state.length(), " sites");
  for (Index k = 0; k <= last; ++k)
    if (fixed_.core(k).leg(1) != state.core(k).leg(1))
      fail("Overlaps: site ", k, " is (", leg_text(fixed_.core(k).leg(1)), ") in one state, (",
           leg_text(state.core(k).leg(1)), ") in the other");
  const auto one = [](Leg a, Leg b) {
    BlockTensor<T> result({std::move(a), std::move(b)});
    if (result.allowed({0, 0})) result.set_block({0, 0}, Tensor<T>::from({1, 1}, {T(1)}));
    return result;
  };
  left_.front() = one(state.core(0).leg(0), fixed_.core(0).leg(0).reversed());
  right_.back() = one(fixed_.core(last).leg(2).reversed(), state.core(last).leg(2));
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

template class Overlaps<float>;
template class Overlaps<double>;
template class Overlaps<std::complex<float>>;
template class Overlaps<std::complex<double>>;

}  // namespace metatt::tn
