#include <metatt/tn/chain/matrix_product_operator.hpp>
#include <metatt/tn/chain/vectors.hpp>
#include <metatt/tn/contract.hpp>
#include <metatt/tn/tensor_train.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace metatt::tn {

using Complex = std::complex<double>;

template <class T>
MatrixProductOperator<T>::MatrixProductOperator(std::vector<Core> cores, const Sites& sites,
                                                double largest_dropped)
    : cores_(std::move(cores)), largest_dropped_(largest_dropped) {
  if (cores_.empty() || cores_.size() != sites.size())
    fail("MatrixProductOperator: expected a core for each of ", sites.size(), " sites, found ",
         cores_.size());
  for (const Site& site : sites) site_legs_.push_back(site.leg());
  check_cores();
  assign_charges(sites);
}

template <class T>
void MatrixProductOperator<T>::check_block_core(Index k, const BlockTensor<T>& core) const {
  const bool fits = core.order() == 4 && core.leg(0).direction() == Direction::in &&
                    core.leg(1).direction() == Direction::in &&
                    core.leg(2) == core.leg(1).reversed() &&
                    core.leg(3).direction() == Direction::out && core.leg(3).unique();
  if (!fits)
    fail(
        "MatrixProductOperator: core ", k,
        " must have the legs (left bond: in, out: in, in: out, right bond: out), out and in of the "
        "same sectors, every charge of a bond once");
  const Leg before = k == 0 ? Leg(core.leg(0).symmetry(), {{}}) : bond_legs_.back();
  if (core.leg(0) != before)
    fail("MatrixProductOperator: core ", k, " must have the left bond ", leg_text(before),
         ", found ", leg_text(core.leg(0)));
}

template <class T>
MatrixProductOperator<T>::MatrixProductOperator(const std::vector<BlockTensor<T>>& block_cores) {
  if (block_cores.empty()) fail("MatrixProductOperator: expected at least one core, found none");
  for (const BlockTensor<T>& block_core : block_cores) {
    check_block_core(length(), block_core);
    if (bond_legs_.empty()) bond_legs_.push_back(block_core.leg(0));
    bond_legs_.push_back(block_core.leg(3).reversed());
    site_legs_.push_back(block_core.leg(1));
    Core core{block_core.extent(0), block_core.extent(1), block_core.extent(3), {}};
    const std::vector<T> values = block_core.to_dense().to_vector();
    const Index size = core.dimension * core.dimension;
    for (Index left = 0; left < core.left_bond; ++left)
      for (Index right = 0; right < core.right_bond; ++right) {
        Entry entry{left, right, {}};
        for (Index i = 0; i < size; ++i)
          entry.matrix.push_back(
              values[static_cast<std::size_t>((left * size + i) * core.right_bond + right)]);
        if (std::ranges::any_of(entry.matrix, [](const T& x) { return x != T(0); }))
          core.entries.push_back(std::move(entry));
      }
    cores_.push_back(std::move(core));
  }
  check_cores();
  if (bond_legs_.back() != bond_legs_.front())
    fail("MatrixProductOperator: the operator changes the conserved charge: its last bond is ",
         leg_text(bond_legs_.back()));
}

template <class T>
void MatrixProductOperator<T>::check_cores() const {
  Index bond = 1;
  for (std::size_t k = 0; k < cores_.size(); ++k) {
    const Core& core = cores_[k];
    if (core.left_bond != bond || core.right_bond < 1 ||
        (k + 1 == cores_.size() && core.right_bond != 1))
      fail("MatrixProductOperator: core ", k, " has bonds ", core.left_bond, " and ",
           core.right_bond, ", expected ", bond, " on the left and one at the ends of the chain");
    if (core.dimension != site_legs_[k].dimension())
      fail("MatrixProductOperator: core ", k, " has dimension ", core.dimension, ", its site ",
           site_legs_[k].dimension());
    for (const Entry& entry : core.entries)
      if (entry.left < 0 || entry.left >= core.left_bond || entry.right < 0 ||
          entry.right >= core.right_bond ||
          static_cast<Index>(entry.matrix.size()) != core.dimension * core.dimension)
        fail("MatrixProductOperator: core ", k, ": entry (", entry.left, ", ", entry.right, ") of ",
             entry.matrix.size(), " numbers lies outside ", core.left_bond, "×", core.right_bond,
             " operators of dimension ", core.dimension);
    bond = core.right_bond;
  }
}

