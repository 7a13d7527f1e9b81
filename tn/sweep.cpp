#include <metatt/tn/symmetry/block_decompositions.hpp>
#include <metatt/tn/tensor_train.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace metatt::tn {

namespace {

/// The train A = G_0 · … as seen from the right: `cores[k]` has orthonormal rows for k > 0, and the
/// product of the original cores k+1, …, d−1 is factors[k] · cores[k+1] · … · cores[d−1].
template <class T>
struct RightCanonical {
  std::vector<BlockTensor<T>> cores;
  std::vector<BlockTensor<T>> factors;  // old rank × reduced rank, one for each inner bond
};

template <class T>
RightCanonical<T> right_canonical(const std::vector<BlockTensor<T>>& cores) {
  RightCanonical<T> result{cores, std::vector<BlockTensor<T>>(cores.size() - 1)};
  for (std::size_t k = cores.size() - 1; k > 0; --k) {
    BlockLq<T> parts = lq(result.cores[k], 1);
    result.cores[k] = std::move(parts.q);
    result.cores[k - 1] = contract("asb,bc->asc", result.cores[k - 1], parts.l);
    result.factors[k - 1] = std::move(parts.l);
  }
  return result;
}

/// 1/σ for the values kept; 0 where σ is zero to rounding.
template <class T>
std::vector<std::vector<double>> inverses(const TruncatedBlockSvd<T>& cut) {
  const double zero = std::numeric_limits<Real<T>>::epsilon() *
                      static_cast<double>(cut.spectrum.size()) * cut.spectrum[0];
  auto result = cut.singular_values;
  for (auto& sector : result)
    for (double& value : sector) value = value > zero ? 1 / value : 0.0;
  return result;
}

template <class T>
double spectral_norm(const BlockTensor<T>& matrix) {
  return truncated_svd(matrix, 1, {}).spectrum[0];
}

template <class T>
SweepReport<T> rounding_sweep(std::vector<BlockTensor<T>>& cores,
                              const RightCanonical<T>& canonical,
                              std::span<const TruncationPolicy> policies) {
  SweepReport<T> report;
  double squares = 0;
  BlockTensor<T> center = canonical.cores[0];
  // The old core with the reduce of the bond left of it applied. Taking `reduce` from it, and not
  // from the factors of the first pass, needs no inverse of those factors.
  BlockTensor<T> reduced = cores[0];
  for (std::size_t k = 0; k < policies.size(); ++k) {
    TruncatedBlockSvd<T> cut = truncated_svd(center, 2, policies[k]);
    BondReport<T> bond;
    bond.truncation = cut.truncation;
    bond.expand = leg_scaled(contract("or,nr->on", canonical.factors[k], conjugate(cut.vh)), 1,
                             inverses(cut));
    bond.reduce = contract("lsn,lso->no", conjugate(cut.u), reduced);
    reduced = contract("ab,bsc->asc", bond.reduce, cores[k + 1]);
    center =
        contract("ab,bsc->asc", leg_scaled(cut.vh, 0, cut.singular_values), canonical.cores[k + 1]);
    cores[k] = std::move(cut.u);
    squares += cut.truncation.discarded_norm * cut.truncation.discarded_norm;
    bond.spectrum = std::move(cut.spectrum);
    report.bonds.push_back(std::move(bond));
  }
  cores.back() = center;
  report.error_bound = std::sqrt(squares);
  return report;
}

/// Where the singular values of a split go.
enum class Weight { left, right };

/// Splits the product of two neighbouring cores anew, M = left · right = U · S · Vᴴ truncated, and
/// says which reduce and expand turn the old cores into the new ones. The spectrum is that of M.
template <class T>
BondReport<T> split_bond(BlockTensor<T>& left, BlockTensor<T>& right,
                         const TruncationPolicy& policy, Weight weight) {
  const BlockQr<T> outer_left = qr(left, 2);
  const BlockLq<T> outer_right = lq(right, 1);
  TruncatedBlockSvd<T> cut =
      truncated_svd(contract("ab,bc->ac", outer_left.r, outer_right.l), 1, policy);
  BondReport<T> bond;
  bond.truncation = cut.truncation;
  bond.reduce = contract("an,ao->no", conjugate(cut.u), outer_left.r);
  bond.expand = contract("ob,nb->on", outer_right.l, conjugate(cut.vh));
  if (weight == Weight::right) {
    bond.expand = leg_scaled(std::move(bond.expand), 1, inverses(cut));
    cut.vh = leg_scaled(std::move(cut.vh), 0, cut.singular_values);
  } else {
    bond.reduce = leg_scaled(std::move(bond.reduce), 0, inverses(cut));
    cut.u = leg_scaled(std::move(cut.u), 1, cut.singular_values);
  }
  left = contract("lsa,an->lsn", outer_left.q, cut.u);
  right = contract("nb,bsr->nsr", cut.vh, outer_right.q);
  bond.spectrum = std::move(cut.spectrum);
  return bond;
}

template <class T>
SweepReport<T> paper_sweep(std::vector<BlockTensor<T>>& cores, const RightCanonical<T>& canonical,
                           std::span<const TruncationPolicy> policies) {
  const std::size_t bonds = policies.size();
  SweepReport<T> report;
  for (std::size_t k = 0; k < bonds; ++k) {
    report.bonds.push_back(split_bond(cores[k], cores[k + 1], policies[k], Weight::right));
    const double rest = k + 1 < bonds ? spectral_norm(canonical.factors[k + 1]) : 1;
    report.error_bound += report.bonds[k].truncation.discarded_norm * rest;
  }
  for (std::size_t k = bonds; k-- > 0;) {
    const BondReport<T> back = split_bond(cores[k], cores[k + 1], policies[k], Weight::left);
    BondReport<T>& bond = report.bonds[k];
    bond.reduce = contract("ab,bc->ac", back.reduce, bond.reduce);
    bond.expand = contract("ab,bc->ac", bond.expand, back.expand);
    report.error_bound += back.truncation.discarded_norm;
  }
  return report;
}

template <class T>
void check_finite(const TensorTrain<T>& train, const char* function) {
  for (Index k = 0; k < train.length(); ++k)
    if (!all_finite(train.core(k)))
      fail(function, ": core ", k, " of the tensor train has NaN or infinite elements");
}

}  // namespace

