#pragma once
/// Causal language models with their tokenizers, to and from folders in Hugging Face layout.

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/backbone_files.hpp>
#include <metatt/transformer/causal_language_model.hpp>
#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <filesystem>
#include <memory>

namespace metatt::transformer {

/// config.json, the weights and the tokenizer of a folder. Owns everything that belongs together;
/// not movable, since the parts refer to each other.
template <class T>
class CausalModelFolder {
 public:
  /// Throws Error naming file and field on anything missing, damaged or unsupported, and if the
  /// tokenizer has more entries than the model knows.
  explicit CausalModelFolder(const std::filesystem::path& folder);
  CausalModelFolder(const CausalModelFolder&) = delete;
  CausalModelFolder& operator=(const CausalModelFolder&) = delete;

  const ModelConfig& config() const { return config_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  Weights<T>& weights() { return weights_; }
  const CausalLanguageModel<T>& model() const { return *model_; }

 private:
  ModelConfig config_;
  std::unique_ptr<Tokenizer> tokenizer_;
  Weights<T> weights_;
  std::unique_ptr<Backbone<T>> backbone_;
  std::unique_ptr<CausalLanguageModel<T>> model_;
};

/// Throws Error naming the folder if the tokenizer has more entries than the model knows.
void check_vocabulary(const Tokenizer& tokenizer, const ModelConfig& config,
                      const std::filesystem::path& folder);

/// config.json and model.safetensors, as transformers writes them. The tokenizer's files are the
/// caller's.
void write_causal_model(const tn::OutputFolder& folder, const CausalLanguageModel<float>& model);

}  // namespace metatt::transformer
