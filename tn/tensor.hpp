#pragma once
/// Dense tensors: contiguous, row-major, value semantics.

#include <metatt/tn/backend/backend.hpp>
#include <metatt/tn/error.hpp>

#include <initializer_list>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace metatt::tn {

using Shape = std::vector<Index>;

/// Product of the extents. Throws Error on a negative extent or if the product leaves 64 bits.
Index element_count(std::span<const Index> shape);

/// A block of backend memory that goes back to the pool with its last owner, or memory that belongs
/// to somebody else.
template <class T>
class Buffer {
 public:
  explicit Buffer(Index count)
      : count_(count), data_(static_cast<T*>(backend::allocate(bytes()))), owned_(true) {}
  /// Over memory that outlives the buffer.
  Buffer(T* foreign, Index count) : count_(count), data_(foreign), owned_(false) {}
  ~Buffer() {
    if (owned_) backend::deallocate(data_, bytes());
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* data() const { return data_; }
  Index count() const { return count_; }

 private:
  std::size_t bytes() const { return static_cast<std::size_t>(count_) * sizeof(T); }

  Index count_;
  T* data_;
  bool owned_;
};

/// A dense tensor of T (float, double, complex of both; std::int32_t as plain storage). Copies are
/// cheap and behave as values: two tensors may share memory until one of them is written through
/// mutable_data(), which first gives the writer its own copy. A default-constructed tensor is empty
/// (no memory, size 0).
template <class T>
class Tensor {
 public:
  Tensor() = default;

  /// Uninitialised memory of this shape; no modes make a scalar (one element).
  explicit Tensor(Shape shape);

  static Tensor zeros(Shape shape);
  /// `values` in row-major order; their number must be the product of the extents.
  static Tensor from(Shape shape, std::span<const T> values);
  static Tensor from(Shape shape, std::initializer_list<T> values) {
    return from(std::move(shape), std::span<const T>(values.begin(), values.size()));
  }
  /// A tensor over `count(shape)` elements of `buffer` from `offset` on. Unlike all others it does
  /// not own its elements alone: it sees what others write into the buffer (this is how parameters
  /// see the arena). mutable_data() refuses while the buffer is shared this way.
  static Tensor view_of(std::shared_ptr<Buffer<T>> buffer, Index offset, Shape shape);

  bool empty() const { return !buffer_; }
  const Shape& shape() const { return shape_; }
  int order() const { return static_cast<int>(shape_.size()); }
  /// Extent of mode `mode`; negative modes count from the end.
  Index extent(int mode) const;
  Index size() const { return size_; }

  const T* data() const { return buffer_ ? buffer_->data() + offset_ : nullptr; }
  /// For writing; copies first if the memory is shared with another tensor.
  T* mutable_data();
  /// True if nobody else shares the memory, so that mutable_data() will not copy.
  bool unique() const { return buffer_ && buffer_.use_count() == 1; }

  /// The same elements under another shape of equal size. Shares memory.
  Tensor reshaped(Shape shape) const;
  /// Indices begin … end-1 of the first mode. Shares memory.
  Tensor slice(Index begin, Index end) const;

  /// All elements, row-major, on the host.
  std::vector<T> to_vector() const;
  /// One element, copied to the host. For inspection and tests, not for loops.
  T at(std::initializer_list<Index> indices) const;
  /// The element of a tensor of size one.
  T item() const;

 private:
  std::shared_ptr<Buffer<T>> buffer_;
  Index offset_ = 0;
  Index size_ = 0;
  bool view_ = false;
  Shape shape_;
};

/// Elements N(0, 1), the same for a seed and stream on every backend (see backend::random_normal).
template <class T>
Tensor<T> random_normal(Shape shape, std::uint64_t seed, std::uint64_t stream = 0);

/// A copy with elements of another precision: float and double, each to each.
template <class To, class From>
Tensor<To> converted(const Tensor<From>& in);

/// The first `count` columns of a matrix. Shares memory if these are all.
template <class T>
Tensor<T> leading_columns(const Tensor<T>& matrix, Index count);

/// rows × columns with ones on the diagonal.
template <class T>
Tensor<T> identity(Index rows, Index columns);

}  // namespace metatt::tn
