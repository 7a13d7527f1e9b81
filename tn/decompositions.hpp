#pragma once
/// Factorisations of matrices (tensors with two modes). All throw Error if the input is no matrix,
/// is empty, or has NaN or infinite elements.

#include <metatt/tn/tensor.hpp>
#include <metatt/tn/truncation.hpp>

#include <vector>

namespace metatt::tn {

/// The conjugate transpose of a matrix. Throws Error on another number of modes.
template <class T>
Tensor<T> adjoint(const Tensor<T>& matrix);

template <class T>
struct Qr {
  Tensor<T> q;  ///< rows × k, orthonormal columns
  Tensor<T> r;  ///< k × columns, upper triangular, real non-negative diagonal
};

/// matrix = q · r with k = min(rows, columns). Cost of order rows · columns · k.
template <class T>
Qr<T> qr(const Tensor<T>& matrix);

template <class T>
struct Lq {
  Tensor<T> l;  ///< rows × k, lower triangular, real non-negative diagonal
  Tensor<T> q;  ///< k × columns, orthonormal rows
};

/// matrix = l · q with k = min(rows, columns). Cost of order rows · columns · k.
template <class T>
Lq<T> lq(const Tensor<T>& matrix);

template <class T>
struct Svd {
  Tensor<T> u;                          ///< rows × k, orthonormal columns
  std::vector<double> singular_values;  ///< k values, descending
  Tensor<T> vh;                         ///< k × columns, orthonormal rows
};

/// matrix = u · diag(singular_values) · vh with k = min(rows, columns). Also throws Error if the
/// solver does not converge. Cost of order rows · columns · k.
template <class T>
Svd<T> svd(const Tensor<T>& matrix);

template <class T>
struct TruncatedSvd {
  Tensor<T> u;                          ///< rows × kept
  std::vector<double> singular_values;  ///< the values kept
  Tensor<T> vh;                         ///< kept × columns
  std::vector<double> spectrum;         ///< all values, descending
  Truncation truncation;
};

/// The best approximation (Eckart and Young 1936) of the rank that `policy` chooses.
template <class T>
TruncatedSvd<T> truncated_svd(const Tensor<T>& matrix, const TruncationPolicy& policy);

struct RandomizedSvdSettings {
  Index oversampling = 10;     ///< random vectors beyond the rank
  Index power_iterations = 2;  ///< each sharpens a spectrum that falls slowly
  std::uint64_t seed = 1;
};

template <class T>
struct RandomizedSvd : Svd<T> {
  /// ‖matrix − u·diag(singular_values)·vh‖, computed, not estimated; errors below about 1e-8 of
  /// the norm (1e-3 in single precision) drown in rounding.
  double error = 0;
};

/// The leading `rank` singular values and vectors from products with random vectors (Halko,
/// Martinsson and Tropp, arXiv:0909.4061, algorithms 4.4 and 5.1): close to truncated_svd where the
/// spectrum falls, at a cost of order rows · columns · (rank + oversampling) · (1 + power
/// iterations). Also throws Error on a rank below one.
template <class T>
RandomizedSvd<T> randomized_svd(const Tensor<T>& matrix, Index rank,
                                const RandomizedSvdSettings& settings = {});

template <class T>
struct Eigh {
  std::vector<double> values;  ///< n values, ascending
  Tensor<T> vectors;           ///< n × n, eigenvectors in columns
};

/// matrix = vectors · diag(values) · vectorsᴴ. Also throws Error if the matrix is not square, if it
/// differs from its adjoint by more than √ε of its norm, or if the solver does not converge.
template <class T>
Eigh<T> eigh(const Tensor<T>& matrix);

}  // namespace metatt::tn
