#include <metatt/transformer/model_config.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>

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

void check_probability(const std::string& source_name, const char* field, double value) {
  if (!(value >= 0 && value < 1)) refuse(source_name, field, "at least 0 and below 1", value);
}

void check_id(const std::string& source_name, const char* field,
              const std::optional<std::int64_t>& id, std::int64_t vocabulary) {
  if (id && (*id < 0 || *id >= vocabulary))
    refuse(source_name, field, "0 … " + std::to_string(vocabulary - 1), *id);
}

/// What the program calls a field, if the family's files have no name for it.
const char* or_else(const char* name, const char* otherwise) {
  return name ? name : otherwise;
}

void check_heads(const ModelConfig& config, const ConfigFields& names, const std::string& source) {
  const std::int64_t heads = config.num_attention_heads;
  check_extent(source, names.num_attention_heads, heads, max_extent);
  if (!config.head_dim && config.hidden_size % heads != 0)
    refuse(
        source, names.num_attention_heads,
        std::string("a divisor of ") + names.hidden_size + " " + std::to_string(config.hidden_size),
        heads);
  if (config.head_dim) {
    check_extent(source, "head_dim", *config.head_dim, max_extent);
    if (!config.family().rotary)
      refuse(source, "head_dim", "none in this family", *config.head_dim);
  }
  if (config.num_key_value_heads) {
    const char* field = or_else(names.num_key_value_heads, "num_key_value_heads");
    if (!names.num_key_value_heads && *config.num_key_value_heads != heads)
      refuse(source, field, std::to_string(heads) + ", since each head has keys of its own",
             *config.num_key_value_heads);
    check_extent(source, field, *config.num_key_value_heads, heads);
    if (heads % *config.num_key_value_heads != 0)
      refuse(source, field, "a divisor of the " + std::to_string(heads) + " heads",
             *config.num_key_value_heads);
  }
  if (config.family().rotary && config.head_size() % 2 != 0)
    refuse(source, "head_dim", "an even width for rotary positions", config.head_size());
}

/// Reads the fields of one family from a parsed config.json.
class FieldReader {
 public:
  FieldReader(const json& fields, const std::string& source) : fields_(fields), source_(source) {}

  bool given(const char* field) const {
    return field && fields_.contains(field) && !fields_[field].is_null();
  }
  std::int64_t extent(const char* field) const {
    return required<std::int64_t>(fields_, field, source_);
  }
  template <class T>
  std::optional<T> optional(const char* field) const {
    if (!given(field)) return std::nullopt;
    return required<T>(fields_, field, source_);
  }
  double number(const char* field, double fallback) const {
    return field ? optional_or<double>(fields_, field, fallback, source_) : fallback;
  }
  bool flag(const char* field, bool fallback) const {
    return optional_or<bool>(fields_, field, fallback, source_);
  }
  std::string text(const char* field, const std::string& fallback) const {
    return optional_or<std::string>(fields_, field, fallback, source_);
  }

  /// No token, one, or several.
  std::vector<std::int64_t> tokens(const char* field) const {
    if (!given(field)) return {};
    if (!fields_[field].is_array()) return {required<std::int64_t>(fields_, field, source_)};
    return required<std::vector<std::int64_t>>(fields_, field, source_);
  }

  /// Refuses a field that would change the model.
  void expect(const char* field, bool expected) const {
    if (flag(field, expected) != expected)
      refuse(source_, field, expected ? "true" : "false", expected ? "false" : "true");
  }
  void expect(const char* field, const std::string& expected) const {
    const std::string found = text(field, expected);
    if (found != expected) refuse(source_, field, "\"" + expected + "\"", "\"" + found + "\"");
  }
  void expect_absent(const char* field) const {
    if (given(field)) refuse(source_, field, "null", fields_[field].dump());
  }

 private:
  const json& fields_;
  const std::string& source_;
};

/// The base of rotary positions: "rope_theta", or in newer files that of "rope_parameters". Throws
/// Error on positions that are stretched, which would give other results.
double rotary_base(const json& fields, const std::string& source, double fallback) {
  double base = optional_or<double>(fields, "rope_theta", fallback, source);
  for (const char* field : {"rope_scaling", "rope_parameters"}) {
    if (!fields.contains(field) || fields[field].is_null()) continue;
    const json& settings = fields[field];
    bool plain = settings.is_object();
    for (const auto& [key, value] : settings.items())
      plain = plain && (key == "rope_theta" ||
                        ((key == "rope_type" || key == "type") && value == "default"));
    if (!plain) refuse(source, field, "plain rotary positions (\"default\")", settings.dump());
    base = optional_or<double>(settings, "rope_theta", base, source);
  }
  return base;
}

