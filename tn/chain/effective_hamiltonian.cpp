#include <metatt/tn/chain/effective_hamiltonian.hpp>
#include <metatt/tn/chain/panels.hpp>
#include <metatt/tn/contract.hpp>

#include <algorithm>
#include <optional>

namespace metatt::tn {

namespace {

/// Of a state, to keep all threads of a desktop processor busy without cutting them.
constexpr std::size_t fewest_blocks = 16;

/// S[(right, outs), (left, ins)] of the product of operators on neighbouring sites.
template <class T>
std::vector<SparseEntry<T>> product_entries(const MatrixProductOperator<T>& mpo, Index k,
                                            Index sites) {
  // Of no site: the identity on the operator bond.
  const Index bond = mpo.bond_leg(k).dimension();
  std::vector<SparseEntry<T>> entries;
  for (Index w = 0; w < bond; ++w) entries.push_back({w, w, T(1)});
  Index modes = 1;
  for (Index site = k; site < k + sites; ++site) {
    const auto& core = mpo.core(site);
    const Index d = core.dimension;
    std::vector<SparseEntry<T>> longer;
    std::vector<std::vector<const typename MatrixProductOperator<T>::Entry*>> from(
        static_cast<std::size_t>(core.left_bond));
    for (const auto& entry : core.entries)
      from[static_cast<std::size_t>(entry.left)].push_back(&entry);
    for (const auto& before : entries)
      for (const auto* entry : from[static_cast<std::size_t>(before.row / modes)]) {
        const Index out = before.row % modes, left = before.column / modes,
                    in = before.column % modes;
        for (Index i = 0; i < d; ++i)
          for (Index j = 0; j < d; ++j) {
            const T value = before.value * entry->matrix[static_cast<std::size_t>(i * d + j)];
            if (value != T(0))
              longer.push_back(
                  {(entry->right * modes + out) * d + i, (left * modes + in) * d + j, value});
          }
      }
    entries = sorted(std::move(longer));
    modes *= d;
  }
  return entries;
}

/// The sector of an index and its place there.
std::optional<std::pair<Index, Index>> position(const Leg& leg, std::optional<Index> index) {
  if (!index) return std::nullopt;
  return leg.find_index(*index);
}

/// A block of a state: group of basis states of the sites, sectors of both bonds.
struct StateBlock {
  Index group, left, right;
  Index offset;  ///< in the vector
};

/// A basis state of all sites in a tensor with the legs (left bond, modes, right bond).
struct BasisState {
  std::vector<Index> sectors;  ///< of each mode
  Index place = 0, count = 1;  ///< in the block of these sectors, and how many it has
  Charge charge;
};

std::vector<BasisState> basis_states(const std::vector<Leg>& modes) {
  std::vector<BasisState> states(1);
  for (const Leg& leg : modes) {
    std::vector<BasisState> longer;
    for (const BasisState& state : states)
      for (Index s = 0; s < leg.sector_count(); ++s)
        for (Index i = 0; i < leg.sector(s).dimension; ++i) {
          BasisState next = state;
          next.sectors.push_back(s);
          next.place = state.place * leg.sector(s).dimension + i;
          next.count = state.count * leg.sector(s).dimension;
          next.charge = leg.add_to(state.charge, s);
          longer.push_back(std::move(next));
        }
    states = std::move(longer);
  }
  return states;
}

/// The diagonals of the matrices of an environment for one sector of the state's bond, a row for
/// each index of the operator bond; zero where an operator changes the charge.
template <class T>
Tensor<T> environment_diagonals(const BlockTensor<T>& environment, Index sector) {
  const Index size = environment.leg(1).sector(sector).dimension;
  Tensor<T> rows = Tensor<T>::zeros({environment.extent(0), size});
  for (const auto& [key, block] : environment.blocks()) {
    if (key[1] != sector || key[2] != sector) continue;
    for (Index w = 0; w < block.extent(0); ++w)
      backend::copy_matrix(backend::queue(), size, 1, block.data() + w * size * size, size + 1,
                           rows.mutable_data() + (environment.leg(0).offset(key[0]) + w) * size, 1);
  }
  return rows;
}

}  // namespace

template <class T>
struct EffectiveHamiltonian<T>::Plan {
  const BlockTensor<T>&L, &R;
  Leg left, right;
  std::vector<Leg> mode_legs;
  Grouping modes;                                  ///< basis states of all sites by their charge
  std::vector<std::vector<BasisState>> states_of;  ///< of each group, in order
  std::vector<StateBlock> blocks;
  Index size = 0;
  std::optional<std::pair<Index, Index>> left_identity, right_identity;  ///< sector and place there
  Panels before, after;
  std::vector<SparseEntry<T>> entries;  ///< of the operator between
  std::unique_ptr<PanelOperator<T>> middle;

