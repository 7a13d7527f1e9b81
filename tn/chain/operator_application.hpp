#pragma once
/// Operators at work on states: H·ψ as a state, and ⟨H²⟩.

#include <metatt/tn/chain/matrix_product_operator.hpp>
#include <metatt/tn/tensor_train.hpp>

namespace metatt::tn {

/// How H·ψ becomes a train, for bonds w of H, m of ψ and m of the result. fit() is another way.
enum class Application {
  /// The whole product in canonical form, then rounded: every cut is the best one, to the last
  /// digit. Cost of order n·d·(w·m)³.
  exact,
  /// The same cuts from the density matrices of the product (as in ITensor): cost of order
  /// n·d·m³·w². Errors below 1e-8 of ‖H‖·‖ψ‖ (3e-4 in single precision) drown in rounding, also
  /// where the terms of H·ψ cancel.
  density_matrix,
  /// Cut while it is made (Stoudenmire and White, arXiv:1002.1305), with twice the rank and a tenth
  /// of the cutoff, then rounded: good cuts but not the best ones. Cost of order n·d·m³·w, and that
  /// of norm_of_product for the error.
  zip_up,
};

template <class T>
struct AppliedState {
  TensorTrain<T> state;
  /// ‖H·ψ − state‖. With zip_up from norms and overlaps: below 1e-8 of ‖H·ψ‖ it is rounding.
  double error = 0;
};

/// H·ψ, compressed with the same policy at every bond. Throws Error if lengths, dimensions or
/// charges differ.
template <class T>
AppliedState<T> apply(const MatrixProductOperator<T>& mpo, const TensorTrain<T>& state,
                      const TruncationPolicy& policy, Application method = Application::exact);

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
