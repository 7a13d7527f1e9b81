#include "kernel_testing.hpp"

using namespace metatt::autodiff;
using namespace metatt::autodiff::testing;

namespace {

constexpr double epsilon = 1e-5;
const Dropout off;
const Dropout tenth{0.1, 0x123456789abcdef0, 3};
const Dropout half{0.5, 77, 0xfedcba9876543210};

/// The forward pass on both sides; what it leaves is compared and kept for a backward pass.
template <class T>
struct Forward {
  Operand<T> y, normalised, inverse_deviation;

  Forward(Random& random, Index rows, Index width, const Dropout& dropout, bool with_bias,
          bool with_residual)
      : y(unwritten<T>(rows * width)),
        normalised(unwritten<T>(rows * width)),
        inverse_deviation(unwritten<T>(rows)) {
    Operand<T> x = random.operand<T>(rows * width);
    Operand<T> bias = with_bias ? random.operand<T>(width) : Operand<T>();
    Operand<T> residual = with_residual ? random.operand<T>(rows * width) : Operand<T>();
    Operand<T> gamma = random.operand<T>(width, 0.5, 1.5);
    Operand<T> beta = random.operand<T>(width);
    METATT_RUN_ON_BOTH(residual_layer_norm_forward<T>, rows, width, at(x), at(bias), at(residual),
                       dropout, at(gamma), at(beta), T(epsilon), at(y), at(normalised),
                       at(inverse_deviation));
  }

