#pragma once
/// Factorisations of block tensors as matrices: the first legs are the rows, the others the
/// columns. Each charge has a matrix of its own. The new leg between the factors leaves the left
/// one (out), enters the right one (in), and lists every charge once, ascending. All throw Error on
/// NaN or infinite elements, if all legs are rows or none is, and if the charges allow no block.

#include <metatt/tn/decompositions.hpp>
#include <metatt/tn/symmetry/block_tensor.hpp>

namespace metatt::tn {

template <class T>
struct BlockQr {
  BlockTensor<T> q;  ///< (row legs, new leg), orthonormal columns
  BlockTensor<T> r;  ///< (new leg, column legs)
};
template <class T>
BlockQr<T> qr(const BlockTensor<T>& x, int row_legs);

template <class T>
struct BlockLq {
  BlockTensor<T> l;  ///< (row legs, new leg)
  BlockTensor<T> q;  ///< (new leg, column legs), orthonormal rows
};
template <class T>
BlockLq<T> lq(const BlockTensor<T>& x, int row_legs);

template <class T>
struct TruncatedBlockSvd {
  BlockTensor<T> u;                                  ///< (row legs, new leg)
  BlockTensor<T> vh;                                 ///< (new leg, column legs)
  std::vector<std::vector<double>> singular_values;  ///< those kept, for each sector of the new leg
  std::vector<double> spectrum;                      ///< all values of all charges, descending
  Truncation truncation;
};

/// One policy for the values of all charges together.
template <class T>
TruncatedBlockSvd<T> truncated_svd(const BlockTensor<T>& x, int row_legs,
                                   const TruncationPolicy& policy);

template <class T>
struct RandomizedBlockSvd {
  BlockTensor<T> u;                                  ///< (row legs, new leg)
  BlockTensor<T> vh;                                 ///< (new leg, column legs)
  std::vector<std::vector<double>> singular_values;  ///< for each sector of the new leg
  double error = 0;                                  ///< as RandomizedSvd
};

/// The leading `rank` singular values of all charges together, as randomized_svd() of a matrix.
template <class T>
RandomizedBlockSvd<T> randomized_svd(const BlockTensor<T>& x, int row_legs, Index rank,
                                     const RandomizedSvdSettings& settings = {});

template <class T>
struct BlockEigh {
  BlockTensor<T> vectors;                   ///< (row legs, new leg), orthonormal columns
  std::vector<std::vector<double>> values;  ///< ascending, for each sector of the new leg
};

/// Eigenvalues and vectors of a Hermitian tensor whose second half of legs are the first half
/// reversed. Also throws Error on other legs and as eigh() of a matrix.
template <class T>
BlockEigh<T> eigh(const BlockTensor<T>& x);

template <class T>
struct LeadingVectors {
  BlockTensor<T> vectors;        ///< as u or as vh of truncated_svd, of each charge in any order
  std::vector<double> spectrum;  ///< all values of all charges, descending
  Truncation truncation;
};

/// u of truncated_svd alone. From the eigenvectors of x·xᴴ or, if that is much smaller, xᴴ·x, half
/// the time of the singular value decomposition, where the cutoff is large against rounding (2e-14,
/// in single precision 1e-5) or 0 with a cap that cuts: values below about 1e-8 of the largest
/// (3e-4) then drown in rounding, and vectors that a cap keeps for such values are arbitrary ones.
template <class T>
LeadingVectors<T> leading_left_vectors(const BlockTensor<T>& x, int row_legs,
                                       const TruncationPolicy& policy);
/// Likewise vh, from xᴴ·x.
template <class T>
LeadingVectors<T> leading_right_vectors(const BlockTensor<T>& x, int row_legs,
                                        const TruncationPolicy& policy);

/// vh of truncated_svd of any x whose xᴴ·x is `square`, a tensor with the legs (adjoint column
/// legs, column legs): its eigenvectors, with values of rounding as leading_left_vectors.
/// `square` is Hermitian up to rounding.
template <class T>
LeadingVectors<T> leading_eigenvectors(const BlockTensor<T>& square,
                                       const TruncationPolicy& policy);

/// x with index i of sector s of a leg multiplied by factors[s][i].
template <class T>
BlockTensor<T> leg_scaled(BlockTensor<T> x, int leg,
                          const std::vector<std::vector<double>>& factors);

}  // namespace metatt::tn
