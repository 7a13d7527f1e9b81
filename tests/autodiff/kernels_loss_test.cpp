#include "kernel_testing.hpp"

using namespace metatt::autodiff;
using namespace metatt::autodiff::testing;

BOOST_AUTO_TEST_SUITE(kernels_loss)

BOOST_AUTO_TEST_CASE_TEMPLATE(softmax_cross_entropy_equals_the_reference, T, Types) {
  Random random(501);
  for_each_shape([&](Index rows, Index classes) {
    Operand<T> logits = random.operand<T>(rows * classes, -5, 5);
    Operand<std::int32_t> labels = random.indices(rows, classes);
    for (const double smoothing : {0.0, 0.1, 1.0}) {
      if (classes == 1 && smoothing > 0) continue;  // zero, but for rounding
      Operand<T> loss = unwritten<T>(1);
      Operand<T> dlogits = unwritten<T>(rows * classes);
      METATT_RUN_ON_BOTH(softmax_cross_entropy<T>, rows, classes, at(logits), at(labels),
                         static_cast<T>(smoothing), at(loss), at(dlogits));
      check_close(loss, rows + classes);
      check_close(dlogits, classes);
    }
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(softmax_cross_entropy_needs_no_gradient, T, Types) {
  Random random(502);
  Operand<T> logits = random.operand<T>(33 * 3, -5, 5);
  Operand<std::int32_t> labels = random.indices(33, 3);
  Operand<T> loss = unwritten<T>(1);
  Operand<T> none;
  METATT_RUN_ON_BOTH(softmax_cross_entropy<T>, 33, 3, at(logits), at(labels), T(0), at(loss),
                     at(none));
  check_close(loss, 33);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(softmax_cross_entropy_may_write_over_the_logits, T, Types) {
  Random random(503);
  for (Index classes : {2, 3, 17}) {
    Operand<T> logits = random.operand<T>(70 * classes, -5, 5);
    Operand<std::int32_t> labels = random.indices(70, classes);
    Operand<T> loss = unwritten<T>(1);
    METATT_RUN_ON_BOTH(softmax_cross_entropy<T>, 70, classes, at(logits), at(labels), T(0.1),
                       at(loss), at(logits));
    check_close(loss, 70);
    check_close(logits, classes);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(logits_of_ten_thousand_neither_overflow_nor_vanish, T, Types) {
  Operand<T> logits(std::vector<T>{T(1e4), T(-1e4), T(0), T(-1e4), T(-1e4), T(-1e4 - 1), T(1e4),
                                   T(1e4 - 2), T(9999)});
  Operand<std::int32_t> labels(std::vector<std::int32_t>{1, 2, 0});
  Operand<T> loss = unwritten<T>(1);
  Operand<T> dlogits = unwritten<T>(9);
  METATT_RUN_ON_BOTH(softmax_cross_entropy<T>, 3, 3, at(logits), at(labels), T(0), at(loss),
                     at(dlogits));
  check_close(loss, 3);
  check_close(dlogits, 3);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(mean_squared_error_equals_the_reference, T, Types) {
  Random random(504);
  for (Index count : {1, 7, 8, 33, 100, 4099}) {
    BOOST_TEST_CONTEXT("count " << count) {
      Operand<T> prediction = random.operand<T>(count);
      Operand<T> target = random.operand<T>(count);
      Operand<T> loss = unwritten<T>(1);
      Operand<T> dprediction = unwritten<T>(count);
      METATT_RUN_ON_BOTH(mean_squared_error<T>, count, at(prediction), at(target), at(loss),
                         at(dprediction));
      check_close(loss, count);
      check_close(dprediction, 1);
      Operand<T> none;
      METATT_RUN_ON_BOTH(mean_squared_error<T>, count, at(prediction), at(target), at(loss),
                         at(none));
      check_close(loss, count);
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(scale_by_multiplies_with_a_number_in_backend_memory, T, Types) {
  Random random(505);
  for (Index count : {1, 7, 33, 4099}) {
    Operand<T> factor = random.operand<T>(1);
    Operand<T> x = random.operand<T>(count);
    METATT_RUN_ON_BOTH(scale_by<T>, count, at(factor), at(x));
    check_close(x, 1);
  }
}

BOOST_AUTO_TEST_SUITE_END()
