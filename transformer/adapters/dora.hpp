#pragma once
/// DoRA (Liu et al., arXiv:2402.09353): LoRA turns the rows of a matrix, a vector sets their norms.

#include <metatt/transformer/adapters/lora.hpp>

namespace metatt::transformer {

/// W = diag(m / ‖W0 + α·B·A‖)·(W0 + α·B·A) with the norms of the rows (W0 is D_out × D_in), LoRA's
/// B and A, and m (D_out), which starts as the norms of W0. No gradient goes through the norms
/// (section 4.3). Parameters: r·(D_in + D_out) + D_out a matrix.
template <class T>
class Dora final : public Lora<T> {
 public:
  using Id = typename Weights<T>::Id;
  /// The backbone's weights must be there already.
  Dora(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
       const std::map<std::string, Shape>& shapes);

  bool only_adds() const override { return false; }
  UpdateTable<T> updates(autodiff::Tape<T>& tape, Index task) const override;
  std::vector<Id> tensors() const override;

 private:
  Tensor<T> base(Index layer, MatrixType type) const;

  std::vector<Id> magnitudes_;  ///< of each site
};

}  // namespace metatt::transformer
