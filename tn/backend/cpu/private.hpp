#pragma once
/// What the files of this folder share.

#include <metatt/tn/backend/types.hpp>
#include <metatt/tn/error.hpp>

#include <limits>
#include <type_traits>

namespace metatt::tn::backend {

/// Loops over fewer elements run on the calling thread: waking the others costs microseconds.
inline constexpr Index parallel_threshold = 32768;

template <class T>
inline constexpr bool is_complex = !std::is_same_v<T, Real<T>>;

/// a · b without the special cases that std::complex keeps for infinities, so that loops vectorise.
template <class T>
constexpr T multiply(T a, T b) {
  if constexpr (is_complex<T>)
    return T(a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real());
  else
    return a * b;
}

/// `value` as the 32-bit integer of BLAS and LAPACK.
inline int blas_integer(const char* function, Index value) {
  if (value < 0 || value > std::numeric_limits<int>::max())
    fail(function, ": BLAS takes extents and leading dimensions up to ",
         std::numeric_limits<int>::max(), ", found ", value);
  return static_cast<int>(value);
}

}  // namespace metatt::tn::backend
