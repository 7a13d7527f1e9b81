#pragma once
/// LoRA (Hu et al., arXiv:2106.09685): a pair of factors of its own for every adapted matrix.

#include <metatt/transformer/adapters/adapter.hpp>

#include <functional>

namespace metatt::transformer {

/// ΔW = α · B·A with A (r × D_in) Kaiming-uniform with a = √5, that is uniform in ±1/√D_in, and B
/// (D_out × r) zero. Kept transposed: U = Aᵀ (D_in × r), V = Bᵀ (r × D_out). Parameters: r·(D_in +
/// D_out) a matrix. With α/√r it is rsLoRA (Kalajdzievski, arXiv:2312.03732).
template <class T>
class Lora : public Adapter<T> {
 public:
  using Id = typename Weights<T>::Id;
  Lora(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
       const std::map<std::string, Shape>& shapes);

  UpdateTable<T> updates(autodiff::Tape<T>& tape, Index task) const override;
  std::vector<Id> tensors() const override;
  /// One for each matrix: cutting its rank is a truncated singular value decomposition.
  std::vector<std::vector<Id>> trains() const override;

 protected:
  struct Site {
    Index layer;
    MatrixType type;
    Id U, V;
  };
  /// Where each site's U and V come from.
  struct InitialFactors {
    std::function<Tensor<T>(Index d_in, std::uint64_t stream)> U;
    std::function<Tensor<T>(Index d_out, std::uint64_t stream)> V;
  };
  Lora(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
       const std::map<std::string, Shape>& shapes, const InitialFactors& initial);
  autodiff::LowRankUpdate<T> update(autodiff::Tape<T>& tape, const Site& site, Variable<T> U) const;

  Weights<T>& weights_;
  std::vector<Site> sites_;
};

}  // namespace metatt::transformer
