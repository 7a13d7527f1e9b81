#pragma once
/// Tensor trains (matrix product states), TT-SVD, and sweeps that lower the ranks of a train.

#include <metatt/tn/symmetry/block_tensor.hpp>
#include <metatt/tn/tensor.hpp>
#include <metatt/tn/truncation.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace metatt::tn {

/// The singular values at one bond and the cut that was made there.
struct BondSpectrum {
  std::vector<double> spectrum;  ///< all values, descending
  Truncation truncation;
};

/// Largest rank that each inner bond of a tensor with these modes can need: the smaller one of the
/// products of the modes left and right of it.
std::vector<Index> maximal_ranks(std::span<const Index> modes);

template <class T>
class TensorTrain;
template <class T>
struct TensorTrainDecomposition;
template <class T>
struct SweepReport;
enum class SweepMode;
enum class TrainBefore;

/// The tensor A[i_0, …, i_{d-1}] = G_0[i_0] · … · G_{d-1}[i_{d-1}], a product of matrices
/// (Oseledets 2011, doi:10.1137/090752286). Core G_k has the legs (left bond, mode, right bond);
/// the outer bonds have dimension one; bond k lies between cores k and k+1. Charges, if any are
/// conserved, flow from the left to the right: left bond and mode go in, the right bond goes out,
/// so that a bond carries the charge of all modes left of it, and the last bond that of the tensor.
template <class T>
class TensorTrain {
 public:
  /// Throws Error unless there is a core, all cores have three modes of at least one, the bonds
  /// match and the outer ones are one.
  explicit TensorTrain(std::vector<Tensor<T>> cores);
  /// With conserved charges. Also throws Error on legs of the wrong direction and on a bond that
  /// lists a charge twice. (A template, so that a list in braces means dense cores.)
  template <std::same_as<BlockTensor<T>> Core>
  explicit TensorTrain(std::vector<Core> cores) : TensorTrain(std::move(cores), std::nullopt) {}
  /// Cores that are in mixed canonical form already, as orthogonalise() makes it. Also throws Error
  /// if they are not, up to the rounding errors of a long calculation (1e-8, in single precision
  /// 1e-3).
  static TensorTrain canonical(std::vector<BlockTensor<T>> cores, Index center);

  /// Normally distributed cores, scaled so that the elements of the tensor have variance one.
  /// `ranks` are those of the inner bonds, one fewer than the modes; core k uses stream k of
  /// `seed`.
  static TensorTrain random(std::span<const Index> modes, std::span<const Index> ranks,
                            std::uint64_t seed);
  /// TT-SVD (Oseledets 2011, algorithm 1), the same policy at every bond. A cutoff of ε²/(d−1)
  /// keeps the relative error below ε. The result is in canonical form with the centre at the end.
  static TensorTrainDecomposition<T> from_dense(const Tensor<T>& tensor,
                                                const TruncationPolicy& policy);

  Index length() const { return static_cast<Index>(cores_.size()); }
  const BlockTensor<T>& core(Index k) const;
  /// The core with all its zeros; without a symmetry it shares memory.
  Tensor<T> dense_core(Index k) const { return core(k).to_dense(); }
  /// Replaces a core by one of the same bonds (the mode may differ). The canonical form is lost
  /// unless k is the centre.
  void set_core(Index k, BlockTensor<T> core);
  /// Replaces cores k and k + 1 by two with the same outer bonds. The caller promises that
  /// `center`, one of the two, is the centre afterwards if one of them was before.
  void set_pair(Index k, BlockTensor<T> left, BlockTensor<T> right, Index center);
  std::vector<Index> ranks() const;  ///< of the inner bonds, length() − 1 numbers
  std::vector<Index> modes() const;
  Index parameter_count() const;  ///< elements that the cores store
  Charge charge() const;          ///< of the tensor

  /// Mixed canonical form: cores left of `center` get orthonormal columns, those right of it
  /// orthonormal rows; the tensor stays. Bonds wider than their neighbourhood allows shrink. From a
  /// known centre only the cores in between are touched.
  void orthogonalise(Index center);
  /// The centre of the canonical form, if the train is known to be in one.
  std::optional<Index> center() const { return center_; }

  /// Frobenius norm, without the loss of half the digits that √⟨a, a⟩ would bring.
  Real<T> norm() const;
  /// Multiplies the tensor by a number.
  void scale(T factor);
  /// All elements. Throws Error if their number leaves 64 bits.
  Tensor<T> to_dense() const;
  T element(std::span<const Index> indices) const;

 private:
  TensorTrain(std::vector<BlockTensor<T>> cores, std::optional<Index> center);
  void check_core(Index k) const;
  void check_cores() const;
  void check_legs(const char* function, Index k, const BlockTensor<T>& core) const;

  template <class U>
  friend SweepReport<U> sweep(TensorTrain<U>&, std::span<const TruncationPolicy>, SweepMode,
                              TrainBefore);

  std::vector<BlockTensor<T>> cores_;
  std::optional<Index> center_;
};

template <class T>
struct TensorTrainDecomposition {
  TensorTrain<T> train;
  std::vector<BondSpectrum> bonds;
  double error_bound = 0;  ///< √Σ discarded_norm², which is ‖A − train‖ up to rounding
};

