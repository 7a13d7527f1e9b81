#pragma once
/// Contractions of any number of tensors, two at a time in the best order.

#include <metatt/tn/contract.hpp>

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace metatt::tn {

/// One step after the other: the tensors at these two places are replaced by their product, which
/// goes to the end of the list.
struct ContractionOrder {
  struct Step {
    std::size_t first, second;
    std::string indices;  ///< for contract() of two tensors
  };
  std::vector<Step> steps;
  double operations = 0;       ///< multiplications and additions of all steps
  double largest_product = 0;  ///< elements of the largest product on the way
};

/// The order with the fewest operations: exactly, over all orders, for up to eight tensors; beyond
/// that by always taking the pair whose product grows the memory least. Outer products count like
/// any others. The indices of a large product stand in the order, of a few that are
/// tried, with which it and the next product move the fewest elements. `indices` as in contract():
/// letters, so at most 52 different ones. Errors as contract().
ContractionOrder contraction_order(std::string_view indices, std::span<const Shape> shapes);

/// For one tensor: the permutation that leads from its indices to those of the result. Throws Error
/// if it would have to be summed.
std::vector<int> permutation_of(std::string_view indices);

/// Contracts tensors, at least one, dense or with blocks, in the order that was found for them.
template <class AnyTensor>
AnyTensor contract_in_order(std::string_view indices, const ContractionOrder& order,
                            std::vector<AnyTensor> list) {
  if (list.size() == 1) return permute(list.front(), permutation_of(indices));
  for (const auto& step : order.steps) {
    AnyTensor product = contract(step.indices, list[step.first], list[step.second]);
    for (const std::size_t place :
         {std::max(step.first, step.second), std::min(step.first, step.second)})
      list.erase(list.begin() + static_cast<std::ptrdiff_t>(place));
    list.push_back(std::move(product));
  }
  return std::move(list.front());
}

/// contract("ab,bcd,dc->a", {x, y, z}): sums over all indices that the result does not have. An
/// index may stand in more than two tensors. Throws Error on an index that stands in one tensor
/// only and not in the result, on one that occurs twice in a tensor, and on extents that differ.
template <class T>
Tensor<T> contract(std::string_view indices, std::span<const Tensor<T>> tensors);
template <class T>
Tensor<T> contract(std::string_view indices, std::initializer_list<Tensor<T>> tensors) {
  return contract(indices, std::span<const Tensor<T>>(tensors.begin(), tensors.size()));
}

/// Sums over the diagonal of two modes of equal extent: the result has the other modes. Throws
/// Error unless they are two modes of equal extent.
template <class T>
Tensor<T> trace(const Tensor<T>& tensor, int first, int second);

}  // namespace metatt::tn
