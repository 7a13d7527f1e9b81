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

/// Every site followed by its ancilla: site k of the physical chain is site 2k.
Sites purification_sites(const Sites& physical);

/// The purification of a chain at infinite temperature (Verstraete, García-Ripoll and Cirac,
/// cond-mat/0406426): every site maximally entangled with its ancilla, norm one, total charge zero,
/// on purification_sites(physical). exp(−βH/2) on it, with H written for the sites 2k, gives the
/// thermal state: its mean values are those at the temperature 1/β, over all sectors. The norm that
/// the steps report multiply to √(Tr exp(−βH) / Π d_k).
template <class T>
TensorTrain<T> infinite_temperature_state(const Sites& physical);

}  // namespace metatt::tn
