#pragma once
/// A sequence classifier put together from a base folder, a method and a seed.

#include <metatt/transformer/adapted_model.hpp>
#include <metatt/transformer/backbone_files.hpp>
#include <metatt/transformer/classifier.hpp>

#include <array>
#include <optional>
#include <span>

namespace metatt::transformer {

/// Marks what the method trains: the head, the pooler if `pooler` is set or everything is trained,
/// and for `full` the backbone. An adapter marks its own tensors.
template <class T>
void mark_trained(const Method& method, const Backbone<T>& backbone,
                  const Classifier<T>& classifier, bool pooler);

/// Where the head comes from.
enum class HeadSource {
  fresh,      ///< new; but BERT's pooler from the file if it has one, else new and trained with the
              ///< head
  from_model  ///< all from the model file (a merged or fully fine-tuned model)
};

/// What a model has a head for.
struct TaskHead {
  std::string
      task;  ///< stands in the names of the head's weights, which a single head may go without
  Index outputs;
  /// Which output of the model file's head each one is; empty: the same.
  std::vector<Index> stored_outputs = {};

  /// "task.mrpc.", or nothing.
  std::string prefix() const { return task.empty() ? "" : "task." + task + "."; }
};

/// config.json, the weights and the tokenizer of a folder in Hugging Face layout, as a classifier
/// with a head for each task. A pooler that is a part of the base model is shared by them, also
/// where it is new.
template <class T>
class ClassifierModel final : public AdaptedModel<T> {
 public:
  using Id = typename Weights<T>::Id;
  using NamedId = typename AdaptedModel<T>::NamedId;

  /// Throws Error naming file and field on anything missing, damaged or unsupported.
  /// `adapter_shapes`: see make_adapter. `pooler_trained` overrides what the file suggests.
  ClassifierModel(const std::filesystem::path& base, std::span<const TaskHead> heads,
                  const Method& method, HeadSource source, std::uint64_t seed,
                  const std::map<std::string, Shape>& adapter_shapes = {},
                  std::optional<bool> pooler_trained = {});
  /// The same with one head.
  ClassifierModel(const std::filesystem::path& base, Index outputs, const Method& method,
                  HeadSource source, std::uint64_t seed,
                  const std::map<std::string, Shape>& adapter_shapes = {},
                  std::optional<bool> pooler_trained = {})
      : ClassifierModel(base, std::array{TaskHead{{}, outputs}}, method, source, seed,
                        adapter_shapes, pooler_trained) {}

  const Classifier<T>& classifier(Index task = 0) const {
    return *classifiers_.at(static_cast<std::size_t>(task));
  }
  std::vector<Id> head_ids() const override;
  std::vector<NamedId> task_head(Index task) const override;
  bool pooler_trained() const { return pooler_trained_; }
  /// `wanted`, or where it is 0 the smaller of `otherwise` and the longest sequence of the model.
  /// Throws Error if more are wanted than that, or if no two tokens of a pair would be left between
  /// those that the tokenizer puts around it.
  Index sequence_length(Index wanted, Index otherwise = 128) const;
  /// The bias of a task's output at the mean of its labels. A regression that starts at 0 first
  /// has to raise all its outputs at once, and does so by driving the tanh (ReLU) before the output
  /// into saturation (to zero), from where it does not return. Does nothing where the output has no
  /// bias: such heads read the hidden state itself, and the format has no place for a mean.
  void center_regression(std::span<const double> labels, Index task = 0);

 private:
  std::vector<std::string> prefixes_;  ///< of each task's head
  std::vector<std::unique_ptr<Classifier<T>>> classifiers_;
  bool pooler_trained_ = false;
};

}  // namespace metatt::transformer
