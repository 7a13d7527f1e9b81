#pragma once
/// A small decoder as a folder.

#include "model_testing.hpp"

#include <metatt/transformer/tokenizers/tokenizer_files.hpp>

namespace metatt::testing {

/// Two layers of width 16 with a token a byte, whose end token is 256.
inline ModelConfig byte_decoder_config(const std::string& family = "gpt2") {
  ModelConfig config = family_defaults(find_family(family, "test"));
  config.hidden_size = 16;
  config.num_hidden_layers = config.num_attention_heads = 2;
  config.intermediate_size = 32;
  config.max_position_embeddings = 16;
  config.vocab_size = 257;
  config.eos_token_id = {256};
  config.tie_word_embeddings = true;
  return config;
}

inline void write_byte_decoder(const std::filesystem::path& folder,
                               const ModelConfig& config = byte_decoder_config()) {
  Weights<float> weights;
  const InitialWeight<float> initial = [](const std::string& name, const Shape& shape) {
    return initial_weight<float>(name, shape, 3);
  };
  const Backbone<float> backbone(config, weights, initial);
  write_causal_model({folder}, CausalLanguageModel<float>(backbone, initial));
  write_byte_tokenizer(folder);
}

}  // namespace metatt::testing
