#include <metatt/transformer/backbone_files.hpp>

#include <metatt/tn/contract.hpp>
#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace metatt::transformer {

namespace {

constexpr std::array<int, 2> swapped{1, 0};

/// One of our weights as a file has it: the rows of each part, one below the other.
struct StoredPart {
  std::string name;
  MatrixType type;
  Index rows;  ///< 0: all
};

/// A name of ours, taken apart: "h.3.attn.c_attn.weight" → 3, "attn.c_attn" and "weight"; layer −1
/// for what is not in a layer.
struct WeightName {
  Index layer = -1;
  std::string module, kind;
};

WeightName split_name(const Family& family, const std::string& name) {
  const std::string layers = family.names.layers;
  const auto dot = name.rfind('.');
  WeightName result{-1, name.substr(0, dot), name.substr(dot + 1)};
  if (!name.starts_with(layers)) return result;
  const auto end = name.find('.', layers.size());
  result.layer = std::stoll(name.substr(layers.size(), end - layers.size()));
  result.module = name.substr(end + 1, dot - end - 1);
  return result;
}

/// The parts of a joined weight in files; one part for all others.
std::vector<StoredPart> stored_parts(const ModelConfig& config, const std::string& name) {
  const Family& family = config.family();
  const WeightName parts = split_name(family, name);
  std::vector<MatrixType> types;
  if (parts.layer >= 0 && !family.joined_in_file && parts.module == family.names.joined)
    types = {MatrixType::query, MatrixType::key, MatrixType::value};
  else if (parts.layer >= 0 && family.gated && parts.module == family.names.gate_and_up)
    types = {MatrixType::feed_forward_gate, MatrixType::feed_forward_up};
  std::vector<StoredPart> result;
  for (const MatrixType type : types) {
    std::string stored = family.names.layers + std::to_string(parts.layer) + ".";
    stored.append(module_of(family, type)).append(".").append(parts.kind);
    result.push_back({std::move(stored), type, matrix_extents(config, type).d_out});
  }
  if (!result.empty()) return result;
  MatrixType type = MatrixType::query;
  for (int t = 0; t < matrix_type_count; ++t)
    if (const char* module = module_of(family, static_cast<MatrixType>(t));
        module && parts.module == module)
      type = static_cast<MatrixType>(t);
  return {{name, type, 0}};
}

/// Whether files have the matrix as (in × out).
bool transposed(const Family& family, const std::string& name, const Shape& shape) {
  return family.transposed_in_file && shape.size() == 2 && split_name(family, name).layer >= 0;
}

/// Whether a file's tensor decides what a layer does: it has its prefix and does not follow from
/// the config.
bool is_in_layer(const Family& family, std::string_view name) {
  if (name.starts_with(family.names.prefix))
    name.remove_prefix(std::string_view(family.names.prefix).size());
  return name.starts_with(family.names.layers) &&
         std::ranges::none_of(family.computed_in_file, [&](const std::string& computed) {
           return name.ends_with("." + computed);
         });
}

/// The first BERT checkpoints call weight and bias of a layer norm gamma and beta.
std::string older_name(const std::string& name) {
  const std::pair<std::string, std::string> changes[] = {{"LayerNorm.weight", "LayerNorm.gamma"},
                                                         {"LayerNorm.bias", "LayerNorm.beta"}};
  for (const auto& [now, before] : changes)
    if (name.ends_with(now)) return name.substr(0, name.size() - now.size()) + before;
  return name;
}

}  // namespace

template <class T>
BackboneReader<T>::BackboneReader(const std::filesystem::path& folder, const ModelConfig& config)
    : folder_(folder), files_(std::make_shared<const WeightFiles>(folder)), config_(config) {}

template <class T>
bool BackboneReader<T>::contains(const std::string& name) const {
  return files_->contains(stored_name(name));
}

template <class T>
void BackboneReader<T>::check_layers(const Backbone<T>& backbone) const {
  const Family& family = config_.family();
  const std::string next = family.names.layers + std::to_string(config_.num_hidden_layers);
  if (contains(next + "." + family.names.attention_output + ".weight"))
    tn::fail((folder_ / "config.json").string(), ": ", family.fields.num_hidden_layers, " is ",
             config_.num_hidden_layers, ", but ", files_->path().filename().string(),
             " has more layers (", next, ")");
  std::set<std::string> known;
  for (const auto id : backbone.ids())
    for (const StoredPart& part : stored_parts(config_, backbone.weights().name(id)))
      known.insert(stored_name(part.name));
  for (const std::string& name : files_->names())
    if (is_in_layer(family, name) && !known.contains(name))
      tn::fail(files_->path().string(), ": tensor \"", name,
               "\": expected none of this name in a layer, since a ", family.model_type,
               " with these settings has no use for it");
}

template <class T>
std::string BackboneReader<T>::stored_name(const std::string& name) const {
  const std::string prefix = config_.family().names.prefix;
  for (const std::string& known : {name, older_name(name)})
    for (const std::string& full : {prefix + known, known})
      if (files_->contains(full)) return full;
  const bool prefixed = std::ranges::any_of(
      files_->names(), [&](const std::string& other) { return other.starts_with(prefix); });
  return prefixed ? file_name(config_.family(), name) : name;
}

