#pragma once
/// MetaTT-4D (arXiv:2506.09105): one tensor train over (input, layer, matrix type, output).

#include <metatt/tn/tensor_train.hpp>
#include <metatt/transformer/adapter.hpp>

namespace metatt::transformer {

/// ΔW[l, m]ᵀ = α · G1 · G2[l] · G3[m] · G4 with cores G1 (D_in × r1), G2 (r1 × L × r2), G3 (r2 × M
/// × r3), G4 (r3 × D_out); D_in and D_out are the largest of all targets, and a smaller matrix uses
/// the leading rows of G1 and columns of G4. Parameters: D_in·r1 + L·r1·r2 + M·r2·r3 + r3·D_out.
template <class T>
class MetaTT4D : public Adapter<T> {
 public:
  /// Initialisation codes, one a core joined by "-": ze (zeros), id (identity; for a core with a
  /// mode, in every slice), no (normal with deviation 1/√rows), or (orthonormal columns, or rows
  /// where fewer). Exactly one core must be zero: without one the adapter changes the model at step
  /// 0, with two no gradient leaves zero.
  MetaTT4D(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
           const std::map<std::string, Shape>& shapes);

  UpdateTable<T> updates(autodiff::Tape<T>& tape) const override;
  std::vector<typename Weights<T>::Id> tensors() const override {
    return {ids_.begin(), ids_.end()};
  }
  typename Adapter<T>::LoraFactors lora_factors(Index layer, MatrixType type) const override;

  /// The adapter as a train of doubles (without α), for sweeps.
  tn::TensorTrain<double> train() const;
  /// Weight id of core k, 0 … 3.
  typename Weights<T>::Id core(int k) const { return ids_[static_cast<std::size_t>(k)]; }
  std::vector<Index> ranks() const;

  static constexpr int cores = 4;
  static std::string core_name(int k) { return "adapter.G" + std::to_string(k + 1); }

 private:
  Index slice(Index layer, MatrixType type) const;
  Tensor<T> initial_core(int k, const std::string& code, const Shape& shape) const;

  Weights<T>& weights_;
  std::array<typename Weights<T>::Id, cores> ids_{};
};

/// The train of the four cores as they are stored: its first core has a left bond of extent one in
/// front of G1's modes, its last a right one behind G4's. Throws Error on another number of cores
/// or modes and on bonds that do not match.
tn::TensorTrain<double> train_of_cores(std::vector<Tensor<double>> stored);

}  // namespace metatt::transformer
