#include "exact_diagonalisation.hpp"

#include <Eigen/Dense>
#include <Eigen/Sparse>

#include <cmath>

namespace metatt::tn::testing {

namespace {

using Sparse = Eigen::SparseMatrix<Complex>;
using RowMajor = Eigen::Matrix<Complex, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Map<const RowMajor> mapped(const Matrix& matrix) {
  return {matrix.elements().data(), matrix.rows(), matrix.columns()};
}

Matrix from_eigen(const RowMajor& matrix) {
  Matrix result(matrix.rows(), matrix.cols());
  for (Index i = 0; i < result.rows(); ++i)
    for (Index j = 0; j < result.columns(); ++j) result(i, j) = matrix(i, j);
  return result;
}

Sparse kronecker(const Sparse& a, const Sparse& b) {
  std::vector<Eigen::Triplet<Complex>> elements;
  for (Eigen::Index i = 0; i < a.outerSize(); ++i)
    for (Sparse::InnerIterator x(a, i); x; ++x)
      for (Eigen::Index j = 0; j < b.outerSize(); ++j)
        for (Sparse::InnerIterator y(b, j); y; ++y)
          elements.emplace_back(x.row() * b.rows() + y.row(), x.col() * b.cols() + y.col(),
                                x.value() * y.value());
  Sparse result(a.rows() * b.rows(), a.cols() * b.cols());
  result.setFromTriplets(elements.begin(), elements.end());
  return result;
}

Sparse sparse(const LocalOperator& op) {
  return RowMajor(Eigen::Map<const RowMajor>(op.elements.data(), op.dimension, op.dimension))
      .sparseView();
}

/// The matrix of one named operator on its site, with the parity of all sites left of it if it is
/// fermionic (c_j = F_0 … F_{j−1} a_j).
Sparse whole(const OperatorProduct::Factor& factor, const Sites& sites) {
  const auto& own = sites[static_cast<std::size_t>(factor.site)].find_operator(factor.name);
  Sparse result = sparse(LocalOperator::identity(1));
  for (std::size_t k = 0; k < sites.size(); ++k) {
    const auto site = static_cast<Index>(k);
    const char* other = own.fermionic && site < factor.site ? "F" : "Id";
    result = kronecker(result, sparse(site == factor.site ? own : sites[k].find_operator(other)));
  }
  return result;
}

}  // namespace

Matrix::Matrix(Index rows, std::vector<Complex> elements)
    : rows_(rows),
      columns_(rows == 0 ? 0 : static_cast<Index>(elements.size()) / rows),
      elements_(std::move(elements)) {}

Matrix Matrix::identity(Index rows) {
  Matrix result(rows, rows);
  for (Index i = 0; i < rows; ++i) result(i, i) = 1;
  return result;
}

double Matrix::norm() const {
  return std::sqrt(dot(*this, *this).real());
}

Matrix Matrix::normalised() const {
  return (1 / norm()) * *this;
}

Matrix Matrix::adjoint() const {
  return from_eigen(mapped(*this).adjoint());
}

Matrix Matrix::column(Index j) const {
  return from_eigen(mapped(*this).col(j));
}

Matrix Matrix::part(const std::vector<Index>& indices) const {
  const auto count = static_cast<Index>(indices.size());
  Matrix result(count, count);
  for (Index i = 0; i < count; ++i)
    for (Index j = 0; j < count; ++j)
      result(i, j) =
          (*this)(indices[static_cast<std::size_t>(i)], indices[static_cast<std::size_t>(j)]);
  return result;
}

Matrix operator*(const Matrix& a, const Matrix& b) {
  return from_eigen(mapped(a) * mapped(b));
}

Matrix operator*(Complex factor, const Matrix& a) {
  return from_eigen(factor * mapped(a));
}

Matrix operator+(const Matrix& a, const Matrix& b) {
  return from_eigen(mapped(a) + mapped(b));
}

Matrix operator-(const Matrix& a, const Matrix& b) {
  return from_eigen(mapped(a) - mapped(b));
}

Complex dot(const Matrix& a, const Matrix& b) {
  return mapped(a).conjugate().cwiseProduct(mapped(b)).sum();
}

namespace {

Sparse sparse_matrix(const OperatorSum& sum, const Sites& sites) {
  Index dimension = 1;
  for (const Site& site : sites) dimension *= site.dimension();
  Sparse result(dimension, dimension), identity(dimension, dimension);
  identity.setIdentity();
  for (const auto& term : sum.terms()) {
    Sparse product = identity * term.coefficient;
    for (const auto& factor : term.factors) product = Sparse(product * whole(factor, sites));
    result += product;
  }
  return result;
}

}  // namespace

Matrix exact_matrix(const OperatorSum& sum, const Sites& sites) {
  return from_eigen(RowMajor(sparse_matrix(sum, sites)));
}

struct SparseOperator::Elements {
  Eigen::SparseMatrix<Complex, Eigen::RowMajor> matrix;
};

SparseOperator::SparseOperator(const OperatorSum& sum, const Sites& sites)
    : elements_(std::make_shared<Elements>(Elements{sparse_matrix(sum, sites)})) {}

Matrix SparseOperator::operator*(const Matrix& column) const {
  return from_eigen(elements_->matrix * mapped(column));
}

Eigenpairs lowest_pairs(const SparseOperator& H, const Matrix& start, Index count) {
  constexpr Index most = 300;
  Eigen::MatrixXcd basis(start.rows(), most);
  basis.col(0) = mapped(start).col(0).normalized();
  std::vector<double> diagonal, next;
  Eigen::VectorXd last = Eigen::VectorXd::Constant(count, 1);
  for (Index n = 1;; ++n) {
    const Eigen::VectorXcd v = basis.col(n - 1);
    Eigen::VectorXcd product = mapped(H * from_eigen(v));
    diagonal.push_back(v.dot(product).real());
    for (int turn = 0; turn < 2; ++turn)
      product -= basis.leftCols(n) * (basis.leftCols(n).adjoint() * product).eval();
    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> pairs;
    pairs.computeFromTridiagonal(
        Eigen::Map<Eigen::VectorXd>(diagonal.data(), static_cast<Eigen::Index>(n)),
        Eigen::Map<Eigen::VectorXd>(next.data(), static_cast<Eigen::Index>(n - 1)));
    next.push_back(product.norm());
    const bool enough = n >= 20 && n > count;
    if (n == most || next.back() < 1e-12 ||
        (enough && (pairs.eigenvalues().head(count) - last).norm() < 1e-13)) {
      const Index found = std::min(count, n);
      const auto values = pairs.eigenvalues().head(found);
      return {{values.begin(), values.end()},
              from_eigen(basis.leftCols(n) * pairs.eigenvectors().leftCols(found))};
    }
    if (n >= count) last = pairs.eigenvalues().head(count);
    basis.col(n) = product / next.back();
  }
}

Matrix exact_evolution(const SparseOperator& H, Complex z, const Matrix& psi, int pieces) {
  Matrix state = psi;
  for (int piece = 0; piece < pieces; ++piece) {
    Matrix power = state;
    for (int order = 1; order <= 40; ++order) {
      power = z / static_cast<double>(pieces * order) * (H * power);
      state = state + power;
    }
  }
  return state.normalised();
}

std::vector<double> eigenvalues(const Matrix& matrix) {
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXcd> solver(mapped(matrix),
                                                               Eigen::EigenvaluesOnly);
  return {solver.eigenvalues().begin(), solver.eigenvalues().end()};
}

Eigenpairs eigenpairs(const Matrix& matrix) {
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXcd> solver(mapped(matrix));
  return {{solver.eigenvalues().begin(), solver.eigenvalues().end()},
          from_eigen(solver.eigenvectors())};
}

Matrix exact_evolution(const OperatorSum& H, const Sites& sites, Complex z, const Matrix& psi) {
  const Eigenpairs pairs = eigenpairs(exact_matrix(H, sites));
  Matrix weights = pairs.vectors.adjoint() * psi;
  for (Index i = 0; i < weights.rows(); ++i)
    weights(i) *= std::exp(z * pairs.values[static_cast<std::size_t>(i)]);
  return (pairs.vectors * weights).normalised();
}

}  // namespace metatt::tn::testing
