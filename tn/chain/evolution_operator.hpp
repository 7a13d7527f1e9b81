#pragma once
/// Time evolution as an MPO.

#include <metatt/tn/chain/matrix_product_operator.hpp>

#include <complex>

namespace metatt::tn {

/// exp(z·H) for any range of couplings, with at most the bond dimension of H: W-II of Zaletel et
/// al., arXiv:1407.1832, which has all products of terms that share no site, and on one site the
/// exponential. To be applied one after the other: one operator for order 1, whose error falls with
/// z², and two for order 2 (steps (1 ± i)·z / 2, hence T complex), whose error falls with z³.
/// Neither is unitary beyond that. Throws Error as matrix_product_operator, on another order, and
/// if T is real where numbers are not.
template <class T>
std::vector<MatrixProductOperator<T>> evolution_operators(const OperatorSum& sum,
                                                          const Sites& sites,
                                                          std::complex<double> z, int order);

}  // namespace metatt::tn
