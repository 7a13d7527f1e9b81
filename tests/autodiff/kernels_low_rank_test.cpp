#include "kernel_testing.hpp"

using namespace metatt::autodiff;
using namespace metatt::autodiff::testing;
using metatt::tn::Transpose;

namespace {

/// check(rows, width, rank, transpose, padding of the leading dimensions).
template <class Check>
void for_each_skinny_product(const Check& check) {
  for (Index rank : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 32, 64}) {
    for (const auto& [rows, width] : {std::pair<Index, Index>{1, 1},
                                      {2, 100},
                                      {5, 17},
                                      {33, 64},
                                      {70, 384},
                                      {7, 31},
                                      {300, 48}}) {
      for (Transpose transpose : {Transpose::no, Transpose::yes}) {
        for (Index padding : {0, 5}) {
          BOOST_TEST_CONTEXT("rows " << rows << ", width " << width << ", rank " << rank
                                     << (transpose == Transpose::yes ? ", transposed" : "")
                                     << ", padding " << padding) {
            check(rows, width, rank, transpose, padding);
          }
        }
      }
    }
  }
}

/// Leading dimension of the small matrix: stored as width × rank or as rank × width.
Index small_leading_dimension(bool tall, Index width, Index rank, Index padding) {
  return (tall ? rank : width) + padding;
}

Index small_size(bool tall, Index width, Index rank, Index padding) {
  return (tall ? width : rank) * small_leading_dimension(tall, width, rank, padding);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kernels_low_rank)

BOOST_AUTO_TEST_CASE_TEMPLATE(low_rank_project_equals_the_reference, T, Types) {
  Random random(401);
  for_each_skinny_product(
      [&](Index rows, Index width, Index rank, Transpose transpose, Index padding) {
        const bool tall = transpose == Transpose::no;
        const Index ldb = small_leading_dimension(tall, width, rank, padding);
        const Index ldx = width + padding;
        Operand<T> x = random.operand<T>(rows * ldx, -0.5, 1.5);
        Operand<T> B = random.operand<T>(small_size(tall, width, rank, padding), -0.5, 1.5);
        for (double beta : {0.0, 1.0, -0.5}) {
          Operand<T> y = destination<T>(random, rows * rank, beta);
          METATT_RUN_ON_BOTH(low_rank_project<T>, rows, width, rank, T(0.75), at(x), ldx, transpose,
                             at(B), ldb, T(beta), at(y));
          check_close(y, width);
        }
      });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(low_rank_expand_equals_the_reference, T, Types) {
  Random random(402);
  for_each_skinny_product(
      [&](Index rows, Index width, Index rank, Transpose transpose, Index padding) {
        const bool tall = transpose == Transpose::yes;
        const Index ldb = small_leading_dimension(tall, width, rank, padding);
        const Index ldy = width + padding;
        Operand<T> z = random.operand<T>(rows * rank);
        Operand<T> B = random.operand<T>(small_size(tall, width, rank, padding));
        Operand<T> y = random.operand<T>(rows * ldy);
        METATT_RUN_ON_BOTH(low_rank_expand<T>, rows, width, rank, at(z), transpose, at(B), ldb,
                           at(y), ldy);
        check_close(y, rank);
      });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(low_rank_gradient_equals_the_reference, T, Types) {
  Random random(403);
  for_each_skinny_product(
      [&](Index rows, Index width, Index rank, Transpose transpose, Index padding) {
        const bool tall = transpose == Transpose::yes;
        const Index ldg = small_leading_dimension(tall, width, rank, padding);
        const Index ldx = width + padding;
        Operand<T> z = random.operand<T>(rows * rank, -0.5, 1.5);
        Operand<T> x = random.operand<T>(rows * ldx, -0.5, 1.5);
        for (double beta : {0.0, 1.0, -0.5}) {
          Operand<T> G = destination<T>(random, small_size(tall, width, rank, padding), beta);
          METATT_RUN_ON_BOTH(low_rank_gradient<T>, rows, width, rank, T(-1.5), at(z), at(x), ldx,
                             transpose, T(beta), at(G), ldg);
          check_close(G, rows);
        }
      });
}

BOOST_AUTO_TEST_CASE(each_skinny_product_counts_two_flops_a_term) {
  std::vector<float> x(3 * 5), small(5 * 2), narrow(3 * 2);
  Queue queue;
  reference::low_rank_project(queue, 3, 5, 2, 1.0f, x.data(), 5, Transpose::no, small.data(), 2,
                              0.0f, narrow.data());
  BOOST_TEST(queue.work.low_rank_flops == 2 * 3 * 5 * 2);
  reference::low_rank_expand(queue, 3, 5, 2, narrow.data(), Transpose::yes, small.data(), 2,
                             x.data(), 5);
  reference::low_rank_gradient(queue, 3, 5, 2, 1.0f, narrow.data(), x.data(), 5, Transpose::yes,
                               0.0f, small.data(), 2);
  BOOST_TEST(queue.work.low_rank_flops == 3 * 2 * 3 * 5 * 2);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(matrix_vector_equals_the_reference, T, Types) {
  Random random(321);
  for (const auto& shape :
       {std::pair<Index, Index>{1, 1}, {7, 3}, {8, 16}, {9, 17}, {33, 100}, {65, 768}, {300, 385}})
    for (const double beta : {0.0, 1.0}) {
      // Named: Clang 14 captures no structured bindings.
      const Index rows = shape.first, columns = shape.second;
      Operand<T> W = random.operand<T>(rows * columns), x = random.operand<T>(columns);
      Operand<T> y = beta == 0 ? unwritten<T>(rows) : random.operand<T>(rows);
      METATT_RUN_ON_BOTH(matrix_vector<T>, rows, columns, at(W), at(x), static_cast<T>(beta),
                         at(y));
      check_close(y, columns);
    }
}

BOOST_AUTO_TEST_SUITE_END()
