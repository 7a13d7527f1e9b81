#include <metatt/transformer/adapter_files.hpp>

#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace metatt::transformer {

namespace {

constexpr int format_version = 1;

std::vector<std::string> target_names(const AdapterSettings& settings) {
  std::vector<std::string> names;
  for (const MatrixType type : settings.targets) names.push_back(matrix_type_name(type));
  return names;
}

AdapterSettings read_settings(const nlohmann::json& json, const std::string& source) {
  AdapterSettings settings;
  settings.kind = required<std::string>(json, "adapter", source);
  settings.rank = required<std::int64_t>(json, "rank", source);
  settings.alpha = required<double>(json, "alpha", source);
  settings.targets.clear();
  const auto names = required<std::vector<std::string>>(json, "target_modules", source);
  try {
    for (const auto& name : names) settings.targets.push_back(find_matrix_type(name));
  } catch (const tn::Error& error) {
    tn::fail(source, ": ", error.what());
  }
  return settings;
}

/// Puts the head's and the adapter's tensors of a file into the model; each must be expected and
/// each expected one be there.
template <class T>
void load_own_tensors(ClassifierModel<T>& model, const SafetensorsFile& file) {
  std::set<std::string> expected;
  for (const auto& own : model.own_tensors()) {
    expected.insert(own.name);
    model.weights().set_value(model.weights().find(own.name),
                              file.read<T>(own.name, own.tensor.shape()));
  }
  for (const auto& name : file.names())
    if (!expected.count(name))
      tn::fail(file.path().string(), ": tensor \"", name, "\" belongs to no part of a ",
               model.method().name(), " adapter");
}

/// The tensors that a fresh adapter does not have in this shape, from a file.
std::map<std::string, Shape> adapter_shapes(const SafetensorsFile& file) {
  std::map<std::string, Shape> shapes;
  for (const auto& name : file.names())
    if (name.starts_with("adapter.")) shapes[name] = file.entry(name).shape;
  return shapes;
}

/// The adapted modules for PEFT, which matches the ends of module names. "output.dense" is the end
/// of "attention.output.dense" too, so where it occurs a regular expression takes the whole name.
nlohmann::json peft_targets(const Family& family, const AdapterSettings& settings) {
  std::vector<std::string> modules;
  std::string expression;
  for (const MatrixType type : settings.targets) {
    modules.emplace_back(module_of(family, type));
    expression += (expression.empty() ? "" : "|") + modules.back();
  }
  if (settings.targets.back() != MatrixType::feed_forward_down) return modules;
  return ".*\\.layer\\.\\d+\\.(" + expression + ")";
}

/// What metatt_config.json says of a train against the train itself.
template <class T>
void check_record(const AdapterRecord& record, const MetaTT4D<T>& train) {
  const auto differs = [](const char* field, const auto& expected, const auto& found) {
    tn::fail(adapter_config_name, ": ", field, ": expected ", expected, ", as ", adapter_file_name,
             " has it, found ", found);
  };
  const auto ranks = train.ranks(), modes = train.train().modes();
  if (const Index rank = std::ranges::max(ranks); rank != record.method.adapter.rank)
    differs("rank", rank, record.method.adapter.rank);
  if (!record.ranks.empty() && record.ranks != ranks)
    differs("ranks", tn::shape_text(ranks), tn::shape_text(record.ranks));
  if (!record.modes.empty() && record.modes != modes)
    differs("modes", tn::shape_text(modes), tn::shape_text(record.modes));
}

/// Finite factors may have a product that is not.
template <class T>
void check_finite(const char* function, const std::vector<NamedTensor<T>>& tensors) {
  for (const auto& [name, tensor] : tensors)
    if (!tn::backend::all_finite(tn::backend::queue(), tensor.size(), tensor.data()))
      tn::fail(function, ": \"", name, "\" would have infinite elements");
}

}  // namespace

