#include <metatt/transformer/adapter_files.hpp>

#include <metatt/tn/contract.hpp>
#include <metatt/tn/decompositions.hpp>
#include <metatt/transformer/fingerprint.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/weight_trains.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <set>

namespace metatt::transformer {

namespace {

constexpr int adapter_format = 1;

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
  const auto names = required<std::vector<std::string>>(json, "target_modules", source);
  const auto modes = optional_or<std::vector<std::string>>(json, "mode_names", {}, source);
  try {
    settings.targets = find_matrix_types(names);
    if (modes.size() > 2)
      settings.core_order = find_core_modes({modes.begin() + 1, modes.end() - 1});
  } catch (const tn::Error& error) {
    tn::fail(source, ": ", error.what());
  }
  return settings;
}

/// Puts the head's and the adapter's tensors of a file into the model; each must be expected and
/// each expected one be there.
template <class T>
void load_own_tensors(AdaptedModel<T>& model, const SafetensorsFile& file) {
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

/// Of the trains or triplets of its adapter; 0 if it has none.
template <class T>
Index largest_rank(const AdaptedModel<T>& model) {
  if (!model.adapter()) return 0;
  const auto ranks = present_ranks(*model.adapter(), model.weights());
  return ranks.empty() ? 0 : std::ranges::max(ranks);
}

/// Whether a matrix has orthonormal columns, to the rounding of single precision.
bool orthonormal_columns(const Tensor<double>& matrix) {
  constexpr double tolerance = 1e-5;
  const auto gram = tn::matrix_product(tn::adjoint(matrix), matrix).to_vector();
  const auto n = static_cast<std::size_t>(matrix.extent(1));
  for (std::size_t i = 0; i < gram.size(); ++i)
    if (std::abs(gram[i] - (i / n == i % n ? 1.0 : 0.0)) > tolerance) return false;
  return true;
}

/// The gauge of a train: which core is the centre of its canonical form, or that there is none.
std::string gauge_of(const tn::TensorTrain<double>& train) {
  Index left = 0, right = train.length() - 1;
  const auto matrix = [&](Index k, Index rows) {
    const auto core = train.dense_core(k);
    return core.reshaped({rows, core.size() / rows});
  };
  while (left < right && orthonormal_columns(matrix(
                             left, train.core(left).shape()[0] * train.core(left).shape()[1])))
    ++left;
  while (right > left &&
         orthonormal_columns(tn::adjoint(matrix(right, train.core(right).shape()[0]))))
    --right;
  return left == right ? "canonical, center G" + std::to_string(left + 1) : "none";
}

/// What metatt_config.json says of a train against the train itself.
template <class T>
void check_record(const AdapterRecord& record, const MetaTT<T>& train) {
  const auto differs = [](const char* field, const auto& expected, const auto& found) {
    tn::fail(adapter_config_name, ": ", field, ": expected ", expected, ", as ", adapter_file_name,
             " has it, found ", found);
  };
  const auto ranks = train.ranks(), modes = train.train().modes();
  if (!record.ranks.empty() && record.ranks != ranks)
    differs("ranks", tn::shape_text(ranks), tn::shape_text(record.ranks));
  if (!record.modes.empty() && record.modes != modes)
    differs("modes", tn::shape_text(modes), tn::shape_text(record.modes));
}

/// "task" names a single one, "tasks" several; of a decoder that predicts next tokens "task" says
/// so in any case.
void read_tasks(AdapterRecord& record, const nlohmann::json& json, const std::string& source) {
  const auto task = optional_or<std::string>(json, "task", {}, source);
  record.next_tokens = task == causal_task;
  record.tasks = optional_or<std::vector<std::string>>(json, "tasks", {}, source);
  if (record.tasks.empty()) record.tasks = {required<std::string>(json, "task", source)};
  if (std::set<std::string>(record.tasks.begin(), record.tasks.end()).size() < record.tasks.size())
    tn::fail(source, ": tasks: expected different names, found ", tn::joined(record.tasks));
  if (record.next_tokens) return;
  try {
    for (const std::string& name : record.tasks) find_glue_task(name);
  } catch (const tn::Error& error) {
    tn::fail(source, ": ", error.what());
  }
}

/// What else users give for the folder of an adapter.
void check_is_adapter(const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / adapter_config_name)) return;
  for (const auto& [file, what] :
       {std::pair{"adapter_config.json", "a LoRA adapter of PEFT, which metatt compress reads"},
        {"config.json", "a whole model, which --model reads"}})
    if (std::filesystem::exists(folder / file))
      tn::fail(folder.string(), ": expected an adapter with ", adapter_config_name, ", found ",
               what);
}

