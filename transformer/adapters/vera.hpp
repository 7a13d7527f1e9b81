#pragma once
/// VeRA (Kopiczko et al., arXiv:2310.11454): frozen random factors that all matrices share, and two
/// trained vectors for each.

#include <metatt/transformer/adapters/adapter.hpp>

namespace metatt::transformer {

/// ΔW = α · diag(b)·B·diag(d)·A with A (r × D_in) and B (D_out × r) frozen, uniform in ±√(6/D_in)
/// and ±√(6/r), and b (D_out) zero, d (r) 0.1 of each matrix. D_in and D_out are the largest of all
/// targets; a smaller matrix uses the leading columns of A and rows of B. Kept as U = Aᵀ, V = Bᵀ.
/// Parameters: r + D_out a matrix; the file holds the frozen factors too.
template <class T>
class Vera final : public Adapter<T> {
 public:
  using Id = typename Weights<T>::Id;
  Vera(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
       const std::map<std::string, Shape>& shapes);

  UpdateTable<T> updates(autodiff::Tape<T>& tape, Index task) const override;
  std::vector<Id> tensors() const override;

 private:
  struct Site {
    Index layer;
    MatrixType type;
    Id d, b;
  };
  Weights<T>& weights_;
  Id U_, V_;
  std::vector<Site> sites_;
};

}  // namespace metatt::transformer
