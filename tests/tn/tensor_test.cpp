#include "backend_testing.hpp"

using namespace metatt::tn;
using namespace metatt::tn::testing;

BOOST_AUTO_TEST_SUITE(tensor)

namespace {

/// A check that the message of an Error contains `text`.
auto mentions(const std::string& text) {
  return [text](const Error& error) {
    return std::string(error.what()).find(text) != std::string::npos;
  };
}

}  // namespace

BOOST_AUTO_TEST_CASE(shapes_are_written_with_crosses) {
  BOOST_TEST(shape_text(Shape{2, 3, 4}) == "2×3×4");
  BOOST_TEST(shape_text(Shape{7}) == "7");
  BOOST_TEST(shape_text(Shape{}) == "scalar");
}

BOOST_AUTO_TEST_CASE(element_count_is_the_product_of_the_extents) {
  BOOST_TEST(element_count(Shape{2, 3, 4}) == 24);
  BOOST_TEST(element_count(Shape{}) == 1);
  BOOST_TEST(element_count(Shape{5, 0}) == 0);
  const Index large = Index{1} << 40;
  BOOST_TEST(element_count(Shape{large, large, 0}) == 0);
  BOOST_CHECK_EXCEPTION(element_count(Shape{large, large}), Error, mentions("64 bits"));
  BOOST_CHECK_EXCEPTION(element_count(Shape{2, -1}), Error, mentions("2×-1"));
  BOOST_CHECK_EXCEPTION(element_count(Shape{0, -1}), Error, mentions("negative"));
}

BOOST_AUTO_TEST_CASE(a_shape_whose_bytes_leave_64_bits_is_an_error) {
  BOOST_CHECK_EXCEPTION(Tensor<double>(Shape{Index{1} << 61}), Error, mentions("64 bits"));
}

