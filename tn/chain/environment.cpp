#include <metatt/tn/chain/environment.hpp>
#include <metatt/tn/chain/panels.hpp>

namespace metatt::tn {

namespace {

constexpr Transpose none = Transpose::no;

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

}  // namespace

template <class T>
void check_match(const char* function, const MatrixProductOperator<T>& mpo,
                 const TensorTrain<T>& state) {
  if (mpo.length() != state.length())
    fail(function, ": the operator has ", mpo.length(), " sites, the state ", state.length());
  for (Index k = 0; k < mpo.length(); ++k)
    if (mpo.site_leg(k) != state.core(k).leg(1))
      fail(function, ": site ", k, " of the operator is (", leg_text(mpo.site_leg(k)),
           "), that of the state (", leg_text(state.core(k).leg(1)), ")");
}

template <class T>
Environments<T>::Environments(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state)
    : mpo_(mpo),
      left_(static_cast<std::size_t>(mpo.length())),
      right_(static_cast<std::size_t>(mpo.length())) {
  check_match("Environments", mpo, state);
  const Index last = mpo.length() - 1;
  const Leg &first_bond = state.core(0).leg(0), &last_bond = state.core(last).leg(2);
  left_.front() = BlockTensor<T>({mpo.bond_leg(0).reversed(), first_bond, first_bond.reversed()});
  left_.front().set_block({0, 0, 0}, Tensor<T>::from({1, 1, 1}, {T(1)}));
  right_.back() = BlockTensor<T>({mpo.bond_leg(last + 1), last_bond.reversed(), last_bond});
  right_.back().set_block({0, 0, 0}, Tensor<T>::from({1, 1, 1}, {T(1)}));
}

template <class T>
void Environments<T>::extend_left(const TensorTrain<T>& state, Index k) {
  const BlockTensor<T>&A = state.core(k), &L = left(k);
  const Grouping modes = Grouping::of(A.leg(1));
  // Panels by (bra bond on the left, ket bond on the right), before and after the operator.
  Panels before(Grouping::of(mpo_.bond_leg(k)), modes);
  Panels after(Grouping::of(mpo_.bond_leg(k + 1)), modes);
  BlockTensor<T> next({mpo_.bond_leg(k + 1).reversed(), A.leg(2).reversed(), A.leg(2)});
  for (const auto& [l, left_block] : L.blocks())
    for (const auto& [a, core] : A.blocks())
      if (a[0] == l[2]) before.add({l[1], a[2]}, left_block.extent(1), core.extent(2), l[0], a[1]);
  for (const BlockKey& n : allowed_keys(next.legs()))
    for (const auto& [a, core] : A.blocks())
      if (a[2] == n[1] && before.find({a[0], n[2]}))
        after.add({a[0], n[2]}, core.extent(0), A.leg(2).sector(n[2]).dimension, n[0], a[1]);
  before.place();
  after.place();
  Tensor<T> ket({before.size()}), applied({after.size()});
  T* ket_data = ket.mutable_data();
  ProductSums<T> kets, sums;
  for (const auto& [l, left_block] : L.blocks())
    for (const auto& [a, core] : A.blocks()) {
      if (a[0] != l[2]) continue;
      const Panel& panel = *before.find({l[1], a[2]});
      const Index inner = core.extent(0), d = core.extent(1), r = core.extent(2);
      T* out = ket_data + before.offset(panel, l[0], a[1]);
      for (Index w = 0; w < left_block.extent(0); ++w)
        for (Index s = 0; s < d; ++s, out += panel.block())
          kets.add({panel.rows, r, inner, left_block.data() + w * panel.rows * inner, inner,
                    core.data() + s * r, d * r, out, r});
    }
  kets.run(none, none);
  PanelOperator<T>(before, after, one_site_entries<T>(mpo_.core(k), true))
      .apply(ket.data(), applied.mutable_data());
  for (const auto& [sectors, panel] : after.all())
    for (const auto& [groups, number] : panel.numbers)
      for (const auto& [a, core] : A.blocks()) {
        const BlockKey key{groups.first, a[2], sectors.second};
        if (a[0] != sectors.first || a[1] != groups.second || !next.allowed(key)) continue;
        Tensor<T>& block = next.writable_block(key);
        const Index d = core.extent(1), r = core.extent(2), n = panel.columns;
        T* sum = block.mutable_data();
        const T* in = applied.data() + after.offset(panel, groups.first, groups.second);
        for (Index w = 0; w < block.extent(0); ++w)
          for (Index s = 0; s < d; ++s, in += panel.block())
            sums.add({r, n, panel.rows, core.data() + s * r, d * r, in, n, sum + w * r * n, n});
      }
  sums.run(Transpose::conjugate, none);
  left_[static_cast<std::size_t>(k + 1)] = std::move(next);
}

template <class T>
void Environments<T>::extend_right(const TensorTrain<T>& state, Index k) {
  const BlockTensor<T>&A = state.core(k), &R = right(k);
  const Grouping modes = Grouping::of(A.leg(1));
  // Panels by (ket bond on the left, bra bond on the right).
  Panels before(Grouping::of(mpo_.bond_leg(k + 1)), modes);
  Panels after(Grouping::of(mpo_.bond_leg(k)), modes);
  BlockTensor<T> next({mpo_.bond_leg(k), A.leg(0), A.leg(0).reversed()});
  for (const auto& [r, right_block] : R.blocks())
    for (const auto& [a, core] : A.blocks())
      if (a[2] == r[1]) before.add({a[0], r[2]}, core.extent(0), right_block.extent(2), r[0], a[1]);
  for (const BlockKey& n : allowed_keys(next.legs()))
    for (const auto& [a, core] : A.blocks())
      if (a[0] == n[2] && before.find({n[1], a[2]}))
        after.add({n[1], a[2]}, A.leg(0).sector(n[1]).dimension, core.extent(2), n[0], a[1]);
  before.place();
  after.place();
  Tensor<T> ket({before.size()}), applied({after.size()});
  T* ket_data = ket.mutable_data();
  ProductSums<T> kets, sums;
  for (const auto& [r, right_block] : R.blocks())
    for (const auto& [a, core] : A.blocks()) {
      if (a[2] != r[1]) continue;
      const Panel& panel = *before.find({a[0], r[2]});
      const Index d = core.extent(1), inner = core.extent(2), n = panel.columns;
      T* out = ket_data + before.offset(panel, r[0], a[1]);
      for (Index w = 0; w < right_block.extent(0); ++w)
        for (Index s = 0; s < d; ++s, out += panel.block())
          kets.add({panel.rows, n, inner, core.data() + s * inner, d * inner,
                    right_block.data() + w * inner * n, n, out, n});
    }
  kets.run(none, none);
  PanelOperator<T>(before, after, one_site_entries<T>(mpo_.core(k), false))
      .apply(ket.data(), applied.mutable_data());
  for (const auto& [sectors, panel] : after.all())
    for (const auto& [groups, number] : panel.numbers)
      for (const auto& [a, core] : A.blocks()) {
        const BlockKey key{groups.first, sectors.first, a[0]};
        if (a[2] != sectors.second || a[1] != groups.second || !next.allowed(key)) continue;
        Tensor<T>& block = next.writable_block(key);
        const Index l = core.extent(0), d = core.extent(1), n = panel.columns;
        T* sum = block.mutable_data();
        const T* in = applied.data() + after.offset(panel, groups.first, groups.second);
        for (Index w = 0; w < block.extent(0); ++w)
          for (Index s = 0; s < d; ++s, in += panel.block())
            sums.add(
                {panel.rows, l, n, in, n, core.data() + s * n, d * n, sum + w * panel.rows * l, l});
      }
  sums.run(none, Transpose::conjugate);
  right_[static_cast<std::size_t>(k - 1)] = std::move(next);
}

template <class T>
T expectation(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state) {
  Environments<T> environments(mpo, state);
  const Index last = state.length() - 1;
  for (Index k = 0; k < last; ++k) environments.extend_left(state, k);
  // The last site closes the network: its left environment against the core and the operator.
  const BlockTensor<T> ket = contract("wbk,kse->wbse", environments.left(last), state.core(last));
  const BlockTensor<T> applied = contract("wbse,wtsf->btef", ket, mpo.block_core(last));
  return contract("btg,btef->gef", conjugate(state.core(last)), applied).item();
}

#define METATT_INSTANTIATE(T)                                                                     \
  template void check_match(const char*, const MatrixProductOperator<T>&, const TensorTrain<T>&); \
  template class Environments<T>;                                                                 \
  template T expectation(const MatrixProductOperator<T>&, const TensorTrain<T>&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
