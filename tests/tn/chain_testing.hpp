#pragma once
/// Hamiltonians and checks that the tests of chains share.

#include "exact_diagonalisation.hpp"

#include <metatt/tn/tensor_train.hpp>

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <iostream>
#include <string>

namespace metatt::tn::testing {

/// For long calculations whose code shorter tests run too: without optimisation and with sanitizers
/// they take minutes.
inline boost::test_tools::assertion_result without_sanitizers(boost::unit_test::test_unit_id id) {
#ifdef METATT_ADDRESS_SANITIZER
  std::cout << boost::unit_test::framework::get(id, boost::unit_test::TUT_ANY).p_name
            << ": skipped, too long under sanitizers\n";
  return false;
#else
  return id != boost::unit_test::INV_TEST_UNIT_ID;
#endif
}

inline bool long_tests() {
  return std::getenv("METATT_LONG_TESTS") != nullptr;
}

/// For calculations of many minutes.
inline boost::test_tools::assertion_result on_demand(boost::unit_test::test_unit_id id) {
  if (long_tests()) return true;
  std::cout << boost::unit_test::framework::get(id, boost::unit_test::TUT_ANY).p_name
            << ": skipped, takes minutes; METATT_LONG_TESTS=1 runs it\n";
  return false;
}

/// All elements of a state as a column.
template <class T>
Matrix as_vector(const TensorTrain<T>& state) {
  return Matrix::column(state.to_dense().to_vector());
}

/// Σ S_i·S_{i+1}, any spin.
inline OperatorSum heisenberg(Index n) {
  OperatorSum H;
  for (Index i = 0; i + 1 < n; ++i) {
    H += 0.5 * op("S+", i) * op("S-", i + 1) + 0.5 * op("S-", i) * op("S+", i + 1);
    H += op("Sz", i) * op("Sz", i + 1);
  }
  return H;
}

/// Hopping t = 1 and U n_up n_down of spinful electrons.
inline OperatorSum hubbard(Index n, double U) {
  OperatorSum H;
  for (Index i = 0; i < n; ++i) H += U * op("NupNdown", i);
  for (Index i = 0; i + 1 < n; ++i)
    for (const std::string spin : {"up", "down"}) {
      H -= op("Cdag" + spin, i) * op("C" + spin, i + 1);
      H -= op("Cdag" + spin, i + 1) * op("C" + spin, i);
    }
  return H;
}

/// The sum on every `step`-th site of a longer chain.
inline OperatorSum spread(const OperatorSum& sum, Index step) {
  OperatorSum result;
  for (OperatorProduct term : sum.terms()) {
    for (auto& factor : term.factors) factor.site *= step;
    result += term;
  }
  return result;
}

}  // namespace metatt::tn::testing
