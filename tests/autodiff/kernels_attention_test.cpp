#include "kernel_testing.hpp"

using namespace metatt::autodiff;
using namespace metatt::autodiff::testing;

namespace {

const Dropout off;
const Dropout tenth{0.1, 0x123456789abcdef0, 5};

/// check(sequences, shape) for ragged sequences and head widths, with keys of their own and shared
/// ones, seeing all and seeing what stands before.
template <class Check>
void for_each_attention(const Check& check) {
  const std::vector<std::vector<Index>> packings = {
      {1}, {2, 17}, {40, 1, 128}, {130, 2, 17, 1}, {17, 17, 40}};
  for (const AttentionShape& shape : {AttentionShape{1, 1, 8, false},
                                      {3, 3, 16, false},
                                      {2, 2, 20, false},
                                      {2, 2, 32, false},
                                      {1, 1, 64, false},
                                      {3, 3, 16, true},
                                      {4, 2, 20, true},
                                      {6, 2, 8, false},
                                      {4, 1, 32, true}}) {
    for (const std::vector<Index>& lengths : packings) {
      PackedSequences sequences(lengths);
      BOOST_TEST_CONTEXT("heads " << shape.heads << ", of keys " << shape.key_value_heads
                                  << ", head width " << shape.head_width << ", causal "
                                  << shape.causal << ", " << lengths.size()
                                  << " sequences, the longest of " << sequences.longest()) {
        check(sequences, shape);
      }
    }
  }
}

/// Runs forward and backward on both sides and compares all outputs.
template <class T>
void check_forward_and_backward(Random& random, PackedSequences& sequences,
                                const AttentionShape& shape, T scale, const Dropout& dropout,
                                Operand<T>& qkv) {
  const Index width = shape.width(), head_width = shape.head_width;
  Operand<T> out = unwritten<T>(sequences.tokens() * width);
  Operand<T> log_sum_exp = unwritten<T>(shape.heads * sequences.tokens());
  METATT_RUN_ON_BOTH(attention_forward<T>, at(sequences), shape, scale, dropout, at(qkv), at(out),
                     at(log_sum_exp));
  check_close(out, sequences.longest() + head_width);
  check_close(log_sum_exp, sequences.longest() + head_width);

  // Both sides start from the reference's log_sum_exp, so that only this kernel's error is seen.
  Operand<T> saved(log_sum_exp.expected());
  Operand<T> dout = random.operand<T>(sequences.tokens() * width);
  Operand<T> dqkv = unwritten<T>(sequences.tokens() * shape.joined_width());
  METATT_RUN_ON_BOTH(attention_backward<T>, at(sequences), shape, scale, dropout, at(qkv),
                     at(saved), at(dout), at(dqkv));
  check_close(dqkv, sequences.longest() + head_width);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kernels_attention)

BOOST_AUTO_TEST_CASE_TEMPLATE(attention_and_its_gradient_equal_the_reference, T, Types) {
  Random random(301);
  for_each_attention([&](PackedSequences& sequences, const AttentionShape& shape) {
    for (const Dropout& dropout : {off, tenth}) {
      Operand<T> qkv = random.operand<T>(sequences.tokens() * shape.joined_width(), -2, 2);
      const T scale = T(1) / std::sqrt(static_cast<T>(shape.head_width));
      check_forward_and_backward(random, sequences, shape, scale, dropout, qkv);
    }
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(attention_without_saved_statistics_gives_the_same, T, Types) {
  Random random(302);
  for_each_attention([&](PackedSequences& sequences, const AttentionShape& shape) {
    Operand<T> qkv = random.operand<T>(sequences.tokens() * shape.joined_width());
    Operand<T> out = unwritten<T>(sequences.tokens() * shape.width());
    Operand<T> none;
    METATT_RUN_ON_BOTH(attention_forward<T>, at(sequences), shape, T(0.3), tenth, at(qkv), at(out),
                       at(none));
    check_close(out, sequences.longest() + shape.head_width);
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(attention_drops_exactly_the_documented_probabilities, T, Types) {
  // Value j is the unit vector e_j and all scores are 0, so out is the masked probability matrix.
  constexpr Index heads = 2, head_width = 64;
  for (double probability : {0.1, 0.5, 0.9}) {
    PackedSequences sequences({17, 40, 1, 64});
    const Index row = 3 * heads * head_width;
    std::vector<T> values(static_cast<std::size_t>(sequences.tokens() * row), T(0));
    Index token = 0;
    for (Index length : {17, 40, 1, 64}) {
      for (Index j = 0; j < length; ++j, ++token) {
        for (Index h = 0; h < heads; ++h) {
          values[token * row + (2 * heads + h) * head_width + j] = T(1);
        }
      }
    }
    Operand<T> qkv(std::move(values));
    Operand<T> out = unwritten<T>(sequences.tokens() * heads * head_width);
    Operand<T> none;
    METATT_RUN_ON_BOTH(attention_forward<T>, at(sequences),
                       (AttentionShape{heads, heads, head_width, false}), T(1),
                       (Dropout{probability, 9, 1}), at(qkv), at(out), at(none));
    check_same_zeros(out);
    check_close(out, 64);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(scores_of_ten_thousand_neither_overflow_nor_vanish, T, Types) {
  // Scores are multiples of 1/8 up to ±10⁴, which float holds exactly, and rows have near ties.
  constexpr Index heads = 2, head_width = 16;
  Random random(303);
  PackedSequences sequences({40, 17});
  std::vector<T> values = random.values<T>(sequences.tokens() * 3 * heads * head_width);
  for (Index t = 0; t < sequences.tokens(); ++t) {
    for (Index h = 0; h < heads; ++h) {
      T* query = values.data() + (t * 3 * heads + h) * head_width;
      T* key = query + heads * head_width;
      std::fill(query, query + head_width, T(0));
      std::fill(key, key + head_width, T(0));
      query[0] = t % 2 == 0 ? T(100) : T(-100);
      key[0] = t % 3 == 0 ? T(100) : T(-100);
      query[1] = T(1);
      key[1] = static_cast<T>(t % 7) / T(8);
    }
  }
  Operand<T> qkv(std::move(values));
  check_forward_and_backward(random, sequences, {heads, heads, head_width, false}, T(1), off, qkv);
}

BOOST_AUTO_TEST_CASE(attention_counts_four_products_forward_and_ten_backward) {
  PackedSequences sequences({3, 5});
  Random random(304);
  Operand<float> qkv = random.operand<float>(8 * 3 * 2 * 4);
  Operand<float> out = unwritten<float>(8 * 2 * 4);
  Operand<float> log_sum_exp = unwritten<float>(2 * 8);
  Operand<float> dqkv = unwritten<float>(8 * 3 * 2 * 4);
  Queue queue;
  const AttentionShape shape{2, 2, 4, false};
  reference::attention_forward(queue, sequences.host(), shape, 1.0f, off, qkv.host(), out.host(),
                               log_sum_exp.host());
  BOOST_TEST(queue.work.attention_flops == 4 * 2 * 4 * (9 + 25));
  reference::attention_backward(queue, sequences.host(), shape, 1.0f, off, qkv.host(),
                                log_sum_exp.host(), out.host(), dqkv.host());
  BOOST_TEST(queue.work.attention_flops == (4 + 10) * 2 * 4 * (9 + 25));
  queue.work = {};
  reference::attention_forward(queue, sequences.host(), {2, 2, 4, true}, 1.0f, off, qkv.host(),
                               out.host(), log_sum_exp.host());
  BOOST_TEST(queue.work.attention_flops == 4 * 2 * 4 * (6 + 15));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(one_new_token_sees_the_keys_of_a_cache, T, Types) {
  Random random(306);
  for (const AttentionShape& shape :
       {AttentionShape{1, 1, 8, true}, {4, 2, 20, true}, {12, 12, 64, true}, {6, 1, 5, true}})
    for (const Index count : {1, 7, 64, 1000}) {
      const Index ld = shape.key_value_heads * shape.head_width;
      Operand<T> query = random.operand<T>(shape.width(), -2, 2);
      Operand<T> keys = random.operand<T>(count * ld, -2, 2),
                 values = random.operand<T>(count * ld);
      Operand<T> out = unwritten<T>(shape.width());
      METATT_RUN_ON_BOTH(attention_step<T>, shape, T(0.3), count, at(query), at(keys), at(values),
                         at(out));
      check_close(out, count + shape.head_width);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(heads_turn_by_their_positions_and_back, T, Types) {
  Random random(305);
  for (const auto& extents :
       {std::array<Index, 3>{1, 2, 2}, {3, 8, 24}, {5, 6, 37}, {4, 64, 300}}) {
    const Index heads = extents[0], head_width = extents[1], ld = extents[2];
    constexpr Index tokens = 33, table_rows = 50;
    Operand<std::int32_t> positions = random.indices(tokens, table_rows);
    Operand<T> table = random.operand<T>(table_rows * head_width);
    Operand<T> x = random.operand<T>(tokens * ld);
    for (const bool back : {false, true}) {
      METATT_RUN_ON_BOTH(rotate_heads<T>, tokens, heads, head_width, ld, at(positions), at(table),
                         back, at(x));
      check_close(x, 2);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
