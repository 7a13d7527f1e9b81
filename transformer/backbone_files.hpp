#pragma once
/// Backbones to and from Hugging Face's model folders.

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/backbone.hpp>
#include <metatt/transformer/weight_files.hpp>

#include <filesystem>
#include <functional>

namespace metatt::transformer {

/// Gives weights from the files of a model under our names: queries, keys and values joined, gate
/// and up too, matrices (out × in). Accepts the file's names with or without the family's prefix.
/// Its errors name file, tensor, expected and found.
template <class T>
class BackboneReader {
 public:
  BackboneReader(const std::filesystem::path& folder, const ModelConfig& config);
  /// An InitialWeight.
  Tensor<T> operator()(const std::string& name, const Shape& shape) const;
  /// Whether the files have a tensor of this name (with prefix or without).
  bool contains(const std::string& name) const;
  /// Throws Error if the files have more layers than the config, or a tensor in a layer that
  /// `backbone` does not have: it would change the results where it belongs to.
  void check_layers(const Backbone<T>& backbone) const;

 private:
  std::string stored_name(const std::string& name) const;
  Tensor<T> stored(const std::string& name, const Shape& shape) const;

  std::filesystem::path folder_;
  std::shared_ptr<const WeightFiles> files_;
  ModelConfig config_;
};

/// Throws Error naming the tokenizer's file and `config_source`, the config's, if the tokenizer has
/// more entries than the model knows, or is a vocab.txt that lacks many of them.
void check_vocabulary(const Tokenizer& tokenizer, const ModelConfig& config,
                      const std::string& config_source);

/// What to tell a user whose tokenizer has fewer entries than the model; "" if it has as many. Up
/// to 127 more rows may make the table's height a round number, more may be another model's.
std::string vocabulary_warning(const Tokenizer& tokenizer, const ModelConfig& config,
                               const std::string& config_source);

/// The backbone's weights under Hugging Face's names, the family's prefix before each, what we join
/// apart. `change(layer, type, weight)` may alter a matrix (out × in) on its way (merging an
/// adapter); may be empty.
template <class T>
using MatrixChange = std::function<Tensor<T>(Index layer, MatrixType type, Tensor<T> weight)>;
template <class T>
std::vector<NamedTensor<T>> backbone_tensors(const Backbone<T>& backbone,
                                             const MatrixChange<T>& change = {});

/// config.json and model.safetensors of a backbone under a head, which transformers calls
/// `architecture`.
template <class T>
void write_model(const tn::OutputFolder& folder, const Backbone<T>& backbone,
                 const std::vector<typename Weights<T>::Id>& head_ids, const char* architecture);

}  // namespace metatt::transformer
