#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/model_config.hpp>
#include <nlohmann/json.hpp>

namespace metatt::transformer {

namespace {

using nlohmann::json;

constexpr std::int64_t max_vocabulary = 1 << 24;
constexpr std::int64_t max_extent = 1 << 20;
constexpr std::int64_t max_layers = 1 << 12;

template <class T>
[[noreturn]] void refuse(const std::string& source_name, const char* field,
                         const std::string& expected, const T& found) {
  tn::fail(source_name, ": field \"", field, "\": expected ", expected, ", found ", found);
}

void check_extent(const std::string& source_name, const char* field, std::int64_t value,
                  std::int64_t largest) {
  if (value < 1 || value > largest) {
    refuse(source_name, field, "1 … " + std::to_string(largest), value);
  }
}

void check_text(const std::string& source_name, const char* field, const std::string& value,
                const char* expected) {
  if (value != expected) {
    refuse(source_name, field, std::string("\"") + expected + "\"", "\"" + value + "\"");
  }
}

void check_probability(const std::string& source_name, const char* field, double value) {
  if (!(value >= 0 && value < 1)) refuse(source_name, field, "at least 0 and below 1", value);
}

}  // namespace

void check_model_config(const ModelConfig& config, const std::string& source_name) {
  check_text(source_name, "model_type", config.model_type, "bert");
  check_text(source_name, "hidden_act", config.hidden_act, "gelu");
  check_extent(source_name, "vocab_size", config.vocab_size, max_vocabulary);
  check_extent(source_name, "hidden_size", config.hidden_size, max_extent);
  check_extent(source_name, "num_hidden_layers", config.num_hidden_layers, max_layers);
  check_extent(source_name, "num_attention_heads", config.num_attention_heads, config.hidden_size);
  check_extent(source_name, "intermediate_size", config.intermediate_size, max_extent);
  check_extent(source_name, "max_position_embeddings", config.max_position_embeddings, max_extent);
  check_extent(source_name, "type_vocab_size", config.type_vocab_size, max_extent);
  if (config.hidden_size % config.num_attention_heads != 0) {
    refuse(source_name, "num_attention_heads",
           "a divisor of hidden_size " + std::to_string(config.hidden_size),
           config.num_attention_heads);
  }
  if (config.pad_token_id < 0 || config.pad_token_id >= config.vocab_size) {
    refuse(source_name, "pad_token_id", "0 … " + std::to_string(config.vocab_size - 1),
           config.pad_token_id);
  }
  check_probability(source_name, "hidden_dropout_prob", config.hidden_dropout_prob);
  check_probability(source_name, "attention_probs_dropout_prob",
                    config.attention_probs_dropout_prob);
  if (config.classifier_dropout) {
    check_probability(source_name, "classifier_dropout", *config.classifier_dropout);
  }
  if (!(config.layer_norm_eps > 0 && config.layer_norm_eps < 1)) {
    refuse(source_name, "layer_norm_eps", "above 0 and below 1", config.layer_norm_eps);
  }
}

ModelConfig read_model_config(const std::filesystem::path& path) {
  const std::string source = path.string();
  const json fields = parse_json(tn::read_file(path), source);
  ModelConfig config;
  const auto extent = [&](const char* field) {
    return required<std::int64_t>(fields, field, source);
  };
  const auto number = [&](const char* field, double fallback) {
    return optional_or<double>(fields, field, fallback, source);
  };
  config.model_type = required<std::string>(fields, "model_type", source);
  // Before the extents: another family calls them by other names.
  check_text(source, "model_type", config.model_type, "bert");
  config.vocab_size = extent("vocab_size");
  config.hidden_size = extent("hidden_size");
  config.num_hidden_layers = extent("num_hidden_layers");
  config.num_attention_heads = extent("num_attention_heads");
  config.intermediate_size = extent("intermediate_size");
  config.hidden_act = optional_or<std::string>(fields, "hidden_act", config.hidden_act, source);
  config.hidden_dropout_prob = number("hidden_dropout_prob", config.hidden_dropout_prob);
  config.attention_probs_dropout_prob =
      number("attention_probs_dropout_prob", config.attention_probs_dropout_prob);
  if (fields.contains("classifier_dropout") && !fields["classifier_dropout"].is_null()) {
    config.classifier_dropout = required<double>(fields, "classifier_dropout", source);
  }
  config.max_position_embeddings = extent("max_position_embeddings");
  config.type_vocab_size = extent("type_vocab_size");
  config.layer_norm_eps = number("layer_norm_eps", config.layer_norm_eps);
  config.pad_token_id =
      optional_or<std::int64_t>(fields, "pad_token_id", config.pad_token_id, source);
  check_text(source, "position_embedding_type",
             optional_or<std::string>(fields, "position_embedding_type", "absolute", source),
             "absolute");
  for (const char* field : {"is_decoder", "add_cross_attention"}) {
    if (optional_or<bool>(fields, field, false, source)) refuse(source, field, "false", "true");
  }
  check_model_config(config, source);
  return config;
}

json model_config_json(const ModelConfig& config) {
  json fields = {
      {"model_type", config.model_type},
      {"vocab_size", config.vocab_size},
      {"hidden_size", config.hidden_size},
      {"num_hidden_layers", config.num_hidden_layers},
      {"num_attention_heads", config.num_attention_heads},
      {"intermediate_size", config.intermediate_size},
      {"hidden_act", config.hidden_act},
      {"hidden_dropout_prob", config.hidden_dropout_prob},
      {"attention_probs_dropout_prob", config.attention_probs_dropout_prob},
      {"max_position_embeddings", config.max_position_embeddings},
      {"type_vocab_size", config.type_vocab_size},
      {"layer_norm_eps", config.layer_norm_eps},
      {"pad_token_id", config.pad_token_id},
      {"position_embedding_type", "absolute"},
  };
  if (config.classifier_dropout) fields["classifier_dropout"] = *config.classifier_dropout;
  return fields;
}

}  // namespace metatt::transformer
