#include <metatt/tn/tensor.hpp>

#include <algorithm>
#include <limits>

namespace metatt::tn {

Index element_count(std::span<const Index> shape) {
  for (const Index extent : shape)
    if (extent < 0) fail("element_count: extents must not be negative, found ", shape_text(shape));
  if (std::find(shape.begin(), shape.end(), Index{0}) != shape.end()) return 0;
  Index count = 1;
  for (const Index extent : shape)
    if (__builtin_mul_overflow(count, extent, &count))
      fail("element_count: the number of elements of ", shape_text(shape),
           " does not fit in 64 bits");
  return count;
}

template <class T>
Tensor<T>::Tensor(Shape shape) : size_(element_count(shape)), shape_(std::move(shape)) {
  if (size_ > std::numeric_limits<Index>::max() / static_cast<Index>(sizeof(T)))
    fail("Tensor: the bytes of ", shape_text(shape_), " do not fit in 64 bits");
  buffer_ = std::make_shared<Buffer<T>>(size_);
}

template <class T>
Tensor<T> Tensor<T>::zeros(Shape shape) {
  Tensor result(std::move(shape));
  backend::fill(backend::queue(), result.size_, T(0), result.mutable_data());
  return result;
}

template <class T>
Tensor<T> Tensor<T>::from(Shape shape, std::span<const T> values) {
  const Index count = element_count(shape);
  if (count != static_cast<Index>(values.size()))
    fail("Tensor::from: the shape ", shape_text(shape), " needs ", count, " values, found ",
         values.size());
  Tensor result(std::move(shape));
  backend::copy_from_host(backend::queue(), values.data(), result.mutable_data(),
                          values.size_bytes());
  return result;
}

template <class T>
Tensor<T> Tensor<T>::view_of(std::shared_ptr<Buffer<T>> buffer, Index offset, Shape shape) {
  if (!buffer) fail("Tensor::view_of: expected a buffer, found none");
  const Index count = element_count(shape);
  if (offset < 0 || offset > buffer->count() || count > buffer->count() - offset)
    fail("Tensor::view_of: ", count, " elements from offset ", offset,
         " on do not lie in a buffer of ", buffer->count());
  Tensor result;
  result.buffer_ = std::move(buffer);
  result.offset_ = offset;
  result.size_ = count;
  result.view_ = true;
  result.shape_ = std::move(shape);
  return result;
}

template <class T>
Index Tensor<T>::extent(int mode) const {
  const int position = mode < 0 ? mode + order() : mode;
  if (position < 0 || position >= order())
    fail("Tensor::extent: mode ", mode, " of a tensor with ", order(), " modes");
  return shape_[static_cast<std::size_t>(position)];
}

template <class T>
T* Tensor<T>::mutable_data() {
  if (!buffer_) return nullptr;
  if (!unique()) {
    if (view_)
      fail("Tensor::mutable_data: the tensor ", shape_text(shape_),
           " is a view of a shared buffer; write through the owner of the buffer");
    auto own = std::make_shared<Buffer<T>>(size_);
    backend::copy(backend::queue(), size_, data(), own->data());
    buffer_ = std::move(own);
    offset_ = 0;
  }
  return buffer_->data() + offset_;
}

template <class T>
Tensor<T> Tensor<T>::reshaped(Shape shape) const {
  if (empty()) fail("Tensor::reshaped: the tensor is empty");
  if (element_count(shape) != size_)
    fail("Tensor::reshaped: expected a shape of ", size_, " elements like ", shape_text(shape_),
         ", found ", shape_text(shape));
  Tensor result = *this;
  result.shape_ = std::move(shape);
  return result;
}

template <class T>
Tensor<T> Tensor<T>::slice(Index begin, Index end) const {
  if (shape_.empty()) fail("Tensor::slice: expected a tensor with modes, found none");
  if (begin < 0 || begin > end || end > shape_[0])
    fail("Tensor::slice: expected 0 ≤ begin ≤ end ≤ ", shape_[0], ", found ", begin, " and ", end);
  const Index stride = shape_[0] == 0 ? 0 : size_ / shape_[0];
  Tensor result = *this;
  result.shape_[0] = end - begin;
  result.offset_ += begin * stride;
  result.size_ = (end - begin) * stride;
  return result;
}

template <class T>
std::vector<T> Tensor<T>::to_vector() const {
  std::vector<T> values(static_cast<std::size_t>(size_));
  backend::copy_to_host(backend::queue(), data(), values.data(), values.size() * sizeof(T));
  return values;
}

template <class T>
T Tensor<T>::at(std::initializer_list<Index> indices) const {
  const Shape position(indices);
  bool inside = !empty() && position.size() == shape_.size();
  Index offset = 0;
  for (std::size_t mode = 0; inside && mode < shape_.size(); ++mode) {
    inside = position[mode] >= 0 && position[mode] < shape_[mode];
    offset = offset * shape_[mode] + position[mode];
  }
  if (!inside)
    fail("Tensor::at: expected indices inside ", empty() ? "an empty tensor" : shape_text(shape_),
         ", found ", shape_text(position));
  T value;
  backend::copy_to_host(backend::queue(), data() + offset, &value, sizeof(T));
  return value;
}

template <class T>
T Tensor<T>::item() const {
  if (size_ != 1) fail("Tensor::item: expected one element, found ", size_);
  T value;
  backend::copy_to_host(backend::queue(), data(), &value, sizeof(T));
  return value;
}

template <class T>
Tensor<T> random_normal(Shape shape, std::uint64_t seed, std::uint64_t stream) {
  Tensor<T> result(std::move(shape));
  backend::random_normal(backend::queue(), result.size(), seed, stream, result.mutable_data());
  return result;
}

template <class To, class From>
Tensor<To> converted(const Tensor<From>& in) {
  Tensor<To> out(in.shape());
  if constexpr (std::is_same_v<From, To>)
    backend::copy(backend::queue(), in.size(), in.data(), out.mutable_data());
  else
    backend::convert(backend::queue(), in.size(), in.data(), out.mutable_data());
  return out;
}

template <class T>
Tensor<T> leading_columns(const Tensor<T>& matrix, Index count) {
  if (matrix.order() != 2 || count < 0 || count > matrix.extent(1))
    fail("leading_columns: expected at most the columns of a matrix, found ", count, " of ",
         shape_text(matrix.shape()));
  if (count == matrix.extent(1)) return matrix;
  Tensor<T> result({matrix.extent(0), count});
  backend::copy_matrix(backend::queue(), matrix.extent(0), count, matrix.data(), matrix.extent(1),
                       result.mutable_data(), count);
  return result;
}

template <class T>
Tensor<T> identity(Index rows, Index columns) {
  Tensor<T> result = Tensor<T>::zeros({rows, columns});
  const Index diagonal = std::min(rows, columns);
  Tensor<T> ones({diagonal});
  Queue& queue = backend::queue();
  backend::fill(queue, diagonal, T(1), ones.mutable_data());
  // The diagonal is a column of leading dimension columns + 1.
  backend::copy_matrix(queue, diagonal, Index{1}, ones.data(), Index{1}, result.mutable_data(),
                       columns + 1);
  return result;
}

#define METATT_INSTANTIATE(T)                                               \
  template class Tensor<T>;                                                 \
  template Tensor<T> random_normal<T>(Shape, std::uint64_t, std::uint64_t); \
  template Tensor<T> leading_columns(const Tensor<T>&, Index);              \
  template Tensor<T> identity<T>(Index, Index);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE
template class Tensor<std::int32_t>;
template Tensor<float> converted(const Tensor<float>&);
template Tensor<float> converted(const Tensor<double>&);
template Tensor<double> converted(const Tensor<float>&);
template Tensor<double> converted(const Tensor<double>&);

}  // namespace metatt::tn
