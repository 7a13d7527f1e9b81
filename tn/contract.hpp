#pragma once
/// Contractions of two tensors: at most one permutation of each operand and of the result, and one
/// gemm (strided-batched, if there are batch indices) in between.

#include <metatt/tn/tensor.hpp>

#include <span>
#include <string_view>
#include <vector>

namespace metatt::tn {

/// The tensor whose mode k is mode order[k] of `tensor`. Shares memory if the elements stay where
/// they are (only modes of extent one move). Throws Error if `order` is no permutation.
template <class T>
Tensor<T> permute(const Tensor<T>& tensor, std::span<const int> order);

/// op(a) · op(b) for two matrices, in one gemm. Throws Error on other orders or extents.
template <class T>
Tensor<T> matrix_product(const Tensor<T>& a, const Tensor<T>& b,
                         Transpose transpose_a = Transpose::no,
                         Transpose transpose_b = Transpose::no);

/// Sums over the indices that a and b share and the result does not have, in the notation of
/// Einstein sums: contract("iaj,jbk->iabk", a, b). Indices are letters. An index in all three is a
/// batch index: one product for each of its values. Throws Error on an index that stands in one
/// operand only and not in the result (sum it before), on an index that occurs twice in a tensor,
/// and on extents that differ. Cost 2 · (product of all different extents) flops.
template <class T>
Tensor<T> contract(std::string_view indices, const Tensor<T>& a, const Tensor<T>& b);

/// Sums over modes_a[i] of a together with modes_b[i] of b. The result has the remaining modes of
/// a, then those of b. Modes count from zero.
template <class T>
Tensor<T> contract(const Tensor<T>& a, std::span<const int> modes_a, const Tensor<T>& b,
                   std::span<const int> modes_b);

/// How one tensor of a contraction is laid out as matrices for gemm.
struct MatrixLayout {
  Shape shape;             ///< the extents as stored, those of one left out
  std::vector<int> order;  ///< permutation needed (of `shape`); empty: used where it lies
  Transpose transpose = Transpose::no;
  Index leading_dimension = 1;
  Index batch_stride = 0;
};

/// What contract() does, decided from indices and extents alone.
struct ContractionPlan {
  MatrixLayout a, b;
  /// Of what gemm writes; its `order` leads from there to the result.
  MatrixLayout product;
  bool swapped = false;  ///< gemm multiplies b · a, so that the result comes out in order
  Index batch = 1, rows = 1, columns = 1, inner = 1;
  Shape result_shape;

  Index moved_elements() const;  ///< of the tensors that are permuted
};

/// The plan that moves the fewest elements. Errors as contract().
ContractionPlan plan_contraction(std::string_view indices, std::span<const Index> shape_a,
                                 std::span<const Index> shape_b);

}  // namespace metatt::tn
