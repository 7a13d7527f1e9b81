#pragma once
/// Time evolution as an MPO.

#include <metatt/tn/chain/matrix_product_operator.hpp>

#include <complex>

namespace metatt::tn {

/// Which products of the terms of H are in a step (Zaletel et al., arXiv:1407.1832).
enum class EvolutionMethod {
  w1,  ///< of terms that do not cross: no site lies within the reach of two
  w2,  ///< of terms that share no site, and on one site the exponential
};

/// exp(z·H) for any range of couplings, with at most the bond dimension of H. To be applied one
/// after the other: one operator for order 1, whose error falls with z², and two for order 2 (steps
/// (1 ± i)·z / 2, hence T complex), whose error falls with z³. Neither is unitary beyond that.
/// Their largest_dropped() is that of H. Throws Error as matrix_product_operator, on another order,
/// and if T is real where numbers are not.
template <class T>
std::vector<MatrixProductOperator<T>> evolution_operators(
    const OperatorSum& sum, const Sites& sites, std::complex<double> z, int order,
    EvolutionMethod method = EvolutionMethod::w2);

}  // namespace metatt::tn
