#include <metatt/tn/symmetry/block_decompositions.hpp>

#include <metatt/tn/contract.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

namespace metatt::tn {

namespace {

/// Sectors of some legs, and where their indices stand in a matrix.
struct Part {
  BlockKey key;
  Index offset, size;
};

/// The rows and columns of the matrix of one charge.
struct Group {
  std::vector<Part> rows, columns;
  Index row_count = 0, column_count = 0;
};

/// A block tensor as one matrix for each charge that both sides can have.
template <class T>
class Matrices {
 public:
  Matrices(const char* function, const BlockTensor<T>& x, int row_legs) : x_(x) {
    if (row_legs < 1 || row_legs >= x.order())
      fail(function, ": expected 1 to ", x.order() - 1, " of the ", x.order(),
           " legs as rows, found ", row_legs);
    const std::span<const Leg> legs = x.legs();
    row_legs_.assign(legs.begin(), legs.begin() + row_legs);
    column_legs_.assign(legs.begin() + row_legs, legs.end());
    for_each_key(row_legs_, [&](const BlockKey& key, const Charge& charge, Index size) {
      Group& group = groups_[charge];
      group.rows.push_back({key, group.row_count, size});
      group.row_count += size;
    });
    for_each_key(column_legs_, [&](const BlockKey& key, const Charge& charge, Index size) {
      // The charges of both sides add up to zero.
      const auto found = groups_.find(symmetry().difference({}, charge));
      if (found == groups_.end()) return;
      found->second.columns.push_back({key, found->second.column_count, size});
      found->second.column_count += size;
    });
    std::erase_if(groups_, [](const auto& entry) { return entry.second.columns.empty(); });
    if (groups_.empty()) fail(function, ": the charges of the legs allow no block");
  }

  const std::map<Charge, Group>& groups() const { return groups_; }
  const Symmetry& symmetry() const { return row_legs_.front().symmetry(); }

  Tensor<T> matrix(const Group& group) const {
    if (group.rows.size() == 1 && group.columns.size() == 1)
      if (const Tensor<T>* block = x_.find(joined(group.rows[0].key, group.columns[0].key)))
        return block->reshaped({group.row_count, group.column_count});
    Tensor<T> result = Tensor<T>::zeros({group.row_count, group.column_count});
    T* elements = result.mutable_data();
    for (const Part& row : group.rows)
      for (const Part& column : group.columns)
        if (const Tensor<T>* block = x_.find(joined(row.key, column.key)))
          backend::copy_matrix(backend::queue(), row.size, column.size, block->data(), column.size,
                               elements + row.offset * group.column_count + column.offset,
                               group.column_count);
    return result;
  }

  /// (row legs, new leg) from the matrices of the charges in ascending order; likewise below.
  BlockTensor<T> left_factor(const std::vector<Tensor<T>>& matrices, const Leg& leg) const {
    std::vector<Leg> legs = row_legs_;
    legs.push_back(leg);
    BlockTensor<T> result(std::move(legs));
    Index sector = 0;
    for (const auto& [charge, group] : groups_) {
      if (leg.find(charge) != sector) continue;
      const Tensor<T>& matrix = matrices[static_cast<std::size_t>(sector)];
      for (const Part& row : group.rows) {
        BlockKey key = row.key;
        key.push_back(sector);
        const Tensor<T> rows = matrix.slice(row.offset, row.offset + row.size);
        result.set_block(key, rows.reshaped(result.block_shape(key)));
      }
      ++sector;
    }
    return result;
  }

  BlockTensor<T> right_factor(const std::vector<Tensor<T>>& matrices, const Leg& leg) const {
    std::vector<Leg> legs{leg.reversed()};
    legs.insert(legs.end(), column_legs_.begin(), column_legs_.end());
    BlockTensor<T> result(std::move(legs));
    Index sector = 0;
    for (const auto& [charge, group] : groups_) {
      if (leg.find(charge) != sector) continue;
      const Tensor<T>& matrix = matrices[static_cast<std::size_t>(sector)];
      for (const Part& column : group.columns) {
        const BlockKey key = joined({sector}, column.key);
        Tensor<T> block(result.block_shape(key));
        backend::copy_matrix(backend::queue(), matrix.extent(0), column.size,
                             matrix.data() + column.offset, group.column_count,
                             block.mutable_data(), column.size);
        result.set_block(key, std::move(block));
      }
      ++sector;
    }
    return result;
  }

