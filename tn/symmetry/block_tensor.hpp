#pragma once
/// Tensors with conserved charges: only the blocks that the charges allow are stored, each dense.

#include <metatt/tn/symmetry/leg.hpp>
#include <metatt/tn/tensor.hpp>

#include <initializer_list>
#include <map>
#include <span>
#include <string_view>

namespace metatt::tn {

/// Which sector of each leg.
using BlockKey = std::vector<Index>;

/// A tensor whose element may differ from zero only where the charges of its indices, incoming ones
/// counted positive, add up to zero. A block holds one sector of every leg, row-major; a block that
/// is absent is zero. Without a symmetry there is one block, which is the dense tensor. Copies are
/// cheap and behave as values. A default-constructed tensor is empty (no legs, no blocks).
template <class T>
class BlockTensor {
 public:
  BlockTensor() = default;
  /// Zero. Throws Error if the legs have different symmetries.
  explicit BlockTensor(std::vector<Leg> legs);
  /// A dense tensor without a symmetry: all legs incoming but the last.
  BlockTensor(const Tensor<T>& dense);
  /// The blocks of a dense tensor. Throws Error if the extents differ from the legs', and if an
  /// element outside the blocks is not zero, naming its charge.
  static BlockTensor from_dense(const Tensor<T>& dense, std::vector<Leg> legs);

  const std::vector<Leg>& legs() const { return legs_; }
  const Leg& leg(int k) const { return legs_[static_cast<std::size_t>(k)]; }
  int order() const { return static_cast<int>(legs_.size()); }
  Index extent(int k) const { return leg(k).dimension(); }
  Shape shape() const;

  const std::map<BlockKey, Tensor<T>>& blocks() const { return blocks_; }
  /// The block, or nullptr where it is absent.
  const Tensor<T>* find(const BlockKey& key) const;
  Shape block_shape(const BlockKey& key) const;
  /// Whether the charges of these sectors add up to zero.
  bool allowed(const BlockKey& key) const;
  /// Throws Error if there are no such sectors, the charges do not allow the block, or its shape is
  /// wrong.
  void set_block(const BlockKey& key, Tensor<T> block);
  /// The block for writing, zeros if it was absent. Throws Error if the charges do not allow it.
  Tensor<T>& writable_block(const BlockKey& key);
  /// Applies `change` to the elements of every block: change(count, pointer).
  template <class Change>
  void change_blocks(const Change& change) {
    for (auto& [key, block] : blocks_) change(block.size(), block.mutable_data());
  }

  Index stored_elements() const;
  /// With all zeros; shares memory if there is one block that is everything.
  Tensor<T> to_dense() const;
  /// The only element of a tensor whose legs all have dimension one.
  T item() const;

 private:
  std::vector<Leg> legs_;
  std::map<BlockKey, Tensor<T>> blocks_;
};

/// Every key that the charges of these legs allow, ascending.
std::vector<BlockKey> allowed_keys(std::span<const Leg> legs);

/// Elements N(0, 1) in every allowed block.
template <class T>
BlockTensor<T> random_blocks(std::vector<Leg> legs, std::uint64_t seed, std::uint64_t stream = 0);

/// Complex conjugate; every leg changes its direction.
template <class T>
BlockTensor<T> conjugate(const BlockTensor<T>& x);

/// The tensor whose leg k is leg order[k] of x.
template <class T>
BlockTensor<T> permute(const BlockTensor<T>& x, std::span<const int> order);

/// As contract() of two dense tensors: sums over the indices that a and b share, one product for
/// each pair of blocks whose sectors agree. There are no batch indices. Throws Error on an index
/// that stands in one operand only and not in the result, and on shared legs that do not match
/// (other sectors, or the same direction).
template <class T>
BlockTensor<T> contract(std::string_view indices, const BlockTensor<T>& a, const BlockTensor<T>& b);

/// Of any number of tensors, two at a time in the order that contraction_order() finds for their
/// extents. Errors as that of two.
template <class T>
BlockTensor<T> contract(std::string_view indices, std::span<const BlockTensor<T>> tensors);
template <class T>
BlockTensor<T> contract(std::string_view indices, std::initializer_list<BlockTensor<T>> tensors) {
  return contract(indices, std::span<const BlockTensor<T>>(tensors.begin(), tensors.size()));
}

/// Sums over the diagonal of two legs: the result has the others. Throws Error unless they are two
/// legs that match (the same sectors, opposite directions).
template <class T>
BlockTensor<T> trace(const BlockTensor<T>& x, int first, int second);

/// a and b as the two blocks of a larger tensor along the legs `summed`, b behind a; along the
/// others they lie on each other, so that with no leg summed this is a + b. Throws Error if the
/// other legs differ, and if a summed one lists a charge twice or differs in direction.
template <class T>
BlockTensor<T> direct_sum(const BlockTensor<T>& a, const BlockTensor<T>& b,
                          std::span<const int> summed);

/// Frobenius norm.
template <class T>
Real<T> norm(const BlockTensor<T>& x);
/// Σ conj(a) · b. Throws Error if the legs differ.
template <class T>
T dot(const BlockTensor<T>& a, const BlockTensor<T>& b);
template <class T>
void scale(BlockTensor<T>& x, T factor);
/// y += alpha · x. Throws Error if the legs differ.
template <class T>
void add_scaled(T alpha, const BlockTensor<T>& x, BlockTensor<T>& y);
template <class T>
bool all_finite(const BlockTensor<T>& x);

}  // namespace metatt::tn
