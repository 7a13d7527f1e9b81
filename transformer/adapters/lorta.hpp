#pragma once
/// LoRTA (Hounie et al., arXiv:2410.04060): all updates as one canonical polyadic decomposition.

#include <metatt/transformer/adapters/adapter.hpp>

namespace metatt::transformer {

/// ΔW[l, m]ᵀ[i, (h, j)] = α · Σ_k A[i, k]·B[k, j]·H[h, k]·L[l, k]·M[m, k] with A (D_in × r), B (r ×
/// width of a head), H (heads × r), L (layers × r) and M (matrix types × r). D_in and the number of
/// heads are the largest of all targets; the columns of matrices without heads are cut into blocks
/// as wide as one. A is normal with deviation 1/√D_in, H, L and M are standard normal, B is zero.
/// Parameters: r·(D_in + D/H + H + L + M).
template <class T>
class Lorta final : public Adapter<T> {
 public:
  using Id = typename Weights<T>::Id;
  Lorta(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
        const std::map<std::string, Shape>& shapes);

  UpdateTable<T> updates(autodiff::Tape<T>& tape, Index task) const override;
  std::vector<Id> tensors() const override { return {A_, B_, heads_, layers_, types_}; }

 private:
  Weights<T>& weights_;
  Id A_, B_, heads_, layers_, types_;
};

}  // namespace metatt::transformer