/// How many tokens one sees, where that is fewer than the positions: longer texts would have other
/// results. Of Qwen2 some layers would have the window and others not.
std::optional<std::int64_t> read_window(const FieldReader& read, const json& fields,
                                        const std::string& source, const ModelConfig& config) {
  auto window = read.optional<std::int64_t>("sliding_window");
  const auto otherwise = config.family().default_window;
  if (!fields.contains("sliding_window")) window = otherwise;
  if (!window || *window >= config.max_position_embeddings) return std::nullopt;
  if (!otherwise && read.flag("use_sliding_window", false))
    refuse(source, "sliding_window",
           "null, or at least " + std::to_string(config.max_position_embeddings) + " positions",
           *window);
  return otherwise ? window : std::nullopt;
}

void check_llama_variants(const FieldReader& read, const json& fields, const std::string& source) {
  read.expect("mlp_bias", false);
  if (read.optional<double>("partial_rotary_factor").value_or(1) != 1)
    refuse(source, "partial_rotary_factor", "1", fields["partial_rotary_factor"].dump());
}

}  // namespace

void check_model_config(const ModelConfig& config, const std::string& source_name) {
  const Family& family = find_family(config.model_type, source_name);
  const ConfigFields& names = family.fields;
  if (std::ranges::find(family.activations, config.hidden_act) == family.activations.end()) {
    std::string known;
    for (const auto& name : family.activations)
      known.append(known.empty() ? "\"" : ", \"").append(name).append("\"");
    refuse(source_name, names.hidden_act, known, "\"" + config.hidden_act + "\"");
  }
  check_extent(source_name, "vocab_size", config.vocab_size, max_vocabulary);
  check_extent(source_name, names.hidden_size, config.hidden_size, max_extent);
  check_extent(source_name, names.num_hidden_layers, config.num_hidden_layers, max_layers);
  check_heads(config, names, source_name);
  check_extent(source_name, names.intermediate_size, config.intermediate_size, max_extent);
  check_extent(source_name, names.max_position_embeddings, config.max_position_embeddings,
               max_extent);
  if (names.type_vocab_size)
    check_extent(source_name, names.type_vocab_size, config.type_vocab_size, max_extent);
  if (config.sliding_window)
    check_extent(source_name, "sliding_window", *config.sliding_window, max_extent);
  check_id(source_name, "pad_token_id", config.pad_token_id, config.vocab_size);
  if (config.longest_sequence() < 1)
    refuse(source_name, names.max_position_embeddings,
           "more than pad_token_id + 1 = " + std::to_string(config.first_position()),
           config.max_position_embeddings);
  check_id(source_name, "bos_token_id", config.bos_token_id, config.vocab_size);
  for (const std::int64_t id : config.eos_token_id)
    check_id(source_name, "eos_token_id", id, config.vocab_size);
  check_probability(source_name, or_else(names.hidden_dropout, "hidden_dropout_prob"),
                    config.hidden_dropout_prob);
  check_probability(source_name, or_else(names.attention_dropout, "attention_dropout"),
                    config.attention_probs_dropout_prob);
  check_probability(source_name, or_else(names.embedding_dropout, "embedding_dropout"),
                    config.embedding_dropout.value_or(0));
  check_probability(source_name, or_else(names.classifier_dropout, "classifier_dropout"),
                    config.classifier_dropout.value_or(0));
  if (!(config.layer_norm_eps > 0 && config.layer_norm_eps < 1))
    refuse(source_name, or_else(names.norm_epsilon, "layer_norm_eps"), "above 0 and below 1",
           config.layer_norm_eps);
  if (!(config.rope_theta > 0)) refuse(source_name, "rope_theta", "above 0", config.rope_theta);
}

ModelConfig family_defaults(const Family& family) {
  ModelConfig config;
  config.model_type = family.model_type;
  config.hidden_act = family.activations.front();
  config.hidden_dropout_prob = config.attention_probs_dropout_prob = family.dropout;
  config.classifier_dropout = family.classifier_dropout;
  config.layer_norm_eps = family.norm_epsilon;
  config.tie_word_embeddings = family.tied;
  if (!family.fields.type_vocab_size) config.type_vocab_size = 0;
  config.pad_token_id = family.positions_after_padding ? 1 : 0;
  if (family.causal) config.pad_token_id.reset();
  return config;
}