void write_tasks(nlohmann::json& json, const AdapterRecord& record) {
  if (record.tasks.size() > 1) json["tasks"] = record.tasks;
  if (record.next_tokens)
    json["task"] = causal_task;
  else if (record.tasks.size() == 1)
    json["task"] = record.tasks.front();
}

}  // namespace

template <class T>
std::string backbone_fingerprint(const Backbone<T>& backbone) {
  Fingerprint fingerprint;
  for (const auto id : backbone.ids()) {
    const std::string& name = backbone.weights().name(id);
    fingerprint.add(std::span(name));
    const auto values = tn::converted<float>(backbone.weights().value(id)).to_vector();
    fingerprint.add(std::span(values));
  }
  return fingerprint.text();
}

template <class T>
void write_adapter(const tn::OutputFolder& folder, const AdaptedModel<T>& model,
                   const AdapterRecord& record) {
  std::map<std::string, std::string> metadata{{"format", "metatt"},
                                              {"version", std::to_string(adapter_format)}};
  if (const auto* train = model.train()) metadata["modes"] = tn::joined(train->mode_names(), ",");
  write_safetensors<T>(folder / adapter_file_name, model.own_tensors(), metadata);
  nlohmann::json json{{"format", "metatt"},
                      {"version", adapter_format},
                      {"adapter", record.method.name()},
                      {"base_model_name_or_path", record.base_model},
                      {"base_fingerprint", record.base_fingerprint},
                      {"max_seq_length", record.max_seq_length},
                      {"pooler_trained", record.pooler_trained}};
  write_tasks(json, record);
  if (record.method.kind == Method::Kind::adapter) {
    json["rank"] = record.method.adapter.rank;
    json["alpha"] = record.method.adapter.alpha;
    json["target_modules"] = target_names(record.method.adapter);
    if (const auto* train = model.train()) {
      json["modes"] = train->train().modes();
      json["mode_names"] = train->mode_names();
      json["ranks"] = train->ranks();
      json["gauge"] = gauge_of(train->train());
    }
    if (const Index largest = largest_rank(model); largest > 0) json["rank"] = largest;
  }
  write_json(folder / adapter_config_name, json);
}

std::vector<TaskHead> task_heads(std::span<const std::string> tasks) {
  std::vector<TaskHead> heads;
  for (const std::string& task : tasks)
    heads.push_back({tasks.size() > 1 ? task : "", find_glue_task(task).outputs()});
  return heads;
}

Index chosen_task(const AdapterRecord& record, const std::string& wanted) {
  if (wanted.empty() && record.tasks.size() == 1) return 0;
  const auto place = std::ranges::find(record.tasks, wanted);
  if (place == record.tasks.end())
    tn::fail("task: expected one that the adapter has, ", tn::joined(record.tasks), "; found ",
             wanted.empty() ? "none" : "\"" + wanted + "\"");
  return place - record.tasks.begin();
}

AdapterRecord read_adapter_record(const std::filesystem::path& folder) {
  check_is_adapter(folder);
  const std::string source = (folder / adapter_config_name).string();
  const auto json = parse_json(tn::read_file(source), source);
  if (required<std::string>(json, "format", source) != "metatt" ||
      required<std::int64_t>(json, "version", source) != adapter_format)
    tn::fail(source, ": expected format \"metatt\", version ", adapter_format);
  AdapterRecord record;
  record.base_model = required<std::string>(json, "base_model_name_or_path", source);
  record.base_fingerprint = optional_or<std::string>(json, "base_fingerprint", {}, source);
  read_tasks(record, json, source);
  record.max_seq_length = required<std::int64_t>(json, "max_seq_length", source);
  if (record.max_seq_length < 1 || record.max_seq_length > 1 << 20)
    tn::fail(source, ": max_seq_length: expected 1 … 2^20, found ", record.max_seq_length);
  record.pooler_trained = required<bool>(json, "pooler_trained", source);
  const auto kind = required<std::string>(json, "adapter", source);
  record.method = Method::named(kind, {});
  const auto kinds = adapter_kinds();
  if (record.method.kind == Method::Kind::adapter && std::ranges::find(kinds, kind) == kinds.end())
    tn::fail(source, ": adapter: expected none or one of ", tn::joined(kinds), ", found \"", kind,
             "\"");
  if (record.method.kind == Method::Kind::full)
    tn::fail(source, ": adapter: a fully fine-tuned model is a model folder, not an adapter");
  if (record.method.kind == Method::Kind::adapter) {
    record.method.adapter = read_settings(json, source);
    if (has_task_mode(kind)) record.method.adapter.tasks = static_cast<Index>(record.tasks.size());
  }
  record.modes = optional_or<std::vector<std::int64_t>>(json, "modes", {}, source);
  record.ranks = optional_or<std::vector<std::int64_t>>(json, "ranks", {}, source);
  return record;
}

