#pragma once
/// Pictures drawn by gnuplot, as SVG text to be put into a page.

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

namespace metatt::apps {

struct Curve {
  std::string title;  ///< in the legend; empty: it has no entry there
  std::vector<double> x, y;
  std::vector<double> half_widths = {};  ///< of error bars; none where they are not finite
  std::size_t colour = none;             ///< curves of one number look alike; none: its position
  std::size_t filled = none;             ///< so many points are discs, those behind them circles
  bool points = true;                    ///< false: the line alone

  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
};

/// Adds a step of a staircase to a curve: `before` up to `at`, where it becomes `after`. The first
/// one begins at 0.
void add_step(Curve& curve, double at, double before, double after);

/// Curves with a legend below them. What cannot be drawn is left out: values that are not finite,
/// on a logarithmic axis also those that are not positive.
struct LinePlot {
  std::string title, x_label, y_label;
  std::vector<Curve> curves;
  bool logarithmic = false;    ///< the y axis
  bool logarithmic_x = false;  ///< the x axis
  bool lines = true;           ///< false: points alone
};

/// A caption's sentence on how many points of the curves are left out, and why; "" if none are.
std::string left_out(const LinePlot& plot);

/// A matrix as colours, row i at y = i, with white at zero.
struct ColourMap {
  std::string title, x_label, y_label;
  std::vector<std::vector<double>> rows;
};

/// Throws Error if gnuplot is not installed or fails. Empty if there is nothing to draw.
std::string svg(const LinePlot& plot);
std::string svg(const ColourMap& map);

}  // namespace metatt::apps
