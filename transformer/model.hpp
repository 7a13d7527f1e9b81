#pragma once
/// A sequence classifier put together from a base folder, a method and a seed.

#include <metatt/transformer/adapted_model.hpp>
#include <metatt/transformer/backbone_files.hpp>
#include <metatt/transformer/classifier.hpp>

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

/// config.json, the weights and the tokenizer of a folder in Hugging Face layout, as a classifier
/// with `outputs` outputs.
template <class T>
class ClassifierModel final : public AdaptedModel<T> {
 public:
  using Id = typename Weights<T>::Id;

  /// Throws Error naming file and field on anything missing, damaged or unsupported.
  /// `adapter_shapes`: see make_adapter. `pooler_trained` overrides what the file suggests.
  ClassifierModel(const std::filesystem::path& base, Index outputs, const Method& method,
                  HeadSource source, std::uint64_t seed,
                  const std::map<std::string, Shape>& adapter_shapes = {},
                  std::optional<bool> pooler_trained = {});

  const Classifier<T>& classifier() const { return *classifier_; }
  std::vector<Id> head_ids() const override;
  bool pooler_trained() const { return pooler_trained_; }
  /// `wanted`, or where it is 0 the smaller of `otherwise` and the longest sequence of the model.
  /// Throws Error if more are wanted than that, or if no two tokens of a pair would be left between
  /// those that the tokenizer puts around it.
  Index sequence_length(Index wanted, Index otherwise = 128) const;
  /// The bias of the head's output at the mean of the labels. A regression that starts at 0 first
  /// has to raise all its outputs at once, and does so by driving the tanh (ReLU) before the output
  /// into saturation (to zero), from where it does not return. Does nothing where the output has no
  /// bias: such heads read the hidden state itself, and the format has no place for a mean.
  void center_regression(std::span<const double> labels);

 private:
  std::unique_ptr<Classifier<T>> classifier_;
  bool pooler_trained_ = false;
};

}  // namespace metatt::transformer
