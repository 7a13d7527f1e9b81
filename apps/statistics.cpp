#include <metatt/apps/statistics.hpp>

#include <metatt/apps/console.hpp>
#include <metatt/tn/error.hpp>

#include <array>
#include <cmath>
#include <limits>

namespace metatt::apps {

namespace {

/// 97.5 % quantiles for 1 … 30 degrees of freedom (NIST/SEMATECH e-Handbook of Statistical Methods,
/// section 1.3.6.7.2).
constexpr std::array student{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                             2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                             2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};

/// Beyond the table two terms of the expansion about the normal distribution's z (Abramowitz and
/// Stegun 26.7.5), exact to three decimals there.
double quantile(std::size_t degrees) {
  if (degrees <= student.size()) return student[degrees - 1];
  constexpr double z = 1.959964, z3 = z * z * z, z5 = z3 * z * z;
  const auto n = static_cast<double>(degrees);
  return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n);
}

}  // namespace

Estimate estimate(std::span<const double> values) {
  if (values.empty()) tn::fail("estimate: expected at least one value, found none");
  const auto count = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const double mean = sum / count;
  for (const double value : values) squares += (value - mean) * (value - mean);
  if (values.size() == 1) return {mean, std::numeric_limits<double>::quiet_NaN(), 1};
  return {mean, quantile(values.size() - 1) * std::sqrt(squares / (count - 1) / count),
          values.size()};
}

std::string interval_text(double mean, double half_width, int digits) {
  if (!std::isfinite(mean)) return "–";
  return fixed(mean, digits) + (std::isfinite(half_width) ? " ± " + fixed(half_width, digits) : "");
}

}  // namespace metatt::apps
