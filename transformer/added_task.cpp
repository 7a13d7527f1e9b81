#include <metatt/transformer/added_task.hpp>

#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace metatt::transformer {

namespace {

/// Which core has the slices of the tasks, from 0.
Index task_core(const AdapterSettings& settings) {
  const auto modes = inner_modes(settings);
  return std::ranges::find(modes, CoreMode::task) - modes.begin() + 1;
}

/// r × tasks × r' → r × 1 × r'.
template <class T>
Tensor<T> mean_slice(const Tensor<T>& core) {
  const auto rows = static_cast<std::size_t>(core.extent(0));
  const auto tasks = static_cast<std::size_t>(core.extent(1));
  const auto columns = static_cast<std::size_t>(core.extent(2));
  const auto values = core.to_vector();
  std::vector<T> mean(rows * columns, T(0));
  for (std::size_t i = 0; i < values.size(); ++i)
    mean[i / (tasks * columns) * columns + i % columns] += values[i] / static_cast<T>(tasks);
  return Tensor<T>::from({core.extent(0), 1, core.extent(2)}, std::span<const T>(mean));
}

/// r × tasks × r' and r × 1 × r' → r × (tasks + 1) × r'.
template <class T>
Tensor<T> with_slice(const Tensor<T>& core, const Tensor<T>& slice) {
  const Index rows = core.extent(0), tasks = core.extent(1), columns = core.extent(2);
  Tensor<T> joined({rows, tasks + 1, columns});
  auto& queue = tn::backend::queue();
  const Index stride = (tasks + 1) * columns;
  tn::backend::copy_matrix(queue, rows, tasks * columns, core.data(), tasks * columns,
                           joined.mutable_data(), stride);
  tn::backend::copy_matrix(queue, rows, columns, slice.data(), columns,
                           joined.mutable_data() + tasks * columns, stride);
  return joined;
}

void check_new(const AdapterRecord& record, const GlueTask& task) {
  if (record.next_tokens || !has_task_mode(record.method.name()))
    tn::fail("add-task: expected a classifier's adapter with a core for tasks, metatt4+1d or ",
             "metatt5+1d, found ", record.method.name(),
             record.next_tokens ? " of a decoder that predicts next tokens" : "");
  if (std::ranges::find(record.tasks, task.name) != record.tasks.end())
    tn::fail("add-task: expected a task that the adapter does not have, ", tn::joined(record.tasks),
             "; found \"", task.name, "\"");
}

}  // namespace

template <class T>
std::unique_ptr<ClassifierModel<T>> read_for_new_task(const std::filesystem::path& folder,
                                                      const AdapterRecord& record,
                                                      const std::filesystem::path& base,
                                                      const GlueTask& task, std::uint64_t seed) {
  check_new(record, task);
  const auto trained = read_adapted_model<T>(folder, record, base);
  const Weights<T>& weights = trained->weights();
  const std::string changing = MetaTT<T>::core_name(task_core(record.method.adapter));
  std::map<std::string, Tensor<T>> kept;
  std::map<std::string, Shape> shapes;
  for (const auto id : trained->adapter()->tensors()) {
    const std::string& name = weights.name(id);
    kept[name] = name == changing ? mean_slice(weights.value(id)) : weights.value(id);
    shapes[name] = kept[name].shape();
  }
  for (const auto id : trained->classifier().pooler_ids())
    kept[weights.name(id)] = weights.value(id);
  Method method = record.method;
  method.adapter.tasks = 1;
  method.adapter.only_task_core = true;
  auto model = std::make_unique<ClassifierModel<T>>(
      trained->base(), std::array{TaskHead{task.name, task.outputs()}}, method, HeadSource::fresh,
      seed, shapes, /*pooler_trained=*/false);
  for (const auto& [name, value] : kept)
    model->weights().set_value(model->weights().find(name), value);
  return model;
}

template <class T>
void write_with_new_task(const tn::OutputFolder& output, const std::filesystem::path& folder,
                         const ClassifierModel<T>& model, const GlueTask& task) {
  const AdapterRecord record = read_adapter_record(folder);
  const SafetensorsFile file(folder / adapter_file_name);
  const Index changing = task_core(record.method.adapter);
  const ClassifierHead& head = model.config().family().classifier;
  const auto in_head = [&](const std::string& name) {
    return !name.starts_with("adapter.") &&
           !(head.dense_is_pooler && name.starts_with(head.dense + std::string(".")));
  };
  // A head that was the only one has to tell whose it is from now on.
  const std::string prefix =
      record.tasks.size() == 1 ? TaskHead{record.tasks.front(), 0}.prefix() : "";
  std::vector<NamedTensor<T>> tensors;
  for (const std::string& name : file.names()) {
    Tensor<T> tensor = file.read<T>(name, file.entry(name).shape);
    if (name == MetaTT<T>::core_name(changing))
      tensor = with_slice(tensor, model.weights().value(model.weights().find(name)));
    tensors.push_back({(in_head(name) ? prefix : "") + name, std::move(tensor)});
  }
  for (const auto& own : model.own_tensors())
    if (in_head(own.name)) tensors.push_back(own);
  write_safetensors<T>(output / adapter_file_name, tensors, file.metadata());

  const std::string source = (folder / adapter_config_name).string();
  nlohmann::json json = parse_json(tn::read_file(source), source);
  std::vector<std::string> tasks = record.tasks;
  tasks.push_back(task.name);
  json.erase("task");
  json["tasks"] = tasks;
  json["gauge"] = "none";
  if (json.contains("modes")) json["modes"][static_cast<std::size_t>(changing)] = tasks.size();
  write_json(output / adapter_config_name, json);
}

#define METATT_INSTANTIATE(T)                                                              \
  template std::unique_ptr<ClassifierModel<T>> read_for_new_task(                          \
      const std::filesystem::path&, const AdapterRecord&, const std::filesystem::path&,    \
      const GlueTask&, std::uint64_t);                                                     \
  template void write_with_new_task(const tn::OutputFolder&, const std::filesystem::path&, \
                                    const ClassifierModel<T>&, const GlueTask&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::transformer