 private:
  static BlockKey joined(BlockKey a, const BlockKey& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }

  /// visit(key, charge, number of indices) for all sectors of the legs, ascending.
  template <class Visit>
  static void for_each_key(const std::vector<Leg>& legs, const Visit& visit) {
    const std::function<void(BlockKey, Charge, Index)> descend =
        [&](const BlockKey& key, const Charge& charge, Index size) {
          if (key.size() == legs.size()) return visit(key, charge, size);
          const Leg& leg = legs[key.size()];
          for (Index s = 0; s < leg.sector_count(); ++s)
            descend(joined(key, {s}), leg.add_to(charge, s), size * leg.sector(s).dimension);
        };
    descend({}, {}, 1);
  }

  const BlockTensor<T>& x_;
  std::vector<Leg> row_legs_, column_legs_;
  std::map<Charge, Group> groups_;
};

/// How many values of each spectrum are among the `kept` largest of all.
std::vector<Index> shares(const std::vector<std::vector<double>>& spectra, Index kept) {
  std::vector<std::pair<double, std::size_t>> all;
  for (std::size_t g = 0; g < spectra.size(); ++g)
    for (const double value : spectra[g]) all.emplace_back(value, g);
  std::ranges::stable_sort(all, std::greater(), &std::pair<double, std::size_t>::first);
  std::vector<Index> counts(spectra.size());
  for (Index i = 0; i < kept; ++i) ++counts[all[static_cast<std::size_t>(i)].second];
  return counts;
}

}  // namespace

template <class T>
BlockQr<T> qr(const BlockTensor<T>& x, int row_legs) {
  const Matrices<T> matrices("qr", x, row_legs);
  std::vector<Sector> sectors;
  std::vector<Tensor<T>> left, right;
  for (const auto& [charge, group] : matrices.groups()) {
    Qr<T> factors = qr(matrices.matrix(group));
    sectors.push_back({charge, factors.r.extent(0)});
    left.push_back(std::move(factors.q));
    right.push_back(std::move(factors.r));
  }
  const Leg leg(matrices.symmetry(), std::move(sectors), Direction::out);
  return {matrices.left_factor(left, leg), matrices.right_factor(right, leg)};
}

template <class T>
BlockLq<T> lq(const BlockTensor<T>& x, int row_legs) {
  const Matrices<T> matrices("lq", x, row_legs);
  std::vector<Sector> sectors;
  std::vector<Tensor<T>> left, right;
  for (const auto& [charge, group] : matrices.groups()) {
    Lq<T> factors = lq(matrices.matrix(group));
    sectors.push_back({charge, factors.q.extent(0)});
    left.push_back(std::move(factors.l));
    right.push_back(std::move(factors.q));
  }
  const Leg leg(matrices.symmetry(), std::move(sectors), Direction::out);
  return {matrices.left_factor(left, leg), matrices.right_factor(right, leg)};
}

namespace {

/// The factors of all charges, in ascending order, with what the policy keeps of their values.
template <class T>
TruncatedBlockSvd<T> assembled(const Matrices<T>& matrices, const std::vector<Svd<T>>& factors,
                               const TruncationPolicy& policy) {
  std::vector<std::vector<double>> spectra;
  TruncatedBlockSvd<T> result;
  for (const Svd<T>& own : factors) {
    const auto& values = spectra.emplace_back(own.singular_values);
    result.spectrum.insert(result.spectrum.end(), values.begin(), values.end());
  }
  std::ranges::sort(result.spectrum, std::greater());
  result.truncation = truncate(result.spectrum, policy);
  const std::vector<Index> kept = shares(spectra, result.truncation.kept);
  std::vector<Sector> sectors;
  std::vector<Tensor<T>> left, right;
  std::size_t g = 0;
  for (const auto& [charge, group] : matrices.groups()) {
    if (const Index count = kept[g]; count > 0) {
      sectors.push_back({charge, count});
      left.push_back(leading_columns(factors[g].u, count));
      right.push_back(factors[g].vh.slice(0, count));
      result.singular_values.emplace_back(spectra[g].begin(), spectra[g].begin() + count);
    }
    ++g;
  }
  const Leg leg(matrices.symmetry(), std::move(sectors), Direction::out);
  result.u = matrices.left_factor(left, leg);
  result.vh = matrices.right_factor(right, leg);
  return result;
}

}  // namespace

template <class T>
TruncatedBlockSvd<T> truncated_svd(const BlockTensor<T>& x, int row_legs,
                                   const TruncationPolicy& policy) {
  const Matrices<T> matrices("truncated_svd", x, row_legs);
  std::vector<Svd<T>> factors;
  for (const auto& [charge, group] : matrices.groups())
    factors.push_back(svd(matrices.matrix(group)));
  return assembled(matrices, factors, policy);
}

template <class T>
RandomizedBlockSvd<T> randomized_svd(const BlockTensor<T>& x, int row_legs, Index rank,
                                     const RandomizedSvdSettings& settings) {
  const Matrices<T> matrices("randomized_svd", x, row_legs);
  std::vector<Svd<T>> factors;
  for (const auto& [charge, group] : matrices.groups())
    factors.push_back(randomized_svd(matrices.matrix(group), rank, settings));
  TruncatedBlockSvd<T> cut =
      assembled(matrices, factors, {.maximum_rank = rank, .minimum_rank = rank});
  const double whole = static_cast<double>(norm(x));
  double rest = whole * whole;
  for (const auto& sector : cut.singular_values)
    for (const double value : sector) rest -= value * value;
  return {std::move(cut.u), std::move(cut.vh), std::move(cut.singular_values),
          std::sqrt(std::max(rest, 0.0))};
}

namespace {

/// Half of the legs, if the other half are the same reversed.
template <class T>
int half_of_legs(const char* function, const BlockTensor<T>& x, const char* expected) {
  const int half = x.order() / 2;
  for (int k = 0; k < half; ++k)
    if (x.order() % 2 != 0 || !x.leg(k).matches(x.leg(half + k)))
      fail(function, ": expected ", expected, ", found ", shape_text(x.shape()));
  return half;
}

}  // namespace

template <class T>
BlockEigh<T> eigh(const BlockTensor<T>& x) {
  const int half = half_of_legs("eigh", x, "legs and then the same reversed");
  const Matrices<T> matrices("eigh", x, half);
  std::vector<Sector> sectors;
  std::vector<Tensor<T>> left;
  BlockEigh<T> result;
  for (const auto& [charge, group] : matrices.groups()) {
    Eigh<T> pairs = eigh(matrices.matrix(group));
    sectors.push_back({charge, pairs.vectors.extent(1)});
    left.push_back(std::move(pairs.vectors));
    result.values.push_back(std::move(pairs.values));
  }
  const Leg leg(matrices.symmetry(), std::move(sectors), Direction::out);
  result.vectors = matrices.left_factor(left, leg);
  return result;
}

namespace {

enum class Side { left, right };

/// Whether eigenvalues, whose errors are of order ε of the largest, are exact enough for a cut of
/// this policy among so many values.
template <class T>
bool resolved(const TruncationPolicy& policy, Index values) {
  constexpr double floor = 100 * static_cast<double>(std::numeric_limits<Real<T>>::epsilon());
  return policy.cutoff >= floor || (policy.cutoff == 0 && policy.maximum_rank < values);
}

/// Singular vectors of one side.
template <class T>
struct SideVectors {
  Tensor<T> eigenvectors;      ///< in columns, ascending
  std::vector<double> values;  ///< descending
  Tensor<T> matrix;            ///< whose vectors of the other side they are; else empty

