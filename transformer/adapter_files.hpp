#pragma once
/// A trained adapter as files: our own format, PEFT's LoRA layout, and merged into the model.

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/glue.hpp>
#include <metatt/transformer/model.hpp>

#include <filesystem>

namespace metatt::transformer {

inline constexpr const char* adapter_file_name = "metatt_adapter.safetensors";
inline constexpr const char* adapter_config_name = "metatt_config.json";

/// What metatt_config.json says besides the tensors: enough to evaluate the adapter again.
struct AdapterRecord {
  std::string base_model;  ///< folder of the base model
  std::string task;
  Index max_seq_length = 128;
  Method method;
  bool pooler_trained = false;
  std::vector<Index> modes = {},
                     ranks = {};  ///< of a train, for reading only: what the file says of it
};

/// Writes metatt_adapter.safetensors (adapter and head) and metatt_config.json.
template <class T>
void write_adapter(const tn::OutputFolder& folder, const ClassifierModel<T>& model,
                   const AdapterRecord& record);

/// Reads metatt_config.json. Errors name file, field, expected and found.
AdapterRecord read_adapter_record(const std::filesystem::path& folder);

/// The base model with the adapter of `folder` on it. `base` overrides the record's folder if not
/// empty. `outputs` is the task's number of outputs. Throws Error if a tensor is missing, too many,
/// or does not fit.
template <class T>
std::unique_ptr<ClassifierModel<T>> read_adapted_model(const std::filesystem::path& folder,
                                                       const AdapterRecord& record,
                                                       const std::filesystem::path& base,
                                                       Index outputs);

/// adapter_config.json and adapter_model.safetensors as PEFT writes them for LoRA: the same rank at
/// every site, lora_alpha = rank, head under modules_to_save. Exact, no SVD.
template <class T>
void export_peft_lora(const tn::OutputFolder& folder, const ClassifierModel<T>& model,
                      const AdapterRecord& record);

/// A whole model folder (config.json, model.safetensors, vocab.txt, tokenizer_config.json) as
/// BertForSequenceClassification: base plus update, pooler and head. The tokenizer's settings are
/// the base model's, with `max_seq_length` as model_max_length.
template <class T>
void write_merged_model(const tn::OutputFolder& folder, const ClassifierModel<T>& model,
                        const GlueTask& task, Index max_seq_length);

}  // namespace metatt::transformer
