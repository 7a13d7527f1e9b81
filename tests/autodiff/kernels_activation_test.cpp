#include "kernel_testing.hpp"

using namespace metatt::autodiff;
using namespace metatt::autodiff::testing;

BOOST_AUTO_TEST_SUITE(kernels_activation)

BOOST_AUTO_TEST_CASE_TEMPLATE(broadcast_bias_fills_the_rows_and_leaves_the_padding, T, Types) {
  Random random(101);
  for_each_shape([&](Index rows, Index width) {
    for (Index ldy : {width, width + 5}) {
      Operand<T> bias = random.operand<T>(width);
      Operand<T> y = random.operand<T>(rows * ldy);
      METATT_RUN_ON_BOTH(broadcast_bias<T>, rows, width, at(bias), at(y), ldy);
      check_same(y);
    }
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(column_sums_equal_the_reference, T, Types) {
  Random random(102);
  for_each_shape([&](Index rows, Index width) {
    for (double beta : {0.0, 1.0, -0.5}) {
      Operand<T> x = random.operand<T>(rows * width, -0.5, 1.5);
      Operand<T> out = destination<T>(random, width, beta);
      METATT_RUN_ON_BOTH(column_sums<T>, rows, width, at(x), T(beta), at(out));
      check_close(out, rows);
    }
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(scale_columns_equals_the_reference_and_leaves_the_padding, T, Types) {
  Random random(105);
  for_each_shape([&](Index rows, Index width) {
    for (const bool with_factors : {true, false}) {
      const Index ldx = width + 2, ldy = width + 5;
      Operand<T> x = random.operand<T>(rows * ldx);
      Operand<T> factors = with_factors ? random.operand<T>(width) : Operand<T>();
      Operand<T> shift = with_factors ? Operand<T>() : random.operand<T>(width);
      Operand<T> y = random.operand<T>(rows * ldy);
      METATT_RUN_ON_BOTH(scale_columns<T>, rows, width, at(x), ldx, at(factors), at(shift), at(y),
                         ldy);
      check_close(y, 1);
    }
    Operand<T> x = random.operand<T>(rows * width);
    Operand<T> factors = random.operand<T>(width), shift = random.operand<T>(width);
    METATT_RUN_ON_BOTH(scale_columns<T>, rows, width, at(x), width, at(factors), at(shift), at(x),
                       width);
    check_close(x, 1);
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(column_products_equal_the_reference, T, Types) {
  Random random(106);
  for_each_shape([&](Index rows, Index width) {
    for (double beta : {0.0, 1.0, -0.5}) {
      Operand<T> x = random.operand<T>(rows * (width + 3), -0.5, 1.5);
      Operand<T> y = random.operand<T>(rows * (width + 1), -0.5, 1.5);
      Operand<T> out = destination<T>(random, width, beta);
      METATT_RUN_ON_BOTH(column_products<T>, rows, width, at(x), width + 3, at(y), width + 1,
                         T(beta), at(out));
      check_close(out, rows);
    }
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(bias_gelu_equals_the_reference_with_and_without_bias, T, Types) {
  Random random(103);
  for_each_shape([&](Index rows, Index width) {
    for (const auto& choice :
         {std::pair{Gelu::exact, false}, {Gelu::exact, true}, {Gelu::tanh, true}}) {
      const Gelu kind = choice.first;
      const bool with_bias = choice.second;
      Operand<T> x = random.operand<T>(rows * width, -6, 6);
      Operand<T> bias = with_bias ? random.operand<T>(width) : Operand<T>();
      Operand<T> y = unwritten<T>(rows * width);
      METATT_RUN_ON_BOTH(bias_gelu_forward<T>, kind, rows, width, at(x), at(bias), at(y));
      check_close(y, 1);

      Operand<T> dy = random.operand<T>(rows * width);
      Operand<T> dx = unwritten<T>(rows * width);
      METATT_RUN_ON_BOTH(bias_gelu_backward<T>, kind, rows, width, at(x), at(bias), at(dy), at(dx));
      check_close(dx, 1);
    }
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(bias_gelu_may_write_over_its_input, T, Types) {
  Random random(104);
  for_each_shape([&](Index rows, Index width) {
    Operand<T> x = random.operand<T>(rows * width, -6, 6);
    Operand<T> bias = random.operand<T>(width);
    Operand<T> dy = random.operand<T>(rows * width);
    METATT_RUN_ON_BOTH(bias_gelu_backward<T>, Gelu::exact, rows, width, at(x), at(bias), at(dy),
                       at(dy));
    check_close(dy, 1);
    METATT_RUN_ON_BOTH(bias_gelu_forward<T>, Gelu::exact, rows, width, at(x), at(bias), at(x));
    check_close(x, 1);
  });
}

/// Arguments at which a naive exp, erf or tanh overflows, cancels or loses its sign.
template <class T>
Operand<T> extreme_arguments() {
  std::vector<T> values = {T(0),    T(-0.0), T(1e-30), T(-1e-30), T(1e-4), T(-1e-4), T(0.5),
                           T(-0.5), T(5),    T(-5),    T(9),      T(-9),   T(13),    T(-13),
                           T(20),   T(-20),  T(90),    T(-90),    T(1e4),  T(-1e4)};
  return Operand<T>(std::move(values));
}

/// Checks each entry by itself; `floor` is the size below which an absolute error is meant.
template <class T>
void check_each_entry(const Operand<T>& operand, double floor) {
  const std::vector<T> found = operand.found();
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double expected = double(operand.expected()[i]);
    const double allowed = tolerance<T>(1) * std::max(std::abs(expected), floor);
    BOOST_TEST_CONTEXT("element " << i << ": expected " << expected << ", found " << found[i])
    BOOST_TEST(std::abs(double(found[i]) - expected) <= allowed);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(gelu_is_accurate_at_extreme_arguments, T, Types) {
  for (const Gelu kind : {Gelu::exact, Gelu::tanh}) {
    Operand<T> x = extreme_arguments<T>();
    const auto count = static_cast<Index>(x.expected().size());
    Operand<T> y = unwritten<T>(count);
    Operand<T> none;
    METATT_RUN_ON_BOTH(bias_gelu_forward<T>, kind, 1, count, at(x), at(none), at(y));
    check_each_entry(y, 1);
    Operand<T> dy(std::vector<T>(static_cast<std::size_t>(count), T(1)));
    METATT_RUN_ON_BOTH(bias_gelu_backward<T>, kind, 1, count, at(x), at(none), at(dy), at(dy));
    check_each_entry(dy, 1);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(swiglu_equals_the_reference, T, Types) {
  Random random(106);
  for_each_shape([&](Index rows, Index width) {
    Operand<T> x = random.operand<T>(rows * 2 * width, -6, 6);
    Operand<T> y = unwritten<T>(rows * width);
    METATT_RUN_ON_BOTH(swiglu_forward<T>, rows, width, at(x), at(y));
    check_close(y, 1);
    Operand<T> dy = random.operand<T>(rows * width);
    Operand<T> dx = unwritten<T>(rows * 2 * width);
    METATT_RUN_ON_BOTH(swiglu_backward<T>, rows, width, at(x), at(dy), at(dx));
    check_close(dx, 1);
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(tanh_is_accurate_at_extreme_arguments, T, Types) {
  Operand<T> x = extreme_arguments<T>();
  const auto count = static_cast<Index>(x.expected().size());
  Operand<T> y = unwritten<T>(count);
  METATT_RUN_ON_BOTH(tanh_forward<T>, count, at(x), at(y));
  check_each_entry(y, 1e-5);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(tanh_equals_the_reference, T, Types) {
  Random random(105);
  for (Index count : {1, 7, 8, 17, 100, 4099, 100003}) {
    BOOST_TEST_CONTEXT("count " << count) {
      Operand<T> x = random.operand<T>(count, -4, 4);
      Operand<T> y = unwritten<T>(count);
      METATT_RUN_ON_BOTH(tanh_forward<T>, count, at(x), at(y));
      check_close(y, 1);
      Operand<T> activation = random.operand<T>(count);
      Operand<T> dy = random.operand<T>(count);
      Operand<T> dx = unwritten<T>(count);
      METATT_RUN_ON_BOTH(tanh_backward<T>, count, at(activation), at(dy), at(dx));
      check_close(dx, 1);
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(relu_equals_the_reference_and_may_write_over_its_input, T, Types) {
  Random random(107);
  for (Index count : {1, 7, 8, 17, 100, 4099, 100003}) {
    BOOST_TEST_CONTEXT("count " << count) {
      Operand<T> x = random.operand<T>(count, -4, 4);
      Operand<T> dy = random.operand<T>(count);
      Operand<T> dx = unwritten<T>(count);
      METATT_RUN_ON_BOTH(relu_forward<T>, count, at(x), at(x));
      check_same(x);
      METATT_RUN_ON_BOTH(relu_backward<T>, count, at(x), at(dy), at(dx));
      check_same(dx);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
