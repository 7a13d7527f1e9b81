#pragma once
/// What all adapters have in common: they add low-rank updates to some matrices of a backbone.

#include <metatt/autodiff/ops_diagonal.hpp>
#include <metatt/autodiff/ops_linear.hpp>
#include <metatt/transformer/adapters/input_gram.hpp>
#include <metatt/transformer/model_config.hpp>
#include <metatt/transformer/weights.hpp>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace metatt::transformer {

/// The matrices of a layer that an adapter may update, in the order of the type mode.
enum class MatrixType {
  query,
  key,
  value,
  attention_output,
  feed_forward_up,
  feed_forward_down,
  feed_forward_gate  ///< where there is one
};
inline constexpr int matrix_type_count = 7;

/// "query", "attention_output", …; the names of --target_modules.
std::string matrix_type_name(MatrixType type);
/// Those of some names. Throws Error listing the names.
std::vector<MatrixType> find_matrix_types(const std::vector<std::string>& names);
/// "attention.self.query", …: the module inside a layer, as the family's files call it; null where
/// the family does not have it as a matrix of its own.
const char* module_of(const Family& family, MatrixType type);

/// All that the family has.
std::vector<MatrixType> matrix_types(const Family& family);

/// Input and output width of a matrix type.
struct MatrixExtents {
  Index d_in, d_out;
};
MatrixExtents matrix_extents(const ModelConfig& config, MatrixType type);

/// Which index an inner core of a train of all updates runs over.
enum class CoreMode { layer, task, matrix_type, head };
/// "layer", "task", "matrix_type", "head".
std::string core_mode_name(CoreMode mode);
/// Those of some names. Throws Error listing the names.
std::vector<CoreMode> find_core_modes(const std::vector<std::string>& names);

/// What a user chooses about an adapter.
struct AdapterSettings {
  std::string kind = "metatt4d";  ///< a name in adapter_kinds()
  Index rank = 8;
  std::vector<Index> ranks = {};          ///< of a train, one a bond; empty: `rank` for all
  std::vector<CoreMode> core_order = {};  ///< of a train's inner cores; empty: its kind's
  Index tasks = 1;                        ///< that a train has slices for
  bool only_task_core = false;            ///< all else of a train stays as it is
  double alpha = 1;                       ///< factor before the whole update
  std::vector<MatrixType> targets = {MatrixType::query, MatrixType::value};
  std::string initialisation = {};  ///< of a train, one code a core; empty: its default
  std::uint64_t seed = 42;
};

/// The updates of one pass, by layer and matrix type.
template <class T>
class UpdateTable {
 public:
  void set(Index layer, MatrixType type, autodiff::LowRankUpdate<T> update) {
    updates_[{layer, type}] = std::move(update);
  }
  /// That of one matrix; null if it is not adapted.
  const autodiff::LowRankUpdate<T>* of(Index layer, MatrixType type) const {
    const auto found = updates_.find({layer, type});
    return found == updates_.end() ? nullptr : &found->second;
  }
  /// Multiplies the columns of x·Wᵀ with its updates, before the bias.
  void set_gain(Index layer, MatrixType type, Variable<T> gain) {
    gains_[{layer, type}] = std::move(gain);
  }
  /// Empty if there is none.
  Variable<T> gain(Index layer, MatrixType type) const {
    const auto found = gains_.find({layer, type});
    return found == gains_.end() ? Variable<T>{} : found->second;
  }
  /// Notes the inputs of an adapted matrix, if that is asked for.
  void note_input(Index layer, MatrixType type, const Tensor<T>& x) const {
    if (inputs_ && of(layer, type)) inputs_->add(x);
  }
  void set_input_gram(InputGram<T>* inputs) { inputs_ = inputs; }
  /// Appends the factors of a layer's updates and its gains, always in the same order.
  void append_factors(Index layer, std::vector<Variable<T>>& factors) const;
  /// A layer's updates with other variables for those factors.
  UpdateTable with_factors(Index layer, std::span<const Variable<T>> factors) const;

 private:
  std::map<std::pair<Index, MatrixType>, autodiff::LowRankUpdate<T>> updates_;
  std::map<std::pair<Index, MatrixType>, Variable<T>> gains_;
  InputGram<T>* inputs_ = nullptr;
};

/// An adapter whose trainable tensors are in `Weights`.
template <class T>
class Adapter {
 public:
  virtual ~Adapter() = default;
  const AdapterSettings& settings() const { return settings_; }

