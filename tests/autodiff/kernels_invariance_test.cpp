// What holds for every kernel that adds things up: the same bits each time, and no number hides.

#include "kernel_testing.hpp"

using namespace metatt::autodiff;
using namespace metatt::autodiff::testing;
using metatt::tn::Transpose;

namespace {

constexpr Index rows = 700, width = 200, rank = 13;
const Dropout tenth{0.1, 21, 2};

/// Calls run(), which returns what a kernel wrote, several times and checks that nothing changes.
template <class Run>
void check_repeatable(const Run& run) {
  const auto first = run();
  for (int repetition = 0; repetition < 5; ++repetition) BOOST_TEST((run() == first));
}

template <class T>
bool has_nan(const Operand<T>& operand) {
  const std::vector<T> found = operand.found();
  return std::any_of(found.begin(), found.end(), [](T value) { return std::isnan(value); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kernels_invariance)

BOOST_AUTO_TEST_CASE_TEMPLATE(sums_over_rows_have_the_same_bits_every_time, T, Types) {
  Random random(901);
  Queue& queue = metatt::tn::backend::queue();
  Operand<T> x = random.operand<T>(rows * width);
  Operand<T> z = random.operand<T>(rows * rank);
  Operand<std::int32_t> ids = random.indices(rows, 5);
  check_repeatable([&] {
    Operand<T> out = unwritten<T>(width);
    backend::column_sums<T>(queue, rows, width, x.device(), T(0), out.device());
    return out.found();
  });
  check_repeatable([&] {
    Operand<T> dgamma = unwritten<T>(width), dbeta = unwritten<T>(width);
    backend::layer_norm_parameter_gradients<T>(queue, rows, width, x.device(), x.device(), T(0),
                                               dgamma.device(), T(0), dbeta.device());
    return dgamma.found();
  });
  check_repeatable([&] {
    Operand<T> G = unwritten<T>(rank * width);
    backend::low_rank_gradient<T>(queue, rows, width, rank, T(1), z.device(), x.device(), width,
                                  Transpose::no, T(0), G.device(), width);
    return G.found();
  });
  check_repeatable([&] {
    Operand<T> dtable(std::vector<T>(5 * width, T(0)));
    backend::embedding_backward<T>(queue, rows, width, 5, ids.device(), x.device(),
                                   dtable.device());
    return dtable.found();
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(attention_has_the_same_bits_every_time, T, Types) {
  constexpr Index heads = 3, head_width = 16;
  constexpr AttentionShape shape{heads, heads, head_width, false};
  Random random(902);
  Queue& queue = metatt::tn::backend::queue();
  PackedSequences sequences({130, 40, 1, 128, 17});
  Operand<T> qkv = random.operand<T>(sequences.tokens() * 3 * heads * head_width);
  Operand<T> dout = random.operand<T>(sequences.tokens() * heads * head_width);
  check_repeatable([&] {
    Operand<T> out = unwritten<T>(sequences.tokens() * heads * head_width);
    Operand<T> log_sum_exp = unwritten<T>(heads * sequences.tokens());
    Operand<T> dqkv = unwritten<T>(sequences.tokens() * 3 * heads * head_width);
    backend::attention_forward<T>(queue, sequences.device(), shape, T(0.25), tenth, qkv.device(),
                                  out.device(), log_sum_exp.device());
    backend::attention_backward<T>(queue, sequences.device(), shape, T(0.25), tenth, qkv.device(),
                                   log_sum_exp.device(), dout.device(), dqkv.device());
    std::vector<T> all = out.found();
    const std::vector<T> gradient = dqkv.found();
    all.insert(all.end(), gradient.begin(), gradient.end());
    return all;
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_nan_reaches_the_loss, T, Types) {
  // Each kernel of the path from an activation to the loss hands a NaN on.
  constexpr Index count = 40;
  Random random(903);
  Queue& queue = metatt::tn::backend::queue();
  std::vector<T> values = random.values<T>(3 * count);
  values[17] = std::numeric_limits<T>::quiet_NaN();
  Operand<T> x(values);
  Operand<T> gamma = random.operand<T>(count);
  Operand<std::int32_t> labels = random.indices(3, count);

  Operand<T> y(std::vector<T>(3 * count, T(0)));
  backend::bias_gelu_forward<T>(queue, Gelu::exact, 3, count, x.device(), nullptr, y.device());
  BOOST_TEST(has_nan(y));
  backend::tanh_forward<T>(queue, 3 * count, x.device(), y.device());
  BOOST_TEST(has_nan(y));
  backend::relu_forward<T>(queue, 3 * count, x.device(), y.device());
  BOOST_TEST(has_nan(y));
  Operand<T> normalised(std::vector<T>(3 * count, T(0)));
  backend::residual_layer_norm_forward<T>(queue, 3, count, x.device(), nullptr, nullptr, Dropout(),
                                          gamma.device(), gamma.device(), T(1e-5),
                                          normalised.device(), nullptr, nullptr);
  BOOST_TEST(has_nan(normalised));
  PackedSequences sequences({3});
  Operand<T> out(std::vector<T>(count, T(0)));
  backend::attention_forward<T>(queue, sequences.device(), {1, 1, count / 3, false}, T(1),
                                Dropout(), x.device(), out.device(), nullptr);
  BOOST_TEST(has_nan(out));
  Operand<T> loss(std::vector<T>{T(0)});
  backend::softmax_cross_entropy<T>(queue, 3, count, x.device(), labels.device(), T(0),
                                    loss.device(), nullptr);
  BOOST_TEST(has_nan(loss));
}

BOOST_AUTO_TEST_SUITE_END()
