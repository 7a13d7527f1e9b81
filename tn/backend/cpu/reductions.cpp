#include <metatt/tn/backend/backend.hpp>
#include <metatt/tn/backend/cpu/private.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace metatt::tn::backend {
namespace {

/// Sums are taken in double precision over blocks of this many elements, and the blocks added in
/// order: the number of threads does not change a bit.
constexpr Index block_elements = 4096;

/// Independent partial sums within a block: they leave the compiler free to use vectors.
constexpr Index lanes = 8;

/// Σ term(i) for i < count, where Sum is double or std::complex<double>.
template <class Sum, class Term>
Sum blocked_sum(Index count, Term term) {
  const Index blocks = (count + block_elements - 1) / block_elements;
  std::vector<Sum> sums(static_cast<std::size_t>(blocks));
#pragma omp parallel for schedule(static) if (count > parallel_threshold)
  for (Index block = 0; block < blocks; ++block) {
    const Index end = std::min(count, (block + 1) * block_elements);
    std::array<Sum, lanes> partial{};
    Index i = block * block_elements;
    for (; i + lanes <= end; i += lanes)
      for (Index lane = 0; lane < lanes; ++lane)
        partial[static_cast<std::size_t>(lane)] += term(i + lane);
    for (; i < end; ++i) partial[0] += term(i);
    Sum sum{};
    for (const Sum& value : partial) sum += value;
    sums[static_cast<std::size_t>(block)] = sum;
  }
  Sum total{};
  for (const Sum& sum : sums) total += sum;
  return total;
}

}  // namespace

template <class T>
T dot(Queue&, Index count, const T* x, const T* y) {
  if constexpr (is_complex<T>) {
    using Complex = std::complex<double>;
    return static_cast<T>(blocked_sum<Complex>(
        count, [=](Index i) { return multiply(std::conj(Complex(x[i])), Complex(y[i])); }));
  } else {
    return static_cast<T>(blocked_sum<double>(
        count, [=](Index i) { return static_cast<double>(x[i]) * static_cast<double>(y[i]); }));
  }
}

template <class T>
Real<T> norm(Queue&, Index count, const T* x) {
  // |x|² of a complex array is that of its real and imaginary parts in a row.
  const auto* numbers = reinterpret_cast<const Real<T>*>(x);
  const double sum = blocked_sum<double>(is_complex<T> ? 2 * count : count, [=](Index i) {
    const double number = numbers[i];
    return number * number;
  });
  return static_cast<Real<T>>(std::sqrt(sum));
}

template <class T>
bool all_finite(Queue&, Index count, const T* x) {
  const auto* numbers = reinterpret_cast<const Real<T>*>(x);
  const Index real_count = is_complex<T> ? 2 * count : count;
  constexpr Real<T> largest = std::numeric_limits<Real<T>>::max();
  Index others = 0;
#pragma omp parallel for simd reduction(+ : others) if (count > parallel_threshold)
  for (Index i = 0; i < real_count; ++i) others += std::abs(numbers[i]) <= largest ? 0 : 1;
  return others == 0;
}

#define METATT_INSTANTIATE(T)                           \
  template T dot<T>(Queue&, Index, const T*, const T*); \
  template Real<T> norm<T>(Queue&, Index, const T*);    \
  template bool all_finite<T>(Queue&, Index, const T*);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn::backend
