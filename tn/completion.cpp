#include <metatt/tn/completion.hpp>
#include <metatt/tn/contract.hpp>
#include <metatt/tn/decompositions.hpp>

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>

namespace metatt::tn {

namespace {

/// The smallest x with least ‖A·x − b‖.
template <class T>
std::vector<T> least_squares(const Tensor<T>& A, const Tensor<T>& b) {
  const Svd<T> parts = svd(A);
  Tensor<T> x = matrix_product(parts.u, b, Transpose::conjugate, Transpose::no);
  const double floor = parts.singular_values.front() * 1e3 *
                       static_cast<double>(std::numeric_limits<Real<T>>::epsilon());
  std::vector<Real<T>> inverses;
  for (const double value : parts.singular_values)
    inverses.push_back(static_cast<Real<T>>(value > floor ? 1 / value : 0));
  backend::scale_rows(backend::queue(), x.extent(0), x.extent(1), inverses.data(),
                      x.mutable_data());
  return matrix_product(parts.vh, x, Transpose::conjugate, Transpose::no).to_vector();
}

template <class T>
class Alternation {
 public:
  Alternation(std::span<const std::vector<Index>> points, std::span<const T> values,
              TensorTrain<T> start)
      : points_(points), values_(values), state_(std::move(start)) {
    state_.orthogonalise(0);
    const auto length = static_cast<std::size_t>(state_.length());
    left_.assign(length, std::vector<std::vector<T>>(points.size(), {T(1)}));
    right_ = left_;
    for (std::size_t k = length - 1; k > 0; --k) extend_right(k);
  }

  /// To the right and back; the relative error at the points.
  double sweep() {
    const auto last = static_cast<std::size_t>(state_.length() - 1);
    for (std::size_t k = 0; k < last; ++k) {
      improve(k);
      state_.orthogonalise(static_cast<Index>(k + 1));
      extend_left(k);
    }
    for (std::size_t k = last; k > 0; --k) {
      improve(k);
      state_.orthogonalise(static_cast<Index>(k - 1));
      extend_right(k);
    }
    return improve(0);
  }

  const TensorTrain<T>& state() const { return state_; }

 private:
  struct Core {
    std::size_t left, mode, right;
    std::vector<T> elements;

    T& at(std::size_t a, std::size_t s, std::size_t b) {
      return elements[(a * mode + s) * right + b];
    }
    const T& at(std::size_t a, std::size_t s, std::size_t b) const {
      return elements[(a * mode + s) * right + b];
    }
  };

  Core core(std::size_t k) const {
    const Tensor<T> dense = state_.dense_core(static_cast<Index>(k));
    return {static_cast<std::size_t>(dense.extent(0)), static_cast<std::size_t>(dense.extent(1)),
            static_cast<std::size_t>(dense.extent(2)), dense.to_vector()};
  }
  std::size_t index(std::size_t point, std::size_t k) const {
    return static_cast<std::size_t>(points_[point][k]);
  }

  /// left_[k + 1] of every point: the row vector of all cores up to k.
  void extend_left(std::size_t k) {
    const Core c = core(k);
    for (std::size_t p = 0; p < points_.size(); ++p) {
      std::vector<T> next(c.right);
      for (std::size_t a = 0; a < c.left; ++a)
        for (std::size_t b = 0; b < c.right; ++b)
          next[b] += left_[k][p][a] * c.at(a, index(p, k), b);
      left_[k + 1][p] = std::move(next);
    }
  }
  /// right_[k − 1] of every point: the column vector of all cores from k on.
  void extend_right(std::size_t k) {
    const Core c = core(k);
    for (std::size_t p = 0; p < points_.size(); ++p) {
      std::vector<T> next(c.left);
      for (std::size_t a = 0; a < c.left; ++a)
        for (std::size_t b = 0; b < c.right; ++b)
          next[a] += c.at(a, index(p, k), b) * right_[k][p][b];
      right_[k - 1][p] = std::move(next);
    }
  }

