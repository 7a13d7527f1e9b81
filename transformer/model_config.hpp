#pragma once
/// The config.json of an encoder in Hugging Face layout.

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace metatt::transformer {

/// An encoder of the BERT family (Devlin and others, arXiv:1810.04805): learned absolute positions,
/// layer norm after each block, exact GELU (x·Φ(x)). Names and defaults are Hugging Face's.
struct ModelConfig {
  std::string model_type = "bert";
  std::int64_t vocab_size = 30522;
  std::int64_t hidden_size = 768;
  std::int64_t num_hidden_layers = 12;
  std::int64_t num_attention_heads = 12;
  std::int64_t intermediate_size = 3072;
  std::string hidden_act = "gelu";
  double hidden_dropout_prob = 0.1;
  double attention_probs_dropout_prob = 0.1;
  std::optional<double> classifier_dropout;  ///< hidden_dropout_prob if absent
  std::int64_t max_position_embeddings = 512;
  std::int64_t type_vocab_size = 2;
  double layer_norm_eps = 1e-12;
  std::int64_t pad_token_id = 0;

  std::int64_t head_size() const { return hidden_size / num_attention_heads; }
  bool operator==(const ModelConfig&) const = default;
};

/// Throws tn::Error naming `source_name`, the field, what was expected and what was found: another
/// family, activation or kind of position than above, heads that do not divide hidden_size, extents
/// below 1 or absurdly large, dropout outside [0, 1), an epsilon outside (0, 1).
void check_model_config(const ModelConfig& config, const std::string& source_name);

/// Reads and checks a config.json. The extents must be given; model_type too, the rest has the
/// defaults above. Fields that do not change the encoder (dtype, labels, …) are left alone.
ModelConfig read_model_config(const std::filesystem::path& path);

/// The fields of config.json, ready for a head's own fields (architectures, id2label, …).
nlohmann::json model_config_json(const ModelConfig& config);

}  // namespace metatt::transformer
