#pragma once
/// What all adapters have in common: they add low-rank updates to some matrices of a backbone.

#include <metatt/autodiff/ops_linear.hpp>
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
/// Throws Error listing the names.
MatrixType find_matrix_type(const std::string& name);
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

/// What a user chooses about an adapter.
struct AdapterSettings {
  std::string kind = "metatt4d";  ///< a name in adapter_kinds()
  Index rank = 8;
  double alpha = 1;  ///< factor before the whole update
  std::vector<MatrixType> targets = {MatrixType::query, MatrixType::value};
  std::string initialisation = "ze-id-id-id";  ///< one code a core, for metatt4d
  std::uint64_t seed = 42;
};

/// The updates of one pass, by layer and matrix type.
template <class T>
class UpdateTable {
 public:
  void set(Index layer, MatrixType type, autodiff::LowRankUpdate<T> update) {
    updates_[{layer, type}] = std::move(update);
  }
  /// Nothing if that matrix is not adapted.
  const autodiff::LowRankUpdate<T>* find(Index layer, MatrixType type) const {
    const auto found = updates_.find({layer, type});
    return found == updates_.end() ? nullptr : &found->second;
  }
  /// Appends the factors of a layer's updates, always in the same order.
  void append_factors(Index layer, std::vector<Variable<T>>& factors) const;
  /// A layer's updates with other variables for those factors.
  UpdateTable with_factors(Index layer, std::span<const Variable<T>> factors) const;

 private:
  std::map<std::pair<Index, MatrixType>, autodiff::LowRankUpdate<T>> updates_;
};

/// An adapter whose trainable tensors are in `Weights`.
template <class T>
class Adapter {
 public:
  virtual ~Adapter() = default;
  const AdapterSettings& settings() const { return settings_; }

  /// Products of parameters only, once a pass, then the update of every adapted matrix.
  virtual UpdateTable<T> updates(autodiff::Tape<T>& tape) const = 0;
  /// Weight ids of the adapter's tensors in the order of its file.
  virtual std::vector<typename Weights<T>::Id> tensors() const = 0;
  /// One matrix's update as the factors of ordinary LoRA, ΔW = B·A without further scaling: A (r ×
  /// D_in), B (D_out × r). Exact.
  struct LoraFactors {
    Tensor<T> A, B;
  };
  virtual LoraFactors lora_factors(Index layer, MatrixType type) const = 0;

 protected:
  Adapter(AdapterSettings settings, ModelConfig config)
      : settings_(std::move(settings)), config_(std::move(config)) {}
  AdapterSettings settings_;
  ModelConfig config_;
};

/// Adds the adapter's freshly initialised tensors to `weights` (trainable) and returns the adapter.
/// `shapes` gives the shapes of the tensors where they differ from a fresh adapter's (an adapter
/// read from a file after rank adaptation). Throws Error on an unknown kind, no targets, or a rank
/// below 1 or above what a matrix can have.
template <class T>
std::unique_ptr<Adapter<T>> make_adapter(const AdapterSettings& settings, const ModelConfig& config,
                                         Weights<T>& weights,
                                         const std::map<std::string, Shape>& shapes = {});

/// Names of the adapters that make_adapter knows.
std::vector<std::string> adapter_kinds();

/// Checks shared by all kinds; the error names the setting.
void check_adapter_settings(const AdapterSettings& settings, const ModelConfig& config);

}  // namespace metatt::transformer
