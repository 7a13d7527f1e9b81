#include "kernel_testing.hpp"

using namespace metatt::autodiff;
using namespace metatt::autodiff::testing;

BOOST_AUTO_TEST_SUITE(kernels_optimiser)

BOOST_AUTO_TEST_CASE_TEMPLATE(adamw_equals_the_reference, T, Types) {
  Random random(701);
  for (Index count : {1, 7, 8, 17, 100, 4099, 100003}) {
    for (std::int64_t number : {1, 2, 10, 5000}) {
      BOOST_TEST_CONTEXT("count " << count << ", step " << number) {
        AdamWStep step;
        step.learning_rate = 3e-3;
        step.weight_decay = number % 2 == 0 ? 0.1 : 0.0;
        step.gradient_scale = number % 2 == 0 ? 0.3 : 1.0;
        step.step = number;
        Operand<T> values = random.operand<T>(count);
        Operand<T> gradients = random.operand<T>(count);
        Operand<T> first = random.operand<T>(count);
        Operand<T> second = random.operand<T>(count, 0.01, 1);
        METATT_RUN_ON_BOTH(adamw<T>, count, step, at(values), at(gradients), at(first), at(second));
        check_close(values, 1);
        check_close(first, 1);
        check_close(second, 1);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_first_step_moves_against_the_sign_of_the_gradient, T, Types) {
  // m̂ = g and v̂ = g² after one step from zero moments, so θ changes by −lr · (sign g + λ·θ).
  AdamWStep step;
  step.learning_rate = 0.01;
  step.weight_decay = 0.5;
  step.epsilon = 0;
  Operand<T> values(std::vector<T>{T(1), T(-2), T(3)});
  Operand<T> gradients(std::vector<T>{T(1e-3), T(-40), T(7)});
  Operand<T> first(std::vector<T>(3, T(0)));
  Operand<T> second(std::vector<T>(3, T(0)));
  METATT_RUN_ON_BOTH(adamw<T>, 3, step, at(values), at(gradients), at(first), at(second));
  const std::vector<double> worked = {1 - 0.01 * 1.5, -2 + 0.01 * 2, 3 - 0.01 * 2.5};
  for (std::size_t i = 0; i < worked.size(); ++i) {
    BOOST_TEST(std::abs(double(values.expected()[i]) - worked[i]) <= 3 * tolerance<T>(1));
    BOOST_TEST(std::abs(double(values.found()[i]) - worked[i]) <= 3 * tolerance<T>(1));
  }
}

BOOST_AUTO_TEST_SUITE_END()