/// The charge of an index of a bond is that of an index left of it and what the operator between
/// them changes. Entries that are zero or that nothing leads to are dropped.
template <class T>
void MatrixProductOperator<T>::assign_charges(const Sites& sites) {
  const Symmetry& symmetry = site_legs_.front().symmetry();
  bond_legs_.assign(1, Leg(symmetry, {{}}));
  std::vector<std::optional<Charge>> left{Charge{}};
  for (std::size_t k = 0; k < cores_.size(); ++k) {
    if (site_legs_[k].symmetry() != symmetry)
      fail("MatrixProductOperator: sites 0 and ", k, " conserve different quantities");
    std::vector<std::optional<Charge>> right(static_cast<std::size_t>(cores_[k].right_bond));
    std::erase_if(cores_[k].entries, [&](const Entry& entry) {
      const auto& before = left[static_cast<std::size_t>(entry.left)];
      const std::vector<Complex> elements(entry.matrix.begin(), entry.matrix.end());
      const auto change = sites[k].charge_change({cores_[k].dimension, elements, false});
      if (!before || !change) return true;
      auto& charge = right[static_cast<std::size_t>(entry.right)];
      const Charge here = symmetry.sum(*before, *change);
      if (charge && *charge != here)
        fail("MatrixProductOperator: index ", entry.right, " of the bond right of site ", k,
             " has the charges ", symmetry.text(*charge), " and ", symmetry.text(here));
      charge = here;
      return false;
    });
    sort_bond(k, symmetry, right);
    left = std::move(right);
  }
  if (const Charge change = left.front().value_or(Charge{}); change != Charge{})
    fail("MatrixProductOperator: the operator changes the conserved charge by ",
         symmetry.text(change));
}

/// Sorts the indices of the bond right of site k by their charges.
template <class T>
void MatrixProductOperator<T>::sort_bond(std::size_t k, const Symmetry& symmetry,
                                         std::vector<std::optional<Charge>>& charges) {
  const auto charge_of = [&](std::size_t i) { return charges[i].value_or(Charge{}); };
  std::vector<std::size_t> order(charges.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, charge_of);
  std::vector<Index> places(order.size());
  std::vector<Sector> sectors;
  for (std::size_t i = 0; i < order.size(); ++i) {
    places[order[i]] = static_cast<Index>(i);
    const Charge charge = charge_of(order[i]);
    if (!sectors.empty() && sectors.back().charge == charge)
      ++sectors.back().dimension;
    else
      sectors.push_back({charge, 1});
  }
  for (Entry& entry : cores_[k].entries)
    entry.right = places[static_cast<std::size_t>(entry.right)];
  if (k + 1 < cores_.size())
    for (Entry& entry : cores_[k + 1].entries)
      entry.left = places[static_cast<std::size_t>(entry.left)];
  std::vector<std::optional<Charge>> sorted;
  for (const std::size_t i : order) sorted.push_back(charges[i]);
  charges = std::move(sorted);
  bond_legs_.emplace_back(symmetry, std::move(sectors));
}

template <class T>
BlockTensor<T> MatrixProductOperator<T>::block_core(Index k) const {
  const Core& c = core(k);
  const Index d = c.dimension;
  std::vector<T> values(static_cast<std::size_t>(c.left_bond * d * d * c.right_bond));
  for (const Entry& entry : c.entries)
    for (Index i = 0; i < d * d; ++i)
      values[static_cast<std::size_t>((entry.left * d * d + i) * c.right_bond + entry.right)] +=
          entry.matrix[static_cast<std::size_t>(i)];
  return BlockTensor<T>::from_dense(
      Tensor<T>::from({c.left_bond, d, d, c.right_bond}, std::span<const T>(values)),
      {bond_leg(k), site_leg(k), site_leg(k).reversed(), bond_leg(k + 1).reversed()});
}

template <class T>
std::vector<Index> MatrixProductOperator<T>::bonds() const {
  std::vector<Index> result;
  for (std::size_t k = 0; k + 1 < cores_.size(); ++k) result.push_back(cores_[k].right_bond);
  return result;
}

namespace {

/// Whether the only entry with this index (of the left bond, or of the right one) leads from
/// `other` by the identity.
template <class T>
bool only_identity(const typename MatrixProductOperator<T>::Core& core, bool right, Index index,
                   Index other) {
  bool found = false;
  for (const auto& entry : core.entries) {
    if ((right ? entry.right : entry.left) != index) continue;
    if (found || (right ? entry.left : entry.right) != other) return false;
    for (Index i = 0; i < core.dimension * core.dimension; ++i)
      if (entry.matrix[static_cast<std::size_t>(i)] != T(i % (core.dimension + 1) == 0 ? 1 : 0))
        return false;
    found = true;
  }
  return found;
}

}  // namespace

