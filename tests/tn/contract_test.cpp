#include "compare.hpp"

#include <metatt/tn/contract.hpp>

#include <array>
#include <map>
#include <random>
#include <string>

namespace metatt::tn {
namespace {

using namespace testing;

template <class T>
double tolerance() {
  return sizeof(Real<T>) == 4 ? 1e-5 : 1e-13;
}

using Assignment = std::map<char, Index>;

Index offset(const std::string& labels, const Assignment& at, const Assignment& extents) {
  Index position = 0;
  for (char label : labels) position = position * extents.at(label) + at.at(label);
  return position;
}

Shape shape_of(const std::string& labels, const Assignment& extents) {
  Shape shape;
  for (char label : labels) shape.push_back(extents.at(label));
  return shape;
}

/// One loop over all values of all indices.
template <class T>
Tensor<T> by_loops(const std::string& a_labels, const std::string& b_labels,
                   const std::string& result_labels, const Assignment& extents, const Tensor<T>& a,
                   const Tensor<T>& b) {
  const std::vector<T> x = a.to_vector(), y = b.to_vector();
  const Shape shape = shape_of(result_labels, extents);
  std::vector<T> result(static_cast<std::size_t>(element_count(shape)));
  Index total = 1;
  for (const auto& [label, extent] : extents) total *= extent;
  for (Index n = 0; n < total; ++n) {
    Assignment at;
    Index rest = n;
    for (const auto& [label, extent] : extents) {
      at[label] = rest % extent;
      rest /= extent;
    }
    result[offset(result_labels, at, extents)] +=
        x[offset(a_labels, at, extents)] * y[offset(b_labels, at, extents)];
  }
  return Tensor<T>::from(shape, result);
}

bool permutes(const MatrixLayout& layout) {
  return !layout.order.empty();
}

int permutations(const ContractionPlan& plan) {
  return permutes(plan.a) + permutes(plan.b) + permutes(plan.product);
}

/// The plan for indices whose extents are 2 for a, 3 for b, 4 for c and so on.
ContractionPlan plan(const std::string& indices) {
  const std::size_t comma = indices.find(','), arrow = indices.find("->");
  Shape a, b;
  for (std::size_t i = 0; i < arrow; ++i)
    if (i != comma) (i < comma ? a : b).push_back(indices[i] - 'a' + 2);
  return plan_contraction(indices, a, b);
}

BOOST_AUTO_TEST_SUITE(contract_suite)

BOOST_AUTO_TEST_CASE_TEMPLATE(random_patterns_agree_with_loops, T, Types) {
  std::mt19937 generator(7);
  auto draw = [&](int below) { return static_cast<int>(generator() % below); };
  for (int trial = 0; trial < 150; ++trial) {
    std::string a, b, result;
    Assignment extents;
    for (int label = 0, count = 1 + draw(6); label < count; ++label) {
      const char name = static_cast<char>('a' + label);
      extents[name] = 1 + draw(4);
      const int group = draw(4);  // batch, contracted, free in a, free in b
      if (group != 3) a += name;
      if (group != 2) b += name;
      if (group != 1) result += name;
    }
    for (std::string* labels : {&a, &b, &result})
      std::shuffle(labels->begin(), labels->end(), generator);
    const auto x = random_normal<T>(shape_of(a, extents), trial, 0);
    const auto y = random_normal<T>(shape_of(b, extents), trial, 1);
    const std::string indices = a + "," + b + "->" + result;
    BOOST_TEST_CONTEXT(indices) {
      const Tensor<T> expected = by_loops(a, b, result, extents, x, y);
      BOOST_TEST(distance(contract(indices, x, y), expected) <=
                 tolerance<T>() * frobenius_norm(x) * frobenius_norm(y));
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(mode_lists_give_the_remaining_modes_of_a_then_of_b, T, Types) {
  const auto a = random_normal<T>({3, 4, 5, 2}, 1), b = random_normal<T>({5, 6, 3}, 2);
  const auto product = contract(a, std::array{2, 0}, b, std::array{0, 2});
  const Assignment extents{{'i', 3}, {'j', 4}, {'k', 5}, {'l', 2}, {'m', 6}};
  BOOST_TEST(relative_distance(product, by_loops("ijkl", "kmi", "jlm", extents, a, b)) <
             tolerance<T>());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(matrix_product_reads_operands_transposed_or_conjugated, T, Types) {
  const auto a = random_normal<T>({4, 3}, 1), b = random_normal<T>({5, 4}, 2);
  const auto product = matrix_product(a, b, Transpose::conjugate, Transpose::yes);
  auto conjugated = a;
  backend::conjugate(backend::queue(), conjugated.size(), conjugated.mutable_data());
  BOOST_TEST(relative_distance(product, contract("ki,jk->ij", conjugated, b)) < tolerance<T>());
}

BOOST_AUTO_TEST_CASE(permute_moves_modes_and_shares_memory_when_nothing_moves) {
  const auto tensor = Tensor<double>::from({2, 1, 3}, {1, 2, 3, 4, 5, 6});
  const auto turned = permute(tensor, std::array{2, 0, 1});
  BOOST_TEST(turned.shape() == (Shape{3, 2, 1}), boost::test_tools::per_element());
  BOOST_TEST(turned.to_vector() == (std::vector<double>{1, 4, 2, 5, 3, 6}),
             boost::test_tools::per_element());
  BOOST_TEST(permute(tensor, std::array{1, 0, 2}).data() == tensor.data());
}

BOOST_AUTO_TEST_CASE(matrices_in_any_orientation_are_never_permuted) {
  for (const char* indices : {"ik,kj->ij", "ki,kj->ij", "ik,jk->ij", "ki,jk->ij", "ik,kj->ji",
                              "iaj,jbk->iabk", "bik,bkj->bij", "ibk,kbj->ibj", "bik,bjk->bji",
                              "ibk,jbk->bij", "abk,kcd->cdab", "abij,ijcd->abcd"})
    BOOST_TEST_CONTEXT(indices) {
      BOOST_TEST(permutations(plan(indices)) == 0);
    }
}

BOOST_AUTO_TEST_CASE(a_transposed_result_swaps_the_operands) {
  BOOST_TEST(plan("ik,kj->ji").swapped);
  BOOST_TEST(!plan("ik,kj->ij").swapped);
}

BOOST_AUTO_TEST_CASE(contracted_indices_take_the_order_of_the_larger_operand) {
  const Shape small{3, 2, 4}, large{2, 3, 50};  // the contracted indices k, l in different order
  const ContractionPlan right = plan_contraction("lki,klj->ij", small, large);
  BOOST_TEST(permutes(right.a));
  BOOST_TEST(!permutes(right.b));
  const ContractionPlan left = plan_contraction("klj,lki->ji", large, small);
  BOOST_TEST(!permutes(left.a));
  BOOST_TEST(permutes(left.b));
  BOOST_TEST(permutations(right) + permutations(left) == 2);
}

BOOST_AUTO_TEST_CASE(an_operand_with_interleaved_modes_is_permuted_once) {
  const ContractionPlan interleaved = plan("kilj,klm->ijm");
  BOOST_TEST(permutations(interleaved) == 1);
  BOOST_TEST(permutes(interleaved.a));
}

BOOST_AUTO_TEST_CASE(modes_of_extent_one_cost_no_permutation) {
  const Shape a{4, 1, 5}, b{1, 5, 6};
  BOOST_TEST(permutations(plan_contraction("iuk,vkj->ujiv", a, b)) == 0);
  BOOST_TEST(permutations(plan_contraction("iuk,vkj->ivju", a, b)) == 0);
}

BOOST_AUTO_TEST_CASE(an_empty_sum_is_zero_and_an_empty_result_has_no_elements) {
  const auto a = Tensor<double>::zeros({2, 0}), b = Tensor<double>::zeros({0, 3});
  BOOST_TEST(contract("ik,kj->ij", a, b).to_vector() == std::vector<double>(6, 0.0),
             boost::test_tools::per_element());
  BOOST_TEST(contract("ki,jk->ij", a, Tensor<double>::zeros({3, 2})).size() == 0);
}

BOOST_AUTO_TEST_CASE(wrong_indices_are_refused_with_the_reason) {
  const auto a = Tensor<double>::zeros({2, 3}), b = Tensor<double>::zeros({3, 4});
  const auto refusal = [&](const char* indices) {
    return message_of([&] { contract(indices, a, b); });
  };
  const auto check = [&](const char* indices, const char* reason) {
    BOOST_TEST_CONTEXT(refusal(indices)) {
      BOOST_TEST(refusal(indices).find(reason) != std::string::npos);
    }
  };
  check("ij,jk", "expected indices like");
  check("ij->jk,ik", "expected indices like");
  check("i1,1k->ik", "must be letters");
  check("ii,jk->ik", "occurs twice");
  check("ijk,jk->ik", "names 3 modes");
  check("ij,ik->jk", "extent 2 in the first operand and 3 in the second");
  check("ij,jk->iz", "is in no operand");
  check("ij,jk->i", "stands in one operand only");
  BOOST_TEST(message_of([&] {
               permute(a, std::array{0, 0});
             }) == "permute: expected a permutation of the modes of 2×3, found (0, 0)");
  BOOST_TEST(message_of([&] {
               contract(a, std::array{1, 1}, b, std::array{0, 0});
             }).find("named twice") != std::string::npos);
  BOOST_TEST(message_of([&] {
               contract(a, std::array{2}, b, std::array{0});
             }).find("no modes 2 and 0") != std::string::npos);
  BOOST_CHECK_THROW(matrix_product(a, b, Transpose::yes, Transpose::no), Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace metatt::tn
