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

double lowest_level(const OperatorSum& sum, const Sites& sites, const Matrix& start) {
  const Sparse H = sparse_matrix(sum, sites);
  Eigen::VectorXcd v = mapped(start).col(0).normalized(), before = Eigen::VectorXcd::Zero(v.size());
  std::vector<double> diagonal, next;
  double energy = 0, last = 1;
  // Orthogonality is lost in the end, which doubles eigenvalues but does not move the lowest.
  while (diagonal.size() < 400 && (diagonal.size() < 20 || std::abs(energy - last) > 1e-14)) {
    Eigen::VectorXcd product = H * v;
    diagonal.push_back(v.dot(product).real());
    product -= diagonal.back() * v + (next.empty() ? 0 : next.back()) * before;
    last = energy;
    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> pairs;
    pairs.computeFromTridiagonal(
        Eigen::Map<Eigen::VectorXd>(diagonal.data(), static_cast<Eigen::Index>(diagonal.size())),
        Eigen::Map<Eigen::VectorXd>(next.data(), static_cast<Eigen::Index>(next.size())),
        Eigen::EigenvaluesOnly);
    energy = pairs.eigenvalues()(0);
    next.push_back(product.norm());
    before = v;
    v = product / next.back();
  }
  return energy;
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
