#pragma once
/// Causal language models with their tokenizers, to and from folders in Hugging Face layout.

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/adapted_model.hpp>
#include <metatt/transformer/backbone_files.hpp>
#include <metatt/transformer/causal_language_model.hpp>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace metatt::transformer {

/// config.json, the weights and the tokenizer of a folder.
template <class T>
class CausalModelFolder final : public AdaptedModel<T> {
 public:
  using Id = typename Weights<T>::Id;

  /// With a method, what it trains is marked: an adapter, or for full everything; without one
  /// nothing is. `adapter_shapes`: see make_adapter. Throws Error naming file and field on anything
  /// missing, damaged or unsupported, and on a method that trains nothing.
  explicit CausalModelFolder(const std::filesystem::path& folder,
                             const std::optional<Method>& method = {},
                             const std::map<std::string, Shape>& adapter_shapes = {});

  const CausalLanguageModel<T>& model() const { return *model_; }
  std::vector<Id> head_ids() const override { return model_->head_ids(); }
  /// The one of the adapter's tasks whose updates evaluations and choices take; 0 at first.
  Index task() const { return task_; }
  void set_task(Index task) { task_ = task; }
  /// `wanted`, or where it is 0 the smaller of 1024 and the model's positions. Throws Error if they
  /// are fewer than wanted.
  Index sequence_length(Index wanted) const;

 private:
  std::unique_ptr<CausalLanguageModel<T>> model_;
  Index task_ = 0;
};

/// A text that a model goes on with: with the tokens that the tokenizer puts before every text, not
/// those behind it. An empty text is the config's bos_token_id, if there is no other token.
std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, const ModelConfig& config,
                                   std::string_view text);

/// config.json and model.safetensors, as transformers writes them. The tokenizer's files are the
/// caller's.
void write_causal_model(const tn::OutputFolder& folder, const CausalLanguageModel<float>& model);

}  // namespace metatt::transformer
