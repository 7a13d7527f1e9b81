#include "kernel_testing.hpp"

using namespace metatt::autodiff;
using namespace metatt::autodiff::testing;

namespace {

const Dropout off;
const Dropout tenth{0.1, 0x123456789abcdef0, 5};

/// check(sequences, heads, head_width) for ragged sequences and head widths.
template <class Check>
void for_each_attention(const Check& check) {
  const std::vector<std::vector<Index>> packings = {
      {1}, {2, 17}, {40, 1, 128}, {130, 2, 17, 1}, {17, 17, 40}};
  for (const auto& [heads, head_width] :
       {std::pair<Index, Index>{1, 8}, {3, 16}, {2, 20}, {2, 32}, {1, 64}}) {
    for (const std::vector<Index>& lengths : packings) {
      PackedSequences sequences(lengths);
      BOOST_TEST_CONTEXT("heads " << heads << ", head width " << head_width << ", "
                                  << lengths.size() << " sequences, the longest of "
                                  << sequences.longest()) {
        check(sequences, heads, head_width);
      }
    }
  }
}

/// Runs forward and backward on both sides and compares all outputs.
template <class T>
void check_forward_and_backward(Random& random, PackedSequences& sequences, Index heads,
                                Index head_width, T scale, const Dropout& dropout,
                                Operand<T>& qkv) {
  const Index width = heads * head_width;
  Operand<T> out = unwritten<T>(sequences.tokens() * width);
  Operand<T> log_sum_exp = unwritten<T>(heads * sequences.tokens());
  METATT_RUN_ON_BOTH(attention_forward<T>, at(sequences), heads, head_width, scale, dropout,
                     at(qkv), at(out), at(log_sum_exp));
  check_close(out, sequences.longest() + head_width);
  check_close(log_sum_exp, sequences.longest() + head_width);

  // Both sides start from the reference's log_sum_exp, so that only this kernel's error is seen.
  Operand<T> saved(log_sum_exp.expected());
  Operand<T> dout = random.operand<T>(sequences.tokens() * width);
  Operand<T> dqkv = unwritten<T>(sequences.tokens() * 3 * width);
  METATT_RUN_ON_BOTH(attention_backward<T>, at(sequences), heads, head_width, scale, dropout,
                     at(qkv), at(saved), at(dout), at(dqkv));
  check_close(dqkv, sequences.longest() + head_width);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kernels_attention)

BOOST_AUTO_TEST_CASE_TEMPLATE(attention_and_its_gradient_equal_the_reference, T, Types) {
  Random random(301);
  for_each_attention([&](PackedSequences& sequences, Index heads, Index head_width) {
    for (const Dropout& dropout : {off, tenth}) {
      Operand<T> qkv = random.operand<T>(sequences.tokens() * 3 * heads * head_width, -2, 2);
      const T scale = T(1) / std::sqrt(static_cast<T>(head_width));
      check_forward_and_backward(random, sequences, heads, head_width, scale, dropout, qkv);
    }
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(attention_without_saved_statistics_gives_the_same, T, Types) {
  Random random(302);
  for_each_attention([&](PackedSequences& sequences, Index heads, Index head_width) {
    Operand<T> qkv = random.operand<T>(sequences.tokens() * 3 * heads * head_width);
    Operand<T> out = unwritten<T>(sequences.tokens() * heads * head_width);
    Operand<T> none;
    METATT_RUN_ON_BOTH(attention_forward<T>, at(sequences), heads, head_width, T(0.3), tenth,
                       at(qkv), at(out), at(none));
    check_close(out, sequences.longest() + head_width);
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
    METATT_RUN_ON_BOTH(attention_forward<T>, at(sequences), heads, head_width, T(1),
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
  check_forward_and_backward(random, sequences, heads, head_width, T(1), off, qkv);
}

BOOST_AUTO_TEST_CASE(attention_counts_four_products_forward_and_ten_backward) {
  PackedSequences sequences({3, 5});
  Random random(304);
  Operand<float> qkv = random.operand<float>(8 * 3 * 2 * 4);
  Operand<float> out = unwritten<float>(8 * 2 * 4);
  Operand<float> log_sum_exp = unwritten<float>(2 * 8);
  Operand<float> dqkv = unwritten<float>(8 * 3 * 2 * 4);
  Queue queue;
  reference::attention_forward(queue, sequences.host(), 2, 4, 1.0f, off, qkv.host(), out.host(),
                               log_sum_exp.host());
  BOOST_TEST(queue.work.attention_flops == 4 * 2 * 4 * (9 + 25));
  reference::attention_backward(queue, sequences.host(), 2, 4, 1.0f, off, qkv.host(),
                                log_sum_exp.host(), out.host(), dqkv.host());
  BOOST_TEST(queue.work.attention_flops == (4 + 10) * 2 * 4 * (9 + 25));
}

BOOST_AUTO_TEST_SUITE_END()
