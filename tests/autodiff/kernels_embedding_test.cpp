#include "kernel_testing.hpp"

#include <array>
#include <numeric>

using namespace metatt::autodiff;
using namespace metatt::autodiff::testing;

namespace {

/// The first eight 16-bit words that decide over elements block·8 … block·8 + 7.
struct GoldenBlock {
  std::uint64_t seed, stream;
  Index block;
  std::array<std::uint32_t, 8> words;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(kernels_embedding)

BOOST_AUTO_TEST_CASE_TEMPLATE(embedding_gathers_or_adds_rows_of_the_table, T, Types) {
  Random random(601);
  for_each_shape([&](Index tokens, Index width) {
    const Index entries = 11;
    Operand<std::int32_t> ids = random.indices(tokens, entries);
    Operand<T> table = random.operand<T>(entries * width);
    for (bool accumulate : {false, true}) {
      Operand<T> out = destination<T>(random, tokens * width, accumulate ? 1 : 0);
      METATT_RUN_ON_BOTH(embedding_forward<T>, tokens, width, at(ids), at(table), accumulate,
                         at(out));
      check_same(out);
    }
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(embedding_backward_adds_every_occurrence_of_an_id, T, Types) {
  Random random(602);
  for_each_shape([&](Index tokens, Index width) {
    for (Index used : {1, 5, 40}) {
      const Index entries = 41;  // the last row is never used and must stay as it is
      Operand<std::int32_t> ids = random.indices(tokens, used);
      Operand<T> dout = random.operand<T>(tokens * width, -0.5, 1.5);
      Operand<T> dtable = random.operand<T>(entries * width);
      METATT_RUN_ON_BOTH(embedding_backward<T>, tokens, width, entries, at(ids), at(dout),
                         at(dtable));
      check_close(dtable, tokens);
    }
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(scatter_add_rows_is_the_transpose_of_a_gather, T, Types) {
  Random random(603);
  for_each_shape([&](Index count, Index width) {
    // Every third row, last first: each index occurs once.
    std::vector<std::int32_t> indices(static_cast<std::size_t>(count));
    for (Index i = 0; i < count; ++i) indices[i] = static_cast<std::int32_t>(3 * (count - 1 - i));
    Operand<std::int32_t> rows(std::move(indices));
    Operand<T> dout = random.operand<T>(count * width);
    Operand<T> x = random.operand<T>((3 * count + 2) * width);
    METATT_RUN_ON_BOTH(scatter_add_rows<T>, count, width, at(rows), at(dout), at(x));
    check_same(x);
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(dropout_equals_the_reference_in_every_element, T, Types) {
  Random random(604);
  for (Index count : {1, 7, 8, 9, 127, 129, 1000, 4099, 100003}) {
    for (double probability : {0.0, 1e-5, 0.1, 0.5, 0.999}) {
      for (double beta : {0.0, 1.0, -0.5}) {
        BOOST_TEST_CONTEXT("count " << count << ", probability " << probability << ", beta "
                                    << beta) {
          const Dropout dropout{probability, 0x123456789abcdef0, 0x0fedcba987654321};
          Operand<T> x = random.operand<T>(count, 0.5, 1);
          Operand<T> y = destination<T>(random, count, beta);
          METATT_RUN_ON_BOTH(dropout<T>, count, dropout, at(x), T(beta), at(y));
          check_close(y, 1);
          check_same_zeros(y);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(dropout_draws_the_words_of_philox4x32_7, T, Types) {
  // First: the known-answer vector "philox4x32 7 0 …" of Random123's kat_vectors, halves of words
  // exchanged. Second: an implementation in Python checked against all three vectors there.
  const std::vector<GoldenBlock> blocks = {
      {0, 0, 0, {0xb709, 0x5f6f, 0x3f64, 0x0d89, 0x1f81, 0x4f12, 0x0a48, 0x4f73}},
      {0x0123456789abcdef,
       0xfedcba9876543210,
       5,
       {0x9870, 0xc62f, 0x7055, 0xb974, 0xd5ee, 0x6e84, 0xadf9, 0x59fb}}};
  for (const GoldenBlock& golden : blocks) {
    const Index first = 8 * golden.block;
    Operand<T> x(std::vector<T>(static_cast<std::size_t>(first) + 8, T(1)));
    for (int i = 0; i < 8; ++i) {
      // A word is kept at a threshold equal to it and dropped at the next one.
      for (std::uint32_t above : {0u, 1u}) {
        const std::uint32_t threshold = golden.words[i] + above;
        const Dropout dropout{threshold / 65536.0, golden.seed, golden.stream};
        Operand<T> y = unwritten<T>(first + 8);
        METATT_RUN_ON_BOTH(dropout<T>, first + 8, dropout, at(x), T(0), at(y));
        const T kept = static_cast<T>(65536.0 / (65536.0 - threshold));
        BOOST_TEST(y.expected()[first + i] == (above ? T(0) : kept));
        BOOST_TEST(y.found()[first + i] == (above ? T(0) : kept));
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
