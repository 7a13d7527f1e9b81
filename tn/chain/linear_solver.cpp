#include <metatt/tn/chain/linear_solver.hpp>

#include <metatt/tn/chain/effective_hamiltonian.hpp>
#include <metatt/tn/chain/operator_application.hpp>
#include <metatt/tn/chain/overlaps.hpp>
#include <metatt/tn/chain/pairs.hpp>
#include <metatt/tn/chain/vectors.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace metatt::tn {

namespace {

using Complex = std::complex<double>;

/// min ‖beta·e_0 − H·y‖ for a Hessenberg matrix that grows by columns, by Givens rotations.
class HessenbergLeastSquares {
 public:
  explicit HessenbergLeastSquares(double beta) : right_{Complex(beta)} {}

  /// `column` has one entry more than the columns before. Returns the norm of the rest.
  double add(std::vector<Complex> column) {
    for (std::size_t i = 0; i < rotations_.size(); ++i)
      rotate(rotations_[i], column[i], column[i + 1]);
    const std::size_t last = column.size() - 2;
    const double size = std::hypot(std::abs(column[last]), std::abs(column[last + 1]));
    Rotation rotation{1, 0};
    if (size > 0) rotation = {std::conj(column[last]) / size, std::conj(column[last + 1]) / size};
    rotate(rotation, column[last], column[last + 1]);
    right_.push_back(0);
    rotate(rotation, right_[last], right_[last + 1]);
    rotations_.push_back(rotation);
    columns_.push_back(std::move(column));
    return std::abs(right_.back());
  }

  std::vector<Complex> solution() const {
    std::vector<Complex> y(right_.begin(), right_.end() - 1);
    double largest = 0;
    for (std::size_t i = 0; i < y.size(); ++i)
      largest = std::max(largest, std::abs(columns_[i][i]));
    for (std::size_t i = y.size(); i-- > 0;) {
      for (std::size_t j = i + 1; j < y.size(); ++j) y[i] -= columns_[j][i] * y[j];
      y[i] = std::abs(columns_[i][i]) <= 1e-15 * largest ? 0.0 : y[i] / columns_[i][i];
    }
    return y;
  }

 private:
  struct Rotation {
    Complex c, s;
  };
  static void rotate(const Rotation& rotation, Complex& a, Complex& b) {
    const Complex first = rotation.c * a + rotation.s * b;
    b = -std::conj(rotation.s) * a + std::conj(rotation.c) * b;
    a = first;
  }

  std::vector<Rotation> rotations_;
  std::vector<std::vector<Complex>> columns_;
  std::vector<Complex> right_;
};

/// b − A·x.
template <class T>
Tensor<T> rest_of(const std::function<Tensor<T>(const Tensor<T>&)>& apply, const Tensor<T>& b,
                  const Tensor<T>& x) {
  Tensor<T> rest = apply(x);
  backend::scale(backend::queue(), rest.size(), T(-1), rest.mutable_data());
  backend::add_scaled(backend::queue(), rest.size(), T(1), b.data(), rest.mutable_data());
  return rest;
}

}  // namespace

template <class T>
GmresResult<T> gmres(const std::function<Tensor<T>(const Tensor<T>&)>& apply, const Tensor<T>& b,
                     const Tensor<T>& start, Index steps, double tolerance) {
  if (b.shape() != start.shape())
    fail("gmres: expected a start of the shape ", shape_text(b.shape()), ", found ",
         shape_text(start.shape()));
  Queue& queue = backend::queue();
  const double size = norm_of(b);
  if (size == 0) return {Tensor<T>::zeros(b.shape()), 0, 0};
  GmresResult<T> result{start, 0, 1};
  Tensor<T> next = rest_of(apply, b, start);
  const double beta = norm_of(next);
  if (!std::isfinite(beta)) fail("gmres: a product is not finite");
  result.residual = beta / size;
  if (result.residual <= tolerance) return result;
  std::vector<Tensor<T>> basis;
  HessenbergLeastSquares problem(beta);
  double rest = beta;
  constexpr double noise = 10 * static_cast<double>(std::numeric_limits<Real<T>>::epsilon());
  const auto most = std::min<Index>(steps, b.size() + 1);
  while (result.products < most && rest > 0) {
    scale_by(next, 1 / rest);
    basis.push_back(next);
    next = apply(basis.back());
    ++result.products;
    const double whole = norm_of(next);
    std::vector<Complex> column(basis.size() + 1);
    for (int pass = 0; pass < 2; ++pass)  // once leaves rounding errors
      for (std::size_t i = 0; i < basis.size(); ++i) {
        const T part = backend::dot(queue, next.size(), basis[i].data(), next.data());
        column[i] += Complex(part);
        backend::add_scaled(queue, next.size(), -part, basis[i].data(), next.mutable_data());
      }
    rest = norm_of(next);
    if (!std::isfinite(rest)) fail("gmres: a product is not finite");
    if (rest <= noise * whole) rest = 0;  // the space is exhausted
    column.back() = rest;
    result.residual = problem.add(std::move(column)) / size;
    if (result.residual <= tolerance) break;
  }
  const std::vector<Complex> weights = problem.solution();
  for (std::size_t i = 0; i < weights.size(); ++i)
    backend::add_scaled(queue, b.size(), scalar_of<T>(weights[i]), basis[i].data(),
                        result.vector.mutable_data());
  return result;
}

