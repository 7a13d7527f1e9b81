#pragma once
/// Pictures drawn by gnuplot, as SVG text to be put into a page.

#include <string>
#include <vector>

namespace metatt::apps {

struct Curve {
  std::string title;
  std::vector<double> x, y;
};

/// Lines with points; values that are not finite (and on a logarithmic axis those that are not
/// positive) are left out.
struct LinePlot {
  std::string title, x_label, y_label;
  std::vector<Curve> curves;
  bool logarithmic = false;  ///< the y axis
};

/// A matrix as colours, row i at y = i, with white at zero.
struct ColourMap {
  std::string title, x_label, y_label;
  std::vector<std::vector<double>> rows;
};

/// Throws Error if gnuplot is not installed or fails.
std::string svg(const LinePlot& plot);
std::string svg(const ColourMap& map);

}  // namespace metatt::apps
