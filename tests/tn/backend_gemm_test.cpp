#include "backend_testing.hpp"

#include <map>
#include <utility>

using namespace metatt::tn;
using namespace metatt::tn::testing;

BOOST_AUTO_TEST_SUITE(backend_gemm)

namespace {

constexpr Transpose transposes[] = {Transpose::no, Transpose::yes, Transpose::conjugate};

/// One product with padding behind every row; A is rows × inner as gemm sees it.
struct Layout {
  Transpose a, b;
  Index rows, columns, inner, padding;

  Index lda() const { return std::max<Index>(a == Transpose::no ? inner : rows, 1) + padding; }
  Index ldb() const { return std::max<Index>(b == Transpose::no ? columns : inner, 1) + padding; }
  Index ldc() const { return std::max<Index>(columns, 1) + padding; }
  Index sizeA() const { return (a == Transpose::no ? rows : inner) * lda(); }
  Index sizeB() const { return (b == Transpose::no ? inner : columns) * ldb(); }
  Index sizeC() const { return rows * ldc(); }
};

template <class T>
void check_product(const Layout& l, T alpha, T beta, T initial, std::mt19937_64& generator) {
  const auto A = random_values<T>(l.sizeA(), generator);
  const auto B = random_values<T>(l.sizeB(), generator);
  auto C = random_values<T>(l.sizeC(), generator);
  if (initial != initial) std::fill(C.begin(), C.end(), initial);
  const Tensor<T> device_A = on_device(A), device_B = on_device(B);
  Tensor<T> device_C = on_device(C);
  backend::gemm(backend::queue(), l.a, l.b, l.rows, l.columns, l.inner, alpha, device_A.data(),
                l.lda(), device_B.data(), l.ldb(), beta, device_C.mutable_data(), l.ldc());
  Queue host;
  reference::gemm(host, l.a, l.b, l.rows, l.columns, l.inner, alpha, A.data(), l.lda(), B.data(),
                  l.ldb(), beta, C.data(), l.ldc());
  BOOST_TEST(largest_difference(device_C.to_vector(), C) <= 8 * (l.inner + 2) * epsilon<T>,
             "transposes " << int(l.a) << int(l.b) << ", " << l.rows << "×" << l.columns << "×"
                           << l.inner << ", padding " << l.padding);
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_reference_multiplies_a_matrix_worked_out_by_hand) {
  using C = std::complex<double>;
  const std::vector<C> A = {C(1, 2), C(0, 1), C(3, 0), C(2, -1)};
  const std::vector<C> B = {C(1, 0), C(0, -1)};
  std::vector<C> product(2);
  Queue queue;
  reference::gemm(queue, Transpose::conjugate, Transpose::no, 2, 1, 2, C(2), A.data(), 2, B.data(),
                  1, C(0), product.data(), 1);
  // Aᴴ·B = [(1−2i)·1 + 3·(−i), (−i)·1 + (2+i)·(−i)] = [1−5i, 1−3i].
  BOOST_TEST(product[0] == C(2, -10));
  BOOST_TEST(product[1] == C(2, -6));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(every_transpose_and_shape_agrees_with_the_reference, T, Types) {
  std::mt19937_64 generator(11);
  const Index shapes[][3] = {{1, 1, 1},  {5, 1, 3},    {1, 7, 2},    {33, 18, 65},
                             {4, 64, 1}, {17, 5, 300}, {130, 70, 40}};
  for (const Transpose a : transposes)
    for (const Transpose b : transposes)
      for (const auto& [rows, columns, inner] : shapes)
        for (const Index padding : {0, 3})
          check_product<T>({a, b, rows, columns, inner, padding}, number<T>(0.75, -0.5),
                           number<T>(-0.25, 1), T(0), generator);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(beta_zero_never_reads_the_result, T, Types) {
  std::mt19937_64 generator(12);
  for (const Index inner : {0, 1, 40})
    check_product<T>({Transpose::no, Transpose::yes, 19, 23, inner, 2}, T(1), T(0),
                     not_a_number<T>(), generator);
  check_product<T>({Transpose::no, Transpose::no, 19, 23, 8, 0}, T(0), T(0), not_a_number<T>(),
                   generator);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(an_empty_inner_extent_leaves_beta_times_the_result, T, Types) {
  std::mt19937_64 generator(13);
  for (const Transpose a : transposes)
    check_product<T>({a, Transpose::no, 6, 9, 0, 1}, T(1), number<T>(0.5, 2), T(0), generator);
  check_product<T>({Transpose::no, Transpose::no, 6, 9, 4, 1}, T(0), number<T>(0.5, 2), T(0),
                   generator);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(empty_results_are_left_alone, T, Types) {
  std::mt19937_64 generator(14);
  check_product<T>({Transpose::no, Transpose::no, 0, 4, 3, 0}, T(1), T(1), T(0), generator);
  check_product<T>({Transpose::no, Transpose::no, 4, 0, 3, 1}, T(1), T(1), T(0), generator);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_batch_is_its_products_one_by_one, T, Types) {
  std::mt19937_64 generator(15);
  const Layout l{Transpose::yes, Transpose::no, 7, 12, 9, 1};
  for (const Index batch : {0, 1, 2, 37}) {
    const Index strideA = l.sizeA() + 5, strideB = l.sizeB() + 2, strideC = l.sizeC() + 3;
    const auto A = random_values<T>(batch * strideA, generator);
    const auto B = random_values<T>(batch * strideB, generator);
    auto C = random_values<T>(batch * strideC, generator);
    const Tensor<T> device_A = on_device(A), device_B = on_device(B);
    Tensor<T> device_C = on_device(C);
    backend::gemm_strided_batched(backend::queue(), l.a, l.b, l.rows, l.columns, l.inner,
                                  number<T>(2, 1), device_A.data(), l.lda(), strideA,
                                  device_B.data(), l.ldb(), strideB, number<T>(0.5, -1),
                                  device_C.mutable_data(), l.ldc(), strideC, batch);
    Queue host;
    reference::gemm_strided_batched(host, l.a, l.b, l.rows, l.columns, l.inner, number<T>(2, 1),
                                    A.data(), l.lda(), strideA, B.data(), l.ldb(), strideB,
                                    number<T>(0.5, -1), C.data(), l.ldc(), strideC, batch);
    BOOST_TEST(largest_difference(device_C.to_vector(), C) <= 100 * epsilon<T>);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(sums_are_those_of_their_products, T, Types) {
  std::mt19937_64 generator(16);
  struct Part {
    Index rows, columns, inner, run;
  };
  // Few and many, one run larger than all others, an empty inner extent, one number.
  std::vector<std::vector<Part>> lists{{}, {{3, 4, 5, 0}}, {{90, 80, 70, 0}, {2, 2, 2, 1}}};
  lists.emplace_back();  // enough work for all threads
  for (Index i = 0; i < 36; ++i) lists.back().push_back({40, 41, 42, i / 3});
  for (Index i = 0; i < 60; ++i) {
    if (i == 0) lists.emplace_back();
    const Index run = i / 3;
    lists.back().push_back({1 + run % 5, 2 + run % 7, i * 7 % 40, run});
  }
  for (const auto& list : lists)
    for (const Transpose a : transposes)
      for (const Transpose b : transposes) {
        std::vector<Index> placesA, placesB;
        std::map<Index, Index> placesC;
        Index sizeA = 1, sizeB = 1, sizeC = 1;
        for (const Part& p : list) {
          const Layout l{a, b, p.rows, p.columns, p.inner, 1};
          placesA.push_back(std::exchange(sizeA, sizeA + l.sizeA()));
          placesB.push_back(std::exchange(sizeB, sizeB + l.sizeB()));
          if (placesC.try_emplace(p.run, sizeC).second) sizeC += l.sizeC();
        }
        const auto A = random_values<T>(sizeA, generator), B = random_values<T>(sizeB, generator);
        std::vector<T> C(static_cast<std::size_t>(sizeC), not_a_number<T>());
        const auto terms = [&](const T* first_A, const T* first_B, T* first_C) {
          std::vector<GemmTerm<T>> result;
          for (std::size_t i = 0; i < list.size(); ++i) {
            const Layout l{a, b, list[i].rows, list[i].columns, list[i].inner, 1};
            result.push_back({l.rows, l.columns, l.inner, first_A + placesA[i], l.lda(),
                              first_B + placesB[i], l.ldb(), first_C + placesC.at(list[i].run),
                              l.ldc()});
          }
          return result;
        };
        const Tensor<T> device_A = on_device(A), device_B = on_device(B);
        Tensor<T> device_C = on_device(C);
        const auto own = terms(device_A.data(), device_B.data(), device_C.mutable_data());
        backend::gemm_sums<T>(backend::queue(), a, b, own);
        Queue host;
        const auto expected = terms(A.data(), B.data(), C.data());
        reference::gemm_sums<T>(host, a, b, expected);
        const auto found = device_C.to_vector();
        for (std::size_t i = 0; i < C.size(); ++i)
          BOOST_REQUIRE((std::abs(found[i] - C[i]) <= 400 * epsilon<T> ||
                         (found[i] != found[i] && C[i] != C[i])));
      }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(work_is_counted, T, Types) {
  Tensor<T> A = Tensor<T>::zeros({6}), B = Tensor<T>::zeros({12}), C = Tensor<T>::zeros({8});
  Queue& queue = backend::queue();
  const Index before = queue.work.gemm_flops;
  backend::gemm(queue, Transpose::no, Transpose::no, 2, 4, 3, T(1), A.data(), 3, B.data(), 4, T(0),
                C.mutable_data(), 4);
  backend::gemm_strided_batched(queue, Transpose::no, Transpose::no, 1, 1, 3, T(1), A.data(), 3, 0,
                                B.data(), 1, 0, T(0), C.mutable_data(), 1, 1, 5);
  const Index multiplications = 2 * 4 * 3 + 5 * 3;
  BOOST_TEST(queue.work.gemm_flops - before == (is_complex<T> ? 8 : 2) * multiplications);
}

BOOST_AUTO_TEST_SUITE_END()
