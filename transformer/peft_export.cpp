#include <metatt/transformer/adapter_files.hpp>

#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace metatt::transformer {

namespace {

template <class T>
using Factors = typename Adapter<T>::LoraFactors;

/// The low-rank update of one module as PEFT has it.
template <class T>
struct PeftUpdate {
  std::string module;  ///< inside a layer
  Factors<T> factors;

  Index rank() const { return factors.A.extent(0); }
};

/// The same update with zeros up to a rank.
template <class T>
Factors<T> padded(const Factors<T>& factors, Index rank) {
  const Index own = factors.A.extent(0), d_in = factors.A.extent(1), d_out = factors.B.extent(0);
  if (own == rank) return factors;
  auto& queue = tn::backend::queue();
  auto A = Tensor<T>::zeros({rank, d_in}), B = Tensor<T>::zeros({d_out, rank});
  tn::backend::copy(queue, factors.A.size(), factors.A.data(), A.mutable_data());
  tn::backend::copy_matrix(queue, d_out, own, factors.B.data(), own, B.mutable_data(), rank);
  return {std::move(A), std::move(B)};
}

/// The updates of those of queries, keys and values that are adapted.
template <class T>
struct JoinedParts {
  std::vector<std::pair<Index, Factors<T>>> parts;  ///< with their first rows
  Index rows = 0, rank = 0;
  bool shared = true;  ///< one A for all
};

template <class T>
JoinedParts<T> joined_parts(const AdaptedModel<T>& model, const UpdateTable<T>& table, Index layer,
                            bool keeps_U) {
  const auto& targets = model.adapter()->settings().targets;
  JoinedParts<T> all;
  for (const MatrixType type : {MatrixType::query, MatrixType::key, MatrixType::value}) {
    if (std::ranges::find(targets, type) != targets.end()) {
      all.parts.emplace_back(all.rows, model.adapter()->lora_factors(table, layer, type, keeps_U));
      const Tensor<T>&A = all.parts.back().second.A, &first = all.parts.front().second.A;
      all.shared = all.shared && A.shape() == first.shape() && A.to_vector() == first.to_vector();
      all.rank += A.extent(0);
    }
    all.rows += matrix_extents(model.config(), type).d_out;
  }
  if (all.shared) all.rank = all.parts.front().second.A.extent(0);
  return all;
}

/// The updates of queries, keys and values that are one matrix in files: one A, which a train's
/// have in common, or all A one below the other; B in blocks below, and then beside, each other.
template <class T>
Factors<T> joined_factors(const AdaptedModel<T>& model, const UpdateTable<T>& table, Index layer) {
  auto& queue = tn::backend::queue();
  const Index width = model.config().hidden_size;
  const auto common = joined_parts(model, table, layer, true),
             smallest = joined_parts(model, table, layer, false);
  const auto& [parts, rows, rank, shared] = common.rank <= smallest.rank ? common : smallest;
  auto A = Tensor<T>::zeros({rank, width}), B = Tensor<T>::zeros({rows, rank});
  Index first = 0;
  for (const auto& [row, part] : parts) {
    const Index own = part.A.extent(0);
    tn::backend::copy(queue, part.A.size(), part.A.data(), A.mutable_data() + first * width);
    tn::backend::copy_matrix(queue, part.B.extent(0), own, part.B.data(), own,
                             B.mutable_data() + row * rank + first, rank);
    if (!shared) first += own;
  }
  return {A, B};
}

template <class T>
std::vector<PeftUpdate<T>> peft_updates(const AdaptedModel<T>& model, const UpdateTable<T>& table,
                                        Index layer) {
  const Family& family = model.config().family();
  std::vector<PeftUpdate<T>> updates;
  for (const MatrixType type : model.adapter()->settings().targets)
    if (const char* module = module_of(family, type))
      updates.push_back({module, model.adapter()->lora_factors(table, layer, type)});
    else if (updates.empty())  // the first of the joined ones
      updates.push_back({family.names.joined, joined_factors(model, table, layer)});
  return updates;
}

/// The adapted modules for PEFT, which matches the ends of module names. "output.dense" is the end
/// of "attention.output.dense" too, so where it occurs a regular expression takes the whole name.
template <class T>
nlohmann::json peft_targets(const Family& family, const std::vector<PeftUpdate<T>>& updates) {
  std::vector<std::string> modules;
  std::string expression;
  bool ambiguous = false;
  for (const PeftUpdate<T>& update : updates) {
    modules.push_back(update.module);
    expression += (expression.empty() ? "" : "|") + update.module;
    for (const MatrixType other : matrix_types(family))
      if (const char* module = module_of(family, other))
        ambiguous = ambiguous || std::string(module).ends_with("." + update.module);
  }
  if (!ambiguous) return modules;
  std::string layers;
  for (const char c : std::string(family.names.layers))
    layers.append(c == '.' ? "\\" : "").push_back(c);
  return ".*\\." + layers + "\\d+\\.(" + expression + ")";
}

}  // namespace

