#pragma once
/// AdaLoRA (Zhang et al., arXiv:2303.10512): updates in the form of a singular value decomposition.

#include <metatt/transformer/adapters/lora.hpp>

namespace metatt::transformer {

/// ΔW = α · B·diag(E)·A with A and B normal of deviation 0.02 and E zero. Kept as U = Aᵀ (D_in ×
/// r), V = Bᵀ (r × D_out) and E (r). Parameters: r·(D_in + D_out + 1) a matrix.
template <class T>
class AdaLora final : public Lora<T> {
 public:
  using Id = typename Weights<T>::Id;
  AdaLora(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
          const std::map<std::string, Shape>& shapes);

  UpdateTable<T> updates(autodiff::Tape<T>& tape, Index task) const override;
  std::vector<Id> tensors() const override;
  std::vector<std::vector<Id>> trains() const override { return {}; }
  std::vector<typename Adapter<T>::Triplet> triplets() const override;

 private:
  std::vector<Id> E_;  ///< of each site
};

}  // namespace metatt::transformer