BOOST_AUTO_TEST_CASE(a_default_tensor_is_empty) {
  Tensor<float> nothing;
  BOOST_TEST(nothing.empty());
  BOOST_TEST(nothing.size() == 0);
  BOOST_TEST(nothing.data() == nullptr);
  BOOST_TEST(nothing.mutable_data() == nullptr);
  BOOST_TEST(!nothing.unique());
  BOOST_TEST(nothing.to_vector().empty());
  BOOST_CHECK_THROW(nothing.at({}), Error);
  BOOST_CHECK_THROW(nothing.item(), Error);
  BOOST_CHECK_THROW(nothing.reshaped({0}), Error);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(elements_lie_in_row_major_order, T, Types) {
  const Tensor<T> x = Tensor<T>::from({2, 3}, {T(0), T(1), T(2), T(3), T(4), T(5)});
  BOOST_TEST(x.order() == 2);
  BOOST_TEST(x.size() == 6);
  BOOST_TEST(x.extent(0) == 2);
  BOOST_TEST(x.extent(-1) == 3);
  BOOST_TEST((x.at({1, 0}) == T(3)));
  BOOST_TEST((x.at({0, 2}) == T(2)));
  BOOST_CHECK_EXCEPTION(x.extent(2), Error, mentions("mode 2"));
  BOOST_CHECK_THROW(x.extent(-3), Error);
  BOOST_CHECK_EXCEPTION(x.at({2, 0}), Error, mentions("2×3"));
  BOOST_CHECK_THROW(x.at({0, -1}), Error);
  BOOST_CHECK_THROW(x.at({0}), Error);
  BOOST_CHECK_THROW(x.item(), Error);
  BOOST_CHECK_EXCEPTION(Tensor<T>::from({2, 2}, {T(1)}), Error, mentions("needs 4"));
}

BOOST_AUTO_TEST_CASE(no_modes_make_a_scalar) {
  const Tensor<double> x = Tensor<double>::from({}, {2.5});
  BOOST_TEST(x.size() == 1);
  BOOST_TEST(x.item() == 2.5);
  BOOST_TEST(x.at({}) == 2.5);
  BOOST_CHECK_THROW(x.slice(0, 1), Error);
}

BOOST_AUTO_TEST_CASE(zeros_are_zero_for_integers_too) {
  BOOST_TEST((Tensor<std::int32_t>::zeros({3}).to_vector() == std::vector<std::int32_t>(3, 0)));
  BOOST_TEST((Tensor<float>::zeros({2, 0}).to_vector().empty()));
  BOOST_TEST(!Tensor<float>::zeros({2, 0}).empty());
}

BOOST_AUTO_TEST_CASE(writing_a_copy_leaves_the_original) {
  const Tensor<float> original = Tensor<float>::from({3}, {1, 2, 3});
  Tensor<float> copy = original;
  BOOST_TEST(copy.data() == original.data());
  BOOST_TEST(!copy.unique());
  backend::fill(backend::queue(), 3, 9.0f, copy.mutable_data());
  BOOST_TEST(copy.data() != original.data());
  BOOST_TEST(original.unique());
  BOOST_TEST((original.to_vector() == std::vector<float>{1, 2, 3}));
  BOOST_TEST((copy.to_vector() == std::vector<float>{9, 9, 9}));
}

BOOST_AUTO_TEST_CASE(writing_alone_does_not_copy) {
  Tensor<float> x = Tensor<float>::from({3}, {1, 2, 3});
  const float* const before = x.data();
  BOOST_TEST(x.mutable_data() == before);
}

BOOST_AUTO_TEST_CASE(slices_and_reshapes_share_until_they_are_written) {
  const Tensor<double> x = Tensor<double>::from({3, 2}, {0, 1, 2, 3, 4, 5});
  Tensor<double> rows = x.slice(1, 3), column = x.reshaped({6, 1});
  BOOST_TEST(rows.data() == x.data() + 2);
  BOOST_TEST(column.data() == x.data());
  BOOST_TEST((rows.shape() == Shape{2, 2}));
  BOOST_TEST((rows.slice(1, 2).to_vector() == std::vector<double>{4, 5}));
  backend::fill(backend::queue(), 4, -1.0, rows.mutable_data());
  BOOST_TEST((rows.to_vector() == std::vector<double>(4, -1.0)));
  BOOST_TEST((x.to_vector() == std::vector<double>{0, 1, 2, 3, 4, 5}));
  BOOST_TEST(x.slice(2, 2).size() == 0);
  BOOST_CHECK_THROW(x.slice(2, 1), Error);
  BOOST_CHECK_THROW(x.slice(-1, 1), Error);
  BOOST_CHECK_EXCEPTION(x.slice(0, 4), Error, mentions("≤ 3"));
  BOOST_CHECK_EXCEPTION(x.reshaped({4}), Error, mentions("3×2"));
}

BOOST_AUTO_TEST_CASE(a_view_sees_the_buffer_and_does_not_write_it) {
  auto buffer = std::make_shared<Buffer<float>>(6);
  backend::fill(backend::queue(), 6, 1.0f, buffer->data());
  Tensor<float> view = Tensor<float>::view_of(buffer, 2, {2, 2});
  backend::fill(backend::queue(), 3, 5.0f, buffer->data() + 1);
  BOOST_TEST((view.to_vector() == std::vector<float>{5, 5, 1, 1}));
  BOOST_CHECK_EXCEPTION(view.mutable_data(), Error, mentions("view"));
  BOOST_CHECK_EXCEPTION(view.slice(0, 1).mutable_data(), Error, mentions("view"));
  BOOST_TEST(view.slice(1, 2).data() == buffer->data() + 4);
  buffer.reset();
  BOOST_TEST(view.mutable_data() == view.data());
}

BOOST_AUTO_TEST_CASE(a_view_must_lie_inside_its_buffer) {
  auto buffer = std::make_shared<Buffer<double>>(6);
  BOOST_CHECK_THROW(Tensor<double>::view_of(buffer, 3, {4}), Error);
  BOOST_CHECK_THROW(Tensor<double>::view_of(buffer, -1, {2}), Error);
  BOOST_CHECK_THROW(Tensor<double>::view_of(buffer, 7, {0}), Error);
  BOOST_CHECK_THROW(Tensor<double>::view_of(nullptr, 0, {1}), Error);
  BOOST_TEST(Tensor<double>::view_of(buffer, 6, {0}).size() == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(identity_has_ones_on_the_diagonal_only, T, Types) {
  for (const auto& [rows, columns] : {std::pair<Index, Index>{3, 3}, {2, 5}, {4, 1}, {0, 2}}) {
    const Tensor<T> one = identity<T>(rows, columns);
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < columns; ++j) BOOST_TEST((one.at({i, j}) == T(i == j ? 1 : 0)));
    BOOST_TEST(one.size() == rows * columns);
  }
}

BOOST_AUTO_TEST_SUITE_END()
