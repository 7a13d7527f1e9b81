#pragma once
/// Means over seeds with confidence intervals.

#include <cstddef>
#include <span>

namespace metatt::apps {

/// A mean and half the width of its 95 % confidence interval after Student: t · s / √n with the
/// deviation s of the sample and n − 1 degrees of freedom; not a number if n is 1.
struct Estimate {
  double mean = 0, half_width = 0;
  std::size_t count = 0;
};

/// Throws Error if there are no values.
Estimate estimate(std::span<const double> values);

}  // namespace metatt::apps
