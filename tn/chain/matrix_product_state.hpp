#pragma once
/// States of a chain as trains (matrix product states): preparation and measurement.

#include <metatt/tn/chain/operator_sum.hpp>
#include <metatt/tn/tensor_train.hpp>

#include <span>
#include <string>
#include <vector>

namespace metatt::tn {

/// −Σ p ln p of the probabilities p = σ² / Σ σ².
double entropy(std::span<const double> singular_values);

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

/// Schmidt values of each bond, descending, for a state of norm one: Σ σ² = 1.
template <class T>
std::vector<std::vector<double>> entanglement_spectra(const TensorTrain<T>& state);

/// ⟨ψ|O_k|ψ⟩ / ⟨ψ|ψ⟩ for one named operator on every site. Throws Error on an operator that is
/// fermionic, since its mean value is zero by parity, and on one that changes conserved charges by
/// different amounts (Sx where Sz is conserved: measure S+ and S-).
template <class T>
std::vector<std::complex<double>> local_expectations(const TensorTrain<T>& state,
                                                     const Sites& sites, const std::string& name);

/// ⟨ψ|A_i B_j|ψ⟩ / ⟨ψ|ψ⟩ for all pairs of sites, row i, column j, as one pass over the chain for
/// each row; fermionic operators with their Jordan–Wigner strings. Cost of order n²·m³·d.
template <class T>
std::vector<std::vector<std::complex<double>>> correlation_matrix(const TensorTrain<T>& state,
                                                                  const Sites& sites,
                                                                  const std::string& A,
                                                                  const std::string& B);

}  // namespace metatt::tn
