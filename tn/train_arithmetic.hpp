#pragma once
/// Arithmetic of tensor trains element by element.

#include <metatt/tn/tensor_train.hpp>

namespace metatt::tn {

/// The tensor of the products of the elements of a and b; the ranks multiply. Throws Error if the
/// modes differ, and where charges are conserved, which the product would not. Cost of order
/// n·d·r_a²·r_b².
template <class T>
TensorTrain<T> hadamard(const TensorTrain<T>& a, const TensorTrain<T>& b);

}  // namespace metatt::tn
