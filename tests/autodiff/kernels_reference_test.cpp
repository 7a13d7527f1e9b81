// The reference itself: known values, and its backward passes against differences of its forward
// passes. In double, since the reference accumulates in double for either type.

#include "kernel_testing.hpp"

#include <functional>
#include <numeric>

using namespace metatt::autodiff;
using namespace metatt::autodiff::testing;
using metatt::tn::Transpose;

namespace {

using Vector = std::vector<double>;

const Dropout some{0.3, 11, 4};

double dot(const Vector& x, const Vector& y) {
  return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
}

/// Checks ∂loss/∂x against the five-point difference (Abramowitz & Stegun 25.3.6), whose error is
/// of order step⁴: 1e-8 of the largest entry.
void check_gradient(const std::function<double(const Vector&)>& loss, const Vector& x,
                    const Vector& gradient) {
  constexpr double step = 1e-3;
  double largest = 0;
  for (double value : gradient) largest = std::max(largest, std::abs(value));
  BOOST_TEST(largest > 0);
  BOOST_REQUIRE_EQUAL(x.size(), gradient.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto at = [&](double shift) {
      Vector shifted = x;
      shifted[i] += shift;
      return loss(shifted);
    };
    const double difference =
        (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
    BOOST_TEST_CONTEXT("element " << i << ": difference " << difference << ", gradient "
                                  << gradient[i])
    BOOST_TEST(std::abs(difference - gradient[i]) <= 1e-8 * largest);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kernels_reference)

BOOST_AUTO_TEST_CASE(the_reference_knows_gelu_and_its_slope_at_one) {
  // Φ(1) and φ(1): Abramowitz & Stegun, table 26.1.
  constexpr double cumulative = 0.841344746068543, density = 0.241970724519143;
  const Vector x = {1, -1, 0}, ones = {1, 1, 1};
  Vector y(3), dx(3);
  Queue queue;
  reference::bias_gelu_forward<double>(queue, Gelu::exact, 1, 3, x.data(), nullptr, y.data());
  reference::bias_gelu_backward<double>(queue, Gelu::exact, 1, 3, x.data(), nullptr, ones.data(),
                                        dx.data());
  BOOST_TEST(std::abs(y[0] - cumulative) < 1e-14);
  BOOST_TEST(std::abs(y[1] + (1 - cumulative)) < 1e-14);
  BOOST_TEST(y[2] == 0);
  BOOST_TEST(std::abs(dx[0] - (cumulative + density)) < 1e-14);
  BOOST_TEST(std::abs(dx[1] - (1 - cumulative - density)) < 1e-14);
  BOOST_TEST(dx[2] == 0.5);
}

BOOST_AUTO_TEST_CASE(equal_logits_cost_the_logarithm_of_the_number_of_classes) {
  const Vector logits(6, 0.7);
  const std::vector<std::int32_t> labels = {0, 2};
  double loss = 0;
  Queue queue;
  reference::softmax_cross_entropy<double>(queue, 2, 3, logits.data(), labels.data(), 0.0, &loss,
                                           nullptr);
  BOOST_TEST(std::abs(loss - std::log(3.0)) < 1e-15);
}

BOOST_AUTO_TEST_CASE(smoothed_labels_cost_what_pytorch_says) {
  // torch.nn.functional.cross_entropy(logits, [2, 1], label_smoothing=0.1), PyTorch 1.13.
  const Vector logits = {0.5, -1, 2, 1, 0.25, -0.5};
  const std::vector<std::int32_t> labels = {2, 1};
  const Vector golden = {0.07097852940335168, 0.0028896199686770582, -0.07386814937202874,
                         0.27823216516173965, -0.32736632206853017,  0.0491341569067905};
  double loss = 0;
  Vector gradient(6);
  Queue queue;
  reference::softmax_cross_entropy<double>(queue, 2, 3, logits.data(), labels.data(), 0.1, &loss,
                                           gradient.data());
  BOOST_TEST(std::abs(loss - 0.8346435202562335) < 1e-15);
  for (std::size_t i = 0; i < 6; ++i) BOOST_TEST(std::abs(gradient[i] - golden[i]) < 1e-15);
}

BOOST_AUTO_TEST_CASE(attention_with_equal_keys_averages_the_values_of_its_own_sequence) {
  PackedSequences sequences({2, 1});
  // One head of width 1: columns are query, key, value.
  const Vector qkv = {5, 1, 10, -3, 1, 20, 2, 1, 70};
  Vector out(3), log_sum_exp(3);
  Queue queue;
  reference::attention_forward<double>(queue, sequences.host(), {1, 1, 1, false}, 2.0, Dropout(),
                                       qkv.data(), out.data(), log_sum_exp.data());
  const Vector worked = {15, 15, 70}, worked_log = {10 + std::log(2.0), -6 + std::log(2.0), 4};
  for (std::size_t i = 0; i < 3; ++i) {
    BOOST_TEST(std::abs(out[i] - worked[i]) < 1e-13);
    BOOST_TEST(std::abs(log_sum_exp[i] - worked_log[i]) < 1e-13);
  }
}

BOOST_AUTO_TEST_CASE(skinny_products_equal_numbers_worked_by_hand) {
  const Vector x = {1, 2, 3, 4, 5, 6};  // 2 × 3
  const Vector B = {1, 0, 0, 1, 1, 1};  // 3 × 2
  Vector y = {100, 100, 100, 100};
  Queue queue;
  reference::low_rank_project<double>(queue, 2, 3, 2, 2.0, x.data(), 3, Transpose::no, B.data(), 2,
                                      1.0, y.data());
  BOOST_TEST((y == Vector{108, 110, 120, 122}));
  reference::low_rank_project<double>(queue, 2, 3, 2, 1.0, x.data(), 3, Transpose::yes, B.data(), 3,
                                      0.0, y.data());
  BOOST_TEST((y == Vector{1, 6, 4, 15}));
  Vector wide(6, 0.5);
  reference::low_rank_expand<double>(queue, 2, 3, 2, y.data(), Transpose::yes, B.data(), 2,
                                     wide.data(), 3);
  BOOST_TEST((wide == Vector{1.5, 6.5, 7.5, 4.5, 15.5, 19.5}));
  Vector G(6);
  reference::low_rank_gradient<double>(queue, 2, 3, 2, 1.0, y.data(), x.data(), 3, Transpose::no,
                                       0.0, G.data(), 3);
  BOOST_TEST((G == Vector{17, 22, 27, 66, 87, 108}));
}

BOOST_AUTO_TEST_CASE(bias_gelu_backward_is_the_derivative_of_its_forward) {
  Random random(801);
  const Vector x = random.values<double>(15, -3, 3), bias = random.values<double>(5);
  const Vector weights = random.values<double>(15);
  Queue queue;
  Vector dx(15);
  reference::bias_gelu_backward(queue, Gelu::exact, 3, 5, x.data(), bias.data(), weights.data(),
                                dx.data());
  const auto loss = [&](const Vector& point) {
    Vector y(15);
    reference::bias_gelu_forward(queue, Gelu::exact, 3, 5, point.data(), bias.data(), y.data());
    return dot(y, weights);
  };
  check_gradient(loss, x, dx);
}

BOOST_AUTO_TEST_CASE(tanh_backward_is_the_derivative_of_its_forward) {
  Random random(802);
  const Vector x = random.values<double>(15, -3, 3), weights = random.values<double>(15);
  Queue queue;
  const auto forward = [&](const Vector& point) {
    Vector y(15);
    reference::tanh_forward(queue, 15, point.data(), y.data());
    return y;
  };
  Vector dx(15);
  reference::tanh_backward(queue, 15, forward(x).data(), weights.data(), dx.data());
  check_gradient([&](const Vector& point) { return dot(forward(point), weights); }, x, dx);
}

BOOST_AUTO_TEST_CASE(relu_keeps_what_is_positive_and_its_slope) {
  const Vector x = {-2, -0.5, 0, 0.5, 2}, dy = {1, 2, 3, 4, 5};
  Vector y(5), dx(5);
  Queue queue;
  reference::relu_forward<double>(queue, 5, x.data(), y.data());
  reference::relu_backward<double>(queue, 5, y.data(), dy.data(), dx.data());
  BOOST_TEST((y == Vector{0, 0, 0, 0.5, 2}));
  BOOST_TEST((dx == Vector{0, 0, 0, 4, 5}));
}

BOOST_AUTO_TEST_CASE(residual_layer_norm_backward_is_the_derivative_of_its_forward) {
  constexpr Index rows = 3, width = 6, count = rows * width;
  Random random(803);
  const Vector x = random.values<double>(count), residual = random.values<double>(count);
  const Vector bias = random.values<double>(width), gamma = random.values<double>(width);
  const Vector beta = random.values<double>(width), weights = random.values<double>(count);
  Queue queue;
  Vector normalised(count), inverse_deviation(rows);
  const auto loss = [&](const Vector& x, const Vector& bias, const Vector& residual,
                        const Vector& gamma, const Vector& beta) {
    Vector y(count);
    reference::residual_layer_norm_forward(queue, rows, width, x.data(), bias.data(),
                                           residual.data(), some, gamma.data(), beta.data(), 1e-3,
                                           y.data(), normalised.data(), inverse_deviation.data());
    return dot(y, weights);
  };
  loss(x, bias, residual, gamma, beta);
  Vector dresidual(count), dx(count), dbias(width), dgamma(width), dbeta(width);
  reference::residual_layer_norm_backward(queue, rows, width, weights.data(), normalised.data(),
                                          inverse_deviation.data(), gamma.data(), some, 0.0,
                                          dresidual.data(), dx.data());
  reference::column_sums(queue, rows, width, dx.data(), 0.0, dbias.data());
  reference::layer_norm_parameter_gradients(queue, rows, width, weights.data(), normalised.data(),
                                            0.0, dgamma.data(), 0.0, dbeta.data());
  check_gradient([&](const Vector& p) { return loss(p, bias, residual, gamma, beta); }, x, dx);
  check_gradient([&](const Vector& p) { return loss(x, p, residual, gamma, beta); }, bias, dbias);
  check_gradient([&](const Vector& p) { return loss(x, bias, p, gamma, beta); }, residual,
                 dresidual);
  check_gradient([&](const Vector& p) { return loss(x, bias, residual, p, beta); }, gamma, dgamma);
  check_gradient([&](const Vector& p) { return loss(x, bias, residual, gamma, p); }, beta, dbeta);
}

BOOST_AUTO_TEST_CASE(attention_backward_is_the_derivative_of_its_forward) {
  Random random(804);
  PackedSequences sequences({3, 1, 4});
  const Index tokens = sequences.tokens();
  Queue queue;
  for (const Dropout& dropout : {Dropout(), some})
    for (const AttentionShape& shape : {AttentionShape{2, 2, 3, false}, {4, 2, 3, true}}) {
      const Vector qkv = random.values<double>(tokens * shape.joined_width(), -2, 2);
      const Vector weights = random.values<double>(tokens * shape.width());
      Vector log_sum_exp(shape.heads * tokens), dqkv(qkv.size());
      const auto loss = [&](const Vector& point) {
        Vector out(weights.size());
        reference::attention_forward(queue, sequences.host(), shape, 0.6, dropout, point.data(),
                                     out.data(), log_sum_exp.data());
        return dot(out, weights);
      };
      loss(qkv);
      reference::attention_backward(queue, sequences.host(), shape, 0.6, dropout, qkv.data(),
                                    log_sum_exp.data(), weights.data(), dqkv.data());
      check_gradient(loss, qkv, dqkv);
    }
}

BOOST_AUTO_TEST_CASE(low_rank_gradient_is_the_derivative_of_project_and_expand) {
  constexpr Index rows = 4, width = 5, rank = 2;
  Random random(805);
  const Vector x = random.values<double>(rows * width), B = random.values<double>(width * rank);
  const Vector dy = random.values<double>(rows * rank);
  const Vector z = random.values<double>(rows * rank), dwide = random.values<double>(rows * width);
  Queue queue;
  for (Transpose transpose : {Transpose::no, Transpose::yes}) {
    const bool transposed = transpose == Transpose::yes;
    // Project reads B as width × rank, its gradient has that shape under the other flag.
    const Transpose other = transposed ? Transpose::no : Transpose::yes;
    const auto project = [&](const Vector& B) {
      Vector y(rows * rank);
      reference::low_rank_project(queue, rows, width, rank, 0.7, x.data(), width, transpose,
                                  B.data(), transposed ? width : rank, 0.0, y.data());
      return dot(y, dy);
    };
    Vector dB(B.size());
    reference::low_rank_gradient(queue, rows, width, rank, 0.7, dy.data(), x.data(), width, other,
                                 0.0, dB.data(), transposed ? width : rank);
    check_gradient(project, B, dB);

    const auto expand = [&](const Vector& B) {
      Vector y(rows * width);
      reference::low_rank_expand(queue, rows, width, rank, z.data(), transpose, B.data(),
                                 transposed ? rank : width, y.data(), width);
      return dot(y, dwide);
    };
    reference::low_rank_gradient(queue, rows, width, rank, 1.0, z.data(), dwide.data(), width,
                                 transpose, 0.0, dB.data(), transposed ? rank : width);
    check_gradient(expand, B, dB);
  }
}

BOOST_AUTO_TEST_CASE(the_gradients_of_both_losses_are_their_derivatives) {
  Random random(806);
  const Vector x = random.values<double>(12, -3, 3), target = random.values<double>(12);
  const std::vector<std::int32_t> labels = {2, 0, 1, 1};
  Queue queue;
  const auto cross_entropy = [&](const Vector& point, double* gradient) {
    double loss = 0;
    reference::softmax_cross_entropy(queue, 4, 3, point.data(), labels.data(), 0.2, &loss,
                                     gradient);
    return loss;
  };
  const auto squared_error = [&](const Vector& point, double* gradient) {
    double loss = 0;
    reference::mean_squared_error(queue, 12, point.data(), target.data(), &loss, gradient);
    return loss;
  };
  Vector dx(12);
  cross_entropy(x, dx.data());
  check_gradient([&](const Vector& point) { return cross_entropy(point, nullptr); }, x, dx);
  squared_error(x, dx.data());
  check_gradient([&](const Vector& point) { return squared_error(point, nullptr); }, x, dx);
}

BOOST_AUTO_TEST_CASE(embedding_backward_is_the_derivative_of_its_forward) {
  constexpr Index tokens = 6, width = 3, entries = 4;
  Random random(807);
  Operand<std::int32_t> ids = random.indices(tokens, entries);
  const Vector table = random.values<double>(entries * width);
  const Vector weights = random.values<double>(tokens * width);
  Queue queue;
  Vector dtable(entries * width, 0.0);
  reference::embedding_backward(queue, tokens, width, entries, ids.host(), weights.data(),
                                dtable.data());
  const auto loss = [&](const Vector& point) {
    Vector out(tokens * width);
    reference::embedding_forward(queue, tokens, width, ids.host(), point.data(), false, out.data());
    return dot(out, weights);
  };
  check_gradient(loss, table, dtable);
}

BOOST_AUTO_TEST_CASE(dropout_keeps_the_expectation) {
  constexpr Index count = 200000;
  const Vector ones(count, 1.0);
  Vector y(count);
  Queue queue;
  reference::dropout(queue, count, Dropout{0.1, 5, 6}, ones.data(), 0.0, y.data());
  const double mean = std::accumulate(y.begin(), y.end(), 0.0) / count;
  // Standard deviation of the mean: √(p / ((1 − p) · count)) = 7.5e-4.
  BOOST_TEST(std::abs(mean - 1) < 4 * 7.5e-4);
}

BOOST_AUTO_TEST_SUITE_END()
