#include "compare.hpp"

#include <metatt/tn/cross_interpolation.hpp>

#include <complex>
#include <numbers>

namespace metatt::tn {
namespace {

using namespace testing;

using Point = std::span<const Index>;

double sum_of(Point point) {
  double sum = 0;
  for (const Index i : point) sum += static_cast<double>(i);
  return sum;
}

/// Largest distance from f over all points.
template <class T>
double largest_error(const TensorTrain<T>& train, const std::function<T(Point)>& f) {
  const auto modes = train.modes();
  const auto values = train.to_dense().to_vector();
  std::vector<Index> point(modes.size());
  double error = 0;
  for (const T& value : values) {
    error = std::max(error, static_cast<double>(std::abs(value - f(point))));
    for (std::size_t k = modes.size(); k-- > 0 && ++point[k] == modes[k];) point[k] = 0;
  }
  return error;
}

BOOST_AUTO_TEST_SUITE(cross_interpolation_suite)

BOOST_AUTO_TEST_CASE(functions_of_low_rank_are_found_exactly) {
  const std::vector<Index> modes{3, 4, 2, 5, 3};
  const std::function<double(Point)> product = [](Point p) { return std::exp(0.3 * sum_of(p)); },
                                     sine = [](Point p) { return std::sin(1 + 0.7 * sum_of(p)); };
  const auto one = cross_interpolation<double>(product, modes);
  BOOST_TEST(one.converged);
  BOOST_TEST(one.train.ranks() == std::vector<Index>(4, 1), boost::test_tools::per_element());
  BOOST_TEST(largest_error(one.train, product) < 1e-12);
  const auto two = cross_interpolation<double>(sine, modes);
  BOOST_TEST(two.train.ranks() == std::vector<Index>(4, 2), boost::test_tools::per_element());
  BOOST_TEST(largest_error(two.train, sine) < 1e-12);
  const std::function<std::complex<double>(Point)> wave = [](Point p) {
    return std::polar(1.0, 0.7 * sum_of(p)) + std::polar(0.5, -1.1 * sum_of(p));
  };
  BOOST_TEST(largest_error(cross_interpolation<std::complex<double>>(wave, modes).train, wave) <
             1e-12);
}

BOOST_AUTO_TEST_CASE(the_error_is_what_was_asked_for) {
  // 1 / (1 + Σ i): every rank, singular values that fall exponentially.
  const std::vector<Index> modes(6, 5);
  const std::function<double(Point)> f = [](Point p) { return 1 / (1 + sum_of(p)); };
  Index ranks = 0;
  for (const double tolerance : {1e-3, 1e-6, 1e-9}) {
    const auto result = cross_interpolation<double>(f, modes, {.tolerance = tolerance});
    BOOST_TEST(result.converged);
    BOOST_TEST(largest_error(result.train, f) < 30 * tolerance);
    BOOST_TEST(result.evaluations < 15000);  // of 15625 elements, few of them in the last sweep
    const auto now = result.train.ranks();
    BOOST_TEST(now[2] > ranks);
    ranks = now[2];
  }
  const auto limited = cross_interpolation<double>(f, modes, {.maximum_rank = 2});
  BOOST_TEST(!limited.converged);
  for (const Index rank : limited.train.ranks()) BOOST_TEST(rank <= 2);
}

BOOST_AUTO_TEST_CASE(a_point_that_was_missed_is_found_by_the_check_or_given) {
  // Two products that share no line through a pivot of the other.
  const std::vector<Index> modes(8, 2);
  const std::function<double(Point)> f = [](Point p) {
    return sum_of(p) == 0 ? 1.0 : sum_of(p) == 8 ? 2.0 : 0.0;
  };
  const auto given = cross_interpolation<double>(
      f, modes, {.pivots = {std::vector<Index>(8, 0), std::vector<Index>(8, 1)}});
  BOOST_TEST(largest_error(given.train, f) < 1e-14);
  const auto checked = cross_interpolation<double>(f, modes, {.checks = 3000});
  BOOST_TEST(largest_error(checked.train, f) < 1e-14);
}

BOOST_AUTO_TEST_CASE(a_function_on_a_fine_grid_has_few_parameters) {
  const std::function<double(double)> f = [](double x) {
    return std::cos(30 * x) * std::exp(-x) + 0.1 * x * x;
  };
  const Index bits = 30;
  const auto result = quantics_interpolation<double>(f, 0, 2, bits, {.tolerance = 1e-12});
  BOOST_TEST(result.converged);
  // cos·exp has rank 2, x² rank 3.
  for (const Index rank : result.train.ranks()) BOOST_TEST(rank <= 5);
  const std::vector<std::vector<double>> half(static_cast<std::size_t>(bits), {0.5, 0.5});
  const double integral =
      2 * weighted_sum(result.train, std::span<const std::vector<double>>(half));
  const auto antiderivative = [](double x) {
    return std::exp(-x) * (30 * std::sin(30 * x) - std::cos(30 * x)) / 901 + x * x * x / 30;
  };
  BOOST_TEST(std::abs(integral - (antiderivative(2) - antiderivative(0))) < 1e-8);
}

BOOST_AUTO_TEST_CASE(an_integral_in_many_dimensions_is_a_weighted_sum) {
  // ∫ cos(x_1 + … + x_10) over [0, 1]^10 = Re ((e^i − 1)/i)^10, by Gauss-Legendre with 6 nodes.
  const double nodes[] = {0.2386191860831969, 0.6612093864662645, 0.9324695142031521},
               weights[] = {0.4679139345726910, 0.3607615730481386, 0.1713244923791704};
  std::vector<double> x, w;
  for (std::size_t i = 0; i < 3; ++i)
    for (const double sign : {-1.0, 1.0}) {
      x.push_back((1 + sign * nodes[i]) / 2);
      w.push_back(weights[i] / 2);
    }
  const std::function<double(Point)> f = [&](Point p) {
    double sum = 0;
    for (const Index i : p) sum += x[static_cast<std::size_t>(i)];
    return std::cos(sum);
  };
  const auto result = cross_interpolation<double>(f, std::vector<Index>(10, 6));
  const std::vector<std::vector<double>> all(10, w);
  const std::complex<double> one = (std::polar(1.0, 1.0) - 1.0) / std::complex<double>(0, 1);
  BOOST_TEST(std::abs(weighted_sum(result.train, std::span<const std::vector<double>>(all)) -
                      std::pow(one, 10).real()) < 1e-11);
}

BOOST_AUTO_TEST_CASE(zero_and_one_mode_have_trains) {
  const std::function<double(Point)> zero = [](Point) { return 0.0; }, line = sum_of;
  BOOST_TEST(cross_interpolation<double>(zero, std::vector<Index>{2, 3, 2}).train.norm() == 0);
  BOOST_TEST(largest_error(cross_interpolation<double>(line, std::vector<Index>{4}).train, line) ==
             0);
}

BOOST_AUTO_TEST_CASE(functions_and_settings_that_cannot_be_are_refused) {
  const std::function<double(Point)> pole = [](Point p) { return 1 / (sum_of(p) - 1); };
  const std::vector<Index> modes{2, 2};
  BOOST_TEST(message_of([&] { cross_interpolation<double>(pole, modes); }) ==
             "cross_interpolation: the function is inf at 0×1");
  BOOST_CHECK_THROW(cross_interpolation<double>(pole, std::vector<Index>{}), Error);
  BOOST_CHECK_THROW(cross_interpolation<double>(pole, std::vector<Index>{2, 0}), Error);
  BOOST_CHECK_THROW(cross_interpolation<double>(pole, modes, {.pivots = {{0, 2}}}), Error);
  BOOST_CHECK_THROW(quantics_interpolation<double>([](double x) { return x; }, 0, 1, 60), Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace metatt::tn
