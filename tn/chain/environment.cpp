#include <metatt/tn/chain/environment.hpp>
#include <metatt/tn/contract.hpp>

#include <algorithm>

namespace metatt::tn {

namespace {

constexpr Transpose none = Transpose::no, adjoint = Transpose::conjugate;

/// Entries of S with S[(right, out), (left, in)] = W[left, right][out, in], or from right to left.
template <class T>
std::vector<SparseEntry<T>> one_site_entries(const typename MatrixProductOperator<T>::Core& core,
                                             bool to_the_right) {
  const Index d = core.dimension;
  std::vector<SparseEntry<T>> entries;
  for (const auto& entry : core.entries)
    for (Index out = 0; out < d; ++out)
      for (Index in = 0; in < d; ++in) {
        const T value = entry.matrix[static_cast<std::size_t>(out * d + in)];
        if (value == T(0)) continue;
        const Index from = to_the_right ? entry.left : entry.right;
        const Index to = to_the_right ? entry.right : entry.left;
        entries.push_back({to * d + out, from * d + in, value});
      }
  return entries;
}

/// Sorted by row, entries at one place added up.
template <class T>
std::vector<SparseEntry<T>> sorted(std::vector<SparseEntry<T>> entries) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::pair(a.row, a.column) < std::pair(b.row, b.column);
  });
  std::vector<SparseEntry<T>> result;
  for (const auto& entry : entries) {
    if (!result.empty() && result.back().row == entry.row && result.back().column == entry.column)
      result.back().value += entry.value;
    else
      result.push_back(entry);
  }
  return result;
}

/// Both sites: S[(right, out, out'), (left, in, in')].
template <class T>
std::vector<SparseEntry<T>> two_site_entries(
    const typename MatrixProductOperator<T>::Core& first,
    const typename MatrixProductOperator<T>::Core& second) {
  const Index d = first.dimension, e = second.dimension;
  std::vector<SparseEntry<T>> entries;
  for (const auto& a : one_site_entries<T>(first, true))
    for (const auto& b : one_site_entries<T>(second, true)) {
      if (a.row / d != b.column / e) continue;  // the bond between them
      const Index out = a.row % d * e + b.row % e, in = a.column % d * e + b.column % e;
      entries.push_back({b.row / e * d * e + out, a.column / d * d * e + in, a.value * b.value});
    }
  return sorted(std::move(entries));
}

template <class T>
void check_match(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state) {
  if (mpo.length() != state.length())
    fail("Environments: the operator has ", mpo.length(), " sites, the state ", state.length());
  for (Index k = 0; k < mpo.length(); ++k)
    if (mpo.core(k).dimension != state.core(k).extent(1))
      fail("Environments: site ", k, " of the operator has dimension ", mpo.core(k).dimension,
           ", that of the state ", state.core(k).extent(1));
}

}  // namespace

template <class T>
Environments<T>::Environments(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state)
    : mpo_(mpo),
      left_(static_cast<std::size_t>(mpo.length())),
      right_(static_cast<std::size_t>(mpo.length())) {
  check_match(mpo, state);
  left_.front() = right_.back() = Tensor<T>::from({1, 1, 1}, {T(1)});
}

template <class T>
void Environments<T>::extend_left(const TensorTrain<T>& state, Index k) {
  const auto& W = mpo_.core(k);
  const Tensor<T>&A = state.core(k), &L = left(k);
  const Index d = W.dimension, l = A.extent(0), r = A.extent(2), bra = L.extent(1);
  Queue& queue = backend::queue();
  Tensor<T> ket({W.left_bond, d, bra, r}), applied({W.right_bond, d, bra, r});
  for (Index s = 0; s < d; ++s)
    backend::gemm_strided_batched(queue, none, none, bra, r, l, T(1), L.data(), l, bra * l,
                                  A.data() + s * r, d * r, Index{0}, T(0),
                                  ket.mutable_data() + s * bra * r, r, d * bra * r, W.left_bond);
  const auto entries = sorted(one_site_entries<T>(W, true));
  backend::combine_blocks<T>(queue, W.right_bond * d, bra * r, entries, ket.data(),
                             applied.mutable_data());
  Tensor<T> next({W.right_bond, r, r});
  for (Index s = 0; s < d; ++s)
    backend::gemm_strided_batched(queue, adjoint, none, r, r, bra, T(1), A.data() + s * r, d * r,
                                  Index{0}, applied.data() + s * bra * r, r, d * bra * r,
                                  s == 0 ? T(0) : T(1), next.mutable_data(), r, r * r,
                                  W.right_bond);
  left_[static_cast<std::size_t>(k + 1)] = std::move(next);
}