  /// Size of the terms that cancel in ∂loss/∂s, where |∂loss/∂y · gamma| is at most 1.
  double largest_term() const {
    const std::vector<T>& factors = inverse_deviation.expected();
    return *std::max_element(factors.begin(), factors.end());
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(kernels_normalisation)

BOOST_AUTO_TEST_CASE_TEMPLATE(residual_layer_norm_equals_the_reference, T, Types) {
  Random random(201);
  for_each_shape([&](Index rows, Index width) {
    for (const Dropout& dropout : {off, tenth, half}) {
      for (bool with_bias : {false, true}) {
        for (bool with_residual : {false, true}) {
          Forward<T> forward(random, rows, width, dropout, with_bias, with_residual);
          check_close(forward.y, width);
          check_close(forward.normalised, width);
          check_close(forward.inverse_deviation, width);
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(residual_layer_norm_without_saved_outputs_gives_the_same, T, Types) {
  Random random(202);
  for_each_shape([&](Index rows, Index width) {
    Operand<T> x = random.operand<T>(rows * width);
    Operand<T> gamma = random.operand<T>(width);
    Operand<T> beta = random.operand<T>(width);
    Operand<T> y = unwritten<T>(rows * width);
    Operand<T> none;
    METATT_RUN_ON_BOTH(residual_layer_norm_forward<T>, rows, width, at(x), at(none), at(none), half,
                       at(gamma), at(beta), T(epsilon), at(y), at(none), at(none));
    check_close(y, width);
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_variance_survives_a_mean_that_is_much_larger, T, Types) {
  constexpr Index width = 384;
  Random random(203);
  std::vector<T> values = random.values<T>(width);
  // Multiples of 2⁻¹⁰ around 1000 are exact in float: the error is the kernel's alone.
  for (T& value : values) value = T(1000) + std::round(value * T(1024)) / T(1024);
  Operand<T> x(values);
  Operand<T> gamma(std::vector<T>(width, T(1)));
  Operand<T> beta(std::vector<T>(width, T(0)));
  Operand<T> y = unwritten<T>(width);
  Operand<T> none;
  METATT_RUN_ON_BOTH(residual_layer_norm_forward<T>, 1, width, at(x), at(none), at(none), off,
                     at(gamma), at(beta), T(epsilon), at(y), at(none), at(none));
  check_close(y, 1, 1000);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(residual_layer_norm_backward_equals_the_reference, T, Types) {
  Random random(204);
  for_each_shape([&](Index rows, Index width) {
    for (const Dropout& dropout : {off, tenth}) {
      Forward<T> forward(random, rows, width, dropout, true, true);
      Operand<T> gamma = random.operand<T>(width);
      Operand<T> dy = random.operand<T>(rows * width);
      for (double beta : {0.0, 1.0, -0.5}) {
        Operand<T> dresidual = destination<T>(random, rows * width, beta);
        Operand<T> dx = unwritten<T>(rows * width);
        METATT_RUN_ON_BOTH(residual_layer_norm_backward<T>, rows, width, at(dy),
                           at(forward.normalised), at(forward.inverse_deviation), at(gamma),
                           dropout, T(beta), at(dresidual), at(dx));
        check_close(dresidual, width, forward.largest_term());
        check_close(dx, width, forward.largest_term());
        if (width > 1) check_same_zeros(dx);  // one number has no deviation: ds is 0
      }
    }
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(residual_layer_norm_backward_skips_null_outputs, T, Types) {
  Random random(205);
  for_each_shape([&](Index rows, Index width) {
    Forward<T> forward(random, rows, width, tenth, true, true);
    Operand<T> gamma = random.operand<T>(width);
    Operand<T> dy = random.operand<T>(rows * width);
    Operand<T> dresidual = unwritten<T>(rows * width);
    Operand<T> dx = unwritten<T>(rows * width);
    Operand<T> none;
    METATT_RUN_ON_BOTH(residual_layer_norm_backward<T>, rows, width, at(dy), at(forward.normalised),
                       at(forward.inverse_deviation), at(gamma), tenth, T(0), at(dresidual),
                       at(none));
    check_close(dresidual, width, forward.largest_term());
    METATT_RUN_ON_BOTH(residual_layer_norm_backward<T>, rows, width, at(dy), at(forward.normalised),
                       at(forward.inverse_deviation), at(gamma), tenth, T(1), at(none), at(dx));
    check_close(dx, width, forward.largest_term());
    METATT_RUN_ON_BOTH(residual_layer_norm_backward<T>, rows, width, at(dy), at(forward.normalised),
                       at(forward.inverse_deviation), at(gamma), tenth, T(0), at(none), at(none));
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(both_gradients_of_a_residual_layer_norm_may_share_memory, T, Types) {
  Random random(206);
  for_each_shape([&](Index rows, Index width) {
    Forward<T> forward(random, rows, width, off, true, true);
    Operand<T> gamma = random.operand<T>(width);
    Operand<T> dy = random.operand<T>(rows * width);
    Operand<T> ds = unwritten<T>(rows * width);
    METATT_RUN_ON_BOTH(residual_layer_norm_backward<T>, rows, width, at(dy), at(forward.normalised),
                       at(forward.inverse_deviation), at(gamma), off, T(0), at(ds), at(ds));
    check_close(ds, width, forward.largest_term());
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(layer_norm_parameter_gradients_equal_the_reference, T, Types) {
  Random random(207);
  for_each_shape([&](Index rows, Index width) {
    Operand<T> dy = random.operand<T>(rows * width, -0.5, 1.5);
    Operand<T> normalised = random.operand<T>(rows * width, -1, 3);
    Operand<T> none;
    for (const double beta_gamma : {0.0, 1.0}) {
      const double beta_beta = 1 - beta_gamma;
      Operand<T> dgamma = destination<T>(random, width, beta_gamma);
      Operand<T> dbeta = destination<T>(random, width, beta_beta);
      METATT_RUN_ON_BOTH(layer_norm_parameter_gradients<T>, rows, width, at(dy), at(normalised),
                         T(beta_gamma), at(dgamma), T(beta_beta), at(dbeta));
      check_close(dgamma, rows);
      check_close(dbeta, rows);
      METATT_RUN_ON_BOTH(layer_norm_parameter_gradients<T>, rows, width, at(dy), at(normalised),
                         T(1), at(dgamma), T(1), at(none));
      check_close(dgamma, rows);
      METATT_RUN_ON_BOTH(layer_norm_parameter_gradients<T>, rows, width, at(dy), at(normalised),
                         T(1), at(none), T(1), at(dbeta));
      check_close(dbeta, rows);
    }
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(rms_norm_and_its_gradients_equal_the_reference, T, Types) {
  Random random(207);
  for_each_shape([&](Index rows, Index width) {
    Operand<T> x = random.operand<T>(rows * width, -2, 2);
    Operand<T> gamma = random.operand<T>(width, 0.5, 1.5);
    Operand<T> y = unwritten<T>(rows * width), inverse_root = unwritten<T>(rows);
    METATT_RUN_ON_BOTH(rms_norm_forward<T>, rows, width, at(x), at(gamma), T(1e-5), at(y),
                       at(inverse_root));
    check_close(y, width);
    check_close(inverse_root, width);
    Operand<T> saved(inverse_root.expected());
    Operand<T> dy = random.operand<T>(rows * width);
    for (const double beta : {0.0, 1.0}) {
      Operand<T> dx = destination<T>(random, rows * width, beta);
      METATT_RUN_ON_BOTH(rms_norm_backward<T>, rows, width, at(dy), at(x), at(saved), at(gamma),
                         T(beta), at(dx));
      check_close(dx, width, 3);
      Operand<T> dgamma = destination<T>(random, width, beta);
      METATT_RUN_ON_BOTH(rms_norm_parameter_gradient<T>, rows, width, at(dy), at(x), at(saved),
                         T(beta), at(dgamma));
      check_close(dgamma, rows, 3);
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