template <class T>
SweepReport<T> sweep(TensorTrain<T>& train, std::span<const TruncationPolicy> policies,
                     SweepMode mode, TrainBefore before) {
  const Index length = train.length();
  if (static_cast<Index>(policies.size()) != length - 1)
    fail("sweep: expected a policy for each of the ", length - 1, " bonds, found ",
         policies.size());
  check_finite(train, "sweep");
  std::vector<BlockTensor<T>> cores = train.cores_;
  RightCanonical<T> canonical = right_canonical(cores);
  const bool paper = mode == SweepMode::paper;
  SweepReport<T> report =
      paper ? paper_sweep(cores, canonical, policies) : rounding_sweep(cores, canonical, policies);
  report.norm = norm(canonical.cores[0]);
  if (before == TrainBefore::spectra)
    report.spectra_before = bond_spectra(TensorTrain<T>(std::move(canonical.cores), 0));
  train = TensorTrain<T>(std::move(cores), paper ? 0 : length - 1);
  return report;
}

template <class T>
SweepReport<T> sweep(TensorTrain<T>& train, const TruncationPolicy& policy, SweepMode mode) {
  return sweep(train, std::vector<TruncationPolicy>(train.length() - 1, policy), mode);
}

template <class T>
std::vector<std::vector<double>> bond_spectra(const TensorTrain<T>& train) {
  check_finite(train, "bond_spectra");
  TensorTrain<T> canonical = train;
  if (!canonical.center()) canonical.orthogonalise(0);
  const Index center = *canonical.center(), last = canonical.length() - 1;
  std::vector<std::vector<double>> spectra(static_cast<std::size_t>(last));
  const auto note = [&](Index bond, const BlockTensor<T>& factor) {
    spectra[static_cast<std::size_t>(bond)] = truncated_svd(factor, 1, {}).spectrum;
  };
  // What the centre becomes on its way to either end; what it has not reached is orthonormal.
  BlockTensor<T> moving = canonical.core(center);
  for (Index k = center; k < last; ++k) {
    const BlockTensor<T> factor = qr(moving, 2).r;
    note(k, factor);
    moving = contract("ab,bsc->asc", factor, canonical.core(k + 1));
  }
  moving = canonical.core(center);
  for (Index k = center; k > 0; --k) {
    const BlockTensor<T> factor = lq(moving, 1).l;
    note(k - 1, factor);
    moving = contract("asb,bc->asc", canonical.core(k - 1), factor);
  }
  return spectra;
}

#define METATT_SWEEP(T)                                                                        \
  template SweepReport<T> sweep(TensorTrain<T>&, std::span<const TruncationPolicy>, SweepMode, \
                                TrainBefore);                                                  \
  template SweepReport<T> sweep(TensorTrain<T>&, const TruncationPolicy&, SweepMode);          \
  template std::vector<std::vector<double>> bond_spectra(const TensorTrain<T>&);
METATT_SWEEP(float)
METATT_SWEEP(double)
METATT_SWEEP(std::complex<float>)
METATT_SWEEP(std::complex<double>)
#undef METATT_SWEEP

}  // namespace metatt::tn