template <class T>
void write_adapter(const tn::OutputFolder& folder, const ClassifierModel<T>& model,
                   const AdapterRecord& record) {
  const auto tensors = model.own_tensors();
  write_safetensors<T>(folder / adapter_file_name, tensors,
                       {{"format", "metatt"}, {"version", std::to_string(format_version)}});
  nlohmann::json json{{"format", "metatt"},
                      {"version", format_version},
                      {"adapter", record.method.name()},
                      {"base_model_name_or_path", record.base_model},
                      {"task", record.task},
                      {"max_seq_length", record.max_seq_length},
                      {"pooler_trained", record.pooler_trained}};
  if (record.method.kind == Method::Kind::adapter) {
    json["rank"] = record.method.adapter.rank;
    json["alpha"] = record.method.adapter.alpha;
    json["target_modules"] = target_names(record.method.adapter);
    if (const auto* train = model.train()) {
      json["modes"] = train->train().modes();
      json["mode_names"] = {"input", "layer", "matrix_type", "output"};
      json["ranks"] = train->ranks();
      json["rank"] = std::ranges::max(train->ranks());
    }
  }
  write_json(folder / adapter_config_name, json);
}

AdapterRecord read_adapter_record(const std::filesystem::path& folder) {
  const std::string source = (folder / adapter_config_name).string();
  const auto json = parse_json(tn::read_file(source), source);
  if (required<std::string>(json, "format", source) != "metatt" ||
      required<std::int64_t>(json, "version", source) != format_version)
    tn::fail(source, ": expected format \"metatt\", version ", format_version);
  AdapterRecord record;
  record.base_model = required<std::string>(json, "base_model_name_or_path", source);
  record.task = required<std::string>(json, "task", source);
  try {
    find_glue_task(record.task);
  } catch (const tn::Error& error) {
    tn::fail(source, ": ", error.what());
  }
  record.max_seq_length = required<std::int64_t>(json, "max_seq_length", source);
  if (record.max_seq_length < 5 || record.max_seq_length > 1 << 20)
    tn::fail(source, ": max_seq_length: expected 5 … 2^20, found ", record.max_seq_length);
  record.pooler_trained = required<bool>(json, "pooler_trained", source);
  const auto kind = required<std::string>(json, "adapter", source);
  record.method = Method::named(kind, {});
  if (record.method.kind == Method::Kind::full)
    tn::fail(source, ": adapter: a fully fine-tuned model is a model folder, not an adapter");
  if (record.method.kind == Method::Kind::adapter)
    record.method.adapter = read_settings(json, source);
  record.modes = optional_or<std::vector<std::int64_t>>(json, "modes", {}, source);
  record.ranks = optional_or<std::vector<std::int64_t>>(json, "ranks", {}, source);
  return record;
}

template <class T>
std::unique_ptr<ClassifierModel<T>> read_adapted_model(const std::filesystem::path& folder,
                                                       const AdapterRecord& record,
                                                       const std::filesystem::path& base,
                                                       Index outputs) {
  const SafetensorsFile file(folder / adapter_file_name);
  const std::filesystem::path model_folder =
      base.empty() ? std::filesystem::path(record.base_model) : base;
  try {
    auto model = std::make_unique<ClassifierModel<T>>(model_folder, outputs, record.method,
                                                      HeadSource::fresh, 0, adapter_shapes(file),
                                                      record.pooler_trained);
    load_own_tensors(*model, file);
    if (const auto* train = model->train()) check_record(record, *train);
    return model;
  } catch (const tn::Error& error) {
    // What does not fit may be a file of either folder.
    tn::fail("adapter in ", folder.string(), " on the model in ", model_folder.string(), ": ",
             error.what());
  }
}

