#pragma once
/// States of a chain as trains (matrix product states): where calculations start.

#include <metatt/tn/chain/operator_sum.hpp>
#include <metatt/tn/tensor_train.hpp>

#include <span>
#include <string>
#include <vector>

namespace metatt::tn {

/// |names[0]⟩ ⊗ |names[1]⟩ ⊗ …, all bonds one. Where the sites conserve charges, it is the start of
/// a calculation in its sector. Throws Error on a state that a site does not have and if there is
/// not one name for each site.
template <class T>
TensorTrain<T> product_state(const Sites& sites, std::span<const std::string> names);

/// Normally distributed cores with bonds of at most `bond`, or what the chain allows, norm one.
/// Where the sites conserve charges it has those of the product state `like`, and needs it;
/// otherwise it overlaps with every state. Throws Error as product_state.
template <class T>
TensorTrain<T> random_state(const Sites& sites, Index bond, std::uint64_t seed,
                            std::span<const std::string> like = {});

}  // namespace metatt::tn
