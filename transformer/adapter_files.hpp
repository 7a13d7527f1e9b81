#pragma once
/// A trained adapter as files: our own format, PEFT's LoRA layout, and merged into the model.

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/causal_model_files.hpp>
#include <metatt/transformer/glue.hpp>
#include <metatt/transformer/model.hpp>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace metatt::transformer {

inline constexpr const char* adapter_file_name = "metatt_adapter.safetensors";
inline constexpr const char* adapter_config_name = "metatt_config.json";

/// The task of an adapter of a decoder that predicts next tokens, if it is the only one.
inline constexpr const char* causal_task = "causal_lm";

/// What metatt_config.json says besides the tensors: enough to evaluate the adapter again.
struct AdapterRecord {
  std::string base_model;             ///< folder of the base model
  std::string base_fingerprint = {};  ///< of its backbone; empty: not known
  /// Names of its tasks, in the order of a task core and of the heads: of GLUE, or where it
  /// predicts next tokens causal_task, or any names if it has several.
  std::vector<std::string> tasks;
  bool next_tokens = false;  ///< of a decoder that predicts next tokens; else of a classifier
  Index max_seq_length = 128;
  Method method;
  bool pooler_trained = false;
  std::vector<Index> modes = {},
                     ranks = {};  ///< of a train, for reading only: what the file says of it
};

/// Of the names and values of all weights of a backbone, in single precision.
template <class T>
std::string backbone_fingerprint(const Backbone<T>& backbone);

/// Writes metatt_adapter.safetensors (adapter and head) and metatt_config.json.
template <class T>
void write_adapter(const tn::OutputFolder& folder, const AdaptedModel<T>& model,
                   const AdapterRecord& record);

/// Reads metatt_config.json. Errors name file, field, expected and found.
AdapterRecord read_adapter_record(const std::filesystem::path& folder);

/// The base model with the adapter of `folder` on it. `base` overrides the record's folder if not
/// empty. Throws Error if a tensor is missing, too many, or does not fit, and if the backbone's
/// weights are others than those it was trained on.
template <class T>
std::unique_ptr<ClassifierModel<T>> read_adapted_model(const std::filesystem::path& folder,
                                                       const AdapterRecord& record,
                                                       const std::filesystem::path& base);

/// The same for a decoder that predicts next tokens.
template <class T>
std::unique_ptr<CausalModelFolder<T>> read_adapted_decoder(const std::filesystem::path& folder,
                                                           const AdapterRecord& record,
                                                           const std::filesystem::path& base);

/// The decoder in `base`, or that with the adapter of a folder on it (`base` may then be empty, for
/// the one in the record), set to the task of this name (chosen_task). Throws Error also if a task
/// is named without an adapter.
template <class T>
std::unique_ptr<CausalModelFolder<T>> read_decoder(const std::filesystem::path& base,
                                                   const std::filesystem::path& adapter,
                                                   const std::string& task = {});

/// The heads of a model for GLUE's tasks of these names. The name of a single one stands in no
/// tensor's name.
std::vector<TaskHead> task_heads(std::span<const std::string> tasks);

/// The place of a task among those of an adapter, from 0; where none is named, of the only one.
/// Throws Error if the adapter does not have it, or has several and none is named.
Index chosen_task(const AdapterRecord& record, const std::string& wanted);

/// Throws Error unless the model has an adapter that files of LoRA can hold: one that adds low-rank
/// updates and does nothing else.
template <class T>
void check_exportable(const AdaptedModel<T>& model, const AdapterRecord& record);

/// adapter_config.json and adapter_model.safetensors as PEFT writes them for LoRA: the same rank at
/// every site, lora_alpha = rank, head under modules_to_save. Exact, no SVD. Where files have
/// queries, keys and values as one matrix (GPT-2), the updates of those that are adapted become
/// one, whose rank is that of the left factor if they have it in common, as those of a train do, or
/// the sum of their ranks if that is smaller. Smaller ranks than the largest are filled up with
/// zeros. Of an adapter with several tasks it is the one of this name (chosen_task). Errors as
/// check_exportable().
template <class T>
void export_peft_lora(const tn::OutputFolder& folder, const AdaptedModel<T>& model,
                      const AdapterRecord& record, const std::string& task = {});

/// A whole model folder (config.json, model.safetensors, the tokenizer's files): base plus update,
/// pooler and head, as the family's language model or …ForSequenceClassification. The tokenizer's
/// settings are the base model's, for a classifier with the record's max_seq_length as
/// model_max_length. Those of a decoder that classifies also say which token fills
/// up texts, as pad_token and in config.json: transformers' class needs one to find the last token
/// in batches of several texts. It is the tokenizer's, else the config's, else that of the end of
/// texts; none of the tokens around every text, and absent if nothing else is left. Of an adapter
/// with several tasks it is the update for the one of this name, with its head (chosen_task).
template <class T>
void write_merged_model(const tn::OutputFolder& folder, const AdaptedModel<T>& model,
                        const AdapterRecord& record, const std::string& task = {});

}  // namespace metatt::transformer
