#include <metatt/tn/chain/lanczos.hpp>
#include <metatt/tn/decompositions.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::tn {

namespace {

template <class T>
double norm_of(const Tensor<T>& x) {
  return static_cast<double>(backend::norm(backend::queue(), x.size(), x.data()));
}

template <class T>
void scale_by(Tensor<T>& x, double factor) {
  backend::scale(backend::queue(), x.size(), static_cast<T>(static_cast<Real<T>>(factor)),
                 x.mutable_data());
}

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

}  // namespace

template <class T>
LanczosResult<T> lowest_eigenpair(const std::function<Tensor<T>(const Tensor<T>&)>& apply,
                                  const Tensor<T>& start, const LanczosSettings& settings) {
  if (settings.steps < 1)
    fail("lowest_eigenpair: expected at least one step, found ", settings.steps);
  Queue& queue = backend::queue();
  const double start_norm = norm_of(start);
  if (!(start_norm > 0) || !std::isfinite(start_norm))
    fail("lowest_eigenpair: expected a start vector, found one of norm ", start_norm);
  std::vector<Tensor<T>> space{start};
  scale_by(space[0], 1 / start_norm);
  std::vector<double> diagonal, next;
  std::vector<double> weights{1};
  LanczosResult<T> result;
  while (true) {
    Tensor<T> w = apply(space.back());
    ++result.products;
    diagonal.push_back(static_cast<double>(
        std::real(backend::dot(queue, w.size(), space.back().data(), w.data()))));
    for (int pass = 0; pass < 2; ++pass)
      for (const Tensor<T>& v : space)
        backend::add_scaled(queue, w.size(), -backend::dot(queue, w.size(), v.data(), w.data()),
                            v.data(), w.mutable_data());
    const double length = norm_of(w);
    if (!std::isfinite(length) || !std::isfinite(diagonal.back()))
      fail("lowest_eigenpair: product ", result.products, " is not finite");
    const Eigh<double> pairs = ritz_pairs(diagonal, next);
    const auto n = static_cast<Index>(diagonal.size());
    weights.clear();
    for (Index i = 0; i < n; ++i) weights.push_back(pairs.vectors.at({i, 0}));
    result.value = pairs.values.front();
    result.residual = std::abs(length * weights.back());
    const double scale = std::max(std::abs(pairs.values.front()), std::abs(pairs.values.back()));
    const bool exhausted = length <= 1e-13 * std::max(scale, length) || n == start.size();
    if (exhausted || n >= settings.steps || result.residual <= settings.tolerance * scale) break;
    scale_by(w, 1 / length);
    next.push_back(length);
    space.push_back(std::move(w));
  }
  result.vector = Tensor<T>::zeros(start.shape());
  for (std::size_t i = 0; i < weights.size(); ++i)
    backend::add_scaled(queue, start.size(), static_cast<T>(static_cast<Real<T>>(weights[i])),
                        space[i].data(), result.vector.mutable_data());
  scale_by(result.vector, 1 / norm_of(result.vector));
  return result;
}

#define METATT_INSTANTIATE(T)                                                                   \
  template LanczosResult<T> lowest_eigenpair(const std::function<Tensor<T>(const Tensor<T>&)>&, \
                                             const Tensor<T>&, const LanczosSettings&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
