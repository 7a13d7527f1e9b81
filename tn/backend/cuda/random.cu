#include <metatt/tn/backend/cuda/launch.cuh>
#include <metatt/tn/backend/philox.hpp>

#include <type_traits>

namespace metatt::tn::backend {

namespace {

// A complex array is a real one of twice the length.
template <class T>
constexpr Index kParts = sizeof(T) / sizeof(Real<T>);

/// pair(0), pair(1), … one after the other over `count` real numbers.
template <class R, class Pair>
void fill_pairs(const char* function, Index count, R* x, const Pair& pair) {
  cuda::for_each(function, cuda::divide_up(count, 2), [=] __device__(Index i) {
    const auto numbers = pair(static_cast<std::uint64_t>(i));
    x[2 * i] = static_cast<R>(numbers[0]);
    if (2 * i + 1 < count) x[2 * i + 1] = static_cast<R>(numbers[1]);
  });
}

struct NormalPair {
  std::uint64_t seed;
  std::uint64_t stream;
  double deviation;

  __device__ std::array<double, 2> operator()(std::uint64_t pair) const {
    const std::array<double, 2> numbers = normal_pair<double>(pair, stream, seed);
    return {deviation * numbers[0], deviation * numbers[1]};
  }
};

template <class R>
struct UniformPair {
  std::uint64_t seed;
  std::uint64_t stream;

  __device__ std::array<R, 2> operator()(std::uint64_t pair) const {
    return uniform_pair<R>(pair, stream, seed);
  }
};

}  // namespace

template <class T>
void random_normal(Queue&, Index count, std::uint64_t seed, std::uint64_t stream, T* x) {
  // Real and imaginary part share the variance of a complex number.
  constexpr double kDeviation = std::is_same_v<T, Real<T>> ? 1.0 : 0.70710678118654752440;
  fill_pairs("random_normal", count * kParts<T>, reinterpret_cast<Real<T>*>(x),
             NormalPair{seed, stream, kDeviation});
}

template <class T>
void random_uniform(Queue&, Index count, std::uint64_t seed, std::uint64_t stream, T* x) {
  fill_pairs("random_uniform", count * kParts<T>, reinterpret_cast<Real<T>*>(x),
             UniformPair<Real<T>>{seed, stream});
}

#define METATT_RANDOM(T)                                                           \
  template void random_normal<T>(Queue&, Index, std::uint64_t, std::uint64_t, T*); \
  template void random_uniform<T>(Queue&, Index, std::uint64_t, std::uint64_t, T*);

METATT_RANDOM(float)
METATT_RANDOM(double)
METATT_RANDOM(std::complex<float>)
METATT_RANDOM(std::complex<double>)

}  // namespace metatt::tn::backend
