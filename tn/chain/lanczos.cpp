#include <metatt/tn/chain/lanczos.hpp>
#include <metatt/tn/chain/vectors.hpp>
#include <metatt/tn/decompositions.hpp>

#include <algorithm>
#include <cmath>
#include <span>

namespace metatt::tn {

namespace {

/// The tridiagonal matrix of the recursion.
Eigh<double> ritz_pairs(const std::vector<double>& diagonal, const std::vector<double>& next) {
  const auto n = diagonal.size();
  std::vector<double> matrix(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    matrix[i * n + i] = diagonal[i];
    if (i + 1 < n) matrix[i * n + i + 1] = matrix[(i + 1) * n + i] = next[i];
  }
  const auto extent = static_cast<Index>(n);
  return eigh(Tensor<double>::from({extent, extent}, std::span<const double>(matrix)));
}

/// The Krylov space of an operator and a start vector, in an orthonormal basis.
template <class T>
class KrylovSpace {
 public:
  KrylovSpace(const char* function, const Tensor<T>& start) : function_(function), basis_{start} {
    start_norm_ = norm_of(start);
    if (!(start_norm_ > 0) || !std::isfinite(start_norm_))
      fail(function_, ": expected a start vector, found one of norm ", start_norm_);
    scale_by(basis_[0], 1 / start_norm_);
  }

  /// One product: the projection of the operator gets another row.
  void multiply(const std::function<Tensor<T>(const Tensor<T>&)>& apply) {
    Queue& queue = backend::queue();
    rest_ = apply(basis_.back());
    diagonal_.push_back(static_cast<double>(
        std::real(backend::dot(queue, rest_.size(), basis_.back().data(), rest_.data()))));
    remove_components<T>(basis_, rest_);
    rest_norm_ = norm_of(rest_);
    if (!std::isfinite(rest_norm_) || !std::isfinite(diagonal_.back()))
      fail(function_, ": product ", products(), " is not finite");
    pairs_ = ritz_pairs(diagonal_, next_);
  }
  /// The part of the last product that leads out of the space becomes a vector of its basis.
  void extend() {
    scale_by(rest_, 1 / rest_norm_);
    next_.push_back(rest_norm_);
    basis_.push_back(std::move(rest_));
  }

  Index products() const { return static_cast<Index>(diagonal_.size()); }
  double start_norm() const { return start_norm_; }
  /// Of the part of the last product that leads out of the space.
  double rest_norm() const { return rest_norm_; }
  /// Of the projected operator.
  const Eigh<double>& pairs() const { return pairs_; }
  double operator_norm() const {
    return std::max(std::abs(pairs_.values.front()), std::abs(pairs_.values.back()));
  }
  /// The space is all there is: nothing leads out of it.
  bool exhausted() const {
    return rest_norm_ <= 1e-13 * std::max(operator_norm(), rest_norm_) ||
           products() == basis_[0].size();
  }
  Tensor<T> combination(std::span<const T> weights) const {
    Tensor<T> result = Tensor<T>::zeros(basis_[0].shape());
    for (std::size_t i = 0; i < weights.size(); ++i)
      backend::add_scaled(backend::queue(), result.size(), weights[i], basis_[i].data(),
                          result.mutable_data());
    return result;
  }

 private:
  const char* function_;
  std::vector<Tensor<T>> basis_;
  std::vector<double> diagonal_, next_;
  Tensor<T> rest_;
  Eigh<double> pairs_;
  double start_norm_ = 0, rest_norm_ = 0;
};

}  // namespace

template <class T>
LanczosResult<T> lowest_eigenpair(const std::function<Tensor<T>(const Tensor<T>&)>& apply,
                                  const Tensor<T>& start, const LanczosSettings& settings) {
  if (settings.steps < 1)
    fail("lowest_eigenpair: expected at least one step, found ", settings.steps);
  KrylovSpace<T> space("lowest_eigenpair", start);
  while (true) {
    space.multiply(apply);
    const Index n = space.products();
    std::vector<T> weights;
    for (Index i = 0; i < n; ++i) weights.push_back(scalar_of<T>(space.pairs().vectors.at({i, 0})));
    const double residual = std::abs(space.rest_norm() * space.pairs().vectors.at({n - 1, 0}));
    if (space.exhausted() || n >= settings.steps ||
        residual <= settings.tolerance * space.operator_norm()) {
      LanczosResult<T> result{space.pairs().values.front(), space.combination(weights), residual,
                              n};
      scale_by(result.vector, 1 / norm_of(result.vector));
      return result;
    }
    space.extend();
  }
}

template <class T>
ExponentialResult<T> exponential(const std::function<Tensor<T>(const Tensor<T>&)>& apply,
                                 std::complex<double> z, const Tensor<T>& start,
                                 const ExponentialSettings& settings) {
  if (settings.steps < 1) fail("exponential: expected at least one step, found ", settings.steps);
  if (std::is_same_v<T, Real<T>> && z.imag() != 0)
    fail("exponential: real vectors need a real exponent, found ", z, "; use a complex type");
  KrylovSpace<T> space("exponential", start);
  while (true) {
    space.multiply(apply);
    const Index n = space.products();
    const Eigh<double>& pairs = space.pairs();
    std::vector<std::complex<double>> column(static_cast<std::size_t>(n));  // exp(z·projection)·e_1
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j)
        column[static_cast<std::size_t>(i)] +=
            pairs.vectors.at({i, j}) * pairs.vectors.at({0, j}) *
            std::exp(z * pairs.values[static_cast<std::size_t>(j)]);
    const double error = std::abs(z) * space.rest_norm() * std::abs(column.back());
    if (space.exhausted() || n >= settings.steps || error <= settings.tolerance) {
      std::vector<T> weights;
      for (const auto& weight : column)
        weights.push_back(scalar_of<T>(space.start_norm() * weight));
      return {space.combination(weights), space.exhausted() ? 0 : error, n};
    }
    space.extend();
  }
}

#define METATT_INSTANTIATE(T)                                                                   \
  template LanczosResult<T> lowest_eigenpair(const std::function<Tensor<T>(const Tensor<T>&)>&, \
                                             const Tensor<T>&, const LanczosSettings&);         \
  template ExponentialResult<T> exponential(const std::function<Tensor<T>(const Tensor<T>&)>&,  \
                                            std::complex<double>, const Tensor<T>&,             \
                                            const ExponentialSettings&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
