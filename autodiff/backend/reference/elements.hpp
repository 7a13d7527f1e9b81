#pragma once
/// What the reference loops share: one element of a dropout mask and one accumulated output.

#include <metatt/autodiff/backend/types.hpp>
#include <metatt/tn/backend/philox.hpp>

namespace metatt::autodiff::reference {

/// What element `index` is multiplied by (types.hpp): 0 if it is dropped, keep_scale() if not, 1 if
/// the dropout is off.
inline double mask_factor(const Dropout& dropout, Index index) {
  if (!dropout.active()) return 1;
  const auto block = static_cast<std::uint64_t>(index) / 8;
  const auto words = tn::philox4x32<7>(block, dropout.stream, dropout.seed);
  const auto position = static_cast<unsigned>(index % 8);
  const std::uint32_t u16 = (words[position / 2] >> (16 * (position % 2))) & 0xffffu;
  return u16 < dropout.threshold() ? 0 : dropout.keep_scale();
}

/// beta · x + contribution, where beta 0 means that x is not read (it may be NaN).
template <class T>
T accumulated(T beta, const T& x, double contribution) {
  return static_cast<T>(beta == T(0) ? contribution : double(beta) * double(x) + contribution);
}

}  // namespace metatt::autodiff::reference
