#pragma once
/// Internal to DMRG: the states below an excited one, as they are on a few sites.

#include <metatt/tn/chain/vectors.hpp>

#include <cmath>
#include <limits>
#include <vector>

namespace metatt::tn {

/// Kept out of the space, or allowed at a price.
template <class T>
class LowerStates {
 public:
  explicit LowerStates(double penalty) : penalty_(penalty) {}

  void add(Tensor<T> part) {
    if (std::isfinite(penalty_)) {
      parts_.push_back(std::move(part));
      return;
    }
    const double size = norm_of(part);
    project(part);
    const double rest = norm_of(part);
    constexpr double rounding = 1e3 * static_cast<double>(std::numeric_limits<Real<T>>::epsilon());
    if (rest <= rounding * size || rest == 0) return;  // excluded already
    scale_by(part, 1 / rest);
    parts_.push_back(std::move(part));
  }
  /// To the allowed space, which with a finite penalty is everything.
  void project(Tensor<T>& vector) const {
    if (!std::isfinite(penalty_)) remove_components<T>(parts_, vector);
  }
  /// H·ψ becomes that of the problem to solve.
  void change_product(const Tensor<T>& psi, Tensor<T>& product) const {
    project(product);
    if (!std::isfinite(penalty_)) return;
    for (const Tensor<T>& part : parts_)
      backend::add_scaled(backend::queue(), psi.size(),
                          scalar_of<T>(penalty_) *
                              backend::dot(backend::queue(), psi.size(), part.data(), psi.data()),
                          part.data(), product.mutable_data());
  }

 private:
  double penalty_;
  std::vector<Tensor<T>> parts_;
};

}  // namespace metatt::tn
