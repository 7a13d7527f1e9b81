#pragma once
/// LoTR (Bershatsky et al., arXiv:2402.01376): outer factors that all layers share.

#include <metatt/transformer/adapters/adapter.hpp>

namespace metatt::transformer {

/// ΔW[l, m]ᵀ = α · U[m]·C[m][l]·V[m], for every matrix type U (D_in × r) and V (r × D_out), normal
/// with deviation 1/√rows, and C (r × L × r) zero. Parameters: r·(D_in + D_out) + L·r² a type.
template <class T>
class Lotr final : public Adapter<T> {
 public:
  using Id = typename Weights<T>::Id;
  Lotr(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
       const std::map<std::string, Shape>& shapes);

  UpdateTable<T> updates(autodiff::Tape<T>& tape, Index task) const override;
  std::vector<Id> tensors() const override;
  /// One for each matrix type.
  std::vector<std::vector<Id>> trains() const override;

 private:
  struct Factors {
    MatrixType type;
    Id U, C, V;
  };
  Weights<T>& weights_;
  std::vector<Factors> factors_;
};

}  // namespace metatt::transformer
