#pragma once
/// Tensors and Eigen matrices over the same memory, without copies. For programs that use Eigen;
/// the cpu backend only, since Eigen reads host memory.

#include <metatt/tn/tensor.hpp>

#include <Eigen/Core>

namespace metatt::tn {

template <class T>
using EigenMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// The memory of a tensor with two modes as a matrix. It is valid as long as the tensor is there
/// and is not written otherwise. Throws Error on another number of modes.
template <class T>
Eigen::Map<const EigenMatrix<T>> eigen_view(const Tensor<T>& matrix) {
  if (matrix.order() != 2)
    fail("eigen_view: expected two modes, found ", shape_text(matrix.shape()));
  return {matrix.data(), matrix.extent(0), matrix.extent(1)};
}

template <class T>
void eigen_view(Tensor<T>&&) = delete;  // it would look at memory that is gone

/// The same for writing; copies first if the memory is shared with another tensor.
template <class T>
Eigen::Map<EigenMatrix<T>> writable_eigen_view(Tensor<T>& matrix) {
  if (matrix.order() != 2)
    fail("writable_eigen_view: expected two modes, found ", shape_text(matrix.shape()));
  return {matrix.mutable_data(), matrix.extent(0), matrix.extent(1)};
}

/// A tensor over the memory of a matrix, vector or map that can be written and must outlive it and
/// all tensors made of it. A vector has one mode; a row-major matrix has the modes (rows, columns),
/// a column-major one, as Eigen's MatrixXd, is seen as its transpose: (columns, rows). Each sees
/// what is written into the other; while several tensors share the memory, none can be written.
/// Throws Error on a map whose numbers do not follow each other without gaps.
template <class Derived>
Tensor<typename Derived::Scalar> tensor_view(Eigen::MatrixBase<Derived>& matrix) {
  constexpr auto needed = Eigen::DirectAccessBit | Eigen::LvalueBit;
  static_assert((Derived::Flags & needed) == needed,
                "tensor_view: expected a matrix, vector or map that can be written");
  using T = typename Derived::Scalar;
  Derived& source = matrix.derived();
  const Index outer = Derived::IsRowMajor ? source.rows() : source.cols(),
              inner = Derived::IsRowMajor ? source.cols() : source.rows();
  const Shape shape = Derived::IsVectorAtCompileTime ? Shape{source.size()} : Shape{outer, inner};
  if (source.innerStride() != 1 || (outer > 1 && source.outerStride() != inner))
    fail("tensor_view: expected ", shape_text(shape), " numbers without gaps, found strides ",
         source.outerStride(), " and ", source.innerStride());
  return Tensor<T>::view_of(std::make_shared<Buffer<T>>(source.data(), element_count(shape)), 0,
                            shape);
}

}  // namespace metatt::tn
