#pragma once
/// Means over seeds with confidence intervals.

#include <cstddef>
#include <span>
#include <string>

namespace metatt::apps {

/// A mean and half the width of its 95 % confidence interval after Student: t · s / √n with the
/// deviation s of the sample and n − 1 degrees of freedom; not a number if n is 1.
struct Estimate {
  double mean = 0, half_width = 0;
  std::size_t count = 0;
};

/// Throws Error if there are no values.
Estimate estimate(std::span<const double> values);

/// "0.7215 ± 0.0110", the mean alone where it has no interval, "–" where there is no mean.
std::string interval_text(double mean, double half_width, int digits);

}  // namespace metatt::apps
