#pragma once
/// The model families: what each is built of, and what its files call the parts.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace metatt::transformer {

/// Names of modules in a family's files; null where the family has no such module. Those of a layer
/// follow `layers`, the layer's number and a dot. A matrix has ".weight" behind its module's name
/// and perhaps ".bias".
struct ModuleNames {
  const char* prefix;  ///< before the backbone's modules, which some files leave out
  const char* word_embeddings;
  const char* position_embeddings;
  const char* type_embeddings;
  const char* embedding_norm;
  const char* layers;
  const char* attention_norm;
  const char *query, *key, *value;
  const char* joined;  ///< queries, keys and values as the one matrix that we keep
  const char* attention_output;
  const char* feed_forward_norm;
  const char *gate, *up, *gate_and_up;  ///< the last as the one matrix that we keep
  const char* down;
  const char* final_norm;
};

/// Fields of config.json; null where the family has none.
struct ConfigFields {
  const char *hidden_size, *num_hidden_layers, *num_attention_heads, *num_key_value_heads,
      *intermediate_size, *hidden_act;
  const char *hidden_dropout, *embedding_dropout, *attention_dropout, *classifier_dropout;
  const char *max_position_embeddings, *type_vocab_size, *norm_epsilon;
};

/// What a sequence classifier makes of the hidden states, as transformers'
/// …ForSequenceClassification of the family: logits = output(dropout(activation(dense(h)))), h that
/// of the first token, or in a causal family of the last one, the only one that has seen the whole
/// text.
struct ClassifierHead {
  enum class Activation { tanh, relu };
  const char* architecture;           ///< what transformers calls the classifier
  const char* dense = nullptr;        ///< null: only output(h), without dropout
  bool dense_is_pooler = false;       ///< a part of the base model, whose files may have it
  bool dropout_before_dense = false;  ///< too
  Activation activation = Activation::tanh;
  const char* output = "classifier";
  bool output_bias = true;
};

/// How an encoder predicts hidden tokens, as transformers' …ForMaskedLM of the family: logits =
/// E norm(activation(dense(h))) + bias, E the word embeddings.
struct MaskedHead {
  const char* architecture = nullptr;  ///< what transformers calls the model; null: has none
  const char* dense = nullptr;
  const char* norm = nullptr;
  const char* output_bias = nullptr;
  const char* activation = nullptr;  ///< null: that of the layers
};

/// One line of the table of families. A new one is a line there, if its blocks are those of others.
struct Family {
  const char* model_type;                     ///< of config.json
  const char* causal_architecture = nullptr;  ///< what transformers calls the language model
  bool causal = false;                        ///< tokens see what stands before them only
  bool norm_first = false;  ///< norms before attention and feed-forward, and one behind the layers
  bool rms_norm = false;
  bool gated = false;                    ///< SwiGLU with a gate matrix
  bool rotary = false;                   ///< rotary positions instead of a table
  bool biases = true;                    ///< of all matrices
  bool query_key_value_bias = false;     ///< of these at least
  bool attention_bias_given = false;     ///< config.json says whether the attention has some
  bool joined_in_file = false;           ///< queries, keys and values are one matrix in files too
  bool transposed_in_file = false;       ///< matrices of the layers are (in × out) there
  bool attention_output_dropout = true;  ///< beside those of embeddings and feed-forward
  bool positions_after_padding = false;  ///< the first token has position pad_token_id + 1
  std::vector<std::string> activations;  ///< what hidden_act may be, the usual one first
  double norm_epsilon = 1e-12, dropout = 0.1;               ///< defaults
  std::optional<double> classifier_dropout = std::nullopt;  ///< the same, if not dropout
  bool tied = true;                                         ///< default of tie_word_embeddings
  /// Of a family whose tokens see a window unless sliding_window is null: the window if it is
  /// absent.
  std::optional<std::int64_t> default_window = std::nullopt;
  ModuleNames names;
  /// Tensors that some files have in each layer and that follow from the config: masks, say.
  std::vector<std::string> computed_in_file = {};
  ConfigFields fields;
  ClassifierHead classifier;
  MaskedHead masked = {};
};

/// A weight's name in a file whose names have the prefix: those of heads have none.
std::string file_name(const Family& family, const std::string& name);

/// The model_type of every family that there is.
std::vector<std::string> family_names();
/// Throws Error listing the families that there are; `source_name` begins it.
const Family& find_family(const std::string& model_type, const std::string& source_name);

}  // namespace metatt::transformer