namespace {

template <class T>
void check_base(const AdapterRecord& record, const Backbone<T>& backbone) {
  if (record.base_fingerprint.empty()) return;
  const std::string found = backbone_fingerprint(backbone);
  if (found != record.base_fingerprint)
    tn::fail("expected the base model that the adapter was trained on (base_fingerprint ",
             record.base_fingerprint, " in ", adapter_config_name,
             "), found one that it fits, but with other weights (", found,
             "); without that field it is not checked");
}

/// make(base folder, shapes of the adapter's tensors) with the tensors of a file.
template <class Make>
auto read_adapted(const std::filesystem::path& folder, const AdapterRecord& record,
                  const std::filesystem::path& base, const Make& make) {
  const SafetensorsFile file(folder / adapter_file_name);
  const std::filesystem::path model_folder =
      base.empty() ? std::filesystem::path(record.base_model) : base;
  try {
    auto model = make(model_folder, adapter_shapes(file));
    load_own_tensors(*model, file);
    check_base(record, model->backbone());
    if (const auto* train = model->train()) check_record(record, *train);
    if (const Index rank = largest_rank(*model); rank > 0 && rank != record.method.adapter.rank)
      tn::fail(adapter_config_name, ": rank: expected ", rank, ", as ", adapter_file_name,
               " has it, found ", record.method.adapter.rank);
    return model;
  } catch (const tn::Error& error) {
    // What does not fit may be a file of either folder.
    tn::fail("adapter in ", folder.string(), " on the model in ", model_folder.string(), ": ",
             error.what());
  }
}

}  // namespace

template <class T>
std::unique_ptr<ClassifierModel<T>> read_adapted_model(const std::filesystem::path& folder,
                                                       const AdapterRecord& record,
                                                       const std::filesystem::path& base) {
  return read_adapted(folder, record, base, [&](const auto& model, const auto& shapes) {
    return std::make_unique<ClassifierModel<T>>(model, task_heads(record.tasks), record.method,
                                                HeadSource::fresh, 0, shapes,
                                                record.pooler_trained);
  });
}

template <class T>
std::unique_ptr<CausalModelFolder<T>> read_adapted_decoder(const std::filesystem::path& folder,
                                                           const AdapterRecord& record,
                                                           const std::filesystem::path& base) {
  return read_adapted(folder, record, base, [&](const auto& model, const auto& shapes) {
    return std::make_unique<CausalModelFolder<T>>(model, record.method, shapes);
  });
}

template <class T>
std::unique_ptr<CausalModelFolder<T>> read_decoder(const std::filesystem::path& base,
                                                   const std::filesystem::path& adapter,
                                                   const std::string& task) {
  if (adapter.empty() && !task.empty())
    tn::fail("task: is one of an adapter, found \"", task, "\" without one");
  if (adapter.empty()) return std::make_unique<CausalModelFolder<T>>(base);
  const AdapterRecord record = read_adapter_record(adapter);
  if (!record.next_tokens)
    tn::fail((adapter / adapter_config_name).string(), ": task: expected \"", causal_task,
             "\", an adapter of a decoder that predicts next tokens, found ",
             tn::joined(record.tasks));
  const Index chosen = chosen_task(record, task);
  auto decoder = read_adapted_decoder<T>(adapter, record, base);
  decoder->set_task(chosen);
  return decoder;
}

#define METATT_INSTANTIATE(T)                                                            \
  template std::string backbone_fingerprint(const Backbone<T>&);                         \
  template void write_adapter(const tn::OutputFolder&, const AdaptedModel<T>&,           \
                              const AdapterRecord&);                                     \
  template std::unique_ptr<ClassifierModel<T>> read_adapted_model(                       \
      const std::filesystem::path&, const AdapterRecord&, const std::filesystem::path&); \
  template std::unique_ptr<CausalModelFolder<T>> read_adapted_decoder(                   \
      const std::filesystem::path&, const AdapterRecord&, const std::filesystem::path&); \
  template std::unique_ptr<CausalModelFolder<T>> read_decoder(                           \
      const std::filesystem::path&, const std::filesystem::path&, const std::string&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::transformer