  Plan(const Environments<T>& environments, Index k, Index sites);
  void group_modes();
  void list_blocks(const std::vector<Charge>& group_charges);
  void list_panels();
  Index rows(const StateBlock& block) const { return left.sector(block.left).dimension; }
  Index columns(const StateBlock& block) const { return right.sector(block.right).dimension; }

  template <class Copy>
  void for_each_matrix(const StateBlock& block, const Copy& copy) const;
  void multiply_left(const T* psi, T* ket) const;
  void multiply_right(const T* applied, T* result) const;
  Tensor<T> mode_coupling(Index mode) const;
};

template <class T>
EffectiveHamiltonian<T>::Plan::Plan(const Environments<T>& environments, Index k, Index sites)
    : L(environments.left(k)),
      R(environments.right(k + sites - 1)),
      left(L.leg(2).reversed()),
      right(R.leg(1).reversed()),
      left_identity(position(L.leg(0), environments.mpo().identities_left_of(k))),
      right_identity(position(R.leg(0), environments.mpo().identities_right_of(k + sites - 1))),
      before(Grouping(), Grouping()),
      after(Grouping(), Grouping()) {
  const MatrixProductOperator<T>& mpo = environments.mpo();
  for (Index site = k; site < k + sites; ++site) mode_legs.push_back(mpo.site_leg(site));
  group_modes();
  before = Panels(Grouping::of(mpo.bond_leg(k)), modes);
  after = Panels(Grouping::of(mpo.bond_leg(k + sites)), modes);
  list_panels();
  entries = product_entries(mpo, k, sites);
  middle = std::make_unique<PanelOperator<T>>(before, after, entries);
}

template <class T>
void EffectiveHamiltonian<T>::Plan::group_modes() {
  std::map<Charge, Index> groups;
  std::vector<Charge> charges;
  for (const BasisState& state : basis_states(mode_legs)) {
    const auto [place, is_new] =
        groups.try_emplace(state.charge, static_cast<Index>(charges.size()));
    if (is_new) {
      charges.push_back(state.charge);
      states_of.emplace_back();
    }
    modes.add(place->second);
    states_of[static_cast<std::size_t>(place->second)].push_back(state);
  }
  list_blocks(charges);
}

template <class T>
void EffectiveHamiltonian<T>::Plan::list_blocks(const std::vector<Charge>& group_charges) {
  for (std::size_t g = 0; g < group_charges.size(); ++g)
    for (Index a = 0; a < left.sector_count(); ++a) {
      const auto b = right.find(left.add_to(group_charges[g], a));
      if (!b) continue;
      blocks.push_back({static_cast<Index>(g), a, *b, size});
      size += modes.size[g] * rows(blocks.back()) * columns(blocks.back());
    }
}

template <class T>
void EffectiveHamiltonian<T>::Plan::list_panels() {
  for (const auto& [l, left_block] : L.blocks())
    for (const StateBlock& block : blocks)
      if (block.left == l[2])
        before.add({l[1], block.right}, left_block.extent(1), columns(block), l[0], block.group);
  for (const auto& [r, right_block] : R.blocks())
    for (const StateBlock& block : blocks)
      if (block.right == r[2] && before.find({block.left, r[1]}))
        after.add({block.left, r[1]}, rows(block), right_block.extent(1), r[0], block.group);
  before.place();
  after.place();
}

/// ket[w, s] = L[w] · ψ[s].
template <class T>
void EffectiveHamiltonian<T>::Plan::multiply_left(const T* psi, T* ket) const {
  std::vector<GemmTerm<T>> terms;
  for (const auto& [l, left_block] : L.blocks())
    for (const StateBlock& block : blocks) {
      if (block.left != l[2]) continue;
      const Panel& panel = *before.find({l[1], block.right});
      const Index inner = left_block.extent(2), n = panel.columns,
                  count = modes.size_of(block.group);
      T* out = ket + before.offset(panel, l[0], block.group);
      for (Index w = 0; w < left_block.extent(0); ++w, out += count * panel.block()) {
        if (left_identity == std::pair(l[0], w)) {
          backend::copy(backend::queue(), count * panel.block(), psi + block.offset, out);
          continue;
        }
        for (Index s = 0; s < count; ++s)
          terms.push_back({panel.rows, n, inner, left_block.data() + w * panel.rows * inner, inner,
                           psi + block.offset + s * inner * n, n, out + s * panel.block(), n});
      }
    }
  backend::gemm_sums<T>(backend::queue(), Transpose::no, Transpose::no, terms);
}

/// result[s] = Σ_w applied[w, s] · R[w].
template <class T>
void EffectiveHamiltonian<T>::Plan::multiply_right(const T* applied, T* result) const {
  struct Identity {
    Index size;
    const T* from;
    T* to;
  };
  std::vector<GemmTerm<T>> terms;
  std::vector<Identity> identities;
  for (const StateBlock& block : blocks) {
    const Index count = modes.size_of(block.group), m = rows(block), n = columns(block);
    // The rows of all modes lie one after the other, so they could be one product each; a few
    // blocks are cut into modes, since that gives every thread something to do.
    const Index parts = blocks.size() < fewest_blocks ? count : 1, height = count / parts * m;
    const std::size_t before_block = terms.size();
    for (Index part = 0; part < parts; ++part)
      for (const auto& [r, right_block] : R.blocks()) {
        const Panel* panel = block.right == r[2] ? after.find({block.left, r[1]}) : nullptr;
        if (!panel) continue;
        const T* in = applied + after.offset(*panel, r[0], block.group);
        for (Index w = 0; w < right_block.extent(0); ++w, in += count * panel->block()) {
          if (right_identity == std::pair(r[0], w)) {
            if (part == 0) identities.push_back({count * m * n, in, result + block.offset});
            continue;
          }
          terms.push_back({height, n, panel->columns, in + part * height * panel->columns,
                           panel->columns, right_block.data() + w * panel->columns * n, n,
                           result + block.offset + part * height * n, n});
        }
      }
    if (terms.size() == before_block)
      backend::fill(backend::queue(), count * m * n, T(0), result + block.offset);
  }
  backend::gemm_sums<T>(backend::queue(), Transpose::no, Transpose::no, terms);
  for (const Identity& identity : identities)
    backend::add_scaled(backend::queue(), identity.size, T(1), identity.from, identity.to);
}

/// C[w, v] for which a basis state of the sites keeps itself, between operator bonds w on the left
/// and v on the right.
template <class T>
Tensor<T> EffectiveHamiltonian<T>::Plan::mode_coupling(Index mode) const {
  const Index count = modes.count(), w = L.extent(0), v = R.extent(0);
  std::vector<T> matrix(static_cast<std::size_t>(w * v));
  for (const auto& entry : entries)
    if (entry.row % count == mode && entry.column % count == mode)
      matrix[static_cast<std::size_t>(entry.column / count * v + entry.row / count)] = entry.value;
  return Tensor<T>::from({w, v}, std::span<const T>(matrix));
}

/// copy(key, place in the block of the tensor, its row length, place in the vector) for each matrix
/// of a block.
template <class T>
template <class Copy>
void EffectiveHamiltonian<T>::Plan::for_each_matrix(const StateBlock& block,
                                                    const Copy& copy) const {
  Index offset = block.offset;
  for (const BasisState& state : states_of[static_cast<std::size_t>(block.group)]) {
    BlockKey key{block.left};
    key.insert(key.end(), state.sectors.begin(), state.sectors.end());
    key.push_back(block.right);
    copy(key, state.place * columns(block), state.count * columns(block), offset);
    offset += rows(block) * columns(block);
  }
}

template <class T>
EffectiveHamiltonian<T>::EffectiveHamiltonian(const Environments<T>& environments, Index k,
                                              Index sites) {
  if (sites < 0 || sites > 2 || k < 0 ||
      k + std::max<Index>(1, sites) > environments.mpo().length() || (sites == 0 && k == 0))
    fail("EffectiveHamiltonian: expected 0 to 2 sites of the chain, found ", sites, " from site ",
         k, " on");
  if (environments.left(k).order() != 3 || environments.right(k + sites - 1).order() != 3)
    fail("EffectiveHamiltonian: the environments around ", sites, " sites from site ", k,
         " on have not been made");
  plan_ = std::make_unique<const Plan>(environments, k, sites);
}

template <class T>
EffectiveHamiltonian<T>::~EffectiveHamiltonian() = default;

template <class T>
Tensor<T> EffectiveHamiltonian<T>::to_vector(const BlockTensor<T>& state) const {
  Tensor<T> vector = Tensor<T>::zeros({plan_->size});
  T* out = vector.mutable_data();
  for (const StateBlock& block : plan_->blocks)
    plan_->for_each_matrix(block, [&](const BlockKey& key, Index from, Index stride, Index to) {
      if (const Tensor<T>* own = state.find(key))
        backend::copy_matrix(backend::queue(), plan_->rows(block), plan_->columns(block),
                             own->data() + from, stride, out + to, plan_->columns(block));
    });
  return vector;
}

template <class T>
BlockTensor<T> EffectiveHamiltonian<T>::to_tensor(const Tensor<T>& vector) const {
  std::vector<Leg> legs{plan_->left};
  legs.insert(legs.end(), plan_->mode_legs.begin(), plan_->mode_legs.end());
  legs.push_back(plan_->right);
  BlockTensor<T> state(std::move(legs));
  for (const StateBlock& block : plan_->blocks)
    plan_->for_each_matrix(block, [&](const BlockKey& key, Index to, Index stride, Index from) {
      backend::copy_matrix(backend::queue(), plan_->rows(block), plan_->columns(block),
                           vector.data() + from, plan_->columns(block),
                           state.writable_block(key).mutable_data() + to, stride);
    });
  return state;
}

template <class T>
Tensor<T> EffectiveHamiltonian<T>::operator()(const Tensor<T>& psi) const {
  if (psi.shape() != Shape{plan_->size})
    fail("EffectiveHamiltonian: expected a vector of ", plan_->size, " elements, found ",
         shape_text(psi.shape()));
  Tensor<T> ket({plan_->before.size()}), applied({plan_->after.size()}), result({plan_->size});
  plan_->multiply_left(psi.data(), ket.mutable_data());
  plan_->middle->apply(ket.data(), applied.mutable_data());
  plan_->multiply_right(applied.data(), result.mutable_data());
  return result;
}

template <class T>
Tensor<T> EffectiveHamiltonian<T>::diagonal() const {
  Tensor<T> result({plan_->size});
  const Grouping& modes = plan_->modes;
  std::vector<Tensor<T>> left, right;  // of each sector
  for (Index s = 0; s < plan_->left.sector_count(); ++s)
    left.push_back(environment_diagonals(plan_->L, s));
  for (Index s = 0; s < plan_->right.sector_count(); ++s)
    right.push_back(environment_diagonals(plan_->R, s));
  for (Index mode = 0; mode < modes.count(); ++mode) {
    const auto m = static_cast<std::size_t>(mode);
    const Tensor<T> coupling = plan_->mode_coupling(mode);
    for (const StateBlock& block : plan_->blocks) {
      if (block.group != modes.group[m]) continue;
      const Tensor<T> both =
          contract("wl,wr->lr", left[static_cast<std::size_t>(block.left)],
                   contract("wv,vr->wr", coupling, right[static_cast<std::size_t>(block.right)]));
      backend::copy(backend::queue(), both.size(), both.data(),
                    result.mutable_data() + block.offset + modes.place[m] * both.size());
    }
  }
  return result;
}

template class EffectiveHamiltonian<float>;
template class EffectiveHamiltonian<double>;
template class EffectiveHamiltonian<std::complex<float>>;
template class EffectiveHamiltonian<std::complex<double>>;

}  // namespace metatt::tn
