#pragma once
/// Gradients of the tape against central differences of the loss itself, in double.

#include <metatt/autodiff/ops_loss.hpp>
#include <metatt/autodiff/tape.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

namespace metatt::autodiff::testing {

/// Every tape of a check draws the same dropout masks, so that the loss is one function.
inline Tape<double> repeated_tape(ParameterArena<double>& arena) {
  return {arena, 7, 3};
}

/// Runs forward (and, if asked, backward) passes and returns the value of the loss.
using Loss = std::function<double(bool backward)>;

/// ∂loss/∂parameter by the 4-point rule (f(−2h) − 8f(−h) + 8f(h) − f(2h)) / 12h: with h = 1e-3
/// the error of the rule, of order h⁴, and that of rounding, of order ε/h, are both below 1e-11.
inline std::vector<double> central_differences(ParameterArena<double>& arena, Index parameter,
                                               const Loss& loss) {
  constexpr double h = 1e-3;
  const Tensor<double> start = arena.value(parameter);
  const std::vector<double> values = start.to_vector();
  std::vector<double> result;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto at = [&](double shift) {
      std::vector<double> moved = values;
      moved[i] += shift;
      arena.set_value(parameter,
                      Tensor<double>::from(start.shape(), std::span<const double>(moved)));
      return loss(false);
    };
    result.push_back((at(-2 * h) - 8 * at(-h) + 8 * at(h) - at(2 * h)) / (12 * h));
  }
  arena.set_value(parameter, Tensor<double>::from(start.shape(), std::span<const double>(values)));
  return result;
}

/// Largest |expected − found| over the largest |expected|.
inline double relative_error(const std::vector<double>& expected,
                             const std::vector<double>& found) {
  BOOST_REQUIRE(expected.size() == found.size());
  double largest = 0, error = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    error = std::max(error, std::abs(expected[i] - found[i]));
  }
  return error / largest;
}

inline constexpr double gradient_tolerance = 1e-7;

/// Checks the gradient of every parameter to 1e-7 of its largest entry.
inline void check_gradients(ParameterArena<double>& arena, const Loss& loss) {
  arena.clear_gradients();
  loss(true);
  for (Index p = 0; p < arena.count(); ++p) {
    BOOST_TEST_CONTEXT("gradient of " << arena.name(p)) {
      BOOST_REQUIRE(arena.has_gradient(p));
      const std::vector<double> found = arena.gradient(p).to_vector();
      BOOST_TEST(relative_error(central_differences(arena, p, loss), found) < gradient_tolerance);
    }
  }
}

/// An input of an operation under test. Inputs that cannot be trained one without the other have
/// the same `set`; a negative one is a set of its own.
struct Input {
  std::string name;
  Tensor<double> value;
  int set = -1;
};

using Inputs = std::vector<Variable<double>>;
/// Builds the operation from its inputs, which are in the order of their description.
using Operation = std::function<Variable<double>(Tape<double>&, const Inputs&)>;

/// Squared distance of the operation's result from a fixed random tensor, unless it is a number.
inline Variable<double> as_loss(Tape<double>& tape, const Variable<double>& result, int use) {
  if (result.value.size() == 1) return result;
  const auto seed = static_cast<std::uint64_t>(100 + use);
  return mean_squared_error(tape, result, tn::random_normal<double>(result.value.shape(), seed));
}

/// The gradients of those inputs that are marked. The operation runs twice on the tape, with two
/// losses, so that its second backward pass adds to what is there.
inline void check_trained(const std::vector<Input>& inputs, const std::vector<bool>& trained,
                          const Operation& operation) {
  std::vector<ParameterSpec<double>> specs;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (trained[i]) specs.push_back({inputs[i].name, inputs[i].value});
  ParameterArena<double> arena(std::move(specs));
  check_gradients(arena, [&](bool backward) {
    Tape<double> tape = repeated_tape(arena);
    Inputs variables;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      variables.push_back(trained[i] ? tape.parameter(arena, arena.find(inputs[i].name))
                                     : constant(inputs[i].value));
    double total = 0;
    for (const int use : {0, 1}) {
      const Variable<double> loss = as_loss(tape, operation(tape, variables), use);
      total += loss.value.item();
      if (backward) tape.backward(loss);
    }
    return total;
  });
}

/// Checks an operation with all inputs trained, then with each of them (or each set) trained
/// alone, the others frozen.
inline void check_operation(const std::vector<Input>& inputs, const Operation& operation) {
  check_trained(inputs, std::vector<bool>(inputs.size(), true), operation);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    std::vector<bool> trained(inputs.size());
    for (std::size_t j = 0; j < inputs.size(); ++j)
      trained[j] = i == j || (inputs[i].set >= 0 && inputs[i].set == inputs[j].set);
    BOOST_TEST_CONTEXT("only " << inputs[i].name << " is trained") {
      check_trained(inputs, trained, operation);
    }
  }
}

/// A normally distributed input, a stream of random numbers for each name.
inline Input normal(const std::string& name, Shape shape, int set = -1) {
  std::uint64_t stream = 0;
  for (const char c : name) stream = 31 * stream + static_cast<unsigned char>(c);
  return {name, tn::random_normal<double>(std::move(shape), 11, stream), set};
}

}  // namespace metatt::autodiff::testing
