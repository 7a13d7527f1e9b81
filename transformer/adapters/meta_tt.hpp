#pragma once
/// MetaTT (arXiv:2506.09105): all updates of a network are slices of one tensor train.

#include <metatt/tn/tensor_train.hpp>
#include <metatt/transformer/adapters/adapter.hpp>

namespace metatt::transformer {

/// The inner modes of "metatt4d" (layer, matrix type), "metatt5d" (… and head), "metatt4+1d" (a
/// task between layer and matrix type) or "metatt5+1d" (both), in that order. Throws Error on
/// another name.
std::vector<CoreMode> inner_modes_of(const std::string& kind);
/// The inner modes of a MetaTT in the order of its cores. Throws Error if `core_order` is no order
/// of its kind's.
std::vector<CoreMode> inner_modes(const AdapterSettings& settings);
/// The extents of all its modes.
std::vector<Index> train_modes(const AdapterSettings& settings, const ModelConfig& config);
/// Whether adapters of this name have a slice for each task.
bool has_task_mode(const std::string& kind);

/// ΔW[l, m]ᵀ = α · G1 · G2[·] · … · Gn with cores G1 (D_in × r1), G2 (r1 × mode × r2), …, Gn (r ×
/// D_out). The inner modes are those of the kind, in any order. D_in is the largest of all targets,
/// a smaller matrix uses the leading rows of G1. Without a head mode D_out is too, and a smaller
/// matrix uses the leading columns of Gn. With one, the output is cut into blocks as wide as a
/// head, Gn is r × width of a head, and block h of the columns takes slice h of the head core, for
/// outputs without heads as well; a smaller matrix (fewer heads of keys and values) uses the
/// leading blocks. Parameters without heads: D_in·r1 + L·r1·r2 + M·r2·r3 + r3·D_out.
template <class T>
class MetaTT : public Adapter<T> {
 public:
  using Id = typename Weights<T>::Id;

  /// Initialisation codes, one a core joined by "-": ze (zeros), id (identity; for a core with a
  /// mode, in every slice), no (normal with deviation 1/√rows), or (orthonormal columns, or rows
  /// where fewer). Exactly one core must be zero: without one the adapter changes the model at step
  /// 0, with two no gradient leaves zero. Empty: ze, and id for the others.
  MetaTT(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
         const std::map<std::string, Shape>& shapes);

  /// Products of cores once a pass: L · M · r³, and r² · D_out with heads, or, where the head core
  /// is not the last inner one, H · L · M · r³ and L · M · r² · D_out.
  UpdateTable<T> updates(autodiff::Tape<T>& tape, Index task) const override;
  std::vector<Id> tensors() const override { return ids_; }
  std::vector<std::vector<Id>> trains() const override { return {ids_}; }

  /// The adapter as a train of doubles (without α), for sweeps.
  tn::TensorTrain<double> train() const;
  Index cores() const { return static_cast<Index>(ids_.size()); }
  /// Weight id of core k, from 0.
  Id core(Index k) const { return ids_[static_cast<std::size_t>(k)]; }
  std::vector<Index> ranks() const;  ///< of the inner bonds
  /// "input", those of the inner modes in their order, "output".
  std::vector<std::string> mode_names() const;

  static std::string core_name(Index k) { return "adapter.G" + std::to_string(k + 1); }

 private:
  /// Position of the head core, or of the last core where there is none.
  Index head_core() const;
  std::vector<Index> modes() const { return train_modes(this->settings_, this->config_); }
  std::vector<Index> fresh_ranks() const;
  std::vector<Index> stored_ranks(const std::map<std::string, Shape>& stored) const;
  Index target(MatrixType type) const;
  bool is_task_core(Index k) const;
  /// The task core's slice for one task, as r × 1 × r′. No product of a pass has the slices of two
  /// tasks in it, so the bits of a task are the same whatever others there are.
  Variable<T> task_slice(autodiff::Tape<T>& tape, Index k, Index task) const;
  /// The slice of core k that a site takes (0 of a task core); `head` if that is the head core.
  Index slice(Index k, Index layer, MatrixType type, Index head) const;
  /// That of the product of cores 1 … end − 1.
  Index joined_slice(Index end, Index layer, MatrixType type, Index head) const;
  /// The cores as one task sees them.
  std::vector<Variable<T>> cores_of(autodiff::Tape<T>& tape, Index task) const;
  /// Updates G1 · C[slice] · V, C the product of cores 1 … end − 1.
  UpdateTable<T> updates_of_slices(autodiff::Tape<T>& tape, const std::vector<Variable<T>>& G,
                                   Index end, const Variable<T>& V) const;
  /// Where each head has a slice of its own in C, the product of all inner cores: C·Gn is formed
  /// once, and those of a matrix's heads stand side by side in its V.
  UpdateTable<T> updates_of_head_blocks(autodiff::Tape<T>& tape,
                                        const std::vector<Variable<T>>& G) const;

  Weights<T>& weights_;
  std::vector<CoreMode> inner_;
  std::vector<Id> ids_;
};

/// The train of cores as they are stored: the first one has a left bond of extent one in front of
/// its modes, the last one a right one behind them. Throws Error on fewer than three cores, another
/// number of modes and on bonds that do not match.
tn::TensorTrain<double> train_of_cores(std::vector<Tensor<double>> stored);
/// The cores of a train as they are stored.
std::vector<Tensor<double>> stored_cores(const tn::TensorTrain<double>& train);

}  // namespace metatt::transformer
