#include <metatt/tn/chain/fitting.hpp>
#include <metatt/tn/chain/operator_application.hpp>
#include <metatt/tn/chain/overlaps.hpp>
#include <metatt/tn/chain/pairs.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::tn {

namespace {

/// Target is Overlaps or OperatorOverlaps.
template <class T, class Target>
class Fitting {
 public:
  Fitting(Target target, TensorTrain<T> start, const FitSettings& settings)
      : target_(std::move(target)), state_(std::move(start)) {
    if (settings.sweeps < 1) fail("fit: expected at least one sweep, found ", settings.sweeps);
    policy_ = above_rounding<T>(bond_policy(settings.maximum_bond, settings.cutoff));
    for (Index k = state_.length() - 1; k > 0; --k) target_.extend_right(state_, k);
  }

  Fit<T> run(double target_norm, const FitSettings& settings) {
    Fit<T> result{state_};
    double before = 0;
    while (result.sweeps < settings.sweeps && !result.converged) {
      sweep();
      const double norm = static_cast<double>(state_.norm());
      if (!(norm > 0)) fail("fit: expected a start that overlaps with the target");
      result.converged = std::abs(norm - before) <= settings.tolerance * norm;
      before = norm;
      ++result.sweeps;
    }
    result.state = state_;
    // The fit is a projection of the target, so squares add up.
    const double rest = 1 - std::pow(before / target_norm, 2);
    result.error = std::sqrt(std::max(rest, 0.0));
    return result;
  }

 private:
  void sweep() {
    const Index last = state_.length() - 2;
    if (last < 0) return state_.set_core(0, target_.part(0, 1));
    for (Index k = 0; k < last; ++k) {
      split_pair(state_, k, target_.part(k, 2), policy_, k + 1);
      target_.extend_left(state_, k);
    }
    for (Index k = last; k >= 0; --k) {
      split_pair(state_, k, target_.part(k, 2), policy_, k);
      if (k > 0) target_.extend_right(state_, k + 1);
    }
  }

  Target target_;
  TensorTrain<T> state_;
  TruncationPolicy policy_;
};

template <class T>
TensorTrain<T> ready(TensorTrain<T> start) {
  start.orthogonalise(0);
  if (!(start.norm() > 0)) fail("fit: expected a start that is not zero");
  return start;
}

}  // namespace

template <class T>
Fit<T> fit(const TensorTrain<T>& target, TensorTrain<T> start, const FitSettings& settings) {
  start = ready(std::move(start));
  Overlaps<T> overlaps(target, start);
  return Fitting<T, Overlaps<T>>(std::move(overlaps), std::move(start), settings)
      .run(static_cast<double>(target.norm()), settings);
}

template <class T>
Fit<T> fit(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state, TensorTrain<T> start,
           const FitSettings& settings) {
  start = ready(std::move(start));
  OperatorOverlaps<T> overlaps(mpo, state, start);
  return Fitting<T, OperatorOverlaps<T>>(std::move(overlaps), std::move(start), settings)
      .run(norm_of_product(mpo, state), settings);
}

#define METATT_INSTANTIATE(T)                                                                 \
  template Fit<T> fit(const TensorTrain<T>&, TensorTrain<T>, const FitSettings&);             \
  template Fit<T> fit(const MatrixProductOperator<T>&, const TensorTrain<T>&, TensorTrain<T>, \
                      const FitSettings&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
