#include <metatt/tn/backend/backend.hpp>
#include <metatt/tn/backend/cpu/private.hpp>
#include <metatt/tn/backend/philox.hpp>

namespace metatt::tn::backend {
namespace {

/// Writes pair(0), pair(1), … one after the other over `count` real numbers.
template <class R, class Pair>
void fill_pairs(Index count, R* x, Pair pair) {
#pragma omp parallel for schedule(static) if (count > parallel_threshold / 32)
  for (Index i = 0; i < count / 2; ++i) {
    const std::array<R, 2> numbers = pair(static_cast<std::uint64_t>(i));
    x[2 * i] = numbers[0];
    x[2 * i + 1] = numbers[1];
  }
  if (count % 2 == 1) x[count - 1] = pair(static_cast<std::uint64_t>(count / 2))[0];
}

/// A complex array is an array of twice as many real numbers.
template <class T>
Index real_count(Index count) {
  return is_complex<T> ? 2 * count : count;
}

}  // namespace

template <class T>
void random_normal(Queue&, Index count, std::uint64_t seed, std::uint64_t stream, T* x) {
  using R = Real<T>;
  fill_pairs(real_count<T>(count), reinterpret_cast<R*>(x), [seed, stream](std::uint64_t pair) {
    // Real and imaginary part share the variance of a complex number.
    constexpr double deviation = is_complex<T> ? 0.70710678118654752440 : 1.0;
    const std::array<double, 2> numbers = normal_pair<double>(pair, stream, seed);
    return std::array<R, 2>{static_cast<R>(deviation * numbers[0]),
                            static_cast<R>(deviation * numbers[1])};
  });
}

template <class T>
void random_uniform(Queue&, Index count, std::uint64_t seed, std::uint64_t stream, T* x) {
  using R = Real<T>;
  fill_pairs(real_count<T>(count), reinterpret_cast<R*>(x),
             [seed, stream](std::uint64_t pair) { return uniform_pair<R>(pair, stream, seed); });
}

#define METATT_INSTANTIATE(T)                                                      \
  template void random_normal<T>(Queue&, Index, std::uint64_t, std::uint64_t, T*); \
  template void random_uniform<T>(Queue&, Index, std::uint64_t, std::uint64_t, T*);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn::backend