/// ⟨a, b⟩ = Σ conj(a) · b. Throws Error if the modes differ.
template <class T>
T inner(const TensorTrain<T>& a, const TensorTrain<T>& b);

/// The sum of the tensors; the ranks of inner bonds add. Throws Error if the modes or the
/// charges differ.
template <class T>
TensorTrain<T> operator+(const TensorTrain<T>& a, const TensorTrain<T>& b);

/// How a sweep lowers the ranks.
enum class SweepMode {
  /// The sweep of MetaTT (arXiv:2506.09105), after two-site DMRG: left to right, cores k and k+1
  /// are merged and split by a truncated SVD into U and S·Vᴴ, then right to left into U·S and Vᴴ.
  /// The first pass truncates without a canonical form, so its cuts are not optimal for the whole.
  paper,
  /// TT-rounding (Oseledets 2011, algorithm 2): orthogonalise right to left, then truncate left to
  /// right. Every cut is optimal for the whole tensor.
  rounding,
};

/// What a sweep tells of the train before it: the norm always, the spectra of its bonds if asked.
enum class TrainBefore { norm, spectra };

/// What a sweep did at one bond. The new cores are, up to rounding,
///   new G_k = reduce_{k-1} · old G_k · expand_k   (nothing at the ends of the train),
/// with reduce_k · expand_k = 1: a change of gauge together with the projection that truncates. So
/// the gradient of a function of the train is carried along by expand_{k-1}ᴴ · g_k · reduce_kᴴ.
/// A kept singular value that is zero to rounding (σ ≤ n·ε·σ₁ for n values) has no inverse: its
/// column of expand (in the second pass of `paper`: its row of reduce) is zero, and so is its entry
/// of reduce · expand.
template <class T>
struct BondReport : BondSpectrum {
  BlockTensor<T> reduce;  ///< new rank × old rank
  BlockTensor<T> expand;  ///< old rank × new rank
};

template <class T>
struct SweepReport {
  /// One for each inner bond: what the pass that truncates (of `paper` the first one) finds and
  /// cuts there. Spectra of `rounding` are the singular values of the train as it is by then, with
  /// the bonds further left already cut; of `paper` those of the merged pair alone.
  std::vector<BondReport<T>> bonds;
  /// Bound on ‖old − new‖. rounding: √Σ discarded_norm², which is the error itself up to rounding.
  /// paper: Σ discarded_norm over the cuts of both passes, those of the first pass times the
  /// spectral norm of what then stands right of the merged pair (one in a canonical form).
  double error_bound = 0;
  double norm = 0;                                  ///< Frobenius norm of the train before
  std::vector<std::vector<double>> spectra_before;  ///< its bond_spectra(), if asked for
};

/// Lowers the ranks of a train, with a policy for each inner bond. Leaves it in canonical form with
/// the centre at core 0 (paper) or at the last core (rounding). In `paper` merged cores are
/// never formed: QR and LQ of the two cores come first and the SVD is that of a rank × rank matrix.
/// `rounding` decomposes one core. Either way a bond of rank r between modes m and n with outer
/// bonds of rank r costs of order (m + n) · r³, the spectra before half a sweep of `rounding` more.
/// Throws Error if the number of policies is wrong or a core has NaN or infinite elements; the
/// train is then as before.
template <class T>
SweepReport<T> sweep(TensorTrain<T>& train, std::span<const TruncationPolicy> policies,
                     SweepMode mode, TrainBefore before = TrainBefore::norm);

/// The same policy at every bond.
template <class T>
SweepReport<T> sweep(TensorTrain<T>& train, const TruncationPolicy& policy, SweepMode mode);

/// Singular values of each inner bond, descending: those of the tensor as a matrix, the modes left
/// of the bond by the modes right of it. Costs half a sweep of `rounding` where the centre of the
/// canonical form is known, otherwise a whole one. Throws Error if a core has NaN or infinite
/// elements.
template <class T>
std::vector<std::vector<double>> bond_spectra(const TensorTrain<T>& train);

/// The rank of each inner bond within a budget: the singular value that costs the least weight for
/// each parameter that it frees is dropped, again and again, until the budget holds. What a value
/// weighs depends on what other bonds have lost (neighbouring bonds often carry the same
/// directions), so spectra are those of the train as it is cut by then, found anew whenever half of
/// what is still too much has gone. Then what still fits comes back, the best first. A cutoff
/// bounds the squared relative error of the whole train, as `rounding` with these ranks has it.
/// Values that are zero to rounding go in any case; every bond keeps a rank of at least one,
/// whatever the budget. Costs some ten to fifty sweeps of `rounding`. With conserved charges the
/// cores store fewer elements than the budget counts. Throws Error unless the cutoff lies in [0, 1]
/// and the number of parameters is not negative, and as sweep().
template <class T>
std::vector<Index> ranks_within(const TensorTrain<T>& train, const TruncationBudget& budget);

/// A sweep with the ranks of ranks_within(). The cutoff bounds the error of `rounding`; `paper`
/// cuts without a canonical form and may lose more (see its error_bound). Errors as ranks_within().
template <class T>
SweepReport<T> sweep_within(TensorTrain<T>& train, const TruncationBudget& budget, SweepMode mode,
                            TrainBefore before = TrainBefore::norm);

}  // namespace metatt::tn