template <class T>
void check_exportable(const AdaptedModel<T>& model, const AdapterRecord& record) {
  if (!model.adapter())
    tn::fail("export: the method \"", record.method.name(), "\" has no low-rank update to export");
  if (!model.adapter()->only_adds())
    tn::fail("export: ", record.method.name(), " also sets the norms of a matrix, for which the ",
             "files of LoRA have no place; merge writes the whole model");
}

template <class T>
void export_peft_lora(const tn::OutputFolder& folder, const AdaptedModel<T>& model,
                      const AdapterRecord& record, const std::string& wanted_task) {
  check_exportable(model, record);
  const Index task = chosen_task(record, wanted_task);
  const std::string prefix = "base_model.model.";
  const Family& family = model.config().family();
  nlohmann::json json{{"peft_type", "LORA"},
                      {"task_type", record.next_tokens ? "CAUSAL_LM" : "SEQ_CLS"},
                      {"base_model_name_or_path", record.base_model},
                      {"lora_dropout", 0.0},
                      {"bias", "none"},
                      {"fan_in_fan_out", family.transposed_in_file},
                      {"inference_mode", true}};
  std::vector<std::vector<PeftUpdate<T>>> layers;
  Index rank = 0;
  autodiff::Tape<T> tape;
  const UpdateTable<T> table = model.adapter()->updates(tape, task);
  for (Index layer = 0; layer < model.config().num_hidden_layers; ++layer)
    for (const auto& update : layers.emplace_back(peft_updates(model, table, layer)))
      rank = std::max(rank, update.rank());
  json["target_modules"] = peft_targets(family, layers.front());
  json["r"] = json["lora_alpha"] = rank;  // the same, so that nothing is scaled
  std::vector<NamedTensor<T>> tensors;
  for (std::size_t layer = 0; layer < layers.size(); ++layer)
    for (const auto& [module, factors] : layers[layer]) {
      const std::string site =
          prefix + file_name(family, family.names.layers + std::to_string(layer) + "." + module);
      // Programs that read files of LoRA may know one rank for all.
      const Factors<T> same = padded<T>(factors, rank);
      tensors.push_back({site + ".lora_A.weight", same.A});
      tensors.push_back({site + ".lora_B.weight", same.B});
    }
  std::set<std::string> saved_modules;  // "classifier" of "classifier.dense.weight"
  for (const auto& [name, id] : model.task_head(task)) {
    if (!model.weights().trainable(id)) continue;
    tensors.push_back({prefix + file_name(family, name), model.weights().value(id)});
    saved_modules.insert(name.substr(0, name.find('.')));
  }
  if (!saved_modules.empty()) json["modules_to_save"] = saved_modules;
  check_finite<T>("export", tensors);
  write_safetensors<T>(folder / "adapter_model.safetensors", tensors, {{"format", "pt"}});
  write_json(folder / "adapter_config.json", json);
}

template void check_exportable(const AdaptedModel<float>&, const AdapterRecord&);
template void check_exportable(const AdaptedModel<double>&, const AdapterRecord&);
template void export_peft_lora(const tn::OutputFolder&, const AdaptedModel<float>&,
                               const AdapterRecord&, const std::string&);
template void export_peft_lora(const tn::OutputFolder&, const AdaptedModel<double>&,
                               const AdapterRecord&, const std::string&);

}  // namespace metatt::transformer