ModelConfig read_model_config(const std::filesystem::path& path) {
  const std::string source = path.string();
  const json fields = parse_json(tn::read_file(path), source);
  const FieldReader read(fields, source);
  const Family& family = find_family(required<std::string>(fields, "model_type", source), source);
  const ConfigFields& names = family.fields;
  ModelConfig config = family_defaults(family);
  config.vocab_size = read.extent("vocab_size");
  config.hidden_size = read.extent(names.hidden_size);
  config.num_hidden_layers = read.extent(names.num_hidden_layers);
  config.num_attention_heads = read.extent(names.num_attention_heads);
  config.num_key_value_heads = read.optional<std::int64_t>(names.num_key_value_heads);
  if (family.rotary) config.head_dim = read.optional<std::int64_t>("head_dim");
  // GPT-2's may be null, which stands for the usual four widths.
  config.intermediate_size = config.model_type == "gpt2" && !read.given(names.intermediate_size)
                                 ? 4 * config.hidden_size
                                 : read.extent(names.intermediate_size);
  config.hidden_act = read.text(names.hidden_act, config.hidden_act);
  config.hidden_dropout_prob = read.number(names.hidden_dropout, config.hidden_dropout_prob);
  config.embedding_dropout = read.optional<double>(names.embedding_dropout);
  config.attention_probs_dropout_prob =
      read.number(names.attention_dropout, config.attention_probs_dropout_prob);
  if (read.given(names.classifier_dropout))
    config.classifier_dropout = read.optional<double>(names.classifier_dropout);
  config.max_position_embeddings = read.extent(names.max_position_embeddings);
  if (names.type_vocab_size) config.type_vocab_size = read.extent(names.type_vocab_size);
  config.layer_norm_eps = read.number(names.norm_epsilon, config.layer_norm_eps);
  config.tie_word_embeddings = read.flag("tie_word_embeddings", config.tie_word_embeddings);
  if (read.given("pad_token_id")) config.pad_token_id = read.optional<std::int64_t>("pad_token_id");
  config.bos_token_id = read.optional<std::int64_t>("bos_token_id");
  config.eos_token_id = read.tokens("eos_token_id");
  if (family.rotary) {
    config.rope_theta = rotary_base(fields, source, config.rope_theta);
    if (family.attention_bias_given) config.attention_bias = read.flag("attention_bias", false);
    check_llama_variants(read, fields, source);
    config.sliding_window = read_window(read, fields, source, config);
  }
  read.expect("position_embedding_type", std::string("absolute"));
  if (!family.causal) read.expect("is_decoder", false);
  read.expect("add_cross_attention", false);
  read.expect("is_encoder_decoder", false);
  for (const char* field :
       {"quantization_config", "attn_logit_softcapping", "final_logit_softcapping",
        "attention_multiplier", "query_pre_attn_scalar"})
    read.expect_absent(field);
  for (const char* field : {"embedding_multiplier", "residual_multiplier", "logits_scaling"})
    if (read.optional<double>(field).value_or(1) != 1)
      refuse(source, field, "null or 1", fields[field].dump());
  read.expect("scale_attn_weights", true);
  read.expect("scale_attn_by_inverse_layer_idx", false);
  check_model_config(config, source);
  return config;
}

json model_config_json(const ModelConfig& config) {
  const Family& family = config.family();
  const ConfigFields& names = family.fields;
  json fields = {{"model_type", config.model_type}, {"vocab_size", config.vocab_size}};
  const auto set = [&](const char* name, const auto& value) {
    if (name) fields[name] = value;
  };
  const auto set_given = [&](const char* name, const auto& value) {
    if (name && value) fields[name] = *value;
  };
  set(names.hidden_size, config.hidden_size);
  set(names.num_hidden_layers, config.num_hidden_layers);
  set(names.num_attention_heads, config.num_attention_heads);
  set(names.num_key_value_heads, config.key_value_heads());
  set(names.intermediate_size, config.intermediate_size);
  set(names.hidden_act, config.hidden_act);
  set(names.hidden_dropout, config.hidden_dropout_prob);
  set(names.embedding_dropout, config.embedding_dropout.value_or(config.hidden_dropout_prob));
  set(names.attention_dropout, config.attention_probs_dropout_prob);
  set_given(names.classifier_dropout, config.classifier_dropout);
  set(names.max_position_embeddings, config.max_position_embeddings);
  set(names.type_vocab_size, config.type_vocab_size);
  set(names.norm_epsilon, config.layer_norm_eps);
  set_given("pad_token_id", config.pad_token_id);
  set_given("bos_token_id", config.bos_token_id);
  if (config.eos_token_id.size() == 1) fields["eos_token_id"] = config.eos_token_id.front();
  if (config.eos_token_id.size() > 1) fields["eos_token_id"] = config.eos_token_id;
  if (family.rotary) {
    set_given("head_dim", config.head_dim);
    fields["rope_theta"] = config.rope_theta;
    if (family.default_window)
      fields["sliding_window"] = config.sliding_window ? json(*config.sliding_window) : json();
    if (family.attention_bias_given) fields["attention_bias"] = config.attention_bias;
  } else if (!family.causal) {
    fields["position_embedding_type"] = "absolute";
  }
  if (config.tie_word_embeddings != family.tied || family.causal)
    fields["tie_word_embeddings"] = config.tie_word_embeddings;
  return fields;
}

}  // namespace metatt::transformer