template <class T>
void export_peft_lora(const tn::OutputFolder& folder, const ClassifierModel<T>& model,
                      const AdapterRecord& record) {
  if (!model.adapter())
    tn::fail("export: the method \"", record.method.name(), "\" has no low-rank update to export");
  const auto& settings = model.adapter()->settings();
  const std::string prefix = "base_model.model.";
  const Family& family = model.config().family();
  std::vector<NamedTensor<T>> tensors;
  Index rank = 0;
  for (Index layer = 0; layer < model.config().num_hidden_layers; ++layer)
    for (const MatrixType type : settings.targets) {
      const auto [A, B] = model.adapter()->lora_factors(layer, type);
      rank = A.extent(0);  // the same at every site
      const std::string site = prefix + family.names.prefix + family.names.layers +
                               std::to_string(layer) + "." + module_of(family, type);
      tensors.push_back({site + ".lora_A.weight", A});
      tensors.push_back({site + ".lora_B.weight", B});
    }
  std::vector<std::string> saved_modules{"classifier"};
  if (model.pooler_trained()) saved_modules.push_back("pooler");
  for (const auto& own : model.own_tensors()) {
    if (own.name.starts_with("classifier.")) tensors.push_back({prefix + own.name, own.tensor});
    if (own.name.starts_with("pooler."))
      tensors.push_back({prefix + family.names.prefix + own.name, own.tensor});
  }
  check_finite("export", tensors);
  write_safetensors<T>(folder / "adapter_model.safetensors", tensors, {{"format", "pt"}});
  write_json(folder / "adapter_config.json", {{"peft_type", "LORA"},
                                              {"task_type", "SEQ_CLS"},
                                              {"base_model_name_or_path", record.base_model},
                                              {"r", rank},
                                              {"lora_alpha", rank},
                                              {"lora_dropout", 0.0},
                                              {"bias", "none"},
                                              {"fan_in_fan_out", false},
                                              {"inference_mode", true},
                                              {"target_modules", peft_targets(family, settings)},
                                              {"modules_to_save", saved_modules}});
}

template <class T>
void write_merged_model(const tn::OutputFolder& folder, const ClassifierModel<T>& model,
                        const GlueTask& task, Index max_seq_length) {
  const auto* adapter = model.adapter();
  MatrixChange<T> add_update;
  if (adapter)
    add_update = [&](Index layer, MatrixType type, Tensor<T> weight) {
      const auto& targets = adapter->settings().targets;
      if (std::find(targets.begin(), targets.end(), type) == targets.end()) return weight;
      const auto [A, B] = adapter->lora_factors(layer, type);
      tn::backend::gemm(tn::backend::queue(), tn::Transpose::no, tn::Transpose::no, B.extent(0),
                        A.extent(1), A.extent(0), T(1), B.data(), B.extent(1), A.data(),
                        A.extent(1), T(1), weight.mutable_data(), weight.extent(1));
      return weight;
    };
  auto tensors = backbone_tensors(model.backbone(), add_update);
  const auto& weights = model.backbone().weights();
  for (const auto id : model.classifier().pooler_ids())
    tensors.push_back({model.config().family().names.prefix + weights.name(id), weights.value(id)});
  for (const auto id : model.classifier().head_ids())
    tensors.push_back({weights.name(id), weights.value(id)});
  check_finite("merge", tensors);
  write_safetensors<T>(folder / "model.safetensors", tensors, {{"format", "pt"}});

  nlohmann::json json = model_config_json(model.config());
  json["architectures"] = {"BertForSequenceClassification"};
  nlohmann::json id2label = nlohmann::json::object(), label2id = nlohmann::json::object();
  for (int i = 0; i < task.outputs(); ++i) {
    const std::string label =
        task.regression() ? "LABEL_0" : task.labels[static_cast<std::size_t>(i)];
    id2label[std::to_string(i)] = label;
    label2id[label] = i;
  }
  json["id2label"] = id2label;
  json["label2id"] = label2id;
  if (task.regression()) json["problem_type"] = "regression";
  write_json(folder / "config.json", json);
  tn::write_file_atomically(folder / "vocab.txt", tn::read_file(model.base() / "vocab.txt"));
  const auto settings = model.base() / "tokenizer_config.json";
  auto tokenizer = std::filesystem::exists(settings)
                       ? parse_json(tn::read_file(settings), settings.string())
                       : nlohmann::json::object();
  tokenizer["model_max_length"] = max_seq_length;
  write_json(folder / "tokenizer_config.json", tokenizer);
}

#define METATT_INSTANTIATE(T)                                                                   \
  template void write_adapter(const tn::OutputFolder&, const ClassifierModel<T>&,               \
                              const AdapterRecord&);                                            \
  template std::unique_ptr<ClassifierModel<T>> read_adapted_model(                              \
      const std::filesystem::path&, const AdapterRecord&, const std::filesystem::path&, Index); \
  template void export_peft_lora(const tn::OutputFolder&, const ClassifierModel<T>&,            \
                                 const AdapterRecord&);                                         \
  template void write_merged_model(const tn::OutputFolder&, const ClassifierModel<T>&,          \
                                   const GlueTask&, Index);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::transformer
