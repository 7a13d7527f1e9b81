#pragma once
/// What the tests of the backend functions share: random operands and comparisons.

#include <metatt/tn/backend/reference/reference.hpp>
#include <metatt/tn/tensor.hpp>

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <complex>
#include <limits>
#include <random>
#include <tuple>
#include <type_traits>
#include <vector>

namespace metatt::tn::testing {

using Types = std::tuple<float, double, std::complex<float>, std::complex<double>>;

template <class T>
inline constexpr bool is_complex = !std::is_same_v<T, Real<T>>;

template <class T>
inline constexpr Real<T> epsilon = std::numeric_limits<Real<T>>::epsilon();

/// Not a number, in both parts of a complex one.
template <class T>
T not_a_number() {
  const Real<T> nan = std::numeric_limits<Real<T>>::quiet_NaN();
  if constexpr (is_complex<T>)
    return T(nan, nan);
  else
    return nan;
}

/// A number with these parts; the imaginary one is dropped where T is real.
template <class T>
T number(double real, double imaginary) {
  if constexpr (is_complex<T>)
    return T(static_cast<Real<T>>(real), static_cast<Real<T>>(imaginary));
  else
    return static_cast<T>(real);
}

/// `count` numbers with parts uniform in [-1, 1).
template <class T>
std::vector<T> random_values(Index count, std::mt19937_64& generator) {
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<T> values;
  for (Index i = 0; i < count; ++i) {
    const double real = uniform(generator);
    values.push_back(number<T>(real, uniform(generator)));
  }
  return values;
}

template <class T>
Tensor<T> on_device(const std::vector<T>& values) {
  return Tensor<T>::from({static_cast<Index>(values.size())}, values);
}

/// The largest |found − expected|; infinite where one is NaN and the other is not.
template <class T>
double largest_difference(const std::vector<T>& found, const std::vector<T>& expected) {
  BOOST_REQUIRE_EQUAL(found.size(), expected.size());
  double largest = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i] == expected[i] || (found[i] != found[i] && expected[i] != expected[i])) continue;
    const double difference = std::abs(found[i] - expected[i]);
    largest = difference <= std::numeric_limits<double>::max()
                  ? std::max(largest, difference)
                  : std::numeric_limits<double>::infinity();
  }
  return largest;
}

/// Sizes on both sides of the places where loops change their ways: nothing, one, less than a
/// vector, a block of a sum and its neighbours, enough for several threads.
inline const std::vector<Index> ragged_counts = {0, 1, 2, 7, 63, 4095, 4096, 4097, 70001};

}  // namespace metatt::tn::testing