  /// The best core k for the others; the relative error that is left.
  double improve(std::size_t k) {
    Core c = core(k);
    std::vector<std::vector<std::size_t>> of_index(c.mode);
    for (std::size_t p = 0; p < points_.size(); ++p) of_index[index(p, k)].push_back(p);
    double rest = 0, all = 0;
    for (std::size_t s = 0; s < c.mode; ++s)
      if (!of_index[s].empty()) rest += improve_slice(c, k, s, of_index[s]);
    for (const T& value : values_) all += std::norm(std::complex<double>(value));
    const Shape shape{static_cast<Index>(c.left), static_cast<Index>(c.mode),
                      static_cast<Index>(c.right)};
    state_.set_core(static_cast<Index>(k),
                    BlockTensor<T>(Tensor<T>::from(shape, std::span<const T>(c.elements))));
    return std::sqrt(rest / all);
  }

  /// Adds to one slice the smallest change that is best for its points; their squared error.
  double improve_slice(Core& c, std::size_t k, std::size_t s,
                       const std::vector<std::size_t>& members) {
    const std::size_t unknowns = c.left * c.right;
    std::vector<T> rows, rests;
    for (const std::size_t p : members) {
      T value = values_[p];
      for (std::size_t a = 0; a < c.left; ++a)
        for (std::size_t b = 0; b < c.right; ++b) {
          rows.push_back(left_[k][p][a] * right_[k][p][b]);
          value -= rows.back() * c.at(a, s, b);
        }
      rests.push_back(value);
    }
    const auto count = static_cast<Index>(members.size());
    const auto A = Tensor<T>::from({count, static_cast<Index>(unknowns)}, std::span<const T>(rows));
    const std::vector<T> change =
        least_squares(A, Tensor<T>::from({count, 1}, std::span<const T>(rests)));
    for (std::size_t a = 0; a < c.left; ++a)
      for (std::size_t b = 0; b < c.right; ++b) c.at(a, s, b) += change[a * c.right + b];
    double squares = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      T rest = rests[i];
      for (std::size_t j = 0; j < unknowns; ++j) rest -= rows[i * unknowns + j] * change[j];
      squares += std::norm(std::complex<double>(rest));
    }
    return squares;
  }

  std::span<const std::vector<Index>> points_;
  std::span<const T> values_;
  TensorTrain<T> state_;
  std::vector<std::vector<std::vector<T>>> left_, right_;  // by core, then by point
};

template <class T>
void check_points(std::span<const std::vector<Index>> points, std::span<const T> values,
                  const TensorTrain<T>& start) {
  if (points.empty() || points.size() != values.size())
    fail("complete: expected a value for each of at least one point, found ", points.size(),
         " points and ", values.size(), " values");
  const std::vector<Index> modes = start.modes();
  for (const auto& point : points) {
    bool inside = point.size() == modes.size();
    for (std::size_t k = 0; inside && k < modes.size(); ++k)
      inside = point[k] >= 0 && point[k] < modes[k];
    if (!inside)
      fail("complete: the point ", shape_text(point), " lies outside the modes ",
           shape_text(modes));
  }
  if (!std::ranges::all_of(values, [](const T& x) { return std::isfinite(std::abs(x)); }) ||
      std::ranges::all_of(values, [](const T& x) { return x == T(0); }))
    fail("complete: expected finite values, not all of them zero");
  for (Index k = 0; k < start.length(); ++k)
    if (!start.core(k).leg(1).symmetry().trivial())
      fail("complete: core ", k, " of the start conserves charges");
}

}  // namespace

template <class T>
Completion<T> complete(std::span<const std::vector<Index>> points, std::span<const T> values,
                       TensorTrain<T> start, const CompletionSettings& settings) {
  check_points(points, values, start);
  Alternation<T> run(points, values, std::move(start));
  Completion<T> result{run.state(), std::numeric_limits<double>::infinity()};
  while (result.sweeps < settings.sweeps && !result.converged) {
    const double before = result.error;
    result.error = run.sweep();
    result.converged = result.error <= settings.tolerance ||
                       before - result.error <= settings.tolerance * result.error;
    ++result.sweeps;
  }
  result.train = run.state();
  return result;
}

#define METATT_INSTANTIATE(T)                                                              \
  template Completion<T> complete(std::span<const std::vector<Index>>, std::span<const T>, \
                                  TensorTrain<T>, const CompletionSettings&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
