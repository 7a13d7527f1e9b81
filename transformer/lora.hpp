#pragma once
/// LoRA (Hu et al., arXiv:2106.09685): a pair of factors of its own for every adapted matrix.

#include <metatt/transformer/adapter.hpp>

namespace metatt::transformer {

/// ΔW = α · B·A with A (r × D_in) Kaiming-uniform with a = √5, that is uniform in ±1/√D_in, and B
/// (D_out × r) zero. Kept transposed: U = Aᵀ (D_in × r), V = Bᵀ (r × D_out). Parameters: r·(D_in +
/// D_out) a matrix.
template <class T>
class Lora : public Adapter<T> {
 public:
  Lora(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
       const std::map<std::string, Shape>& shapes);

  UpdateTable<T> updates(autodiff::Tape<T>& tape) const override;
  std::vector<typename Weights<T>::Id> tensors() const override;
  typename Adapter<T>::LoraFactors lora_factors(Index layer, MatrixType type) const override;

 private:
  struct Site {
    Index layer;
    MatrixType type;
    typename Weights<T>::Id U, V;
  };
  Weights<T>& weights_;
  std::vector<Site> sites_;
};

}  // namespace metatt::transformer
