#include <metatt/tn/symmetry/block_tensor.hpp>

#include <metatt/tn/contract.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::tn {

namespace {

std::string legs_text(std::span<const Leg> legs) {
  std::string text;
  for (const Leg& leg : legs) {
    text += text.empty() ? "(" : "; ";
    text += leg_text(leg);
  }
  return text + ")";
}

const Symmetry& symmetry_of(std::span<const Leg> legs) {
  static const Symmetry none;
  return legs.empty() ? none : legs.front().symmetry();
}

Charge total_charge(std::span<const Leg> legs, const BlockKey& key) {
  Charge sum;
  for (std::size_t k = 0; k < legs.size(); ++k) sum = legs[k].add_to(sum, key[k]);
  return sum;
}

/// The next key in ascending order; false behind the last.
bool advance(std::span<const Leg> legs, BlockKey& key) {
  for (std::size_t k = legs.size(); k-- > 0;) {
    if (++key[k] < legs[k].sector_count()) return true;
    key[k] = 0;
  }
  return false;
}

/// A box of these extents in a larger row-major tensor: calls row(place in the larger tensor, place
/// in the box, count) for each contiguous row of the box.
template <class Row>
void for_each_row(const Shape& larger, const Shape& offsets, const Shape& extents, const Row& row) {
  const std::size_t last = extents.size() - 1;
  const Index length = extents[last], rows = element_count(extents) / length;
  for (Index i = 0; i < rows; ++i) {
    Index rest = i, stride = larger[last], place = offsets[last];
    for (std::size_t k = last; k-- > 0;) {
      place += (offsets[k] + rest % extents[k]) * stride;
      rest /= extents[k];
      stride *= larger[k];
    }
    row(place, i * length, length);
  }
}

Shape block_offsets(const std::vector<Leg>& legs, const BlockKey& key) {
  Shape offsets;
  for (std::size_t k = 0; k < legs.size(); ++k) offsets.push_back(legs[k].offset(key[k]));
  return offsets;
}

}  // namespace

template <class T>
BlockTensor<T>::BlockTensor(std::vector<Leg> legs) : legs_(std::move(legs)) {
  for (const Leg& leg : legs_)
    if (leg.symmetry() != symmetry_of(legs_))
      fail("BlockTensor: the legs ", legs_text(legs_), " have different symmetries");
}

template <class T>
BlockTensor<T>::BlockTensor(const Tensor<T>& dense) {
  if (dense.empty()) return;
  for (const Index extent : dense.shape()) legs_.emplace_back(extent);
  if (!legs_.empty()) legs_.back() = legs_.back().reversed();
  blocks_.emplace(BlockKey(legs_.size()), dense);
}

template <class T>
BlockTensor<T> BlockTensor<T>::from_dense(const Tensor<T>& dense, std::vector<Leg> legs) {
  BlockTensor result(std::move(legs));
  if (dense.shape() != result.shape())
    fail("BlockTensor::from_dense: the legs ", legs_text(result.legs_), " do not fit the shape ",
         shape_text(dense.shape()));
  if (result.legs_.empty()) {
    result.blocks_.emplace(BlockKey(), dense);
    return result;
  }
  const std::span<const Leg> all = result.legs_;
  BlockKey key(all.size());
  do {
    Tensor<T> block(result.block_shape(key));
    T* elements = block.mutable_data();
    for_each_row(dense.shape(), block_offsets(result.legs_, key), block.shape(),
                 [&](Index from, Index to, Index count) {
                   backend::copy(backend::queue(), count, dense.data() + from, elements + to);
                 });
    if (result.allowed(key))
      result.blocks_.emplace(key, std::move(block));
    else if (backend::norm(backend::queue(), block.size(), block.data()) != 0)
      fail("BlockTensor::from_dense: an element of charge ",
           symmetry_of(all).text(total_charge(all, key)), " is not zero");
  } while (advance(all, key));
  return result;
}

template <class T>
Shape BlockTensor<T>::shape() const {
  Shape shape;
  for (const Leg& leg : legs_) shape.push_back(leg.dimension());
  return shape;
}

template <class T>
const Tensor<T>* BlockTensor<T>::find(const BlockKey& key) const {
  const auto place = blocks_.find(key);
  return place == blocks_.end() ? nullptr : &place->second;
}

template <class T>
Shape BlockTensor<T>::block_shape(const BlockKey& key) const {
  Shape shape;
  for (std::size_t k = 0; k < key.size(); ++k) shape.push_back(legs_[k].sector(key[k]).dimension);
  return shape;
}

template <class T>
bool BlockTensor<T>::allowed(const BlockKey& key) const {
  return total_charge(legs_, key) == Charge{};
}

