#pragma once
/// Operators on a chain as a product of operator-valued matrices (MPO).

#include <metatt/tn/chain/operator_sum.hpp>
#include <metatt/tn/symmetry/block_tensor.hpp>

#include <optional>
#include <span>
#include <vector>

namespace metatt::tn {

/// H = W_0 · W_1 · … · W_{n−1}, where W_k is a sparse matrix of operators on site k. Bond k lies
/// between sites k and k + 1.
template <class T>
class MatrixProductOperator {
 public:
  /// W[left, right] += matrix, which is ⟨out|O|in⟩ at out · dimension + in, on the host.
  struct Entry {
    Index left, right;
    std::vector<T> matrix;
  };
  struct Core {
    Index left_bond = 1, dimension = 1, right_bond = 1;
    std::vector<Entry> entries;
  };

  /// On sites that conserve charges the bonds get them too, and their indices are sorted by charge.
  /// Throws Error unless there is a core for each site, bonds match, the outer ones are one,
  /// entries lie within them, and every index of a bond has one charge only, and the whole changes
  /// none.
  /// `largest_dropped` is what was left out when the cores were made.
  MatrixProductOperator(std::vector<Core> cores, const Sites& sites, double largest_dropped = 0);

  /// The same from block_core(0), block_core(1), …. Throws Error unless the legs are such.
  explicit MatrixProductOperator(const std::vector<BlockTensor<T>>& block_cores);

  Index length() const { return static_cast<Index>(cores_.size()); }
  const Core& core(Index k) const { return cores_[static_cast<std::size_t>(k)]; }
  /// The left bond of site k as an incoming leg, k = 0 … length(). An index has the charge that the
  /// operators left of it bring into the system.
  const Leg& bond_leg(Index k) const { return bond_legs_[static_cast<std::size_t>(k)]; }
  const Leg& site_leg(Index k) const { return site_legs_[static_cast<std::size_t>(k)]; }
  /// (left bond, out, in, right bond), with the directions in, in, out, out.
  BlockTensor<T> block_core(Index k) const;
  std::vector<Index> bonds() const;  ///< of the inner bonds, length() − 1 numbers
  /// The largest coefficient, times the largest elements of its operators, that
  /// matrix_product_operator() left out at a bond. Rounding errors of dependent coefficients are
  /// among them, so it is seldom zero. Files do not keep it.
  double largest_dropped() const { return largest_dropped_; }

  /// The index of the left bond of site k at which nothing but identities stands left of it, and of
  /// the right bond of site k with nothing but identities right of it, if there is one.
  std::optional<Index> identities_left_of(Index k) const;
  std::optional<Index> identities_right_of(Index k) const;

 private:
  void check_cores() const;
  void check_block_core(Index k, const BlockTensor<T>& core) const;
  void assign_charges(const Sites& sites);
  void sort_bond(std::size_t k, const Symmetry& symmetry,
                 std::vector<std::optional<Charge>>& charges);

  std::vector<Core> cores_;
  std::vector<Leg> bond_legs_, site_legs_;
  double largest_dropped_ = 0;
};

/// The sum as an MPO whose bonds are minimal beside two channels of identities. At every bond the
/// terms that cross it form a matrix of coefficients between what stands left and what stands right
/// of it; an interpolative decomposition of each connected part of this matrix gives the bond (kept
/// rows; what is at most `tolerance` of the largest coefficient of the part is left out: with 1e-13
/// little more than rounding, with 0 nothing, at the price of bonds for rounding errors; a large
/// one may leave a sum that is Hermitian no longer so), beside one index for "identities so far"
/// and one for "identities from here on" where terms begin and end. Operators that depend on each
/// other linearly (to 1e-12) count once. So no bond is larger than the rank of the operator across
/// it without its identities on either side, and these two: a Heisenberg chain has bond dimension
/// 5, exponentially decaying couplings have 3, and arbitrary density-density couplings of n sites
/// at most n / 2 + 2. Throws Error naming the term on a wrong site or operator and on a change of a
/// charge which the sites conserve; also on an empty sum, on complex coefficients where T is real,
/// and on a tolerance outside [0, 1).
template <class T>
MatrixProductOperator<T> matrix_product_operator(const OperatorSum& sum, const Sites& sites,
                                                 double tolerance = 1e-13);

/// ‖H − H†‖ / ‖H‖ in the Frobenius norm, up to about 1e-8 (1e-4 in single precision); 0 for H = 0.
/// Cost of order n·d²·w³ for operator bonds w.
template <class T>
double hermiticity_error(const MatrixProductOperator<T>& mpo);

/// Throws Error naming `function` if hermiticity_error is above 1.5e-6 (3.5e-2 in single
/// precision).
template <class T>
void check_hermitian(const char* function, const MatrixProductOperator<T>& mpo);

/// The whole operator as a matrix of dimension Π d_k, site 0 slowest. Throws Error if its elements
/// are more than 2^28.
template <class T>
Tensor<T> dense_matrix(const MatrixProductOperator<T>& mpo);

}  // namespace metatt::tn