  /// The tensor trains that it is made of, each as the weight ids of its cores from the first to
  /// the last; their ranks may change while it is trained. The first and the last core are stored
  /// without their outer bonds. None for an adapter of another form.
  virtual std::vector<std::vector<typename Weights<T>::Id>> trains() const { return {}; }
  /// Factors U (D_in × r), E (r) and V (r × D_out) of an update U·diag(E)·V, for each adapted
  /// matrix; their ranks may change too. None for an adapter of another form.
  struct Triplet {
    typename Weights<T>::Id U, E, V;
  };
  virtual std::vector<Triplet> triplets() const { return {}; }
  /// Whether W0 + ΔW is all that becomes of a matrix; otherwise it has a gain too.
  virtual bool only_adds() const { return true; }
  /// Products of parameters only, once a pass, then the updates of every adapted matrix for a task
  /// (all have the same unless the adapter tells them apart).
  virtual UpdateTable<T> updates(autodiff::Tape<T>& tape, Index task) const = 0;
  /// Weight ids of the adapter's tensors in the order of its file.
  virtual std::vector<typename Weights<T>::Id> tensors() const = 0;
  /// One matrix's update of that table as the factors of ordinary LoRA, ΔW = B·A without further
  /// scaling: A (r × D_in), B (D_out × r). Exact, but without a gain. Throws Error if the matrix is
  /// not adapted.
  struct LoraFactors {
    Tensor<T> A, B;
  };
  /// A is Uᵀ, or (U·C)ᵀ where C leaves a smaller rank; with `keeps_U` always Uᵀ.
  LoraFactors lora_factors(const UpdateTable<T>& updates, Index layer, MatrixType type,
                           bool keeps_U = false) const;
  /// The matrix (D_out × D_in) with its update of that table, if it is adapted.
  Tensor<T> merged(const UpdateTable<T>& updates, Index layer, MatrixType type,
                   const Tensor<T>& weight) const;

  /// From now on passes outside training add the inputs of all adapted matrices there; null ends
  /// it.
  void note_inputs(InputGram<T>* inputs) const { inputs_ = inputs; }
  InputGram<T>* noted_inputs() const { return inputs_; }

 protected:
  Adapter(AdapterSettings settings, ModelConfig config)
      : settings_(std::move(settings)), config_(std::move(config)) {}
  AdapterSettings settings_;
  ModelConfig config_;

 private:
  mutable InputGram<T>* inputs_ = nullptr;  ///< of who looks on, no part of the adapter
};

/// Adds a tensor of an adapter to the weights. Throws Error if `shapes`, those of a file, has it in
/// another shape.
template <class T>
typename Weights<T>::Id add_adapter_tensor(Weights<T>& weights, const std::string& name,
                                           Tensor<T> value,
                                           const std::map<std::string, Shape>& shapes,
                                           bool trained = true);

/// The largest of all targets.
MatrixExtents largest_extents(const AdapterSettings& settings, const ModelConfig& config);

/// In how many blocks as wide as a head so many columns lie; the last one may be narrower.
inline Index head_blocks(const ModelConfig& config, Index columns) {
  return (columns + config.head_size() - 1) / config.head_size();
}

/// "adapter.layer.3.query".
std::string site_name(Index layer, MatrixType type);

/// Uniform in ±bound.
template <class T>
Tensor<T> uniform_matrix(Index rows, Index columns, double bound, std::uint64_t seed,
                         std::uint64_t stream);
/// Normal with a deviation.
template <class T>
Tensor<T> normal_matrix(Index rows, Index columns, double deviation, std::uint64_t seed,
                        std::uint64_t stream);

/// factor · matrixᵀ.
template <class T>
Tensor<T> scaled_transpose(const Tensor<T>& matrix, T factor);

/// Adds the adapter's freshly initialised tensors to `weights` (trainable) and returns the adapter.
/// `shapes` gives the shapes of the tensors where they differ from a fresh adapter's (an adapter
/// read from a file after rank adaptation). Throws Error on an unknown kind, no targets, or a rank
/// below 1 or, of a fresh adapter, above what one of the matrices can have.
template <class T>
std::unique_ptr<Adapter<T>> make_adapter(const AdapterSettings& settings, const ModelConfig& config,
                                         Weights<T>& weights,
                                         const std::map<std::string, Shape>& shapes = {});

/// Names of the adapters that make_adapter knows.
std::vector<std::string> adapter_kinds();
/// Whether an adapter of this name is one train of all updates, which has a rank for each bond and
/// an order and codes of its cores.
bool is_one_train(const std::string& kind);
/// Whether adapters of this name have trains.
bool has_trains(const std::string& kind);
/// Whether they have triplets.
bool has_triplets(const std::string& kind);

/// Checks shared by all kinds; the error names the setting.
void check_adapter_settings(const AdapterSettings& settings, const ModelConfig& config);

}  // namespace metatt::transformer