template <class T>
void BlockTensor<T>::set_block(const BlockKey& key, Tensor<T> block) {
  bool exists = key.size() == legs_.size();
  for (std::size_t k = 0; exists && k < key.size(); ++k)
    exists = key[k] >= 0 && key[k] < legs_[k].sector_count();
  if (!exists)
    fail("BlockTensor: expected a sector of each of the legs ", legs_text(legs_), ", found ",
         shape_text(key));
  if (!allowed(key))
    fail("BlockTensor: a block of charge ", symmetry_of(legs_).text(total_charge(legs_, key)),
         " is not allowed");
  if (block.shape() != block_shape(key))
    fail("BlockTensor: expected a block of shape ", shape_text(block_shape(key)), ", found ",
         shape_text(block.shape()));
  blocks_.insert_or_assign(key, std::move(block));
}

template <class T>
Tensor<T>& BlockTensor<T>::writable_block(const BlockKey& key) {
  if (const auto place = blocks_.find(key); place != blocks_.end()) return place->second;
  set_block(key, Tensor<T>::zeros(block_shape(key)));
  return blocks_.at(key);
}

template <class T>
Index BlockTensor<T>::stored_elements() const {
  Index count = 0;
  for (const auto& [key, block] : blocks_) count += block.size();
  return count;
}

template <class T>
Tensor<T> BlockTensor<T>::to_dense() const {
  if (blocks_.size() == 1 && blocks_.begin()->second.shape() == shape())
    return blocks_.begin()->second;
  Tensor<T> dense = Tensor<T>::zeros(shape());
  T* elements = dense.mutable_data();
  for (const auto& entry : blocks_) {
    const T* values = entry.second.data();
    for_each_row(dense.shape(), block_offsets(legs_, entry.first), entry.second.shape(),
                 [&](Index to, Index from, Index count) {
                   backend::copy(backend::queue(), count, values + from, elements + to);
                 });
  }
  return dense;
}

template <class T>
T BlockTensor<T>::item() const {
  for (const Leg& leg : legs_)
    if (leg.dimension() != 1)
      fail("BlockTensor::item: expected legs of dimension one, found ", shape_text(shape()));
  return blocks_.empty() ? T(0) : blocks_.begin()->second.item();
}

std::vector<BlockKey> allowed_keys(std::span<const Leg> legs) {
  std::vector<BlockKey> keys;
  BlockKey key(legs.size());
  do {
    if (total_charge(legs, key) == Charge{}) keys.push_back(key);
  } while (advance(legs, key));
  return keys;
}

template <class T>
BlockTensor<T> random_blocks(std::vector<Leg> legs, std::uint64_t seed, std::uint64_t stream) {
  BlockTensor<T> result(std::move(legs));
  const auto keys = allowed_keys(result.legs());
  Index count = 0;
  for (const BlockKey& key : keys) count += element_count(result.block_shape(key));
  // One draw for all blocks, so that without a symmetry it is the dense one.
  const Tensor<T> all = random_normal<T>({count}, seed, stream);
  Index begin = 0;
  for (const BlockKey& key : keys) {
    const Shape shape = result.block_shape(key);
    const Index end = begin + element_count(shape);
    result.set_block(key, all.slice(begin, end).reshaped(shape));
    begin = end;
  }
  return result;
}

template <class T>
BlockTensor<T> conjugate(const BlockTensor<T>& x) {
  std::vector<Leg> legs;
  for (const Leg& leg : x.legs()) legs.push_back(leg.reversed());
  BlockTensor<T> result(std::move(legs));
  for (const auto& [key, block] : x.blocks()) result.set_block(key, block);
  if constexpr (!std::is_same_v<T, Real<T>>)
    result.change_blocks(
        [](Index count, T* data) { backend::conjugate(backend::queue(), count, data); });
  return result;
}

template <class T>
BlockTensor<T> permute(const BlockTensor<T>& x, std::span<const int> order) {
  const auto reordered = [&](const auto& list) {
    auto result = list;
    for (std::size_t k = 0; k < order.size(); ++k)
      result[k] = list[static_cast<std::size_t>(order[k])];
    return result;
  };
  std::vector<bool> seen(x.legs().size());
  for (const int k : order)
    if (k >= 0 && k < x.order()) seen[static_cast<std::size_t>(k)] = true;
  if (static_cast<int>(order.size()) != x.order() || !std::ranges::all_of(seen, std::identity()))
    fail("permute: expected a permutation of ", x.order(), " legs");
  BlockTensor<T> result(reordered(x.legs()));
  for (const auto& [key, block] : x.blocks())
    result.set_block(reordered(key), permute(block, order));
  return result;
}

