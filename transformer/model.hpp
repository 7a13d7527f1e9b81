#pragma once
/// A sequence classifier put together from a base folder, a method and a seed.

#include <metatt/transformer/backbone_files.hpp>
#include <metatt/transformer/classifier.hpp>
#include <metatt/transformer/metatt4d.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <span>

namespace metatt::transformer {

/// What is trained besides the head.
struct Method {
  enum class Kind { head_only, adapter, full };
  Kind kind = Kind::adapter;
  AdapterSettings adapter;  ///< used by Kind::adapter

  /// "none", "full" or an adapter's name.
  std::string name() const;
  static Method named(const std::string& name, const AdapterSettings& settings);
};

/// Marks what the method trains: the head, the pooler if `pooler` is set or everything is trained,
/// and for `full` the encoder. An adapter marks its own tensors.
template <class T>
void mark_trained(const Method& method, const Backbone<T>& backbone,
                  const Classifier<T>& classifier, bool pooler);

/// Where pooler and head come from.
enum class HeadSource {
  fresh,      ///< a new head; the pooler from the file if it has one, else new and trained with the
              ///< head
  from_model  ///< both from the model file (a merged or fully fine-tuned model)
};

/// config.json, model.safetensors and vocab.txt of a folder in Hugging Face layout, as a classifier
/// with `outputs` outputs. Owns everything that belongs together; not movable, since the parts
/// refer to each other.
template <class T>
class ClassifierModel {
 public:
  /// Throws Error naming file and field on anything missing, damaged or unsupported.
  /// `adapter_shapes`: see make_adapter. `pooler_trained` overrides what the file suggests.
  ClassifierModel(const std::filesystem::path& base, Index outputs, const Method& method,
                  HeadSource source, std::uint64_t seed,
                  const std::map<std::string, Shape>& adapter_shapes = {},
                  std::optional<bool> pooler_trained = {});
  ClassifierModel(const ClassifierModel&) = delete;
  ClassifierModel& operator=(const ClassifierModel&) = delete;

  const std::filesystem::path& base() const { return base_; }
  const Method& method() const { return method_; }
  const ModelConfig& config() const { return config_; }
  const WordPiece& tokenizer() const { return tokenizer_; }
  Weights<T>& weights() { return weights_; }
  const Backbone<T>& backbone() const { return *backbone_; }
  const Classifier<T>& classifier() const { return *classifier_; }
  const Adapter<T>* adapter() const { return adapter_.get(); }
  /// `wanted`, or where it is 0 the smaller of `otherwise` and the model's positions. Throws Error
  /// if the model has fewer positions than wanted, or fewer than 5 are.
  Index sequence_length(Index wanted, Index otherwise = 128) const;
  /// The adapter as a train, or null for another method.
  const MetaTT4D<T>* train() const;
  bool pooler_trained() const { return pooler_trained_; }
  /// Numbers of the adapter (or of the whole encoder for full) and of the head.
  Index trainable_adapter() const { return weights_.trainable_count() - trainable_head(); }
  Index trainable_head() const;
  /// The head's bias at the mean of the labels. A regression that starts at 0 first has to raise
  /// all its outputs at once, and does so by driving the pooler's tanh into saturation, from where
  /// it does not return.
  void center_regression(std::span<const double> labels);
  /// Tensors that belong into the adapter's own file: adapter and what was trained of the head.
  std::vector<NamedTensor<T>> own_tensors() const;

 private:
  std::filesystem::path base_;
  Method method_;
  ModelConfig config_;
  WordPiece tokenizer_;
  Weights<T> weights_;
  std::unique_ptr<Backbone<T>> backbone_;
  std::unique_ptr<Classifier<T>> classifier_;
  std::unique_ptr<Adapter<T>> adapter_;
  bool pooler_trained_ = false;
};

}  // namespace metatt::transformer
