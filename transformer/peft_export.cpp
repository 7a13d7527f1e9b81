#include <metatt/transformer/adapter_files.hpp>

#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace metatt::transformer {

namespace {

/// The low-rank update of one module as PEFT has it.
template <class T>
struct PeftUpdate {
  std::string module;  ///< inside a layer
  typename Adapter<T>::LoraFactors factors;
};

/// The largest rank of an adapter whose matrices may differ in it; 0 for others.
template <class T>
Index largest_pruned_rank(const AdaptedModel<T>& model) {
  Index largest = 0;
  for (const auto& triplet : model.adapter()->triplets())
    largest = std::max(largest, model.weights().shape(triplet.E).front());
  return largest;
}

/// The factors of one matrix, with zeros up to a rank: what reads files of LoRA may know one rank
/// for all.
template <class T>
typename Adapter<T>::LoraFactors padded_factors(const AdaptedModel<T>& model, Index layer,
                                                MatrixType type, Index task) {
  auto factors = model.adapter()->lora_factors(layer, type, task);
  const Index own = factors.A.extent(0), d_in = factors.A.extent(1), d_out = factors.B.extent(0);
  const Index rank = largest_pruned_rank(model);
  if (own >= rank) return factors;
  auto& queue = tn::backend::queue();
  auto A = Tensor<T>::zeros({rank, d_in}), B = Tensor<T>::zeros({d_out, rank});
  tn::backend::copy(queue, factors.A.size(), factors.A.data(), A.mutable_data());
  tn::backend::copy_matrix(queue, d_out, own, factors.B.data(), own, B.mutable_data(), rank);
  return {std::move(A), std::move(B)};
}

/// The updates of queries, keys and values that are one matrix in files, as one of the sum of their
/// ranks: their A one below the other, their B in blocks beside and below each other.
template <class T>
typename Adapter<T>::LoraFactors joined_factors(const AdaptedModel<T>& model, Index layer,
                                                Index task) {
  auto& queue = tn::backend::queue();
  const auto& config = model.config();
  const auto& targets = model.adapter()->settings().targets;
  std::vector<std::pair<Index, typename Adapter<T>::LoraFactors>> parts;  // with their first rows
  Index rows = 0, rank = 0;
  for (const MatrixType type : {MatrixType::query, MatrixType::key, MatrixType::value}) {
    if (std::ranges::find(targets, type) != targets.end()) {
      parts.emplace_back(rows, padded_factors(model, layer, type, task));
      rank += parts.back().second.A.extent(0);
    }
    rows += matrix_extents(config, type).d_out;
  }
  auto A = Tensor<T>::zeros({rank, config.hidden_size}), B = Tensor<T>::zeros({rows, rank});
  Index first = 0;
  for (const auto& [row, part] : parts) {
    const Index own = part.A.extent(0);
    tn::backend::copy(queue, part.A.size(), part.A.data(),
                      A.mutable_data() + first * config.hidden_size);
    tn::backend::copy_matrix(queue, part.B.extent(0), own, part.B.data(), own,
                             B.mutable_data() + row * rank + first, rank);
    first += own;
  }
  return {A, B};
}

template <class T>
std::vector<PeftUpdate<T>> peft_updates(const AdaptedModel<T>& model, Index layer, Index task) {
  const Family& family = model.config().family();
  std::vector<PeftUpdate<T>> updates;
  for (const MatrixType type : model.adapter()->settings().targets)
    if (const char* module = module_of(family, type))
      updates.push_back({module, padded_factors(model, layer, type, task)});
    else if (updates.empty())  // the first of the joined ones
      updates.push_back({family.names.joined, joined_factors(model, layer, task)});
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

/// PEFT's r and lora_alpha (the same, so that nothing is scaled), for each module by itself where
/// ranks differ.
template <class T>
void set_peft_ranks(nlohmann::json& json, const std::vector<PeftUpdate<T>>& updates) {
  const auto rank = [](const PeftUpdate<T>& update) { return update.factors.A.extent(0); };
  const Index common = rank(*std::ranges::min_element(updates, {}, rank));
  json["r"] = json["lora_alpha"] = common;
  for (const PeftUpdate<T>& update : updates)
    if (rank(update) != common)
      json["rank_pattern"][update.module] = json["alpha_pattern"][update.module] = rank(update);
}

}  // namespace

template <class T>
void export_peft_lora(const tn::OutputFolder& folder, const AdaptedModel<T>& model,
                      const AdapterRecord& record, const std::string& wanted_task) {
  if (!model.adapter())
    tn::fail("export: the method \"", record.method.name(), "\" has no low-rank update to export");
  if (!model.adapter()->only_adds())
    tn::fail("export: ", record.method.name(), " also sets the norms of a matrix, for which the ",
             "files of LoRA have no place; merge writes the whole model");
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
  std::vector<NamedTensor<T>> tensors;
  std::vector<Index> ranks;  // of layer 0
  for (Index layer = 0; layer < model.config().num_hidden_layers; ++layer) {
    const auto updates = peft_updates(model, layer, task);
    for (const auto& [module, factors] : updates) {
      const std::string site =
          prefix + file_name(family, family.names.layers + std::to_string(layer) + "." + module);
      tensors.push_back({site + ".lora_A.weight", factors.A});
      tensors.push_back({site + ".lora_B.weight", factors.B});
    }
    for (std::size_t i = 0; i < updates.size() && layer > 0; ++i)
      if (updates[i].factors.A.extent(0) != ranks[i])
        tn::fail("export: expected the same rank in all layers, found ", ranks[i],
                 " in layer 0 and ", updates[i].factors.A.extent(0), " in layer ", layer, " of ",
                 updates[i].module);
    if (layer > 0) continue;
    for (const auto& update : updates) ranks.push_back(update.factors.A.extent(0));
    json["target_modules"] = peft_targets(family, updates);
    set_peft_ranks(json, updates);
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

template void export_peft_lora(const tn::OutputFolder&, const AdaptedModel<float>&,
                               const AdapterRecord&, const std::string&);
template void export_peft_lora(const tn::OutputFolder&, const AdaptedModel<double>&,
                               const AdapterRecord&, const std::string&);

}  // namespace metatt::transformer