template <class T>
void Environments<T>::extend_right(const TensorTrain<T>& state, Index k) {
  const auto& W = mpo_.core(k);
  const Tensor<T>&A = state.core(k), &R = right(k);
  const Index d = W.dimension, l = A.extent(0), r = A.extent(2), bra = R.extent(2);
  Queue& queue = backend::queue();
  Tensor<T> ket({W.right_bond, d, l, bra}), applied({W.left_bond, d, l, bra});
  for (Index s = 0; s < d; ++s)
    backend::gemm_strided_batched(queue, none, none, l, bra, r, T(1), A.data() + s * r, d * r,
                                  Index{0}, R.data(), bra, r * bra, T(0),
                                  ket.mutable_data() + s * l * bra, bra, d * l * bra, W.right_bond);
  const auto entries = sorted(one_site_entries<T>(W, false));
  backend::combine_blocks<T>(queue, W.left_bond * d, l * bra, entries, ket.data(),
                             applied.mutable_data());
  Tensor<T> next({W.left_bond, l, l});
  for (Index s = 0; s < d; ++s)
    backend::gemm_strided_batched(queue, none, adjoint, l, l, bra, T(1),
                                  applied.data() + s * l * bra, bra, d * l * bra, A.data() + s * r,
                                  d * r, Index{0}, s == 0 ? T(0) : T(1), next.mutable_data(), l,
                                  l * l, W.left_bond);
  right_[static_cast<std::size_t>(k - 1)] = std::move(next);
}

template <class T>
T expectation(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state) {
  Environments<T> environments(mpo, state);
  const Index last = state.length() - 1;
  for (Index k = 0; k < last; ++k) environments.extend_left(state, k);
  // The last site closes the network: its left environment against the core and the operator.
  const Tensor<T> ket = contract("wbk,kse->wbse", environments.left(last), state.core(last));
  const Tensor<T> applied = contract("wbse,wtsf->btef", ket, mpo.dense_core(last));
  const Index size = applied.size();
  return backend::dot(backend::queue(), size, state.core(last).data(), applied.data());
}

template <class T>
TwoSiteHamiltonian<T>::TwoSiteHamiltonian(const Environments<T>& environments, Index k)
    : left_(environments.left(k)),
      right_(environments.right(k + 1)),
      blocks_left_(environments.mpo().core(k).left_bond),
      blocks_right_(environments.mpo().core(k + 1).right_bond),
      modes_(environments.mpo().core(k).dimension * environments.mpo().core(k + 1).dimension),
      entries_(two_site_entries<T>(environments.mpo().core(k), environments.mpo().core(k + 1))),
      left_identity_(environments.mpo().identities_left_of(k)),
      right_identity_(environments.mpo().identities_right_of(k + 1)) {}

template <class T>
Tensor<T> TwoSiteHamiltonian<T>::operator()(const Tensor<T>& psi) const {
  Queue& queue = backend::queue();
  const Index l = psi.extent(1), r = psi.extent(2), block = l * r;
  Tensor<T> ket({blocks_left_, modes_, l, r}), applied({blocks_right_, modes_, l, r});
  T* blocks = ket.mutable_data();
  for (Index w = 0; w < blocks_left_; ++w) {
    T* out = blocks + w * modes_ * block;
    if (left_identity_ == w)
      backend::copy(queue, modes_ * block, psi.data(), out);
    else
      backend::gemm_strided_batched(queue, none, none, l, r, l, T(1), left_.data() + w * l * l, l,
                                    Index{0}, psi.data(), r, block, T(0), out, r, block, modes_);
  }
  backend::combine_blocks<T>(queue, blocks_right_ * modes_, block, entries_, ket.data(),
                             applied.mutable_data());
  Tensor<T> result(psi.shape());
  T* sum = result.mutable_data();
  if (right_identity_)
    backend::copy(queue, modes_ * block, applied.data() + *right_identity_ * modes_ * block, sum);
  bool written = right_identity_.has_value();
  for (Index w = 0; w < blocks_right_; ++w) {
    if (right_identity_ == w) continue;
    // The rows of all modes lie one after the other, so this is one product.
    backend::gemm(queue, none, none, modes_ * l, r, r, T(1), applied.data() + w * modes_ * block, r,
                  right_.data() + w * r * r, r, written ? T(1) : T(0), sum, r);
    written = true;
  }
  return result;
}

template <class T>
Tensor<T> two_site_state(const TensorTrain<T>& state, Index k) {
  const Tensor<T>&A = state.core(k), &B = state.core(k + 1);
  const Index l = A.extent(0), d = A.extent(1), m = A.extent(2), e = B.extent(1), r = B.extent(2);
  Tensor<T> psi({d * e, l, r});
  T* out = psi.mutable_data();
  for (Index s = 0; s < d; ++s)
    backend::gemm_strided_batched(backend::queue(), none, none, l, r, m, T(1), A.data() + s * m,
                                  d * m, Index{0}, B.data(), e * r, r, T(0), out + s * e * l * r, r,
                                  l * r, e);
  return psi;
}

template <class T>
Tensor<T> as_matrix(const Tensor<T>& two_site, Index left_mode) {
  const Index l = two_site.extent(1), r = two_site.extent(2),
              right_mode = two_site.extent(0) / left_mode;
  const Tensor<T> modes = two_site.reshaped({left_mode, right_mode, l, r});
  return permute(modes, std::vector<int>{2, 0, 1, 3}).reshaped({l * left_mode, right_mode * r});
}

#define METATT_INSTANTIATE(T)                                                     \
  template class Environments<T>;                                                 \
  template T expectation(const MatrixProductOperator<T>&, const TensorTrain<T>&); \
  template class TwoSiteHamiltonian<T>;                                           \
  template Tensor<T> two_site_state(const TensorTrain<T>&, Index);                \
  template Tensor<T> as_matrix(const Tensor<T>&, Index);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
