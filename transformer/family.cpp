#include <metatt/transformer/family.hpp>

#include <metatt/tn/error.hpp>

#include <algorithm>

namespace metatt::transformer {

namespace {

constexpr ModuleNames bert_names(const char* prefix) {
  return {.prefix = prefix,
          .word_embeddings = "embeddings.word_embeddings",
          .position_embeddings = "embeddings.position_embeddings",
          .type_embeddings = "embeddings.token_type_embeddings",
          .embedding_norm = "embeddings.LayerNorm",
          .layers = "encoder.layer.",
          .attention_norm = "attention.output.LayerNorm",
          .query = "attention.self.query",
          .key = "attention.self.key",
          .value = "attention.self.value",
          .joined = "attention.self.qkv",
          .attention_output = "attention.output.dense",
          .feed_forward_norm = "output.LayerNorm",
          .gate = nullptr,
          .up = "intermediate.dense",
          .gate_and_up = nullptr,
          .down = "output.dense",
          .final_norm = nullptr};
}

constexpr ConfigFields bert_fields{.hidden_size = "hidden_size",
                                   .num_hidden_layers = "num_hidden_layers",
                                   .num_attention_heads = "num_attention_heads",
                                   .num_key_value_heads = nullptr,
                                   .intermediate_size = "intermediate_size",
                                   .hidden_act = "hidden_act",
                                   .hidden_dropout = "hidden_dropout_prob",
                                   .embedding_dropout = nullptr,
                                   .attention_dropout = "attention_probs_dropout_prob",
                                   .classifier_dropout = "classifier_dropout",
                                   .max_position_embeddings = "max_position_embeddings",
                                   .type_vocab_size = "type_vocab_size",
                                   .norm_epsilon = "layer_norm_eps"};

/// Of decoders.
constexpr ClassifierHead score(const char* architecture) {
  return {.architecture = architecture, .output = "score", .output_bias = false};
}

const std::vector<std::string> gelus{"gelu", "gelu_new", "gelu_pytorch_tanh"};

Family bert() {
  return {.model_type = "bert",
          .activations = gelus,
          .names = bert_names("bert."),
          .fields = bert_fields,
          .classifier = {.architecture = "BertForSequenceClassification",
                         .dense = "pooler.dense",
                         .dense_is_pooler = true},
          .masked = {.architecture = "BertForMaskedLM",
                     .dense = "cls.predictions.transform.dense",
                     .norm = "cls.predictions.transform.LayerNorm",
                     .output_bias = "cls.predictions.bias"}};
}

/// Liu et al., arXiv:1907.11692.
Family roberta() {
  return {.model_type = "roberta",
          .positions_after_padding = true,
          .activations = gelus,
          .names = bert_names("roberta."),
          .fields = bert_fields,
          .classifier = {.architecture = "RobertaForSequenceClassification",
                         .dense = "classifier.dense",
                         .dropout_before_dense = true,
                         .output = "classifier.out_proj"},
          .masked = {.architecture = "RobertaForMaskedLM",
                     .dense = "lm_head.dense",
                     .norm = "lm_head.layer_norm",
                     .output_bias = "lm_head.bias",
                     .activation = "gelu"}};
}

/// Sanh et al., arXiv:1910.01108.
Family distilbert() {
  ModuleNames names = bert_names("distilbert.");
  names.type_embeddings = nullptr;
  names.layers = "transformer.layer.";
  names.attention_norm = "sa_layer_norm";
  names.query = "attention.q_lin";
  names.key = "attention.k_lin";
  names.value = "attention.v_lin";
  names.joined = "attention.qkv_lin";
  names.attention_output = "attention.out_lin";
  names.feed_forward_norm = "output_layer_norm";
  names.up = "ffn.lin1";
  names.down = "ffn.lin2";
  return {.model_type = "distilbert",
          .attention_output_dropout = false,
          .activations = gelus,
          .classifier_dropout = 0.2,
          .names = names,
          .fields = {.hidden_size = "dim",
                     .num_hidden_layers = "n_layers",
                     .num_attention_heads = "n_heads",
                     .num_key_value_heads = nullptr,
                     .intermediate_size = "hidden_dim",
                     .hidden_act = "activation",
                     .hidden_dropout = "dropout",
                     .embedding_dropout = nullptr,
                     .attention_dropout = "attention_dropout",
                     .classifier_dropout = "seq_classif_dropout",
                     .max_position_embeddings = "max_position_embeddings",
                     .type_vocab_size = nullptr,
                     .norm_epsilon = nullptr},
          .classifier = {.architecture = "DistilBertForSequenceClassification",
                         .dense = "pre_classifier",
                         .activation = ClassifierHead::Activation::relu},
          .masked = {.architecture = "DistilBertForMaskedLM",
                     .dense = "vocab_transform",
                     .norm = "vocab_layer_norm",
                     .output_bias = "vocab_projector.bias"}};
}

/// Radford et al., "Language Models are Unsupervised Multitask Learners" (2019).
Family gpt2() {
  return {.model_type = "gpt2",
          .causal_architecture = "GPT2LMHeadModel",
          .causal = true,
          .norm_first = true,
          .joined_in_file = true,
          .transposed_in_file = true,
          .activations = {"gelu_new", "gelu_pytorch_tanh", "gelu"},
          .norm_epsilon = 1e-5,
          .names = {.prefix = "transformer.",
                    .word_embeddings = "wte",
                    .position_embeddings = "wpe",
                    .type_embeddings = nullptr,
                    .embedding_norm = nullptr,
                    .layers = "h.",
                    .attention_norm = "ln_1",
                    .query = nullptr,
                    .key = nullptr,
                    .value = nullptr,
                    .joined = "attn.c_attn",
                    .attention_output = "attn.c_proj",
                    .feed_forward_norm = "ln_2",
                    .gate = nullptr,
                    .up = "mlp.c_fc",
                    .gate_and_up = nullptr,
                    .down = "mlp.c_proj",
                    .final_norm = "ln_f"},
          .computed_in_file = {"attn.bias", "attn.masked_bias"},
          .fields = {.hidden_size = "n_embd",
                     .num_hidden_layers = "n_layer",
                     .num_attention_heads = "n_head",
                     .num_key_value_heads = nullptr,
                     .intermediate_size = "n_inner",
                     .hidden_act = "activation_function",
                     .hidden_dropout = "resid_pdrop",
                     .embedding_dropout = "embd_pdrop",
                     .attention_dropout = "attn_pdrop",
                     .classifier_dropout = nullptr,
                     .max_position_embeddings = "n_positions",
                     .type_vocab_size = nullptr,
                     .norm_epsilon = "layer_norm_epsilon"},
          .classifier = score("GPT2ForSequenceClassification")};
}

/// Touvron et al., arXiv:2302.13971; grouped queries since arXiv:2307.09288.
Family llama(const char* model_type, const char* architecture, const char* classifier) {
  return {.model_type = model_type,
          .causal_architecture = architecture,
          .causal = true,
          .norm_first = true,
          .rms_norm = true,
          .gated = true,
          .rotary = true,
          .biases = false,
          .activations = {"silu"},
          .norm_epsilon = 1e-6,
          .dropout = 0,
          .tied = false,
          .names = {.prefix = "model.",
                    .word_embeddings = "embed_tokens",
                    .position_embeddings = nullptr,
                    .type_embeddings = nullptr,
                    .embedding_norm = nullptr,
                    .layers = "layers.",
                    .attention_norm = "input_layernorm",
                    .query = "self_attn.q_proj",
                    .key = "self_attn.k_proj",
                    .value = "self_attn.v_proj",
                    .joined = "self_attn.qkv_proj",
                    .attention_output = "self_attn.o_proj",
                    .feed_forward_norm = "post_attention_layernorm",
                    .gate = "mlp.gate_proj",
                    .up = "mlp.up_proj",
                    .gate_and_up = "mlp.gate_up_proj",
                    .down = "mlp.down_proj",
                    .final_norm = "norm"},
          .computed_in_file = {"self_attn.rotary_emb.inv_freq"},
          .fields = {.hidden_size = "hidden_size",
                     .num_hidden_layers = "num_hidden_layers",
                     .num_attention_heads = "num_attention_heads",
                     .num_key_value_heads = "num_key_value_heads",
                     .intermediate_size = "intermediate_size",
                     .hidden_act = "hidden_act",
                     .hidden_dropout = nullptr,
                     .embedding_dropout = nullptr,
                     .attention_dropout = "attention_dropout",
                     .classifier_dropout = nullptr,
                     .max_position_embeddings = "max_position_embeddings",
                     .type_vocab_size = nullptr,
                     .norm_epsilon = "rms_norm_eps"},
          .classifier = score(classifier)};
}

Family llama_with_chosen_bias() {
  Family family = llama("llama", "LlamaForCausalLM", "LlamaForSequenceClassification");
  family.attention_bias_given = true;
  return family;
}

/// Jiang et al., arXiv:2310.06825.
Family mistral() {
  Family family = llama("mistral", "MistralForCausalLM", "MistralForSequenceClassification");
  family.default_window = 4096;
  return family;
}

Family qwen2() {
  Family family = llama("qwen2", "Qwen2ForCausalLM", "Qwen2ForSequenceClassification");
  family.query_key_value_bias = true;
  return family;
}

}  // namespace

std::string file_name(const Family& family, const std::string& name) {
  const ClassifierHead& head = family.classifier;
  const MaskedHead& masked = family.masked;
  const auto is_of = [&](const char* module) {
    return module && name.starts_with(module) && name[std::string(module).size()] == '.';
  };
  const bool own = is_of("lm_head") || is_of(head.output) ||
                   (!head.dense_is_pooler && is_of(head.dense)) || is_of(masked.dense) ||
                   is_of(masked.norm) || (masked.output_bias && name == masked.output_bias);
  return own ? name : family.names.prefix + name;
}

namespace {

const std::vector<Family>& families() {
  static const std::vector<Family> all{
      bert(), roberta(), distilbert(), gpt2(), llama_with_chosen_bias(), qwen2(), mistral()};
  return all;
}

}  // namespace

std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const Family& family : families()) names.emplace_back(family.model_type);
  return names;
}

const Family& find_family(const std::string& model_type, const std::string& source_name) {
  for (const Family& family : families())
    if (family.model_type == model_type) return family;
  std::string known;
  for (const std::string& name : family_names())
    known.append(known.empty() ? "\"" : ", \"").append(name).append("\"");
  tn::fail(source_name, ": field \"model_type\": expected one of ", known, ", found \"", model_type,
           "\"");
}

}  // namespace metatt::transformer
