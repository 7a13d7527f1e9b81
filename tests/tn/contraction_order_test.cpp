#include "compare.hpp"

#include <metatt/tn/contraction_order.hpp>

#include <complex>
#include <limits>
#include <map>
#include <random>

namespace metatt::tn {
namespace {

using namespace testing;

/// The sum written out: all values of all indices.
Tensor<double> written_out(const std::string& indices, const std::vector<Tensor<double>>& tensors,
                           const std::map<char, Index>& extents) {
  const std::string result = indices.substr(indices.find("->") + 2);
  std::vector<std::string> terms{""};
  for (const char c : indices.substr(0, indices.find("->")))
    if (c == ',')
      terms.emplace_back();
    else
      terms.back() += c;
  std::vector<std::vector<double>> values;
  for (const auto& tensor : tensors) values.push_back(tensor.to_vector());
  const auto place = [&](const std::string& term, const std::map<char, Index>& at) {
    Index offset = 0;
    for (const char index : term) offset = offset * extents.at(index) + at.at(index);
    return static_cast<std::size_t>(offset);
  };
  Shape shape;
  for (const char index : result) shape.push_back(extents.at(index));
  std::vector<double> sum(static_cast<std::size_t>(element_count(shape)));
  std::map<char, Index> at;
  for (const auto& [index, extent] : extents) at[index] = 0;
  while (true) {
    double product = 1;
    for (std::size_t k = 0; k < terms.size(); ++k) product *= values[k][place(terms[k], at)];
    sum[place(result, at)] += product;
    auto index = at.begin();
    while (index != at.end() && ++index->second == extents.at(index->first)) (index++)->second = 0;
    if (index == at.end()) break;
  }
  return Tensor<double>::from(shape, std::span<const double>(sum));
}

BOOST_AUTO_TEST_SUITE(contraction_order_suite)

BOOST_AUTO_TEST_CASE(networks_are_the_sums_that_they_say) {
  const std::map<char, Index> all{{'a', 2}, {'b', 3}, {'c', 4}, {'d', 2}, {'e', 3}, {'f', 2}};
  for (const std::string indices :
       {"ab,bc,cd->ad", "ab,ac,ad->abcd", "abc,cd,be,def->af", "a,b,c->cab", "ab,ab,ab->ab",
        "ab,bc,ca->", "abc,abd,cde,ef->f", "ab->ba", "ab,b,bc,cd,de,ef->af"}) {
    std::map<char, Index> extents;
    std::vector<Tensor<double>> tensors;
    Shape shape;
    for (const char c : indices.substr(0, indices.find("->")) + ",") {
      if (c == ',') {
        tensors.push_back(random_normal<double>(shape, 1, tensors.size()));
        shape.clear();
      } else {
        shape.push_back(extents[c] = all.at(c));
      }
    }
    const auto result = contract(indices, std::span<const Tensor<double>>(tensors));
    BOOST_TEST_CONTEXT(indices)
    BOOST_TEST(distance(result, written_out(indices, tensors, extents)) < 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(the_order_is_the_best_of_all) {
  // A chain of matrices: the classic example of Cormen et al., Introduction to Algorithms, 15.2:
  // extents 30, 35, 15, 5, 10, 20, 25 need 15125 multiplications.
  const std::vector<Shape> chain{{30, 35}, {35, 15}, {15, 5}, {5, 10}, {10, 20}, {20, 25}};
  const auto order = contraction_order("ab,bc,cd,de,ef,fg->ag", chain);
  BOOST_TEST(order.operations == 2 * 15125.0);
  BOOST_TEST(order.steps.size() == 5U);
  // ⟨ψ|H|ψ⟩ of one site: never the operator with both states at once.
  const Index m = 50, w = 5, d = 2;
  const std::vector<Shape> shapes{{w, m, m}, {m, d, m}, {w, d, d, w}, {m, d, m}};
  const auto site = contraction_order("wbk,ksr,wtsv,btc->vcr", shapes);
  BOOST_TEST(site.operations ==
             2.0 * static_cast<double>(2 * m * m * m * w * d + m * m * w * w * d * d));
}

BOOST_AUTO_TEST_CASE(products_stand_as_the_next_gemm_reads_them) {
  // The first product has the indices q, z and a; the next one sums over z alone, so that q and a
  // must stand together. In the order in which the text names them, z would come first and q last.
  const std::vector<Shape> shapes{{900, 300}, {20, 600, 900}, {20, 2}};
  const auto order = contraction_order("zb,kqz,ka->aqb", shapes);
  BOOST_TEST(order.steps.size() == 2U);
  BOOST_TEST(order.steps[0].first + order.steps[0].second == 3U);
  BOOST_TEST(plan_contraction(order.steps[0].indices, shapes[order.steps[0].first],
                              shapes[order.steps[0].second])
                 .moved_elements() == 0);
  const std::map<char, Index> extents{{'z', 900}, {'b', 300}, {'k', 20}, {'q', 600}, {'a', 2}};
  const auto shape_of = [&](const std::string& letters) {
    Shape shape;
    for (const char index : letters) shape.push_back(extents.at(index));
    return shape;
  };
  const std::string& last = order.steps[1].indices;
  const std::size_t comma = last.find(','), arrow = last.find("->");
  BOOST_TEST_CONTEXT(last)
  BOOST_TEST(plan_contraction(last, shape_of(last.substr(0, comma)),
                              shape_of(last.substr(comma + 1, arrow - comma - 1)))
                 .moved_elements() == 0);
}

BOOST_AUTO_TEST_CASE(many_tensors_are_contracted_greedily) {
  // A ring of twelve matrices is the trace of their product.
  std::vector<Tensor<std::complex<double>>> ring;
  std::string indices;
  Tensor<std::complex<double>> product = identity<std::complex<double>>(3, 3);
  for (int k = 0; k < 12; ++k) {
    ring.push_back(random_normal<std::complex<double>>({3, 3}, 2, static_cast<std::uint64_t>(k)));
    product = matrix_product(product, ring.back());
    indices += std::string(k ? "," : "") + static_cast<char>('a' + k) +
               static_cast<char>('a' + (k + 1) % 12);
  }
  const auto value = contract(indices + "->", std::span<const Tensor<std::complex<double>>>(ring));
  const auto expected = trace(product, 0, 1).item();
  BOOST_TEST(std::abs(value.item() - expected) < 1e-12 * std::abs(expected));
}

BOOST_AUTO_TEST_CASE(networks_that_say_nothing_clear_are_refused) {
  const auto x = random_normal<double>({2, 3}, 1), y = random_normal<double>({3, 2}, 2);
  BOOST_TEST(message_of([&] {
               contract<double>("ab,bc,cd->ad", {x, y});
             }) == "contract: \"ab,bc,cd->ad\" names 3 tensors, found 2");
  BOOST_TEST(
      message_of([&] {
        contract<double>("ab,bc,cd->ac", {x, y, x});
      }) ==
      "contract: index d of \"ab,bc,cd->ac\" stands in one tensor only and not in the result");
  BOOST_TEST(message_of([&] {
               contract<double>("ab,ab,cd->cd", {x, y, x});
             }) == "contract: index a of \"ab,ab,cd->cd\" has the extents 2 and 3");
  BOOST_CHECK_THROW(contract<double>("aa,bc,cd->d", {identity<double>(2, 2), y, x}), Error);
  BOOST_CHECK_THROW(contract<double>("ab,bc,cd", {x, y, x}), Error);
  BOOST_CHECK_THROW(contract<double>("ab->a", {x}), Error);
  BOOST_CHECK_THROW(contract<double>("ab,bc,cd->az", {x, y, x}), Error);
  BOOST_CHECK_THROW(trace(x, 0, 1), Error);
  BOOST_CHECK_THROW(trace(x, 0, 0), Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace metatt::tn
