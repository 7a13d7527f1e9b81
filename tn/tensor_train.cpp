#include <metatt/tn/tensor_train.hpp>

#include <metatt/tn/contract.hpp>
#include <metatt/tn/symmetry/block_decompositions.hpp>

#include <algorithm>
#include <cmath>
#include <complex>
#include <map>

namespace metatt::tn {
namespace {

/// "3", or with charges "in, 3 = 1 (N = 0) + 2 (N = 1)".
std::string bond_text(const Leg& leg) {
  return leg.symmetry().trivial() ? std::to_string(leg.dimension()) : leg_text(leg);
}

/// matrix · core on the left bond.
template <class T>
BlockTensor<T> multiply_left(const BlockTensor<T>& matrix, const BlockTensor<T>& core) {
  return contract("ab,bsc->asc", matrix, core);
}

/// Core k gets orthonormal columns; the triangular factor goes into core k+1.
template <class T>
void orthonormal_columns(std::vector<BlockTensor<T>>& cores, Index k) {
  BlockQr<T> factors = qr(cores[k], 2);
  cores[k] = std::move(factors.q);
  cores[k + 1] = multiply_left(factors.r, cores[k + 1]);
}

/// Core k gets orthonormal rows; the triangular factor goes into core k−1.
template <class T>
void orthonormal_rows(std::vector<BlockTensor<T>>& cores, Index k) {
  BlockLq<T> factors = lq(cores[k], 1);
  cores[k] = std::move(factors.q);
  cores[k - 1] = contract("asb,bc->asc", cores[k - 1], factors.l);
}

/// ‖matrix − 1‖ of a square matrix between a leg and its reverse.
template <class T>
double distance_from_identity(const BlockTensor<T>& matrix) {
  double squares = 0;
  for (const BlockKey& key : allowed_keys(matrix.legs())) {
    const Tensor<T>* block = matrix.find(key);
    Tensor<T> rest = key[0] == key[1]
                         ? identity<T>(matrix.block_shape(key)[0], matrix.block_shape(key)[1])
                         : Tensor<T>::zeros(matrix.block_shape(key));
    if (block != nullptr)
      backend::add_scaled(backend::queue(), rest.size(), T(-1), block->data(), rest.mutable_data());
    const double norm =
        static_cast<double>(backend::norm(backend::queue(), rest.size(), rest.data()));
    squares += norm * norm;
  }
  return std::sqrt(squares);
}

template <class T>
void check_same_modes(const char* function, const TensorTrain<T>& a, const TensorTrain<T>& b) {
  if (a.modes() != b.modes())
    fail(function, ": the modes ", shape_text(a.modes()), " and ", shape_text(b.modes()),
         " of two tensor trains differ");
  for (Index k = 0; k < a.length(); ++k)
    if (a.core(k).leg(1) != b.core(k).leg(1))
      fail(function, ": mode ", k, " is (", leg_text(a.core(k).leg(1)), ") in one tensor train, (",
           leg_text(b.core(k).leg(1)), ") in the other");
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
TensorTrain<T>::TensorTrain(std::vector<Tensor<T>> cores) {
  for (Index k = 0; k < static_cast<Index>(cores.size()); ++k) {
    if (cores[k].order() != 3 || cores[k].size() == 0)
      fail("TensorTrain: core ", k, " must have shape (left bond, mode, right bond), found ",
           cores[k].empty() ? "an empty tensor" : shape_text(cores[k].shape()));
    cores_.emplace_back(cores[k]);
  }
  check_cores();
}

template <class T>
TensorTrain<T>::TensorTrain(std::vector<BlockTensor<T>> cores, std::optional<Index> center)
    : cores_(std::move(cores)), center_(center) {
  check_cores();
}

template <class T>
TensorTrain<T> TensorTrain<T>::canonical(std::vector<BlockTensor<T>> cores, Index center) {
  TensorTrain train(std::move(cores), center);
  train.check_core(center);
  const double tolerance = std::is_same_v<Real<T>, float> ? 1e-3 : 1e-8;
  for (Index k = 0; k < train.length(); ++k) {
    if (k == center) continue;
    const BlockTensor<T>& core = train.cores_[k];
    const double error =
        k < center ? distance_from_identity(contract("lsm,lsn->mn", conjugate(core), core))
                   : distance_from_identity(contract("msr,nsr->mn", conjugate(core), core));
    if (!(error <= tolerance))
      fail("TensorTrain::canonical: core ", k, " has no orthonormal ",
           k < center ? "columns" : "rows", ": off by ", error);
  }
  return train;
}

template <class T>
void TensorTrain<T>::check_cores() const {
  if (cores_.empty()) fail("TensorTrain: expected at least one core, found none");
  for (Index k = 0; k < length(); ++k) {
    check_legs("TensorTrain", k, cores_[k]);
    const Leg& left = cores_[k].leg(0);
    if (k == 0 ? left.dimension() != 1 : !cores_[k - 1].leg(2).matches(left))
      fail("TensorTrain: core ", k, " must have left bond ",
           k == 0 ? "1" : bond_text(cores_[k - 1].leg(2)), ", found ", bond_text(left));
  }
  if (const Leg& left = cores_.front().leg(0); left.sector(0).charge != Charge{})
    fail("TensorTrain: the first bond must have charge zero, found ", bond_text(left));
  if (const Leg& right = cores_.back().leg(2); right.dimension() != 1)
    fail("TensorTrain: the last core must have right bond 1, found ", bond_text(right));
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
  std::vector<BlockTensor<T>> cores;
  std::vector<BondSpectrum> bonds;
  double squares = 0;
  Tensor<T> rest = tensor;
  Index rank = 1, remaining = tensor.size();
  for (int k = 0; k + 1 < tensor.order(); ++k) {
    const Index mode = tensor.extent(k);
    remaining /= mode;
    TruncatedSvd<T> cut = truncated_svd(rest.reshaped({rank * mode, remaining}), policy);
    cores.emplace_back(cut.u.reshaped({rank, mode, cut.truncation.kept}));
    const std::vector<Real<T>> values(cut.singular_values.begin(), cut.singular_values.end());
    rest = std::move(cut.vh);
    backend::scale_rows(backend::queue(), cut.truncation.kept, remaining, values.data(),
                        rest.mutable_data());
    rank = cut.truncation.kept;
    squares += cut.truncation.discarded_norm * cut.truncation.discarded_norm;
    bonds.push_back({std::move(cut.spectrum), cut.truncation});
  }
  cores.emplace_back(rest.reshaped({rank, remaining, 1}));
  return {TensorTrain(std::move(cores), tensor.order() - 1), std::move(bonds), std::sqrt(squares)};
}

template <class T>
const BlockTensor<T>& TensorTrain<T>::core(Index k) const {
  check_core(k);
  return cores_[k];
}

template <class T>
void TensorTrain<T>::check_core(Index k) const {
  if (k < 0 || k >= length())
    fail("TensorTrain: expected a core from 0 to ", length() - 1, ", found ", k);
}

template <class T>
void TensorTrain<T>::check_legs(const char* function, Index k, const BlockTensor<T>& core) const {
  if (core.order() != 3)
    fail(function, ": core ", k, " must have the legs (left bond, mode, right bond), found ",
         core.order(), " legs");
  if (core.leg(0).direction() != Direction::in || core.leg(1).direction() != Direction::in ||
      core.leg(2).direction() != Direction::out)
    fail(function, ": the left bond and the mode of core ", k, " must go in, its right bond out");
  if (!core.leg(0).unique() || !core.leg(2).unique())
    fail(function, ": the bonds of core ", k, " must list every charge once, found (",
         leg_text(core.leg(0)), ") and (", leg_text(core.leg(2)), ")");
}

template <class T>
void TensorTrain<T>::set_core(Index k, BlockTensor<T> core) {
  check_core(k);
  check_legs("TensorTrain::set_core", k, core);
  if (core.leg(0) != cores_[k].leg(0) || core.leg(2) != cores_[k].leg(2))
    fail("TensorTrain::set_core: core ", k, " must have the bonds (", bond_text(cores_[k].leg(0)),
         ") and (", bond_text(cores_[k].leg(2)), "), found (", bond_text(core.leg(0)), ") and (",
         bond_text(core.leg(2)), ")");
  cores_[k] = std::move(core);
  if (center_ != k) center_.reset();
}

template <class T>
void TensorTrain<T>::set_pair(Index k, BlockTensor<T> left, BlockTensor<T> right, Index center) {
  check_core(k);
  check_core(k + 1);
  check_legs("TensorTrain::set_pair", k, left);
  check_legs("TensorTrain::set_pair", k + 1, right);
  const bool fits = left.leg(0) == cores_[k].leg(0) && left.leg(2).matches(right.leg(0)) &&
                    right.leg(2) == cores_[k + 1].leg(2);
  if (!fits)
    fail("TensorTrain::set_pair: cores ", k, " and ", k + 1, " must keep their outer bonds (",
         bond_text(cores_[k].leg(0)), ") and (", bond_text(cores_[k + 1].leg(2)), "), found ",
         shape_text(left.shape()), " and ", shape_text(right.shape()));
  if (center != k && center != k + 1)
    fail("TensorTrain::set_pair: the centre must be ", k, " or ", k + 1, ", found ", center);
  const bool known = center_ == k || center_ == k + 1;
  cores_[k] = std::move(left);
  cores_[k + 1] = std::move(right);
  center_ = known ? std::optional<Index>(center) : std::nullopt;
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
  for (const BlockTensor<T>& core : cores_) modes.push_back(core.extent(1));
  return modes;
}

template <class T>
Charge TensorTrain<T>::charge() const {
  return cores_.back().leg(2).sector(0).charge;
}

template <class T>
Index TensorTrain<T>::parameter_count() const {
  Index count = 0;
  for (const BlockTensor<T>& core : cores_) count += core.stored_elements();
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
  if (center_) return tn::norm(cores_[*center_]);
  TensorTrain canonical = *this;
  canonical.orthogonalise(0);
  return canonical.norm();
}

template <class T>
void TensorTrain<T>::scale(T factor) {
  tn::scale(cores_[center_.value_or(0)], factor);
}

template <class T>
Tensor<T> TensorTrain<T>::to_dense() const {
  const std::vector<Index> shape = modes();
  element_count(shape);
  Tensor<T> dense = Tensor<T>::from({1, 1}, {T(1)});
  for (Index k = 0; k < length(); ++k) {
    const Tensor<T> core = dense_core(k);
    dense = matrix_product(dense, core.reshaped({core.extent(0), core.extent(1) * core.extent(2)}));
    dense = dense.reshaped({dense.extent(0) * core.extent(1), core.extent(2)});
  }
  return dense.reshaped(shape);
}

template <class T>
T TensorTrain<T>::element(std::span<const Index> indices) const {
  if (static_cast<Index>(indices.size()) != length())
    fail("TensorTrain::element: expected ", length(), " indices, found ", indices.size());
  // A row vector for each sector of the bond; an index of the mode leads from one to one.
  std::map<Index, Tensor<T>> rows{{0, Tensor<T>::from({1, 1}, {T(1)})}};
  for (Index k = 0; k < length(); ++k) {
    const Leg& mode = cores_[k].leg(1);
    if (indices[k] < 0 || indices[k] >= mode.dimension())
      fail("TensorTrain::element: index ", k, " must lie below ", mode.dimension(), ", found ",
           indices[k]);
    std::map<Index, Tensor<T>> next;
    for (const auto& [key, block] : cores_[k].blocks()) {
      const Index place = indices[k] - mode.offset(key[1]);
      const auto row = rows.find(key[0]);
      if (place < 0 || place >= block.extent(1) || row == rows.end()) continue;
      const Index left = block.extent(0), right = block.extent(2);
      Tensor<T> product({1, right});
      backend::gemm(backend::queue(), Transpose::no, Transpose::no, Index(1), right, left, T(1),
                    row->second.data(), left, block.data() + place * right, block.extent(1) * right,
                    T(0), product.mutable_data(), right);
      next.emplace(key[2], std::move(product));
    }
    rows = std::move(next);
  }
  return rows.empty() ? T(0) : rows.begin()->second.item();
}

template <class T>
T inner(const TensorTrain<T>& a, const TensorTrain<T>& b) {
  check_same_modes("inner", a, b);
  const Leg &bra = a.core(0).leg(0), &ket = b.core(0).leg(0);
  BlockTensor<T> environment({bra, ket.reversed()});
  if (!environment.allowed({0, 0})) return T(0);
  environment.set_block({0, 0}, Tensor<T>::from({1, 1}, {T(1)}));
  for (Index k = 0; k < a.length(); ++k)
    environment =
        contract("bsc,bsk->ck", conjugate(a.core(k)), multiply_left(environment, b.core(k)));
  return environment.item();
}

template <class T>
TensorTrain<T> operator+(const TensorTrain<T>& a, const TensorTrain<T>& b) {
  check_same_modes("operator+", a, b);
  const Index last = a.length() - 1;
  const Leg &first_bond = a.core(0).leg(0), &last_bond = a.core(last).leg(2);
  if (first_bond != b.core(0).leg(0) || last_bond != b.core(last).leg(2))
    fail("operator+: the tensor trains have the charges ", first_bond.symmetry().text(a.charge()),
         " and ", first_bond.symmetry().text(b.charge()));
  // b's blocks stand below a's and to the right of them, except where the outer bond is one.
  std::vector<BlockTensor<T>> cores;
  for (Index k = 0; k <= last; ++k) {
    std::vector<int> bonds;
    if (k > 0) bonds.push_back(0);
    if (k < last) bonds.push_back(2);
    cores.push_back(direct_sum(a.core(k), b.core(k), bonds));
  }
  return TensorTrain<T>(std::move(cores));
}

#define METATT_TENSOR_TRAIN(T)                                    \
  template class TensorTrain<T>;                                  \
  template T inner(const TensorTrain<T>&, const TensorTrain<T>&); \
  template TensorTrain<T> operator+(const TensorTrain<T>&, const TensorTrain<T>&);
METATT_TENSOR_TRAIN(float)
METATT_TENSOR_TRAIN(double)
METATT_TENSOR_TRAIN(std::complex<float>)
METATT_TENSOR_TRAIN(std::complex<double>)
#undef METATT_TENSOR_TRAIN

}  // namespace metatt::tn
