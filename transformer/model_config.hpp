#pragma once
/// The config.json of a model in Hugging Face layout, the same for all families.

#include <metatt/transformer/family.hpp>
#include <nlohmann/json_fwd.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace metatt::transformer {

/// Extents and settings of a backbone. Names and defaults are those of Hugging Face's BERT;
/// families that call a field otherwise in their config.json are translated (family.hpp).
struct ModelConfig {
  std::string model_type = "bert";
  std::int64_t vocab_size = 30522;
  std::int64_t hidden_size = 768;
  std::int64_t num_hidden_layers = 12;
  std::int64_t num_attention_heads = 12;
  std::optional<std::int64_t> num_key_value_heads;  ///< num_attention_heads if absent
  std::optional<std::int64_t> head_dim;             ///< hidden_size / num_attention_heads if absent
  std::int64_t intermediate_size = 3072;
  std::string hidden_act = "gelu";
  double hidden_dropout_prob = 0.1;
  std::optional<double> embedding_dropout;  ///< hidden_dropout_prob if absent
  double attention_probs_dropout_prob = 0.1;
  std::optional<double> classifier_dropout;  ///< hidden_dropout_prob if absent
  std::int64_t max_position_embeddings = 512;
  std::int64_t type_vocab_size = 2;            ///< 0: no token types
  double layer_norm_eps = 1e-12;               ///< of an RMS norm too
  double rope_theta = 10000;                   ///< base of rotary positions
  std::optional<std::int64_t> sliding_window;  ///< tokens that one sees, if fewer than positions
  bool attention_bias = false;                 ///< where the family leaves the choice
  bool tie_word_embeddings = true;
  std::optional<std::int64_t> pad_token_id = 0, bos_token_id;
  std::vector<std::int64_t> eos_token_id;  ///< any of them ends a text

  const Family& family() const { return find_family(model_type, "ModelConfig"); }
  std::int64_t head_size() const { return head_dim.value_or(hidden_size / num_attention_heads); }
  std::int64_t key_value_heads() const { return num_key_value_heads.value_or(num_attention_heads); }
  std::int64_t query_width() const { return num_attention_heads * head_size(); }
  std::int64_t key_value_width() const { return key_value_heads() * head_size(); }
  /// Row of the position table of the first token.
  std::int64_t first_position() const {
    return family().positions_after_padding ? pad_token_id.value_or(0) + 1 : 0;
  }
  /// The longest sequence: one of which every token has a position and sees all before it.
  std::int64_t longest_sequence() const {
    const std::int64_t positions = max_position_embeddings - first_position();
    return std::min(positions, sliding_window.value_or(positions));
  }
  bool operator==(const ModelConfig&) const = default;
};

/// A config with all that the family has a default for; the extents are still BERT's.
ModelConfig family_defaults(const Family& family);

/// Throws tn::Error naming `source_name`, the field, what was expected and what was found: another
/// family, activation or kind of position than there is, heads that do not divide hidden_size or
/// that keys and values do not divide, extents below 1 or absurdly large, dropout outside [0, 1),
/// an epsilon outside (0, 1).
void check_model_config(const ModelConfig& config, const std::string& source_name);

/// Reads and checks a config.json. The extents must be given; model_type too, the rest has the
/// defaults of the family. Fields that do not change the backbone (dtype, labels, …) are left
/// alone; those that would change it in a way that is not supported are refused.
ModelConfig read_model_config(const std::filesystem::path& path);

/// The fields of config.json under the family's names, ready for a head's own fields
/// (architectures, id2label, …).
nlohmann::json model_config_json(const ModelConfig& config);

}  // namespace metatt::transformer
