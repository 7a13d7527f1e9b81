#include <metatt/tn/contract.hpp>
#include <metatt/tn/tensor_train.hpp>

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>

namespace metatt::tn {
namespace {

/// (left · mode) × right.
template <class T>
Tensor<T> left_unfolding(const Tensor<T>& core) {
  return core.reshaped({core.extent(0) * core.extent(1), core.extent(2)});
}

/// left × (mode · right).
template <class T>
Tensor<T> right_unfolding(const Tensor<T>& core) {
  return core.reshaped({core.extent(0), core.extent(1) * core.extent(2)});
}

/// matrix · core on the left bond.
template <class T>
Tensor<T> multiply_left(const Tensor<T>& matrix, const Tensor<T>& core) {
  return matrix_product(matrix, right_unfolding(core))
      .reshaped({matrix.extent(0), core.extent(1), core.extent(2)});
}

/// core · matrix on the right bond.
template <class T>
Tensor<T> multiply_right(const Tensor<T>& core, const Tensor<T>& matrix) {
  return matrix_product(left_unfolding(core), matrix)
      .reshaped({core.extent(0), core.extent(1), matrix.extent(1)});
}

template <class T>
std::vector<Real<T>> in_precision_of(const std::vector<double>& values) {
  return std::vector<Real<T>>(values.begin(), values.end());
}

template <class T>
Tensor<T> rows_scaled(Tensor<T> matrix, const std::vector<double>& factors) {
  const auto host = in_precision_of<T>(factors);
  backend::scale_rows(backend::queue(), matrix.extent(0), matrix.extent(1), host.data(),
                      matrix.mutable_data());
  return matrix;
}

template <class T>
Tensor<T> columns_scaled(Tensor<T> matrix, const std::vector<double>& factors) {
  const auto host = in_precision_of<T>(factors);
  backend::scale_columns(backend::queue(), matrix.extent(0), matrix.extent(1), host.data(),
                         matrix.mutable_data());
  return matrix;
}

/// Core k gets orthonormal columns; the triangular factor goes into core k+1.
template <class T>
void orthonormal_columns(std::vector<Tensor<T>>& cores, Index k) {
  const Tensor<T> core = cores[k];
  const Qr<T> factors = qr(left_unfolding(core));
  cores[k] = factors.q.reshaped({core.extent(0), core.extent(1), factors.r.extent(0)});
  cores[k + 1] = multiply_left(factors.r, cores[k + 1]);
}

/// Core k gets orthonormal rows; the triangular factor goes into core k−1 and is returned.
template <class T>
Tensor<T> orthonormal_rows(std::vector<Tensor<T>>& cores, Index k) {
  const Tensor<T> core = cores[k];
  const Lq<T> factors = lq(right_unfolding(core));
  cores[k] = factors.q.reshaped({factors.l.extent(1), core.extent(1), core.extent(2)});
  cores[k - 1] = multiply_right(cores[k - 1], factors.l);
  return factors.l;
}

template <class T>
void check_same_modes(const char* function, const TensorTrain<T>& a, const TensorTrain<T>& b) {
  if (a.modes() != b.modes())
    fail(function, ": the modes ", shape_text(a.modes()), " and ", shape_text(b.modes()),
         " of two tensor trains differ");
}

}  // namespace

std::vector<Index> maximal_ranks(std::span<const Index> modes) {
  const auto product = [](Index a, Index b) { return a > unlimited / b ? unlimited : a * b; };
  for (Index mode : modes)
    if (mode < 1) fail("maximal_ranks: modes must be at least 1, found ", shape_text(modes));
  if (modes.empty()) fail("maximal_ranks: expected at least one mode, found none");
  std::vector<Index> ranks(modes.size() - 1);
  Index left = 1, right = 1;
  for (std::size_t k = 0; k < ranks.size(); ++k) ranks[k] = left = product(left, modes[k]);
  for (std::size_t k = ranks.size(); k-- > 0;) {
    right = product(right, modes[k + 1]);
    ranks[k] = std::min(ranks[k], right);
  }
  return ranks;
}

template <class T>
TensorTrain<T>::TensorTrain(std::vector<Tensor<T>> cores) : cores_(std::move(cores)) {
  check_cores();
}

template <class T>
TensorTrain<T>::TensorTrain(std::vector<Tensor<T>> cores, Index center)
    : cores_(std::move(cores)), center_(center) {
  check_cores();
}

template <class T>
void TensorTrain<T>::check_cores() const {
  if (cores_.empty()) fail("TensorTrain: expected at least one core, found none");
  for (Index k = 0; k < length(); ++k) {
    const Shape& shape = cores_[k].shape();
    if (shape.size() != 3 || cores_[k].size() == 0)
      fail("TensorTrain: core ", k, " must have shape (left bond, mode, right bond), found ",
           cores_[k].empty() ? "an empty tensor" : shape_text(shape));
    const Index left = k == 0 ? 1 : cores_[k - 1].extent(2);
    if (shape[0] != left)
      fail("TensorTrain: core ", k, " must have left bond ", left, ", found ", shape_text(shape));
    if (k == length() - 1 && shape[2] != 1)
      fail("TensorTrain: the last core must have right bond 1, found ", shape_text(shape));
  }
}

template <class T>
TensorTrain<T> TensorTrain<T>::random(std::span<const Index> modes, std::span<const Index> ranks,
                                      std::uint64_t seed) {
  if (modes.empty() || ranks.size() + 1 != modes.size())
    fail("TensorTrain::random: expected one rank fewer than modes, found ", modes.size(),
         " modes and ", ranks.size(), " ranks");
  std::vector<Tensor<T>> cores;
  for (std::size_t k = 0; k < modes.size(); ++k) {
    const Index left = k == 0 ? 1 : ranks[k - 1], right = k == ranks.size() ? 1 : ranks[k];
    if (left < 1 || modes[k] < 1 || right < 1)
      fail("TensorTrain::random: modes and ranks must be at least 1, found the core ",
           shape_text(Shape{left, modes[k], right}));
    cores.push_back(random_normal<T>({left, modes[k], right}, seed, k));
    backend::scale(backend::queue(), cores[k].size(), T(1 / std::sqrt(Real<T>(left))),
                   cores[k].mutable_data());
  }
  return TensorTrain(std::move(cores));
}

template <class T>
TensorTrainDecomposition<T> TensorTrain<T>::from_dense(const Tensor<T>& tensor,
                                                       const TruncationPolicy& policy) {
  if (tensor.order() == 0 || tensor.size() == 0)
    fail("TensorTrain::from_dense: expected a tensor with modes of at least one, found ",
         tensor.empty() ? "an empty tensor" : shape_text(tensor.shape()));
  std::vector<Tensor<T>> cores;
  std::vector<BondSpectrum> bonds;
  double squares = 0;
  Tensor<T> rest = tensor;
  Index rank = 1, remaining = tensor.size();
  for (int k = 0; k + 1 < tensor.order(); ++k) {
    const Index mode = tensor.extent(k);
    remaining /= mode;
    TruncatedSvd<T> cut = truncated_svd(rest.reshaped({rank * mode, remaining}), policy);
    cores.push_back(cut.u.reshaped({rank, mode, cut.truncation.kept}));
    rest = rows_scaled(std::move(cut.vh), cut.singular_values);
    rank = cut.truncation.kept;
    squares += cut.truncation.discarded_norm * cut.truncation.discarded_norm;
    bonds.push_back({std::move(cut.spectrum), cut.truncation});
  }
  cores.push_back(rest.reshaped({rank, remaining, 1}));
  return {TensorTrain(std::move(cores), tensor.order() - 1), std::move(bonds), std::sqrt(squares)};
}

template <class T>
const Tensor<T>& TensorTrain<T>::core(Index k) const {
  check_core(k);
  return cores_[k];
}

template <class T>
void TensorTrain<T>::check_core(Index k) const {
  if (k < 0 || k >= length())
    fail("TensorTrain: expected a core from 0 to ", length() - 1, ", found ", k);
}

template <class T>
void TensorTrain<T>::set_core(Index k, Tensor<T> core) {
  check_core(k);
  const Index left = cores_[k].extent(0), right = cores_[k].extent(2);
  if (core.order() != 3 || core.size() == 0 || core.extent(0) != left || core.extent(2) != right)
    fail("TensorTrain::set_core: core ", k, " must have bonds ", left, " and ", right, ", found ",
         core.empty() ? "an empty tensor" : shape_text(core.shape()));
  cores_[k] = std::move(core);
  if (center_ != k) center_.reset();
}

template <class T>
void TensorTrain<T>::set_pair(Index k, Tensor<T> left, Tensor<T> right, Index center) {
  check_core(k);
  check_core(k + 1);
  const bool fits = left.order() == 3 && right.order() == 3 && left.size() > 0 &&
                    left.extent(0) == cores_[k].extent(0) && left.extent(2) == right.extent(0) &&
                    right.extent(2) == cores_[k + 1].extent(2);
  if (!fits || (center != k && center != k + 1))
    fail("TensorTrain::set_pair: cores ", k, " and ", k + 1, " must have outer bonds ",
         cores_[k].extent(0), " and ", cores_[k + 1].extent(2), " and contain the centre ", center,
         ", found ", shape_text(left.shape()), " and ", shape_text(right.shape()));
  const bool known = center_ == k || center_ == k + 1;
  cores_[k] = std::move(left);
  cores_[k + 1] = std::move(right);
  if (known)
    center_ = center;
  else
    center_.reset();
}

template <class T>
std::vector<Index> TensorTrain<T>::ranks() const {
  std::vector<Index> ranks;
  for (Index k = 0; k + 1 < length(); ++k) ranks.push_back(cores_[k].extent(2));
  return ranks;
}

template <class T>
std::vector<Index> TensorTrain<T>::modes() const {
  std::vector<Index> modes;
  for (const Tensor<T>& core : cores_) modes.push_back(core.extent(1));
  return modes;
}

template <class T>
Index TensorTrain<T>::parameter_count() const {
  Index count = 0;
  for (const Tensor<T>& core : cores_) count += core.size();
  return count;
}

template <class T>
void TensorTrain<T>::orthogonalise(Index center) {
  check_core(center);
  const Index first = center_.value_or(0), last = center_.value_or(length() - 1);
  center_.reset();  // if a factorisation throws half way, nothing is known
  for (Index k = first; k < center; ++k) orthonormal_columns(cores_, k);
  for (Index k = last; k > center; --k) orthonormal_rows(cores_, k);
  center_ = center;
}

template <class T>
Real<T> TensorTrain<T>::norm() const {
  if (!center_) {
    TensorTrain canonical = *this;
    canonical.orthogonalise(0);
    return canonical.norm();
  }
  const Tensor<T>& core = cores_[*center_];
  return backend::norm(backend::queue(), core.size(), core.data());
}

template <class T>
void TensorTrain<T>::scale(T factor) {
  Tensor<T>& core = cores_[center_.value_or(0)];
  backend::scale(backend::queue(), core.size(), factor, core.mutable_data());
}

template <class T>
Tensor<T> TensorTrain<T>::to_dense() const {
  const std::vector<Index> shape = modes();
  element_count(shape);
  Tensor<T> dense = left_unfolding(cores_[0]);
  for (Index k = 1; k < length(); ++k) {
    dense = matrix_product(dense, right_unfolding(cores_[k]));
    dense = dense.reshaped({dense.extent(0) * cores_[k].extent(1), cores_[k].extent(2)});
  }
  return dense.reshaped(shape);
}

template <class T>
T TensorTrain<T>::element(std::span<const Index> indices) const {
  if (static_cast<Index>(indices.size()) != length())
    fail("TensorTrain::element: expected ", length(), " indices, found ", indices.size());
  Tensor<T> row = Tensor<T>::from({1, 1}, {T(1)});
  for (Index k = 0; k < length(); ++k) {
    const Tensor<T>& core = cores_[k];
    const Index mode = core.extent(1), right = core.extent(2);
    if (indices[k] < 0 || indices[k] >= mode)
      fail("TensorTrain::element: index ", k, " must lie below ", mode, ", found ", indices[k]);
    Tensor<T> next({1, right});
    backend::gemm(backend::queue(), Transpose::no, Transpose::no, Index(1), right, core.extent(0),
                  T(1), row.data(), core.extent(0), core.data() + indices[k] * right, mode * right,
                  T(0), next.mutable_data(), right);
    row = next;
  }
  return row.item();
}

template <class T>
T inner(const TensorTrain<T>& a, const TensorTrain<T>& b) {
  check_same_modes("inner", a, b);
  Tensor<T> environment = Tensor<T>::from({1, 1}, {T(1)});
  for (Index k = 0; k < a.length(); ++k) {
    const Tensor<T> right = multiply_left(environment, b.core(k));
    environment = matrix_product(left_unfolding(a.core(k)), left_unfolding(right),
                                 Transpose::conjugate, Transpose::no);
  }
  return environment.item();
}

template <class T>
TensorTrain<T> operator+(const TensorTrain<T>& a, const TensorTrain<T>& b) {
  check_same_modes("operator+", a, b);
  auto& queue = backend::queue();
  std::vector<Tensor<T>> cores;
  const Index last = a.length() - 1;
  if (last == 0) {
    cores.push_back(a.core(0));
    backend::add_scaled(queue, b.core(0).size(), T(1), b.core(0).data(), cores[0].mutable_data());
    return TensorTrain<T>(std::move(cores));
  }
  for (Index k = 0; k <= last; ++k) {
    const Tensor<T> upper = left_unfolding(a.core(k)), lower = left_unfolding(b.core(k));
    const Index mode = a.core(k).extent(1);
    // b's block stands below a's and to the right of it, except where the outer bond is one.
    const Index row = k == 0 ? 0 : upper.extent(0), column = k == last ? 0 : upper.extent(1);
    const Index left = k == 0 ? 1 : a.core(k).extent(0) + b.core(k).extent(0);
    const Index right = column + lower.extent(1);
    Tensor<T> sum = Tensor<T>::zeros({left, mode, right});
    T* elements = sum.mutable_data();
    backend::copy_matrix(queue, upper.extent(0), upper.extent(1), upper.data(), upper.extent(1),
                         elements, right);
    backend::copy_matrix(queue, lower.extent(0), lower.extent(1), lower.data(), lower.extent(1),
                         elements + row * right + column, right);
    cores.push_back(std::move(sum));
  }
  return TensorTrain<T>(std::move(cores));
}

namespace {

/// The train A = G_0 · … as seen from the right: `cores[k]` has orthonormal rows for k > 0, and the
/// product of the original cores k+1, …, d−1 is factors[k] · cores[k+1] · … · cores[d−1].
template <class T>
struct RightCanonical {
  std::vector<Tensor<T>> cores;
  std::vector<Tensor<T>> factors;  // old rank × reduced rank, one for each inner bond
};

template <class T>
RightCanonical<T> right_canonical(const std::vector<Tensor<T>>& cores) {
  RightCanonical<T> result{cores, std::vector<Tensor<T>>(cores.size() - 1)};
  for (Index k = static_cast<Index>(cores.size()) - 1; k > 0; --k)
    result.factors[k - 1] = orthonormal_rows(result.cores, k);
  return result;
}

/// 1/σ for the values kept; 0 where σ is zero to rounding.
template <class T>
std::vector<double> inverses(const TruncatedSvd<T>& cut) {
  const double zero = std::numeric_limits<Real<T>>::epsilon() *
                      static_cast<double>(cut.spectrum.size()) * cut.spectrum[0];
  std::vector<double> result;
  for (double value : cut.singular_values) result.push_back(value > zero ? 1 / value : 0.0);
  return result;
}

template <class T>
double spectral_norm(const Tensor<T>& matrix) {
  return svd(matrix).singular_values[0];
}

template <class T>
SweepReport<T> rounding_sweep(std::vector<Tensor<T>>& cores,
                              std::span<const TruncationPolicy> policies) {
  const RightCanonical<T> canonical = right_canonical(cores);
  SweepReport<T> report;
  double squares = 0;
  Tensor<T> center = canonical.cores[0];
  // The old core with the reduce of the bond left of it applied. Taking `reduce` from it, and not
  // from the factors of the first pass, needs no inverse of those factors.
  Tensor<T> reduced = cores[0];
  for (std::size_t k = 0; k < policies.size(); ++k) {
    const Shape shape = center.shape();
    TruncatedSvd<T> cut = truncated_svd(left_unfolding(center), policies[k]);
    BondReport<T> bond;
    bond.truncation = cut.truncation;
    bond.expand = columns_scaled(
        matrix_product(canonical.factors[k], cut.vh, Transpose::no, Transpose::conjugate),
        inverses(cut));
    bond.reduce =
        matrix_product(cut.u, left_unfolding(reduced), Transpose::conjugate, Transpose::no);
    reduced = multiply_left(bond.reduce, cores[k + 1]);
    center = multiply_left(rows_scaled(cut.vh, cut.singular_values), canonical.cores[k + 1]);
    cores[k] = cut.u.reshaped({shape[0], shape[1], cut.truncation.kept});
    squares += cut.truncation.discarded_norm * cut.truncation.discarded_norm;
    bond.spectrum = std::move(cut.spectrum);
    report.bonds.push_back(std::move(bond));
  }
  cores.back() = center;
  report.error_bound = std::sqrt(squares);
  return report;
}

/// Where the singular values of a split go.
enum class Weight { left, right };

/// Splits the product of two neighbouring cores anew, M = left · right = U · S · Vᴴ truncated, and
/// says which reduce and expand turn the old cores into the new ones.
template <class T>
BondReport<T> split_bond(Tensor<T>& left, Tensor<T>& right, const TruncationPolicy& policy,
                         Weight weight) {
  const Qr<T> outer_left = qr(left_unfolding(left));
  const Lq<T> outer_right = lq(right_unfolding(right));
  TruncatedSvd<T> cut = truncated_svd(matrix_product(outer_left.r, outer_right.l), policy);
  BondReport<T> bond;
  bond.truncation = cut.truncation;
  bond.reduce = matrix_product(cut.u, outer_left.r, Transpose::conjugate, Transpose::no);
  bond.expand = matrix_product(outer_right.l, cut.vh, Transpose::no, Transpose::conjugate);
  if (weight == Weight::right) {
    bond.expand = columns_scaled(std::move(bond.expand), inverses(cut));
    cut.vh = rows_scaled(std::move(cut.vh), cut.singular_values);
  } else {
    bond.reduce = rows_scaled(std::move(bond.reduce), inverses(cut));
    cut.u = columns_scaled(std::move(cut.u), cut.singular_values);
  }
  const Index kept = cut.truncation.kept;
  left = matrix_product(outer_left.q, cut.u).reshaped({left.extent(0), left.extent(1), kept});
  right = matrix_product(cut.vh, outer_right.q).reshaped({kept, right.extent(1), right.extent(2)});
  bond.spectrum = std::move(cut.spectrum);
  return bond;
}

template <class T>
SweepReport<T> paper_sweep(std::vector<Tensor<T>>& cores,
                           std::span<const TruncationPolicy> policies) {
  const std::vector<Tensor<T>> factors = right_canonical(cores).factors;
  const std::size_t bonds = policies.size();
  SweepReport<T> report;
  for (std::size_t k = 0; k < bonds; ++k) {
    report.bonds.push_back(split_bond(cores[k], cores[k + 1], policies[k], Weight::right));
    const double rest = k + 1 < bonds ? spectral_norm(factors[k + 1]) : 1;
    report.error_bound += report.bonds[k].truncation.discarded_norm * rest;
  }
  for (std::size_t k = bonds; k-- > 0;) {
    const BondReport<T> back = split_bond(cores[k], cores[k + 1], policies[k], Weight::left);
    BondReport<T>& bond = report.bonds[k];
    bond.reduce = matrix_product(back.reduce, bond.reduce);
    bond.expand = matrix_product(bond.expand, back.expand);
    report.error_bound += back.truncation.discarded_norm;
  }
  return report;
}

}  // namespace

template <class T>
SweepReport<T> sweep(TensorTrain<T>& train, std::span<const TruncationPolicy> policies,
                     SweepMode mode) {
  const Index length = train.length();
  if (static_cast<Index>(policies.size()) != length - 1)
    fail("sweep: expected a policy for each of the ", length - 1, " bonds, found ",
         policies.size());
  for (Index k = 0; k < length; ++k)
    if (!backend::all_finite(backend::queue(), train.core(k).size(), train.core(k).data()))
      fail("sweep: core ", k, " of the tensor train has NaN or infinite elements");
  std::vector<Tensor<T>> cores = train.cores_;
  const bool paper = mode == SweepMode::paper;
  SweepReport<T> report = paper ? paper_sweep(cores, policies) : rounding_sweep(cores, policies);
  train = TensorTrain<T>(std::move(cores), paper ? 0 : length - 1);
  return report;
}

template <class T>
SweepReport<T> sweep(TensorTrain<T>& train, const TruncationPolicy& policy, SweepMode mode) {
  return sweep(train, std::vector<TruncationPolicy>(train.length() - 1, policy), mode);
}

#define METATT_TENSOR_TRAIN(T)                                                                  \
  template class TensorTrain<T>;                                                                \
  template T inner(const TensorTrain<T>&, const TensorTrain<T>&);                               \
  template TensorTrain<T> operator+(const TensorTrain<T>&, const TensorTrain<T>&);              \
  template SweepReport<T> sweep(TensorTrain<T>&, std::span<const TruncationPolicy>, SweepMode); \
  template SweepReport<T> sweep(TensorTrain<T>&, const TruncationPolicy&, SweepMode);
METATT_TENSOR_TRAIN(float)
METATT_TENSOR_TRAIN(double)
METATT_TENSOR_TRAIN(std::complex<float>)
METATT_TENSOR_TRAIN(std::complex<double>)
#undef METATT_TENSOR_TRAIN

}  // namespace metatt::tn
