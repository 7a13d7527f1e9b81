#pragma once
/// A backbone with its tokenizer from a folder, and what of it is trained.

#include <metatt/transformer/adapters/meta_tt.hpp>
#include <metatt/transformer/backbone.hpp>
#include <metatt/transformer/method.hpp>
#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <filesystem>
#include <memory>

namespace metatt::transformer {

/// What models for every purpose have in common. Owns everything that belongs together; not
/// movable, since the parts refer to each other.
template <class T>
class AdaptedModel {
 public:
  using Id = typename Weights<T>::Id;
  virtual ~AdaptedModel() = default;
  AdaptedModel(const AdaptedModel&) = delete;
  AdaptedModel& operator=(const AdaptedModel&) = delete;

  /// The folder that it came from.
  const std::filesystem::path& base() const { return base_; }
  const Method& method() const { return method_; }
  const ModelConfig& config() const { return config_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  Weights<T>& weights() { return weights_; }
  const Weights<T>& weights() const { return weights_; }
  const Backbone<T>& backbone() const { return *backbone_; }
  /// Null for other methods.
  const Adapter<T>* adapter() const { return adapter_.get(); }
  /// The adapter as a train, or null for another method.
  const MetaTT<T>* train() const;

  /// All weights beside the backbone's.
  virtual std::vector<Id> head_ids() const = 0;
  /// Those of one task, from 0, by their names in a model for this task alone.
  struct NamedId {
    std::string name;
    Id id;
  };
  virtual std::vector<NamedId> task_head(Index task) const;
  /// Numbers of the adapter (or of the whole backbone for full) and of the head.
  Index trainable_adapter() const { return weights_.trainable_count() - trainable_head(); }
  Index trainable_head() const;
  /// Tensors that belong into the adapter's own file: adapter and what was trained of the head.
  std::vector<NamedTensor<T>> own_tensors() const;

 protected:
  /// Reads the tokenizer. Throws Error naming the file, and if it has more entries than the model.
  AdaptedModel(const std::filesystem::path& base, ModelConfig config, const Method& method);

  std::filesystem::path base_;
  Method method_;
  ModelConfig config_;
  std::unique_ptr<Tokenizer> tokenizer_;
  Weights<T> weights_;
  std::unique_ptr<Backbone<T>> backbone_;
  std::unique_ptr<Adapter<T>> adapter_;
};

}  // namespace metatt::transformer