namespace {

template <class T>
class Alternation {
 public:
  Alternation(const MatrixProductOperator<T>& A, const TensorTrain<T>& b, TensorTrain<T> start,
              const LinearSolveSettings& settings)
      : settings_(settings),
        state_(std::move(start)),
        environments_(A, state_),
        right_side_(b, state_) {
    state_.orthogonalise(0);
    policy_ = above_rounding<T>(bond_policy(settings.maximum_bond, settings.cutoff));
    for (Index k = state_.length() - 1; k > 0; --k) extend_right(k);
  }

  /// The largest local residual, relative, that the sweep found.
  double sweep() {
    residual_ = discarded_weight_ = 0;
    if (settings_.sites == 1 || state_.length() == 1)
      sweep_sites();
    else
      sweep_pairs();
    return residual_;
  }

  const TensorTrain<T>& state() const { return state_; }
  double discarded_weight() const { return discarded_weight_; }

 private:
  void extend_left(Index k) {
    environments_.extend_left(state_, k);
    right_side_.extend_left(state_, k);
  }
  void extend_right(Index k) {
    environments_.extend_right(state_, k);
    right_side_.extend_right(state_, k);
  }

  BlockTensor<T> solved(Index k, Index sites, const BlockTensor<T>& start) {
    const EffectiveHamiltonian<T> local(environments_, k, sites);
    const std::function<Tensor<T>(const Tensor<T>&)> apply = [&](const Tensor<T>& x) {
      return local(x);
    };
    const Tensor<T> x = local.to_vector(start), b = local.to_vector(right_side_.part(k, sites));
    const double size = norm_of(b), before = norm_of(rest_of(apply, b, x));
    if (!(size > 0))
      fail("solve: b is orthogonal to the surroundings of site ", k, " of the start");
    residual_ = std::max(residual_, before / size);
    return local.to_tensor(
        gmres(apply, b, x, settings_.gmres_steps, 0.1 * settings_.tolerance).vector);
  }

  void sweep_pairs() {
    const Index last = state_.length() - 2;
    for (Index k = 0; k < last; ++k) {
      solve_pair(k, k + 1);
      extend_left(k);
    }
    for (Index k = last; k >= 0; --k) {
      solve_pair(k, k);
      if (k > 0) extend_right(k + 1);
    }
  }

  void solve_pair(Index k, Index center) {
    const auto pair = contract("lsm,mtr->lstr", state_.core(k), state_.core(k + 1));
    const Truncation cut = split_pair(state_, k, solved(k, 2, pair), policy_, center);
    discarded_weight_ = std::max(discarded_weight_, cut.discarded_weight);
  }

  void sweep_sites() {
    const Index last = state_.length() - 1;
    for (Index k = 0; k <= last; ++k) {
      state_.orthogonalise(k);
      if (k > 0) extend_left(k - 1);
      state_.set_core(k, solved(k, 1, state_.core(k)));
    }
    for (Index k = last - 1; k >= 0; --k) {
      state_.orthogonalise(k);
      extend_right(k + 1);
      state_.set_core(k, solved(k, 1, state_.core(k)));
    }
  }

  const LinearSolveSettings& settings_;
  TruncationPolicy policy_;
  TensorTrain<T> state_;
  Environments<T> environments_;
  Overlaps<T> right_side_;
  double residual_ = 0, discarded_weight_ = 0;
};

}  // namespace

template <class T>
LinearSolution<T> solve(const MatrixProductOperator<T>& A, const TensorTrain<T>& b,
                        TensorTrain<T> start, const LinearSolveSettings& settings) {
  if (settings.sites != 1 && settings.sites != 2)
    fail("solve: expected 1 or 2 sites, found ", settings.sites);
  if (!(start.norm() > 0) || !(b.norm() > 0))
    fail("solve: expected a start and a right side that are not zero");
  if (b.charge() != start.charge())
    fail("solve: the start and b have different charges: ",
         b.core(0).leg(0).symmetry().text(start.charge()), " and ",
         b.core(0).leg(0).symmetry().text(b.charge()));
  Alternation<T> run(A, b, std::move(start), settings);
  LinearSolution<T> result{run.state()};
  while (result.sweeps < settings.sweeps && !result.converged) {
    result.converged = run.sweep() <= settings.tolerance;
    ++result.sweeps;
  }
  result.train = run.state();
  result.discarded_weight = run.discarded_weight();
  const double size = static_cast<double>(b.norm()), product = norm_of_product(A, result.train);
  const double overlap = static_cast<double>(std::real(matrix_element(b, A, result.train)));
  const double rest = (product * product - 2 * overlap) / (size * size) + 1;
  result.residual = std::sqrt(std::max(rest, 0.0));
  return result;
}

#define METATT_INSTANTIATE(T)                                                              \
  template GmresResult<T> gmres(const std::function<Tensor<T>(const Tensor<T>&)>&,         \
                                const Tensor<T>&, const Tensor<T>&, Index, double);        \
  template LinearSolution<T> solve(const MatrixProductOperator<T>&, const TensorTrain<T>&, \
                                   TensorTrain<T>, const LinearSolveSettings&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
