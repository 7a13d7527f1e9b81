#pragma once
/// Distances between tensors and texts of errors, for the tests above the backend.

#include "backend_testing.hpp"

#include <metatt/tn/tensor.hpp>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <complex>
#include <string>
#include <vector>

namespace metatt::tn::testing {

/// ‖a − b‖ in the Frobenius norm; the shapes must agree.
template <class T>
double distance(const Tensor<T>& a, const Tensor<T>& b) {
  BOOST_REQUIRE(a.shape() == b.shape());
  const std::vector<T> x = a.to_vector(), y = b.to_vector();
  double squares = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double difference = std::abs(x[i] - y[i]);
    squares += difference * difference;
  }
  return std::sqrt(squares);
}

template <class T>
double frobenius_norm(const Tensor<T>& a) {
  return distance(a, Tensor<T>::zeros(a.shape()));
}

/// ‖a − b‖ / ‖b‖.
template <class T>
double relative_distance(const Tensor<T>& a, const Tensor<T>& b) {
  return distance(a, b) / frobenius_norm(b);
}

/// What the Error says that `function` must throw.
template <class Function>
std::string message_of(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  BOOST_ERROR("expected an Error");
  return "";
}

}  // namespace metatt::tn::testing