template <class T>
std::optional<Index> MatrixProductOperator<T>::identities_left_of(Index k) const {
  Index index = 0;
  for (Index j = 0; j < k; ++j) {
    std::optional<Index> next;
    for (Index r = 0; r < core(j).right_bond && !next; ++r)
      if (only_identity<T>(core(j), true, r, index)) next = r;
    if (!next) return std::nullopt;
    index = *next;
  }
  return index;
}

template <class T>
std::optional<Index> MatrixProductOperator<T>::identities_right_of(Index k) const {
  Index index = 0;
  for (Index j = length() - 1; j > k; --j) {
    std::optional<Index> next;
    for (Index l = 0; l < core(j).left_bond && !next; ++l)
      if (only_identity<T>(core(j), false, l, index)) next = l;
    if (!next) return std::nullopt;
    index = *next;
  }
  return index;
}

namespace {

/// H (or H†) as a train over the elements of the site operators, divided by √d on every site so
/// that its norm stays finite.
template <class T>
TensorTrain<T> as_train(const MatrixProductOperator<T>& mpo, bool adjoint) {
  std::vector<Tensor<T>> cores;
  for (Index k = 0; k < mpo.length(); ++k) {
    const auto& core = mpo.core(k);
    const Index d = core.dimension, right = core.right_bond;
    const T weight = T(1 / std::sqrt(static_cast<Real<T>>(d)));
    std::vector<T> values(static_cast<std::size_t>(core.left_bond * d * d * right));
    for (const auto& entry : core.entries)
      for (Index i = 0; i < d; ++i)
        for (Index j = 0; j < d; ++j) {
          const T value = weight * entry.matrix[static_cast<std::size_t>(i * d + j)];
          const Index place = adjoint ? j * d + i : i * d + j;
          values[static_cast<std::size_t>((entry.left * d * d + place) * right + entry.right)] +=
              adjoint ? conjugate_of(value) : value;
        }
    cores.push_back(Tensor<T>::from({core.left_bond, d * d, right}, std::span<const T>(values)));
  }
  return TensorTrain<T>(std::move(cores));
}

}  // namespace

template <class T>
double hermiticity_error(const MatrixProductOperator<T>& mpo) {
  const TensorTrain<T> H = as_train(mpo, false), adjoint = as_train(mpo, true);
  const double square = std::real(inner(H, H)), overlap = std::real(inner(adjoint, H));
  return square > 0 ? std::sqrt(std::max(0.0, 2 * (square - overlap) / square)) : 0;
}

template <class T>
void check_hermitian(const char* function, const MatrixProductOperator<T>& mpo) {
  const double error = hermiticity_error(mpo);
  if (error > 100 * std::sqrt(static_cast<double>(std::numeric_limits<Real<T>>::epsilon())))
    fail(function, ": expected a Hermitian operator, found one that differs from its adjoint by ",
         error, " of its norm");
}

template <class T>
Tensor<T> dense_matrix(const MatrixProductOperator<T>& mpo) {
  constexpr Index largest = Index{1} << 28;
  Index dimension = 1;
  Tensor<T> whole = Tensor<T>::from({1, 1, 1}, {T(1)});  // (out, in, right bond)
  for (Index k = 0; k < mpo.length(); ++k) {
    const Index d = mpo.core(k).dimension;
    dimension *= d;
    if (dimension * dimension > largest)
      fail("dense_matrix: an operator of dimension ", dimension, " or more has over 2^28 elements");
    whole = contract("iaw,wobv->iaobv", whole, mpo.block_core(k).to_dense());
    whole = permute(whole, std::vector<int>{0, 2, 1, 3, 4})
                .reshaped({dimension, dimension, mpo.core(k).right_bond});
  }
  return whole.reshaped({dimension, dimension});
}

#define METATT_INSTANTIATE(T)                                                  \
  template class MatrixProductOperator<T>;                                     \
  template double hermiticity_error(const MatrixProductOperator<T>&);          \
  template void check_hermitian(const char*, const MatrixProductOperator<T>&); \
  template Tensor<T> dense_matrix(const MatrixProductOperator<T>&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
