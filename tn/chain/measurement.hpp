#pragma once
/// What states of a chain tell: mean values, correlations, entanglement, samples.

#include <metatt/tn/chain/operator_sum.hpp>
#include <metatt/tn/tensor_train.hpp>

#include <span>
#include <string>
#include <vector>

namespace metatt::tn {

/// −Σ p ln p of the probabilities p = σ² / Σ σ².
double entropy(std::span<const double> singular_values);

/// Schmidt values of each bond, descending: bond_spectra() of the state at norm one, Σ σ² = 1.
template <class T>
std::vector<std::vector<double>> entanglement_spectra(const TensorTrain<T>& state);

/// ⟨ψ|O_k|ψ⟩ / ⟨ψ|ψ⟩ for one named operator on every site. Throws Error on an operator that is
/// fermionic, since its mean value is zero by parity, and on one that changes conserved charges by
/// different amounts (Sx where Sz is conserved: measure S+ and S-).
template <class T>
std::vector<std::complex<double>> local_expectations(const TensorTrain<T>& state,
                                                     const Sites& sites, const std::string& name);

/// ⟨ψ|A_i B_j|ψ⟩ / ⟨ψ|ψ⟩ of one site i with every site j, in one pass from i to the ends; fermionic
/// operators with their Jordan–Wigner strings. Cost of order n·m³·d. Throws Error on a site outside
/// the chain, on operators of which only one is fermionic, and as local_expectations on charges.
template <class T>
std::vector<std::complex<double>> correlations(const TensorTrain<T>& state, const Sites& sites,
                                               Index i, const std::string& A, const std::string& B);

/// The same for all pairs of sites, row i, column j, as one pass over the chain for each row (two
/// if A and B differ). Cost of order n²·m³·d.
template <class T>
std::vector<std::vector<std::complex<double>>> correlation_matrix(const TensorTrain<T>& state,
                                                                  const Sites& sites,
                                                                  const std::string& A,
                                                                  const std::string& B);

/// The density matrix of sites first … first + count − 1, Tr ρ = 1, as a matrix over their basis
/// states, the first site slowest: ⟨i|ρ|j⟩ at (i, j). Throws Error on sites outside the chain. Cost
/// of order m³·D + m²·D² for D basis states.
template <class T>
Tensor<T> reduced_density_matrix(const TensorTrain<T>& state, Index first, Index count);

/// Independent measurements of all sites in their basis: basis states with the probability that the
/// state gives them (perfect sampling, Ferris and Vidal, arXiv:1201.3974). The same seed gives the
/// same samples. Cost of order n·d·m² each.
template <class T>
std::vector<std::vector<Index>> sample(const TensorTrain<T>& state, Index count,
                                       std::uint64_t seed);

}  // namespace metatt::tn
