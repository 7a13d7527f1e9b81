#include "../file_testing.hpp"
#include "gradient_testing.hpp"

#include <metatt/autodiff/ops_activation.hpp>
#include <metatt/autodiff/ops_attention.hpp>
#include <metatt/autodiff/ops_diagonal.hpp>
#include <metatt/autodiff/ops_embedding.hpp>
#include <metatt/autodiff/ops_linear.hpp>
#include <metatt/autodiff/ops_normalisation.hpp>

using namespace metatt::autodiff;
using namespace metatt::autodiff::testing;
namespace tn = metatt::tn;

namespace {

using Update = LowRankUpdate<double>;

Indices indices(std::initializer_list<std::int32_t> values) {
  return Indices::from({static_cast<Index>(values.size())}, values);
}

/// linear() with x (5 × 7), a weight of 9 rows and a bias, and updates made from the inputs that
/// follow these three.
void check_adapted_linear(
    const std::vector<Input>& factors,
    const std::function<std::vector<Update>(std::span<const Variable<double>>)>& updates) {
  std::vector<Input> inputs{normal("x", {5, 7}), normal("weight", {9, 7}), normal("bias", {9})};
  inputs.insert(inputs.end(), factors.begin(), factors.end());
  check_operation(inputs, [&](Tape<double>& tape, const Inputs& in) {
    const auto list = updates(std::span(in).subspan(3));
    return linear<double>(tape, in[0], in[1], in[2], list);
  });
}

BOOST_AUTO_TEST_SUITE(gradients)

BOOST_AUTO_TEST_CASE(linear_without_bias) {
  check_operation(
      {normal("x", {5, 7}), normal("weight", {4, 7})},
      [](Tape<double>& tape, const Inputs& in) { return linear<double>(tape, in[0], in[1], {}); });
}

BOOST_AUTO_TEST_CASE(linear_with_bias) {
  check_adapted_linear({}, [](auto) { return std::vector<Update>(); });
}

BOOST_AUTO_TEST_CASE(linear_with_an_update_of_one_pair_of_factors) {
  check_adapted_linear({normal("U", {7, 3}), normal("V", {3, 9})}, [](auto in) {
    return std::vector<Update>{{in[0], {}, 0, in[1], 0.7, 0, 9}};
  });
}

BOOST_AUTO_TEST_CASE(linear_with_an_update_whose_factors_are_larger_than_the_matrix) {
  check_adapted_linear({normal("U", {8, 3}), normal("C", {3, 4, 2}), normal("V", {2, 6})},
                       [](auto in) {
                         return std::vector<Update>{{in[0], in[1], 2, in[2], 0.7, 3, 4}};
                       });
}

BOOST_AUTO_TEST_CASE(linear_with_two_slices_of_one_train_at_different_columns) {
  check_adapted_linear({normal("U", {7, 2}), normal("C", {2, 3, 4}), normal("V", {4, 3})},
                       [](auto in) {
                         return std::vector<Update>{{in[0], in[1], 0, in[2], 0.7, 0, 3},
                                                    {in[0], in[1], 2, in[2], 0.7, 6, 3}};
                       });
}

BOOST_AUTO_TEST_CASE(linear_with_updates_that_share_only_their_left_factor) {
  check_adapted_linear(
      {normal("U", {7, 3}), normal("C", {3, 2, 3}), normal("V1", {3, 5}), normal("V2", {3, 9})},
      [](auto in) {
        return std::vector<Update>{{in[0], in[1], 0, in[2], 0.7, 2, 5},
                                   {in[0], in[1], 1, in[3], 1.3, 0, 9},
                                   {in[0], {}, 0, in[3], 0.4, 0, 9}};
      });
}

BOOST_AUTO_TEST_CASE(linear_with_updates_of_two_factors_that_share_the_left_one) {
  check_adapted_linear({normal("U", {7, 3}), normal("V1", {3, 5}), normal("V2", {3, 9})},
                       [](auto in) {
                         return std::vector<Update>{{in[0], {}, 0, in[1], 0.7, 2, 5},
                                                    {in[0], {}, 0, in[2], 0.7, 0, 9},
                                                    {in[0], {}, 0, in[2], 1.3, 0, 9}};
                       });
}

// x·U, its gradient by x and that by U once, not once for each update.
BOOST_AUTO_TEST_CASE(updates_that_share_the_left_factor_share_its_products) {
  const auto operations = [](std::size_t updates) {
    const auto zeros = [](Shape shape) { return Tensor<double>::zeros(std::move(shape)); };
    ParameterArena<double> arena(
        {{"x", zeros({5, 7})}, {"U", zeros({7, 3})}, {"V", zeros({3, 9})}});
    auto& work = tn::backend::queue().work;
    work = {};
    Tape<double> tape(arena, 1, 0);
    const auto use = [&](const char* name) { return tape.parameter(arena, arena.find(name)); };
    const std::vector<Update> list(updates, Update{use("U"), {}, 0, use("V"), 0.7, 0, 9});
    const auto y = linear<double>(tape, use("x"), constant(zeros({9, 7})), {}, list);
    tape.backward(as_loss(tape, y, 0));
    return work.low_rank_flops;
  };
  BOOST_TEST(operations(2) - operations(1) == 3 * 2 * 5 * 3 * 9);
}

BOOST_AUTO_TEST_CASE(matmul_of_matrices) {
  check_operation({normal("a", {4, 3}), normal("b", {3, 5})},
                  [](Tape<double>& tape, const Inputs& in) {
                    return matmul(tape, in[0], in[1], {4, 5});
                  });
}

BOOST_AUTO_TEST_CASE(matmul_of_neighbouring_cores_of_a_train) {
  check_operation({normal("a", {2, 4, 3}), normal("b", {3, 2, 5})},
                  [](Tape<double>& tape, const Inputs& in) {
                    return matmul(tape, in[0], in[1], {2, 8, 5});
                  });
}

BOOST_AUTO_TEST_CASE(scale_columns_of_a_matrix) {
  check_operation(
      {normal("x", {5, 7}), normal("factors", {7})},
      [](Tape<double>& tape, const Inputs& in) { return scale_columns(tape, in[0], in[1]); });
}

BOOST_AUTO_TEST_CASE(scale_columns_of_some_columns_with_a_bias) {
  check_operation(
      {normal("x", {5, 9}), normal("first", {3}), normal("second", {4}), normal("bias", {9})},
      [](Tape<double>& tape, const Inputs& in) {
        const std::vector<ColumnGain<double>> gains{{in[1], 1}, {in[2], 5}};
        return scale_columns<double>(tape, in[0], gains, in[3]);
      });
}

BOOST_AUTO_TEST_CASE(quotient_by_constants) {
  check_operation({normal("x", {1, 3})}, [](Tape<double>& tape, const Inputs& in) {
    return quotient(tape, in[0], {2, -0.5, 3});
  });
}

BOOST_AUTO_TEST_CASE(diagonal_core_of_a_matrix) {
  check_operation({normal("a", {4, 3})},
                  [](Tape<double>& tape, const Inputs& in) { return diagonal_core(tape, in[0]); });
}

BOOST_AUTO_TEST_CASE(bias_gelu_with_and_without_bias) {
  check_operation(
      {normal("x", {5, 7}), normal("bias", {7})},
      [](Tape<double>& tape, const Inputs& in) { return bias_gelu(tape, in[0], in[1]); });
  check_operation({normal("x", {5, 7})},
                  [](Tape<double>& tape, const Inputs& in) { return bias_gelu(tape, in[0], {}); });
}

BOOST_AUTO_TEST_CASE(tanh_of_a_matrix) {
  check_operation({normal("x", {5, 7})},
                  [](Tape<double>& tape, const Inputs& in) { return tanh(tape, in[0]); });
}

BOOST_AUTO_TEST_CASE(relu_of_a_matrix) {
  const Input x = normal("x", {5, 7});
  // Differences need each element on its side of the kink.
  for (const double value : x.value.to_vector()) BOOST_TEST_REQUIRE(std::abs(value) > 3e-3);
  check_operation({x}, [](Tape<double>& tape, const Inputs& in) { return relu(tape, in[0]); });
}

BOOST_AUTO_TEST_CASE(dropout_with_the_masks_of_one_step) {
  check_operation({normal("x", {9, 7})},
                  [](Tape<double>& tape, const Inputs& in) { return dropout(tape, in[0], 0.4); });
}

BOOST_AUTO_TEST_CASE(residual_layer_norm_of_x_alone) {
  check_operation({normal("x", {5, 7}), normal("gamma", {7}, 0), normal("beta", {7}, 0)},
                  [](Tape<double>& tape, const Inputs& in) {
                    return residual_layer_norm(tape, in[0], {}, {}, {in[1], in[2], 1e-5}, 0.0);
                  });
}

BOOST_AUTO_TEST_CASE(residual_layer_norm_with_bias_and_residual_and_with_or_without_dropout) {
  for (const double probability : {0.0, 0.3}) {
    BOOST_TEST_CONTEXT("dropout " << probability) {
      check_operation({normal("x", {5, 7}), normal("bias", {7}), normal("residual", {5, 7}),
                       normal("gamma", {7}, 0), normal("beta", {7}, 0)},
                      [&](Tape<double>& tape, const Inputs& in) {
                        return residual_layer_norm(tape, in[0], in[1], in[2], {in[3], in[4], 1e-5},
                                                   probability);
                      });
    }
  }
}

BOOST_AUTO_TEST_CASE(residual_layer_norm_of_a_sum_of_x_and_itself) {
  check_operation({normal("x", {5, 7}), normal("gamma", {7}, 0), normal("beta", {7}, 0)},
                  [](Tape<double>& tape, const Inputs& in) {
                    const Variable<double> y = tanh(tape, in[0]);
                    return residual_layer_norm(tape, y, {}, y, {in[1], in[2], 1e-5}, 0.3);
                  });
}

BOOST_AUTO_TEST_CASE(packed_sequences_begin_and_end_where_their_lengths_say) {
  const auto sequences = Sequences::from_lengths(std::vector<Index>{3, 1, 9});
  BOOST_TEST((sequences.first_rows().to_vector() == std::vector<std::int32_t>{0, 3, 4}));
  BOOST_TEST((sequences.last_rows().to_vector() == std::vector<std::int32_t>{2, 3, 12}));
}

BOOST_AUTO_TEST_CASE(attention_inside_ragged_sequences_with_and_without_dropout) {
  const std::vector<Index> lengths{3, 1, 9, 4};
  for (const double probability : {0.0, 0.25})
    for (const AttentionShape& shape : {AttentionShape{2, 2, 3, false}, {4, 2, 2, true}})
      BOOST_TEST_CONTEXT("dropout " << probability << ", causal " << shape.causal) {
        check_operation(
            {normal("qkv", {17, shape.joined_width()})}, [&](Tape<double>& tape, const Inputs& in) {
              return attention(tape, in[0], Sequences::from_lengths(lengths), shape, probability);
            });
      }
}

BOOST_AUTO_TEST_CASE(rotary_positions) {
  const AttentionShape shape{4, 2, 4, true};
  const auto table = rotary_table<double>(9, 4, 10000);
  check_operation({normal("qkv", {5, 32})}, [&](Tape<double>& tape, const Inputs& in) {
    return rotary(tape, in[0], indices({0, 3, 8, 1, 1}), table, shape);
  });
}

BOOST_AUTO_TEST_CASE(swiglu_of_gate_and_up) {
  check_operation({normal("x", {5, 14})},
                  [](Tape<double>& tape, const Inputs& in) { return swiglu(tape, in[0]); });
}

BOOST_AUTO_TEST_CASE(rms_norm_of_x) {
  check_operation(
      {normal("x", {5, 7}), normal("gamma", {7}, 0)},
      [](Tape<double>& tape, const Inputs& in) { return rms_norm(tape, in[0], in[1], 1e-5); });
}

BOOST_AUTO_TEST_CASE(residual_add_with_and_without_dropout) {
  for (const double probability : {0.0, 0.3})
    check_operation({normal("x", {5, 7}), normal("residual", {5, 7})},
                    [&](Tape<double>& tape, const Inputs& in) {
                      return residual_add(tape, in[0], in[1], probability);
                    });
}

BOOST_AUTO_TEST_CASE(linear_cross_entropy_with_and_without_bias) {
  const auto labels = indices({3, 0, 0, 1, 2, 3});
  check_operation({normal("x", {6, 3}), normal("weight", {4, 3}), normal("bias", {4})},
                  [&](Tape<double>& tape, const Inputs& in) {
                    return linear_cross_entropy(tape, in[0], in[1], in[2], labels);
                  });
  check_operation({normal("x", {6, 3}), normal("weight", {4, 3})},
                  [&](Tape<double>& tape, const Inputs& in) {
                    return linear_cross_entropy(tape, in[0], in[1], {}, labels, 0.2);
                  });
}

BOOST_AUTO_TEST_CASE(linear_cross_entropy_in_chunks_is_that_of_all_logits) {
  // More rows than are made at once.
  const Index rows = 700, width = 5, classes = 11;
  std::vector<std::int32_t> labels;
  for (Index i = 0; i < rows; ++i) labels.push_back(static_cast<std::int32_t>(i * i % classes));
  const auto targets = Tensor<std::int32_t>::from({rows}, std::span<const std::int32_t>(labels));
  const auto x = tn::random_normal<double>({rows, width}, 1);
  const auto gradients = [&](bool fused) {
    ParameterArena<double> arena({{"weight", tn::random_normal<double>({classes, width}, 2)},
                                  {"bias", tn::random_normal<double>({classes}, 3)}});
    Tape<double> tape(arena, 0, 0);
    const auto weight = tape.parameter(arena, 0), bias = tape.parameter(arena, 1);
    const auto in = constant(x);
    const auto loss =
        fused ? linear_cross_entropy(tape, in, weight, bias, targets)
              : softmax_cross_entropy(tape, linear<double>(tape, in, weight, bias), targets);
    arena.clear_gradients();
    tape.backward(loss);
    auto all = arena.gradient(0).to_vector();
    const auto rest = arena.gradient(1).to_vector();
    all.insert(all.end(), rest.begin(), rest.end());
    all.push_back(loss.value.to_vector()[0]);
    return all;
  };
  const auto fused = gradients(true), whole = gradients(false);
  for (std::size_t i = 0; i < whole.size(); ++i) BOOST_TEST(std::abs(fused[i] - whole[i]) < 1e-14);
}

BOOST_AUTO_TEST_CASE(log_probabilities_of_rows_are_logits_less_their_log_sum) {
  const Index rows = 300, width = 5, classes = 11;  // more rows than are made at once
  std::vector<std::int32_t> labels;
  for (Index i = 0; i < rows; ++i) labels.push_back(static_cast<std::int32_t>(i * i % classes));
  const auto x = tn::random_normal<double>({rows, width}, 1),
             weight = tn::random_normal<double>({classes, width}, 2);
  const auto found =
      linear_log_probabilities(
          x, weight, Tensor<std::int32_t>::from({rows}, std::span<const std::int32_t>(labels)))
          .to_vector();
  const auto in = x.to_vector(), matrix = weight.to_vector();
  for (std::size_t i = 0; i < found.size(); ++i) {
    std::vector<double> logits(11);
    double sum = 0;
    for (std::size_t c = 0; c < 11; ++c) {
      for (std::size_t k = 0; k < 5; ++k) logits[c] += in[5 * i + k] * matrix[5 * c + k];
      sum += std::exp(logits[c]);
    }
    const double expected = logits[static_cast<std::size_t>(labels[i])] - std::log(sum);
    BOOST_TEST(std::abs(found[i] - expected) < 1e-13);
  }
  metatt::testing::check_error(
      [&] {
        linear_log_probabilities(x, weight, indices({1, 2}));
      },
      {"linear_log_probabilities", "2 labels"});
}

BOOST_AUTO_TEST_CASE(embedding_in_two_tables_with_rows_taken_often_and_never) {
  check_operation({normal("words", {6, 5}), normal("types", {2, 5})},
                  [](Tape<double>& tape, const Inputs& in) {
                    const std::array<EmbeddingLookup<double>, 2> lookups{
                        {{in[0], indices({4, 0, 4, 4, 2})}, {in[1], indices({0, 1, 1, 0, 0})}}};
                    return embedding<double>(tape, lookups);
                  });
}

BOOST_AUTO_TEST_CASE(gather_rows_out_of_order) {
  check_operation({normal("x", {6, 5})}, [](Tape<double>& tape, const Inputs& in) {
    return gather_rows(tape, in[0], indices({4, 0, 3}));
  });
}

BOOST_AUTO_TEST_CASE(softmax_cross_entropy_of_logits) {
  check_operation({normal("logits", {6, 4})}, [](Tape<double>& tape, const Inputs& in) {
    return softmax_cross_entropy(tape, in[0], indices({3, 0, 0, 1, 2, 3}), 0.1);
  });
}

BOOST_AUTO_TEST_CASE(mean_squared_error_of_predictions) {
  check_operation({normal("prediction", {6, 1})}, [](Tape<double>& tape, const Inputs& in) {
    return mean_squared_error(tape, in[0], tn::random_normal<double>({6}, 5));
  });
}

BOOST_AUTO_TEST_CASE(a_value_that_two_operations_read_receives_both_gradients) {
  check_operation({normal("x", {5, 5}), normal("weight", {5, 5})}, [](Tape<double>& tape,
                                                                      const Inputs& in) {
    const Variable<double> y = tanh(tape, in[0]);
    return linear<double>(tape, y, in[1], {}, std::array<Update, 1>{{{y, {}, 0, y, 0.5, 0, 5}}});
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