  /// Of the largest values, in any order, as columns (left) or as rows of the adjoint (right).
  Tensor<T> leading(Index count, Side side) const {
    const bool left = side == Side::left;
    const Index n = eigenvectors.extent(0);
    Tensor<T> last({n, count});
    backend::copy_matrix(backend::queue(), n, count, eigenvectors.data() + n - count, n,
                         last.mutable_data(), count);
    if (matrix.empty()) return left ? last : adjoint(last);
    return left ? qr(matrix_product(matrix, last)).q
                : lq(matrix_product(last, matrix, Transpose::conjugate, Transpose::no)).q;
  }
};

/// Those of a matrix from its product with its adjoint.
template <class T>
SideVectors<T> vectors_of_square(const Tensor<T>& square) {
  Eigh<T> pairs = eigh(square);
  std::vector<double> values;
  for (std::size_t i = pairs.values.size(); i-- > 0;)
    values.push_back(std::sqrt(std::max(pairs.values[i], 0.0)));
  return {std::move(pairs.vectors), std::move(values), {}};
}

/// Those of a sum in which terms may cancel: what is left is then rounding and not Hermitian.
template <class T>
SideVectors<T> vectors_of_sum(const Tensor<T>& square, Side) {
  Tensor<T> hermitian = adjoint(square);
  backend::add_scaled(backend::queue(), square.size(), T(1), square.data(),
                      hermitian.mutable_data());
  backend::scale(backend::queue(), square.size(), T(0.5), hermitian.mutable_data());
  return vectors_of_square(hermitian);
}

/// A·Aᴴ (left) or Aᴴ·A (right). Of a large one only the panels on and below the diagonal are
/// multiplied, those on it at half weight, and the adjoint is added.
template <class T>
Tensor<T> square_of(const Tensor<T>& matrix, Side side) {
  constexpr Index width = 128;
  const bool left = side == Side::left;
  const Transpose first = left ? Transpose::no : Transpose::conjugate,
                  second = left ? Transpose::conjugate : Transpose::no;
  const Index n = matrix.extent(left ? 0 : 1), inner = matrix.extent(left ? 1 : 0),
              step = matrix.extent(1);
  if (n <= 2 * width) return matrix_product(matrix, matrix, first, second);
  Tensor<T> half = Tensor<T>::zeros({n, n});
  const auto multiply = [&](T weight, Index row, Index rows, Index column, Index columns) {
    const Index place = left ? step : 1;
    backend::gemm(backend::queue(), first, second, rows, columns, inner, weight,
                  matrix.data() + row * place, step, matrix.data() + column * place, step, T(0),
                  half.mutable_data() + row * n + column, n);
  };
  for (Index begin = 0; begin < n; begin += width) {
    const Index end = std::min(n, begin + width);
    multiply(T(0.5), begin, end - begin, begin, end - begin);
    if (end < n) multiply(T(1), end, n - end, begin, end - begin);
  }
  Tensor<T> square = adjoint(half);
  backend::add_scaled(backend::queue(), square.size(), T(1), half.data(), square.mutable_data());
  return square;
}

/// Of a matrix: from its product with its adjoint on that side or, where that is much the larger
/// one, on the other.
template <class T>
SideVectors<T> side_vectors(const Tensor<T>& matrix, Side side) {
  const bool left = side == Side::left;
  const Index own = matrix.extent(left ? 0 : 1), other = matrix.extent(left ? 1 : 0);
  const Real<T> size = backend::norm(backend::queue(), matrix.size(), matrix.data());
  // Squares of very small or large numbers would leave the range.
  Tensor<T> scaled = matrix;
  const bool extreme = size > 0 && (size < Real<T>(1e-12) || size > Real<T>(1e12));
  if (extreme) backend::scale(backend::queue(), scaled.size(), T(1 / size), scaled.mutable_data());
  // What comes after the eigenvectors of the other side costs a third of them.
  const bool direct = 4 * own <= 5 * other;
  SideVectors<T> result =
      vectors_of_square(square_of(scaled, direct == left ? Side::left : Side::right));
  result.values.resize(static_cast<std::size_t>(std::min(own, other)));  // the others are zero
  if (extreme)
    for (double& value : result.values) value *= static_cast<double>(size);
  if (!direct) result.matrix = scaled;
  return result;
}

template <class T>
LeadingVectors<T> leading_vectors(const char* function, const BlockTensor<T>& x, int row_legs,
                                  const TruncationPolicy& policy, Side side,
                                  SideVectors<T> (*decompose)(const Tensor<T>&, Side)) {
  const Matrices<T> matrices(function, x, row_legs);
  std::vector<SideVectors<T>> own;
  std::vector<std::vector<double>> spectra;
  LeadingVectors<T> result;
  for (const auto& [charge, group] : matrices.groups()) {
    own.push_back(decompose(matrices.matrix(group), side));
    const auto& values = spectra.emplace_back(own.back().values);
    result.spectrum.insert(result.spectrum.end(), values.begin(), values.end());
  }
  std::ranges::sort(result.spectrum, std::greater());
  result.truncation = truncate(result.spectrum, policy);
  const std::vector<Index> kept = shares(spectra, result.truncation.kept);
  std::vector<Sector> sectors;
  std::vector<Tensor<T>> parts;
  std::size_t g = 0;
  for (const auto& [charge, group] : matrices.groups()) {
    if (const Index count = kept[g]; count > 0) {
      sectors.push_back({charge, count});
      parts.push_back(own[g].leading(count, side));
    }
    ++g;
  }
  const Leg leg(matrices.symmetry(), std::move(sectors), Direction::out);
  result.vectors =
      side == Side::left ? matrices.left_factor(parts, leg) : matrices.right_factor(parts, leg);
  return result;
}

/// Singular values of a tensor as a matrix without charges, of which it has at least as many.
template <class T>
Index most_values(const BlockTensor<T>& x, int row_legs) {
  Index rows = 1, columns = 1;
  for (int k = 0; k < x.order(); ++k) (k < row_legs ? rows : columns) *= x.extent(k);
  return std::min(rows, columns);
}

}  // namespace

template <class T>
LeadingVectors<T> leading_left_vectors(const BlockTensor<T>& x, int row_legs,
                                       const TruncationPolicy& policy) {
  if (resolved<T>(policy, most_values(x, row_legs)))
    return leading_vectors("leading_left_vectors", x, row_legs, policy, Side::left,
                           side_vectors<T>);
  TruncatedBlockSvd<T> cut = truncated_svd(x, row_legs, policy);
  return {std::move(cut.u), std::move(cut.spectrum), cut.truncation};
}

template <class T>
LeadingVectors<T> leading_right_vectors(const BlockTensor<T>& x, int row_legs,
                                        const TruncationPolicy& policy) {
  if (resolved<T>(policy, most_values(x, row_legs)))
    return leading_vectors("leading_right_vectors", x, row_legs, policy, Side::right,
                           side_vectors<T>);
  TruncatedBlockSvd<T> cut = truncated_svd(x, row_legs, policy);
  return {std::move(cut.vh), std::move(cut.spectrum), cut.truncation};
}

template <class T>
LeadingVectors<T> leading_eigenvectors(const BlockTensor<T>& square,
                                       const TruncationPolicy& policy) {
  const int half =
      half_of_legs("leading_eigenvectors", square, "the adjoint legs first, then the legs");
  return leading_vectors("leading_eigenvectors", square, half, policy, Side::right,
                         vectors_of_sum<T>);
}

template <class T>
BlockTensor<T> leg_scaled(BlockTensor<T> x, int leg,
                          const std::vector<std::vector<double>>& factors) {
  const auto place = static_cast<std::size_t>(leg);
  std::vector<BlockKey> keys;
  for (const auto& [key, block] : x.blocks()) keys.push_back(key);
  for (const BlockKey& key : keys) {
    Tensor<T>& block = x.writable_block(key);
    const auto& values = factors[static_cast<std::size_t>(key[place])];
    const std::vector<Real<T>> host(values.begin(), values.end());
    Index outer = 1, inner = 1;
    for (int k = 0; k < leg; ++k) outer *= block.extent(k);
    for (int k = leg + 1; k < block.order(); ++k) inner *= block.extent(k);
    const Index own = block.extent(leg);
    T* elements = block.mutable_data();
    if (inner == 1)
      backend::scale_columns(backend::queue(), outer, own, host.data(), elements);
    else
      for (Index i = 0; i < outer; ++i)
        backend::scale_rows(backend::queue(), own, inner, host.data(), elements + i * own * inner);
  }
  return x;
}

#define METATT_BLOCK_DECOMPOSITIONS(T)                                                             \
  template BlockQr<T> qr(const BlockTensor<T>&, int);                                              \
  template BlockLq<T> lq(const BlockTensor<T>&, int);                                              \
  template TruncatedBlockSvd<T> truncated_svd(const BlockTensor<T>&, int,                          \
                                              const TruncationPolicy&);                            \
  template RandomizedBlockSvd<T> randomized_svd(const BlockTensor<T>&, int, Index,                 \
                                                const RandomizedSvdSettings&);                     \
  template BlockEigh<T> eigh(const BlockTensor<T>&);                                               \
  template LeadingVectors<T> leading_left_vectors(const BlockTensor<T>&, int,                      \
                                                  const TruncationPolicy&);                        \
  template LeadingVectors<T> leading_right_vectors(const BlockTensor<T>&, int,                     \
                                                   const TruncationPolicy&);                       \
  template LeadingVectors<T> leading_eigenvectors(const BlockTensor<T>&, const TruncationPolicy&); \
  template BlockTensor<T> leg_scaled(BlockTensor<T>, int, const std::vector<std::vector<double>>&);
METATT_BLOCK_DECOMPOSITIONS(float)
METATT_BLOCK_DECOMPOSITIONS(double)
METATT_BLOCK_DECOMPOSITIONS(std::complex<float>)
METATT_BLOCK_DECOMPOSITIONS(std::complex<double>)
#undef METATT_BLOCK_DECOMPOSITIONS

}  // namespace metatt::tn
