#pragma once
/// Exact diagonalisation with Eigen, behind an interface without Eigen, whose templates take the
/// compiler long. Operators are made by Kronecker products, independently of the MPO code.

#include <metatt/tn/chain/operator_sum.hpp>

#include <complex>
#include <memory>
#include <vector>

namespace metatt::tn::testing {

using Complex = std::complex<double>;

/// A dense complex matrix, row-major; vectors are matrices of one column.
class Matrix {
 public:
  Matrix(Index rows, Index columns)
      : rows_(rows), columns_(columns), elements_(static_cast<std::size_t>(rows * columns)) {}
  /// `elements` are those of a square matrix, or of a column if their number is `rows`.
  Matrix(Index rows, std::vector<Complex> elements);
  template <class T>
  static Matrix column(const std::vector<T>& elements) {
    return Matrix(static_cast<Index>(elements.size()),
                  std::vector<Complex>(elements.begin(), elements.end()));
  }
  static Matrix identity(Index rows);

  Index rows() const { return rows_; }
  Index columns() const { return columns_; }
  Complex& operator()(Index i, Index j = 0) {
    return elements_[static_cast<std::size_t>(i * columns_ + j)];
  }
  const Complex& operator()(Index i, Index j = 0) const {
    return elements_[static_cast<std::size_t>(i * columns_ + j)];
  }
  const std::vector<Complex>& elements() const { return elements_; }

  double norm() const;  ///< Frobenius
  Matrix normalised() const;
  Matrix adjoint() const;
  Matrix column(Index j) const;
  /// The rows and columns of these indices.
  Matrix part(const std::vector<Index>& indices) const;

 private:
  Index rows_, columns_;
  std::vector<Complex> elements_;
};

Matrix operator*(const Matrix& a, const Matrix& b);
Matrix operator*(Complex factor, const Matrix& a);
Matrix operator+(const Matrix& a, const Matrix& b);
Matrix operator-(const Matrix& a, const Matrix& b);
/// Σ conj(a) · b.
Complex dot(const Matrix& a, const Matrix& b);

/// The sum as a matrix, operator by operator.
Matrix exact_matrix(const OperatorSum& sum, const Sites& sites);

/// Of a Hermitian matrix, ascending.
std::vector<double> eigenvalues(const Matrix& matrix);
struct Eigenpairs {
  std::vector<double> values;
  Matrix vectors;  ///< in columns
};
Eigenpairs eigenpairs(const Matrix& matrix);

/// exp(z·H)·ψ of norm one.
Matrix exact_evolution(const OperatorSum& H, const Sites& sites, Complex z, const Matrix& psi);

/// The sum as a sparse matrix, for up to about 10⁵ states.
class SparseOperator {
 public:
  SparseOperator(const OperatorSum& sum, const Sites& sites);
  Matrix operator*(const Matrix& column) const;

 private:
  struct Elements;
  std::shared_ptr<const Elements> elements_;
};

/// The lowest eigenvalues, each once, and their vectors by Lanczos iteration; `start` decides the
/// sector.
Eigenpairs lowest_pairs(const SparseOperator& H, const Matrix& start, Index count);

/// exp(z·H)·ψ of norm one by a Taylor series in so many pieces, each with |z|·‖H‖ not far above 1.
Matrix exact_evolution(const SparseOperator& H, Complex z, const Matrix& psi, int pieces);

inline double ground_state_energy(const OperatorSum& sum, const Sites& sites) {
  return eigenvalues(exact_matrix(sum, sites)).front();
}

}  // namespace metatt::tn::testing