template <class T>
Tensor<T> BackboneReader<T>::stored(const std::string& name, const Shape& shape) const {
  if (!transposed(config_.family(), name, shape)) return files_->read<T>(stored_name(name), shape);
  return tn::permute<T>(files_->read<T>(stored_name(name), {shape[1], shape[0]}), swapped);
}

template <class T>
Tensor<T> BackboneReader<T>::operator()(const std::string& name, const Shape& shape) const {
  const auto parts = stored_parts(config_, name);
  if (parts.size() == 1) return stored(name, shape);
  Tensor<T> all(shape);
  Index written = 0;
  for (const StoredPart& part : parts) {
    Shape part_shape = shape;
    part_shape[0] = part.rows;
    const Tensor<T> value = stored(part.name, part_shape);
    tn::backend::copy(tn::backend::queue(), value.size(), value.data(),
                      all.mutable_data() + written);
    written += value.size();
  }
  return all;
}

namespace {

/// Queries, keys and values in one matrix, each changed by itself.
template <class T>
Tensor<T> changed_rows(const ModelConfig& config, Index layer, const Tensor<T>& joined,
                       const MatrixChange<T>& change) {
  Tensor<T> result(joined.shape());
  Index row = 0;
  for (const MatrixType type : {MatrixType::query, MatrixType::key, MatrixType::value}) {
    const Index rows = matrix_extents(config, type).d_out, width = joined.extent(1);
    const Tensor<T> part = change(layer, type, joined.slice(row, row + rows));
    tn::backend::copy(tn::backend::queue(), part.size(), part.data(),
                      result.mutable_data() + row * width);
    row += rows;
  }
  return result;
}

}  // namespace

template <class T>
std::vector<NamedTensor<T>> backbone_tensors(const Backbone<T>& backbone,
                                             const MatrixChange<T>& change) {
  const auto& weights = backbone.weights();
  const Family& family = backbone.config().family();
  std::vector<NamedTensor<T>> tensors;
  const auto add = [&](const std::string& name, MatrixType type, Tensor<T> value) {
    const WeightName parts = split_name(family, name);
    const char* module = module_of(family, type);
    const bool matrix = change && parts.layer >= 0 && parts.kind == "weight";
    if (matrix && module && parts.module == module)
      value = change(parts.layer, type, std::move(value));
    if (matrix && family.joined_in_file && parts.module == family.names.joined)
      value = changed_rows(backbone.config(), parts.layer, value, change);
    if (transposed(family, name, value.shape())) value = tn::permute<T>(value, swapped);
    tensors.push_back({family.names.prefix + name, std::move(value)});
  };
  for (const auto id : backbone.ids()) {
    const Tensor<T> value = weights.value(id);
    Index row = 0;
    for (const StoredPart& part : stored_parts(backbone.config(), weights.name(id))) {
      add(part.name, part.type, part.rows ? value.slice(row, row + part.rows) : value);
      row += part.rows;
    }
  }
  return tensors;
}

namespace {

bool lacks_many(const Vocabulary& vocabulary, const ModelConfig& config) {
  return vocabulary.size() + 128 <= config.vocab_size;
}

}  // namespace

void check_vocabulary(const Tokenizer& tokenizer, const ModelConfig& config,
                      const std::string& config_source) {
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  if (vocabulary.size() > config.vocab_size)
    tn::fail(vocabulary.source_name(), ": ", vocabulary.size(), " entries, but ", config_source,
             " says vocab_size ", config.vocab_size);
  // A vocab.txt that has been cut off is still one.
  if (vocabulary.source_name().ends_with(".txt") && lacks_many(vocabulary, config))
    tn::fail(vocabulary.source_name(), ": expected the ", config.vocab_size,
             " entries of the vocab_size in ", config_source, ", found ", vocabulary.size());
}

std::string vocabulary_warning(const Tokenizer& tokenizer, const ModelConfig& config,
                               const std::string& config_source) {
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  if (vocabulary.size() == config.vocab_size) return "";
  return vocabulary.source_name() + ": " + std::to_string(vocabulary.size()) + " entries, but " +
         config_source + " says vocab_size " + std::to_string(config.vocab_size) +
         (lacks_many(vocabulary, config) ? ": is it the model's tokenizer?" : "");
}

template <class T>
void write_model(const tn::OutputFolder& folder, const Backbone<T>& backbone,
                 const std::vector<typename Weights<T>::Id>& head_ids, const char* architecture) {
  auto tensors = backbone_tensors(backbone);
  const auto& weights = backbone.weights();
  for (const auto id : head_ids) tensors.push_back({weights.name(id), weights.value(id)});
  write_safetensors<T>(folder / "model.safetensors", tensors, {{"format", "pt"}});
  nlohmann::json json = model_config_json(backbone.config());
  json["architectures"] = {architecture};
  write_json(folder / "config.json", json);
}

#define METATT_INSTANTIATE(T)                                                    \
  template class BackboneReader<T>;                                              \
  template std::vector<NamedTensor<T>> backbone_tensors(const Backbone<T>&,      \
                                                        const MatrixChange<T>&); \
  template void write_model(const tn::OutputFolder&, const Backbone<T>&,         \
                            const std::vector<typename Weights<T>::Id>&, const char*);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::transformer
