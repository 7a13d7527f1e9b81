#pragma once
/// Operators on a whole chain as dense matrices, made by Kronecker products and independent of the
/// MPO code, and exact diagonalisation with Eigen.

#include <metatt/tn/chain/operator_sum.hpp>

#include <Eigen/Dense>
#include <Eigen/Sparse>
#include <boost/test/unit_test.hpp>

#include <complex>
#include <string>
#include <vector>

namespace metatt::tn::testing {

using Matrix = Eigen::MatrixXcd;

using SparseMatrix = Eigen::SparseMatrix<std::complex<double>>;

inline SparseMatrix kronecker(const SparseMatrix& a, const SparseMatrix& b) {
  std::vector<Eigen::Triplet<std::complex<double>>> elements;
  for (Eigen::Index i = 0; i < a.outerSize(); ++i)
    for (SparseMatrix::InnerIterator x(a, i); x; ++x)
      for (Eigen::Index j = 0; j < b.outerSize(); ++j)
        for (SparseMatrix::InnerIterator y(b, j); y; ++y)
          elements.emplace_back(x.row() * b.rows() + y.row(), x.col() * b.cols() + y.col(),
                                x.value() * y.value());
  SparseMatrix result(a.rows() * b.rows(), a.cols() * b.cols());
  result.setFromTriplets(elements.begin(), elements.end());
  return result;
}

/// The matrix of one named operator on its site, with the parity of all sites left of it if it is
/// fermionic (c_j = F_0 … F_{j−1} a_j).
inline SparseMatrix whole(const OperatorProduct::Factor& factor, const Sites& sites) {
  const auto sparse = [](const LocalOperator& op) {
    return SparseMatrix(
        Matrix(Eigen::Map<const Eigen::Matrix<std::complex<double>, -1, -1, Eigen::RowMajor>>(
                   op.elements.data(), op.dimension, op.dimension))
            .sparseView());
  };
  const auto& own = sites[static_cast<std::size_t>(factor.site)].find_operator(factor.name);
  SparseMatrix result = sparse(LocalOperator::identity(1));
  for (std::size_t k = 0; k < sites.size(); ++k) {
    const auto site = static_cast<Index>(k);
    const char* other = own.fermionic && site < factor.site ? "F" : "Id";
    result = kronecker(result, sparse(site == factor.site ? own : sites[k].find_operator(other)));
  }
  return result;
}

/// The sum as a matrix, operator by operator.
inline Matrix exact_matrix(const OperatorSum& sum, const Sites& sites) {
  Index dimension = 1;
  for (const Site& site : sites) dimension *= site.dimension();
  SparseMatrix result(dimension, dimension), identity(dimension, dimension);
  identity.setIdentity();
  for (const auto& term : sum.terms()) {
    SparseMatrix product = identity * term.coefficient;
    for (const auto& factor : term.factors) product = SparseMatrix(product * whole(factor, sites));
    result += product;
  }
  return Matrix(result);
}

inline double lowest_eigenvalue(const Matrix& matrix) {
  return Eigen::SelfAdjointEigenSolver<Matrix>(matrix, Eigen::EigenvaluesOnly).eigenvalues()(0);
}

inline double ground_state_energy(const OperatorSum& sum, const Sites& sites) {
  return lowest_eigenvalue(exact_matrix(sum, sites));
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

}  // namespace metatt::tn::testing
