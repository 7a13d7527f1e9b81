#include "backend_testing.hpp"

using namespace metatt::tn;
using namespace metatt::tn::testing;

BOOST_AUTO_TEST_SUITE(backend_elementwise)

namespace {

/// Ragged matrices, the last one large enough for several threads.
constexpr Index matrix_shapes[][2] = {{0, 3}, {3, 0}, {1, 1}, {5, 1}, {1, 9}, {13, 6}, {301, 257}};

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(fill_and_copy_write_exactly_their_range, T, Types) {
  std::mt19937_64 generator(21);
  for (const Index count : ragged_counts) {
    const auto values = random_values<T>(count, generator);
    const Tensor<T> in = on_device(values);
    Tensor<T> copied = Tensor<T>::zeros({count + 1}), filled = Tensor<T>::zeros({count + 1});
    backend::copy(backend::queue(), count, in.data(), copied.mutable_data());
    backend::fill(backend::queue(), count, T(3), filled.mutable_data());
    auto expected_copy = values;
    expected_copy.push_back(T(0));
    std::vector<T> expected_fill(values.size(), T(3));
    expected_fill.push_back(T(0));
    BOOST_TEST(copied.to_vector() == expected_copy, boost::test_tools::per_element());
    BOOST_TEST(filled.to_vector() == expected_fill, boost::test_tools::per_element());
  }
}

using StorageTypes =
    std::tuple<float, double, std::complex<float>, std::complex<double>, std::int32_t>;

BOOST_AUTO_TEST_CASE_TEMPLATE(copy_matrix_leaves_what_lies_between_the_rows, T, StorageTypes) {
  for (const auto& [rows, columns] : matrix_shapes) {
    const Index ld_in = columns + 2, ld_out = columns + 5;
    std::vector<T> in(static_cast<std::size_t>(rows * ld_in));
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<T>(static_cast<float>(i));
    std::vector<T> out(static_cast<std::size_t>(rows * ld_out), T(-1));
    const Tensor<T> device_in = on_device(in);
    Tensor<T> device_out = on_device(out);
    backend::copy_matrix(backend::queue(), rows, columns, device_in.data(), ld_in,
                         device_out.mutable_data(), ld_out);
    Queue host;
    reference::copy_matrix(host, rows, columns, in.data(), ld_in, out.data(), ld_out);
    BOOST_TEST((device_out.to_vector() == out));
    if (rows > 0 && columns > 0) {
      const auto last = static_cast<std::size_t>((rows - 1) * ld_out + columns - 1);
      BOOST_TEST((out[last] == in[static_cast<std::size_t>((rows - 1) * ld_in + columns - 1)]));
      BOOST_TEST((out[last + 1] == T(-1)));
    }
  }
}

template <class From, class To>
void check_conversion() {
  std::mt19937_64 generator(22);
  for (const Index count : ragged_counts) {
    const auto values = random_values<From>(count, generator);
    const Tensor<From> in = on_device(values);
    Tensor<To> out({count});
    backend::convert(backend::queue(), count, in.data(), out.mutable_data());
    std::vector<To> expected(values.size());
    Queue host;
    reference::convert(host, count, values.data(), expected.data());
    BOOST_TEST((out.to_vector() == expected));
    if (count > 0) BOOST_TEST((expected[0] == static_cast<To>(values[0])));
  }
}

BOOST_AUTO_TEST_CASE(convert_rounds_as_a_cast_does) {
  check_conversion<float, double>();
  check_conversion<double, float>();
  check_conversion<std::complex<float>, std::complex<double>>();
  check_conversion<std::complex<double>, std::complex<float>>();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(scale_add_scaled_and_conjugate_agree_with_the_reference, T, Types) {
  std::mt19937_64 generator(23);
  const T alpha = number<T>(-1.5, 0.75);
  Queue host;
  for (const Index count : ragged_counts) {
    const auto x = random_values<T>(count, generator);
    auto scaled = x, sum = random_values<T>(count, generator), conjugated = x;
    Tensor<T> device_scaled = on_device(x), device_sum = on_device(sum);
    Tensor<T> device_conjugated = on_device(x);
    const Tensor<T> device_x = on_device(x);
    backend::scale(backend::queue(), count, alpha, device_scaled.mutable_data());
    backend::add_scaled(backend::queue(), count, alpha, device_x.data(), device_sum.mutable_data());
    backend::conjugate(backend::queue(), count, device_conjugated.mutable_data());
    reference::scale(host, count, alpha, scaled.data());
    reference::add_scaled(host, count, alpha, x.data(), sum.data());
    reference::conjugate(host, count, conjugated.data());
    BOOST_TEST(largest_difference(device_scaled.to_vector(), scaled) <= 4 * epsilon<T>);
    BOOST_TEST(largest_difference(device_sum.to_vector(), sum) <= 8 * epsilon<T>);
    BOOST_TEST((device_conjugated.to_vector() == conjugated));
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(combined_blocks_agree_with_the_reference, T, Types) {
  std::mt19937_64 generator(31);
  // Rows 0 and 4 have no entry; row 2 has two.
  const std::vector<SparseEntry<T>> entries{{1, 2, number<T>(0.5, -1)},
                                            {2, 0, number<T>(1, 0)},
                                            {2, 1, number<T>(-2, 0.25)},
                                            {3, 2, number<T>(3, 1)}};
  Queue host;
  for (const Index count : ragged_counts) {
    const auto x = random_values<T>(3 * count, generator);
    auto expected = random_values<T>(5 * count, generator);
    const Tensor<T> device_x = on_device(x);
    Tensor<T> device_y = on_device(expected);
    backend::combine_blocks<T>(backend::queue(), 5, count, entries, device_x.data(),
                               device_y.mutable_data());
    reference::combine_blocks<T>(host, 5, count, entries, x.data(), expected.data());
    BOOST_TEST(largest_difference(device_y.to_vector(), expected) <= 16 * epsilon<T>);
    if (count > 0) {
      BOOST_TEST((expected[0] == T(0)));
      BOOST_TEST(std::abs(expected[static_cast<std::size_t>(count)] -
                          number<T>(0.5, -1) * x[static_cast<std::size_t>(2 * count)]) <=
                 8 * epsilon<T>);
    }
  }
}

BOOST_AUTO_TEST_CASE(conjugate_changes_the_sign_of_the_imaginary_part) {
  using C = std::complex<double>;
  Tensor<C> x = Tensor<C>::from({2}, {C(1, 2), C(-3, -4)});
  backend::conjugate(backend::queue(), 2, x.mutable_data());
  BOOST_TEST((x.to_vector() == std::vector<C>{C(1, -2), C(-3, 4)}));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(rows_and_columns_are_scaled_by_their_factors, T, Types) {
  std::mt19937_64 generator(24);
  Queue host;
  for (const auto& [rows, columns] : matrix_shapes) {
    const auto A = random_values<T>(rows * columns, generator);
    const auto row_factors = random_values<Real<T>>(rows, generator);
    const auto column_factors = random_values<Real<T>>(columns, generator);
    auto by_rows = A, by_columns = A;
    Tensor<T> device_rows = on_device(A), device_columns = on_device(A);
    backend::scale_rows(backend::queue(), rows, columns, row_factors.data(),
                        device_rows.mutable_data());
    backend::scale_columns(backend::queue(), rows, columns, column_factors.data(),
                           device_columns.mutable_data());
    reference::scale_rows(host, rows, columns, row_factors.data(), by_rows.data());
    reference::scale_columns(host, rows, columns, column_factors.data(), by_columns.data());
    BOOST_TEST((device_rows.to_vector() == by_rows));
    BOOST_TEST((device_columns.to_vector() == by_columns));
  }
}

BOOST_AUTO_TEST_CASE(scaling_rows_and_columns_of_a_matrix_worked_out_by_hand) {
  const float factors[] = {10, 100};
  Tensor<float> rows = Tensor<float>::from({2, 2}, {1, 2, 3, 4}), columns = rows;
  backend::scale_rows(backend::queue(), 2, 2, factors, rows.mutable_data());
  backend::scale_columns(backend::queue(), 2, 2, factors, columns.mutable_data());
  BOOST_TEST((rows.to_vector() == std::vector<float>{10, 20, 300, 400}));
  BOOST_TEST((columns.to_vector() == std::vector<float>{10, 200, 30, 400}));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(differences_divide_and_stay_away_from_zero, T, Types) {
  std::mt19937_64 generator(25);
  Queue host;
  for (const Index count : ragged_counts) {
    const auto x = random_values<T>(count, generator), d = random_values<T>(count, generator);
    auto expected = x;
    Tensor<T> device = on_device(x);
    backend::divide_by_difference(backend::queue(), count, on_device(d).data(), Real<T>(0.1),
                                  Real<T>(0.2), device.mutable_data());
    reference::divide_by_difference(host, count, d.data(), Real<T>(0.1), Real<T>(0.2),
                                    expected.data());
    BOOST_TEST(largest_difference(device.to_vector(), expected) <= 32 * epsilon<T>);
  }
  // 6 / (3 − 1); 6 / 0 and 6 / −0.25 with a least denominator of 0.5.
  const Tensor<T> d = Tensor<T>::from({3}, {T(3), T(1), T(0.75)});
  Tensor<T> x = Tensor<T>::from({3}, {T(6), T(6), T(6)});
  backend::divide_by_difference(backend::queue(), 3, d.data(), Real<T>(1), Real<T>(0.5),
                                x.mutable_data());
  BOOST_TEST((x.to_vector() == std::vector<T>{T(3), T(12), T(-12)}));
}

BOOST_AUTO_TEST_SUITE_END()
