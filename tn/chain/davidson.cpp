#include <metatt/tn/chain/davidson.hpp>
#include <metatt/tn/chain/vectors.hpp>
#include <metatt/tn/decompositions.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace metatt::tn {

namespace {

/// An orthonormal basis with the products of its vectors.
template <class T>
class SearchSpace {
 public:
  explicit SearchSpace(const std::function<Tensor<T>(const Tensor<T>&)>& apply) : apply_(apply) {}

  /// What of a vector is new. False if nothing is, but for rounding.
  bool add(Tensor<T> vector) {
    const double before = norm_of(vector);
    remove_components<T>(basis_, vector);
    const double size = norm_of(vector);
    if (!std::isfinite(before)) fail("lowest_eigenpairs: a start or a correction is not finite");
    if (!(size > 1e3 * std::numeric_limits<Real<T>>::epsilon() * before)) return false;
    scale_by(vector, 1 / size);
    products_.push_back(apply_(vector));
    basis_.push_back(std::move(vector));
    extend_projection();
    return true;
  }

  Index size() const { return static_cast<Index>(basis_.size()); }
  Eigh<T> pairs() const {
    std::vector<T> matrix;
    for (const auto& row : projection_) matrix.insert(matrix.end(), row.begin(), row.end());
    return eigh(Tensor<T>::from({size(), size()}, std::span<const T>(matrix)));
  }
  Tensor<T> vector(const Eigh<T>& pairs, Index j) const { return combination(basis_, pairs, j); }
  Tensor<T> product(const Eigh<T>& pairs, Index j) const {
    return combination(products_, pairs, j);
  }

 private:
  void extend_projection() {
    std::vector<T> last;
    for (const Tensor<T>& v : basis_)
      last.push_back(backend::dot(backend::queue(), v.size(), v.data(), products_.back().data()));
    if (!std::isfinite(norm_of(products_.back())))
      fail("lowest_eigenpairs: product ", size(), " is not finite");
    for (std::size_t i = 0; i < projection_.size(); ++i) projection_[i].push_back(last[i]);
    for (T& x : last) x = conjugate_of(x);
    last.back() = T(std::real(last.back()));
    projection_.push_back(std::move(last));
  }
  static Tensor<T> combination(const std::vector<Tensor<T>>& vectors, const Eigh<T>& pairs,
                               Index j) {
    Tensor<T> result = Tensor<T>::zeros(vectors[0].shape());
    for (std::size_t i = 0; i < vectors.size(); ++i)
      backend::add_scaled(backend::queue(), result.size(),
                          pairs.vectors.at({static_cast<Index>(i), j}), vectors[i].data(),
                          result.mutable_data());
    return result;
  }

  const std::function<Tensor<T>(const Tensor<T>&)>& apply_;
  std::vector<Tensor<T>> basis_, products_;
  std::vector<std::vector<T>> projection_;  ///< rows of basisᴴ·products
};

}  // namespace

template <class T>
DavidsonResult<T> lowest_eigenpairs(const std::function<Tensor<T>(const Tensor<T>&)>& apply,
                                    const std::function<void(Tensor<T>&, double)>& correct,
                                    std::span<const Tensor<T>> starts,
                                    const DavidsonSettings& settings) {
  if (settings.rounds < 1)
    fail("lowest_eigenpairs: expected at least one round, found ", settings.rounds);
  SearchSpace<T> space(apply);
  for (const Tensor<T>& start : starts) space.add(start);
  const Index count = space.size();
  if (count == 0) fail("lowest_eigenpairs: expected a start vector that is not zero, found none");
  for (Index round = 1;; ++round) {
    const Eigh<T> pairs = space.pairs();
    const double size = std::max(std::abs(static_cast<double>(pairs.values.front())),
                                 std::abs(static_cast<double>(pairs.values.back())));
    DavidsonResult<T> result{{}, {}, 0, space.size()};
    std::vector<std::pair<Tensor<T>, Tensor<T>>> corrections;  // with their residuals
    for (Index j = 0; j < count; ++j) {
      const double value = pairs.values[static_cast<std::size_t>(j)];
      result.values.push_back(value);
      result.vectors.push_back(space.vector(pairs, j));
      Tensor<T> residual = space.product(pairs, j);
      backend::add_scaled(backend::queue(), residual.size(), scalar_of<T>(-value),
                          result.vectors.back().data(), residual.mutable_data());
      const double rest = norm_of(residual);
      result.residual = std::max(result.residual, rest);
      if (round == settings.rounds || rest <= settings.tolerance * size) continue;
      corrections.emplace_back(residual, residual);
      correct(corrections.back().first, value);
    }
    bool grown = false;
    // Of a diagonal operator the correction is the start itself; the residual leads further.
    for (auto& [correction, residual] : corrections)
      grown = space.add(std::move(correction)) || space.add(std::move(residual)) || grown;
    if (!grown) return result;
  }
}

#define METATT_INSTANTIATE(T)                                                                     \
  template DavidsonResult<T> lowest_eigenpairs(const std::function<Tensor<T>(const Tensor<T>&)>&, \
                                               const std::function<void(Tensor<T>&, double)>&,    \
                                               std::span<const Tensor<T>>,                        \
                                               const DavidsonSettings&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
