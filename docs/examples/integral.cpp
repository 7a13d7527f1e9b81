// An integral over a function with structure on very different scales, on 2^40 points: the quantics
// train that stands for all of them has a few thousand numbers.
//     g++ -std=c++20 integral.cpp $(pkg-config --cflags --libs metatt-tn) -o integral
#include <metatt/tn/cross_interpolation.hpp>

#include <cmath>
#include <iomanip>
#include <iostream>
#include <numbers>

using namespace metatt::tn;

int main() {
  // A smooth wave and a line of width 10^-6.
  const double width = 1e-6, centre = 1 / std::numbers::pi;
  const std::function<double(double)> f = [&](double x) {
    return std::cos(40 * x) + 1e-4 * width / ((x - centre) * (x - centre) + width * width);
  };
  const Index bits = 40;
  CrossSettings settings{.tolerance = 1e-11};
  // The line would be missed by sampling, so one point on it is given.
  std::vector<Index> on_the_line;
  double rest = centre;
  for (Index k = 0; k < bits; ++k) {
    rest *= 2;
    on_the_line.push_back(rest >= 1 ? 1 : 0);
    rest -= std::floor(rest);
  }
  settings.pivots = {std::vector<Index>(static_cast<std::size_t>(bits), 0), on_the_line};
  const auto result = quantics_interpolation<double>(f, 0, 1, bits, settings);

  const std::vector<std::vector<double>> weights(static_cast<std::size_t>(bits), {0.5, 0.5});
  const double integral = weighted_sum(result.train, std::span<const std::vector<double>>(weights));
  const double exact =
      std::sin(40.0) / 40 + 1e-4 * (std::atan((1 - centre) / width) - std::atan(-centre / width));
  std::cout << std::setprecision(12) << "integral " << integral << "\nexact    " << exact << "\n"
            << result.evaluations << " values of the function, " << result.train.parameter_count()
            << " numbers in the train, error of an element at most about " << std::setprecision(1)
            << result.error << "\n";
}
