#include <metatt/transformer/adapter_files.hpp>

#include <metatt/transformer/json.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace metatt::transformer {

namespace {

/// Base plus update, pooler and head, under the names of files.
template <class T>
std::vector<NamedTensor<T>> merged_tensors(const AdaptedModel<T>& model, Index task) {
  const auto* adapter = model.adapter();
  autodiff::Tape<T> tape;
  UpdateTable<T> updates;
  MatrixChange<T> add_update;
  if (adapter) {
    updates = adapter->updates(tape, task);
    add_update = [&](Index layer, MatrixType type, const Tensor<T>& weight) {
      return adapter->merged(updates, layer, type, weight);
    };
  }
  auto tensors = backbone_tensors(model.backbone(), add_update);
  const auto& weights = model.backbone().weights();
  for (const auto& [name, id] : model.task_head(task))
    tensors.push_back({file_name(model.config().family(), name), weights.value(id)});
  return tensors;
}

nlohmann::json object_if_there(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return nlohmann::json::object();
  nlohmann::json object = parse_json(tn::read_file(path), path.string());
  if (!object.is_object())
    tn::fail(path.string(), ": expected a JSON object, found ", object.type_name());
  return object;
}

/// A token with which other programs may fill up texts. A decoder's transformers class reads the
/// hidden state before the first one of them, so it is none of those that stand around every text:
/// that of the tokenizer, of the config or of the end of texts. Nothing if there is none.
template <class T>
std::optional<TokenId> padding_token(const AdaptedModel<T>& model) {
  const Tokenizer& tokenizer = model.tokenizer();
  const nlohmann::json empty;
  std::vector<Index> candidates;
  for (const char* file : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const nlohmann::json token = object_if_there(model.base() / file).value("pad_token", empty);
    const nlohmann::json content = token.is_object() ? token.value("content", empty) : token;
    if (!content.is_string()) continue;
    if (const auto id = tokenizer.vocabulary().find(content.get<std::string>()))
      candidates.push_back(*id);
  }
  if (model.config().pad_token_id) candidates.push_back(*model.config().pad_token_id);
  for (const Index id : model.config().eos_token_id) candidates.push_back(id);
  std::vector<TokenId> around = tokenizer.template_ids(true);
  for (const TokenId id : tokenizer.template_ids(false)) around.push_back(id);
  for (const Index id : candidates)
    if (id < tokenizer.vocabulary().size() && std::ranges::find(around, id) == around.end())
      return static_cast<TokenId>(id);
  return std::nullopt;
}

void set_labels(nlohmann::json& config, const GlueTask& task) {
  nlohmann::json id2label = nlohmann::json::object(), label2id = nlohmann::json::object();
  for (int i = 0; i < task.outputs(); ++i) {
    const std::string label =
        task.regression() ? "LABEL_0" : task.labels[static_cast<std::size_t>(i)];
    id2label[std::to_string(i)] = label;
    label2id[label] = i;
  }
  config["id2label"] = id2label;
  config["label2id"] = label2id;
  if (task.regression()) config["problem_type"] = "regression";
}

/// config.json and tokenizer_config.json of a classifier.
template <class T>
void write_classifier_settings(const tn::OutputFolder& folder, const AdaptedModel<T>& model,
                               const GlueTask& task, Index max_seq_length) {
  const Family& family = model.config().family();
  nlohmann::json config = model_config_json(model.config());
  nlohmann::json tokenizer = object_if_there(model.base() / "tokenizer_config.json");
  config["architectures"] = {family.classifier.architecture};
  set_labels(config, task);
  if (family.causal) {
    config.erase("pad_token_id");
    if (const auto pad = padding_token(model)) {
      config["pad_token_id"] = *pad;
      tokenizer["pad_token"] = model.tokenizer().vocabulary().entry(*pad);
    }
  }
  write_json(folder / "config.json", config);
  tokenizer["model_max_length"] = max_seq_length;
  write_json(folder / "tokenizer_config.json", tokenizer);
}

}  // namespace

template <class T>
void write_merged_model(const tn::OutputFolder& folder, const AdaptedModel<T>& model,
                        const AdapterRecord& record, const std::string& wanted_task) {
  const Index task = chosen_task(record, wanted_task);
  const auto tensors = merged_tensors(model, task);
  check_finite<T>("merge", tensors);
  write_safetensors<T>(folder / "model.safetensors", tensors, {{"format", "pt"}});
  copy_tokenizer(model.base(), folder.path);
  if (!record.next_tokens)
    return write_classifier_settings(folder, model,
                                     find_glue_task(record.tasks[static_cast<std::size_t>(task)]),
                                     record.max_seq_length);
  nlohmann::json config = model_config_json(model.config());
  config["architectures"] = {model.config().family().causal_architecture};
  write_json(folder / "config.json", config);
}

template void write_merged_model(const tn::OutputFolder&, const AdaptedModel<float>&,
                                 const AdapterRecord&, const std::string&);
template void write_merged_model(const tn::OutputFolder&, const AdaptedModel<double>&,
                                 const AdapterRecord&, const std::string&);

}  // namespace metatt::transformer