template <class T>
BlockTensor<T> direct_sum(const BlockTensor<T>& a, const BlockTensor<T>& b,
                          std::span<const int> summed) {
  std::vector<Leg> legs = a.legs();
  std::vector<bool> grows(legs.size());
  for (const int k : summed) {
    if (k < 0 || k >= a.order() || k >= b.order() || !a.leg(k).unique() || !b.leg(k).unique())
      fail("direct_sum: leg ", k, " must exist and list every charge once");
    grows[static_cast<std::size_t>(k)] = true;
    legs[static_cast<std::size_t>(k)] = direct_sum(a.leg(k), b.leg(k));
  }
  for (std::size_t k = 0; k < legs.size(); ++k)
    if (a.order() != b.order() || (!grows[k] && a.legs()[k] != b.legs()[k]))
      fail("direct_sum: the legs ", legs_text(a.legs()), " and ", legs_text(b.legs()), " differ");
  BlockTensor<T> result(legs);
  for (const BlockTensor<T>* x : {&a, &b})
    for (const auto& [own_key, block] : x->blocks()) {
      BlockKey key = own_key;
      Shape offsets(key.size());
      for (std::size_t k = 0; k < key.size(); ++k) {
        if (!grows[k]) continue;
        const Charge charge = x->legs()[k].sector(own_key[k]).charge;
        key[k] = *legs[k].find(charge);
        if (const auto before = a.legs()[k].find(charge); x == &b && before)
          offsets[k] = a.legs()[k].sector(*before).dimension;
      }
      Tensor<T>& target = result.writable_block(key);
      T* elements = target.mutable_data();
      const T* values = block.data();
      for_each_row(target.shape(), offsets, block.shape(), [&](Index to, Index from, Index count) {
        backend::add_scaled(backend::queue(), count, T(1), values + from, elements + to);
      });
    }
  return result;
}

template <class T>
Real<T> norm(const BlockTensor<T>& x) {
  Real<T> sum = 0;
  for (const auto& [key, block] : x.blocks())
    sum = std::hypot(sum, backend::norm(backend::queue(), block.size(), block.data()));
  return sum;
}

template <class T>
T dot(const BlockTensor<T>& a, const BlockTensor<T>& b) {
  if (a.legs() != b.legs())
    fail("dot: the legs ", legs_text(a.legs()), " and ", legs_text(b.legs()), " differ");
  T sum = 0;
  for (const auto& [key, block] : a.blocks())
    if (const Tensor<T>* other = b.find(key))
      sum += backend::dot(backend::queue(), block.size(), block.data(), other->data());
  return sum;
}

template <class T>
void scale(BlockTensor<T>& x, T factor) {
  x.change_blocks(
      [&](Index count, T* data) { backend::scale(backend::queue(), count, factor, data); });
}

template <class T>
void add_scaled(T alpha, const BlockTensor<T>& x, BlockTensor<T>& y) {
  if (x.legs() != y.legs())
    fail("add_scaled: the legs ", legs_text(x.legs()), " and ", legs_text(y.legs()), " differ");
  for (const auto& [key, block] : x.blocks())
    backend::add_scaled(backend::queue(), block.size(), alpha, block.data(),
                        y.writable_block(key).mutable_data());
}

template <class T>
bool all_finite(const BlockTensor<T>& x) {
  return std::ranges::all_of(x.blocks(), [](const auto& entry) {
    return backend::all_finite(backend::queue(), entry.second.size(), entry.second.data());
  });
}

#define METATT_BLOCK_TENSOR(T)                                                           \
  template class BlockTensor<T>;                                                         \
  template BlockTensor<T> random_blocks(std::vector<Leg>, std::uint64_t, std::uint64_t); \
  template BlockTensor<T> conjugate(const BlockTensor<T>&);                              \
  template BlockTensor<T> permute(const BlockTensor<T>&, std::span<const int>);          \
  template BlockTensor<T> direct_sum(const BlockTensor<T>&, const BlockTensor<T>&,       \
                                     std::span<const int>);                              \
  template Real<T> norm(const BlockTensor<T>&);                                          \
  template T dot(const BlockTensor<T>&, const BlockTensor<T>&);                          \
  template void scale(BlockTensor<T>&, T);                                               \
  template void add_scaled(T, const BlockTensor<T>&, BlockTensor<T>&);                   \
  template bool all_finite(const BlockTensor<T>&);
METATT_BLOCK_TENSOR(float)
METATT_BLOCK_TENSOR(double)
METATT_BLOCK_TENSOR(std::complex<float>)
METATT_BLOCK_TENSOR(std::complex<double>)
#undef METATT_BLOCK_TENSOR

}  // namespace metatt::tn
