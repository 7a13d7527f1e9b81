#include "backend_testing.hpp"

using namespace metatt::tn;
using namespace metatt::tn::testing;

BOOST_AUTO_TEST_SUITE(backend_reductions)

BOOST_AUTO_TEST_CASE(dot_conjugates_its_first_argument) {
  using C = std::complex<float>;
  const Tensor<C> x = Tensor<C>::from({2}, {C(1, 2), C(0, 1)});
  const Tensor<C> y = Tensor<C>::from({2}, {C(3, 0), C(2, 2)});
  // (1−2i)·3 + (−i)·(2+2i) = 5 − 8i.
  BOOST_TEST((backend::dot(backend::queue(), 2, x.data(), y.data()) == C(5, -8)));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(dot_and_norm_agree_with_the_reference, T, Types) {
  std::mt19937_64 generator(41);
  Queue host;
  for (const Index count : ragged_counts) {
    const auto x = random_values<T>(count, generator), y = random_values<T>(count, generator);
    const Tensor<T> device_x = on_device(x), device_y = on_device(y);
    const double work = static_cast<double>(count + 4) * epsilon<T>;
    const T dot = backend::dot(backend::queue(), count, device_x.data(), device_y.data());
    const Real<T> norm = backend::norm(backend::queue(), count, device_x.data());
    BOOST_TEST(std::abs(dot - reference::dot(host, count, x.data(), y.data())) <= work);
    // The plain sum of the reference loses about √count roundings in double precision.
    const double rounding = 4 * epsilon<T> + std::sqrt(double(count)) * epsilon<double>;
    BOOST_TEST(std::abs(norm - reference::norm(host, count, x.data())) <= rounding * norm);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_number_of_threads_does_not_change_a_bit, T, Types) {
  std::mt19937_64 generator(42);
  const Index count = 200003;
  const Tensor<T> x = on_device(random_values<T>(count, generator));
  const Tensor<T> y = on_device(random_values<T>(count, generator));
  const int threads = backend::describe().threads;
  const T dot = backend::dot(backend::queue(), count, x.data(), y.data());
  const Real<T> norm = backend::norm(backend::queue(), count, x.data());
  for (const int fewer_or_more : {1, 2, 3}) {
    backend::set_threads(fewer_or_more);
    BOOST_TEST((backend::dot(backend::queue(), count, x.data(), y.data()) == dot));
    BOOST_TEST((backend::norm(backend::queue(), count, x.data()) == norm));
  }
  backend::set_threads(threads);
}

BOOST_AUTO_TEST_CASE(the_norm_of_floats_does_not_overflow_where_it_fits) {
  const Tensor<float> x = Tensor<float>::from({2}, {3e30f, 4e30f});
  BOOST_TEST(backend::norm(backend::queue(), 2, x.data()) == 5e30f,
             boost::test_tools::tolerance(1e-6f));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(one_element_that_is_not_finite_is_found, T, Types) {
  std::mt19937_64 generator(43);
  const Real<T> infinity = std::numeric_limits<Real<T>>::infinity();
  Queue host;
  for (const Index count : ragged_counts) {
    const auto values = random_values<T>(count, generator);
    const Tensor<T> finite = on_device(values);
    BOOST_TEST(backend::all_finite(backend::queue(), count, finite.data()));
    BOOST_TEST(reference::all_finite(host, count, values.data()));
    for (const T& bad : {not_a_number<T>(), T(infinity), T(-infinity), number<T>(NAN, 0),
                         is_complex<T> ? number<T>(0, NAN) : T(infinity)})
      for (const Index position : {Index{0}, count / 2, count - 1}) {
        if (count == 0) continue;
        auto spoilt = values;
        spoilt[static_cast<std::size_t>(position)] = bad;
        const Tensor<T> device = on_device(spoilt);
        BOOST_TEST(!backend::all_finite(backend::queue(), count, device.data()));
        BOOST_TEST(!reference::all_finite(host, count, spoilt.data()));
      }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_largest_numbers_are_finite, T, Types) {
  const T largest = std::numeric_limits<Real<T>>::max();
  const Tensor<T> x = Tensor<T>::from({2}, {largest, -largest});
  BOOST_TEST(backend::all_finite(backend::queue(), 2, x.data()));
}

BOOST_AUTO_TEST_SUITE_END()
