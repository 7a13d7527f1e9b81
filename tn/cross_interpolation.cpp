#include <metatt/tn/cross_interpolation.hpp>

#include <metatt/tn/contract.hpp>
#include <metatt/tn/interpolation.hpp>

#include <algorithm>
#include <cmath>
#include <complex>
#include <random>
#include <set>

namespace metatt::tn {

namespace {

/// The indices of some neighbouring modes.
using Point = std::vector<Index>;

Point joined(Point left, const Point& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

template <class T>
class CrossSweeps {
 public:
  CrossSweeps(const std::function<T(std::span<const Index>)>& f, std::span<const Index> modes,
              const CrossSettings& settings)
      : f_(f), modes_(modes.begin(), modes.end()), settings_(settings) {
    left_.resize(modes_.size() + 1);
    right_.resize(modes_.size() + 1);
    std::vector<Point> pivots = settings.pivots;
    if (pivots.empty()) pivots.push_back(Point(modes_.size()));
    for (const Point& pivot : pivots) add_pivot(pivot);
  }

  CrossInterpolation<T> run() {
    std::mt19937_64 chance(settings_.seed);
    std::vector<std::size_t> ranks;
    bool converged = false;
    double error = 0;
    Index sweeps = 0;
    while (sweeps < settings_.maximum_sweeps && !converged) {
      error = sweep(sweeps % 2 == 0);
      ++sweeps;
      std::vector<std::size_t> now;
      for (const auto& points : left_) now.push_back(points.size());
      const bool steady = now == ranks && error <= allowed();
      ranks = now;
      if (!steady) continue;
      const auto [point, distance] = worst_point(train(), chance);
      error = std::max(error, distance);
      converged = distance <= 10 * allowed();
      if (!converged) add_pivot(point);
    }
    return {train(), largest_, error, evaluations_, sweeps, converged};
  }

 private:
  double allowed() const { return settings_.tolerance * largest_; }

  T value(const Point& point) {
    const T result = f_(point);
    ++evaluations_;
    const double size = std::abs(result);
    if (!std::isfinite(size))
      fail("cross_interpolation: the function is ", result, " at ", shape_text(point));
    largest_ = std::max(largest_, size);
    return result;
  }

  void add_pivot(const Point& pivot) {
    bool inside = pivot.size() == modes_.size();
    for (std::size_t k = 0; inside && k < modes_.size(); ++k)
      inside = pivot[k] >= 0 && pivot[k] < modes_[k];
    if (!inside)
      fail("cross_interpolation: the pivot ", shape_text(pivot), " lies outside the modes ",
           shape_text(modes_));
    for (std::size_t k = 0; k <= modes_.size(); ++k) {
      const auto at = pivot.begin() + static_cast<std::ptrdiff_t>(k);
      const Point before(pivot.begin(), at), after(at, pivot.end());
      if (std::ranges::find(left_[k], before) == left_[k].end()) left_[k].push_back(before);
      if (std::ranges::find(right_[k], after) == right_[k].end()) right_[k].push_back(after);
    }
  }

  /// Every bond once; the largest element that was left over.
  double sweep(bool to_the_right) {
    double error = 0;
    const std::size_t bonds = modes_.size() - 1;
    for (std::size_t i = 0; i < bonds; ++i)
      error = std::max(error, update(to_the_right ? i : bonds - 1 - i));
    return error;
  }

  /// New pivots between modes k and k + 1, out of all points that differ from the old ones in these
  /// modes, and the old ones.
  double update(std::size_t k) {
    std::set<Point> rows(left_[k + 1].begin(), left_[k + 1].end()),
        columns(right_[k + 1].begin(), right_[k + 1].end());
    for (const Point& before : left_[k])
      for (Index s = 0; s < modes_[k]; ++s) rows.insert(joined(before, {s}));
    for (Index s = 0; s < modes_[k + 1]; ++s)
      for (const Point& after : right_[k + 2]) columns.insert(joined({s}, after));
    const std::vector<Point> row_points(rows.begin(), rows.end()),
        column_points(columns.begin(), columns.end());
    const auto part = interpolate(values(row_points, column_points), allowed(), most());
    left_[k + 1].clear();
    right_[k + 1].clear();
    for (const std::size_t row : part.rows) left_[k + 1].push_back(row_points[row]);
    for (const std::size_t column : part.columns) right_[k + 1].push_back(column_points[column]);
    return part.rest;
  }

  std::size_t most() const { return static_cast<std::size_t>(settings_.maximum_rank); }

  HostMatrix<T> values(const std::vector<Point>& rows, const std::vector<Point>& columns) {
    HostMatrix<T> matrix{rows.size(), columns.size(), {}};
    matrix.elements.reserve(rows.size() * columns.size());
    for (const Point& row : rows)
      for (const Point& column : columns) matrix.elements.push_back(value(joined(row, column)));
    return matrix;
  }

  /// From left to right: what stands left of a bond, written with some of its rows.
  TensorTrain<T> train() {
    std::vector<Tensor<T>> cores;
    std::vector<Point> before{{}};
    for (std::size_t k = 0; k < modes_.size(); ++k) {
      std::vector<Point> rows;
      for (const Point& point : before)
        for (Index s = 0; s < modes_[k]; ++s) rows.push_back(joined(point, {s}));
      HostMatrix<T> matrix = values(rows, right_[k + 1]);
      const auto bond = static_cast<Index>(before.size());
      if (k + 1 == modes_.size()) {
        cores.push_back(Tensor<T>::from({bond, modes_[k], 1}, std::span<const T>(matrix.elements)));
        break;
      }
      const auto part = interpolate(std::move(matrix), 1e-3 * allowed(), most());
      const auto kept = static_cast<Index>(part.rows.size());
      cores.push_back(
          Tensor<T>::from({bond, modes_[k], kept}, std::span<const T>(part.weights.elements)));
      before.clear();
      for (const std::size_t row : part.rows) before.push_back(rows[row]);
    }
    return TensorTrain<T>(std::move(cores));
  }

  std::pair<Point, double> worst_point(const TensorTrain<T>& train, std::mt19937_64& chance) {
    std::pair<Point, double> worst{Point(modes_.size()), 0};
    for (Index i = 0; i < settings_.checks; ++i) {
      Point point;
      for (const Index mode : modes_)
        point.push_back(static_cast<Index>(chance() % static_cast<std::uint64_t>(mode)));
      const double distance = std::abs(value(point) - train.element(point));
      if (distance > worst.second) worst = {point, distance};
    }
    return worst;
  }

  const std::function<T(std::span<const Index>)>& f_;
  Point modes_;
  const CrossSettings& settings_;
  /// left_[k]: chosen indices of the modes before k; right_[k]: of those from k on.
  std::vector<std::vector<Point>> left_, right_;
  double largest_ = 0;
  Index evaluations_ = 0;
};

}  // namespace

template <class T>
CrossInterpolation<T> cross_interpolation(const std::function<T(std::span<const Index>)>& f,
                                          std::span<const Index> modes,
                                          const CrossSettings& settings) {
  if (modes.empty()) fail("cross_interpolation: expected at least one mode, found none");
  for (const Index mode : modes)
    if (mode < 1)
      fail("cross_interpolation: expected modes of at least one, found ", shape_text(modes));
  if (!(settings.tolerance >= 0) || settings.maximum_rank < 1 || settings.maximum_sweeps < 1)
    fail("cross_interpolation: expected a tolerance of at least 0, a rank and a sweep, found ",
         settings.tolerance, ", ", settings.maximum_rank, " and ", settings.maximum_sweeps);
  return CrossSweeps<T>(f, modes, settings).run();
}

template <class T>
CrossInterpolation<T> quantics_interpolation(const std::function<T(double)>& f, double a, double b,
                                             Index bits, const CrossSettings& settings) {
  if (bits < 1 || bits > 52) fail("quantics_interpolation: expected 1 to 52 bits, found ", bits);
  const double step = (b - a) / std::ldexp(1.0, static_cast<int>(bits));
  const auto at_bits = [&](std::span<const Index> point) {
    double place = 0;
    for (const Index bit : point) place = 2 * place + static_cast<double>(bit);
    return f(a + place * step);
  };
  return cross_interpolation<T>(at_bits, std::vector<Index>(static_cast<std::size_t>(bits), 2),
                                settings);
}

template <class T>
T weighted_sum(const TensorTrain<T>& train, std::span<const std::vector<double>> weights) {
  if (static_cast<Index>(weights.size()) != train.length())
    fail("weighted_sum: expected weights for each of ", train.length(), " modes, found ",
         weights.size());
  Tensor<T> row = Tensor<T>::from({1}, {T(1)});
  for (Index k = 0; k < train.length(); ++k) {
    const auto& own = weights[static_cast<std::size_t>(k)];
    const Tensor<T> core = train.dense_core(k);
    if (static_cast<Index>(own.size()) != core.extent(1))
      fail("weighted_sum: expected ", core.extent(1), " weights for mode ", k, ", found ",
           own.size());
    std::vector<T> values;
    for (const double weight : own) values.push_back(static_cast<T>(static_cast<Real<T>>(weight)));
    const auto vector = Tensor<T>::from({core.extent(1)}, std::span<const T>(values));
    row = contract("sr,s->r", contract("l,lsr->sr", row, core), vector);
  }
  return row.item();
}

#define METATT_CROSS(T)                                                                          \
  template CrossInterpolation<T> cross_interpolation(                                            \
      const std::function<T(std::span<const Index>)>&, std::span<const Index>,                   \
      const CrossSettings&);                                                                     \
  template CrossInterpolation<T> quantics_interpolation(const std::function<T(double)>&, double, \
                                                        double, Index, const CrossSettings&);    \
  template T weighted_sum(const TensorTrain<T>&, std::span<const std::vector<double>>);
METATT_CROSS(float)
METATT_CROSS(double)
METATT_CROSS(std::complex<float>)
METATT_CROSS(std::complex<double>)
#undef METATT_CROSS

}  // namespace metatt::tn
