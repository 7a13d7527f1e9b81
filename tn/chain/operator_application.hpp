#pragma once
/// Operators at work on states: H·ψ as a state, and ⟨H²⟩.

#include <metatt/tn/chain/matrix_product_operator.hpp>
#include <metatt/tn/tensor_train.hpp>

namespace metatt::tn {

template <class T>
struct AppliedState {
  TensorTrain<T> state;
  double error_bound = 0;  ///< on ‖H·ψ − state‖, which is the error itself up to rounding
};

/// H·ψ, compressed with the same policy at every bond: the exact product is brought into canonical
/// form by QR while it is made (the order of the zip-up algorithm, Stoudenmire and White,
/// arXiv:1002.1305), then rounded. Throws Error if lengths, dimensions or charges differ. Cost of
/// order n·d·(w·m)³ for bonds w of the operator and m of the state.
template <class T>
AppliedState<T> apply(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state,
                      const TruncationPolicy& policy);

/// ⟨bra|H|ket⟩. Throws Error as apply. Cost as expectation.
template <class T>
T matrix_element(const TensorTrain<T>& bra, const MatrixProductOperator<T>& mpo,
                 const TensorTrain<T>& ket);

/// ‖H·ψ‖, of which nothing is cut off. Throws Error as apply. Cost as variance.
template <class T>
double norm_of_product(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state);

/// ⟨H²⟩ − ⟨H⟩² of a state, whatever its norm: zero for an eigenstate, and an error bar of its
/// energy. Exact but for rounding, which leaves about 1e-15·⟨H²⟩. Throws Error as apply. Cost of
/// order n·d·(m³·w² + m²·w³).
template <class T>
double variance(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state);

}  // namespace metatt::tn
