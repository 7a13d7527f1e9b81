#include <metatt/transformer/encoder_files.hpp>

#include <algorithm>

namespace metatt::transformer {

namespace {

constexpr std::string_view joined = "attention.self.qkv.";
constexpr std::array<MatrixType, 3> joined_types{MatrixType::query, MatrixType::key,
                                                 MatrixType::value};

/// "encoder.layer.0.attention.self.qkv.weight" → "encoder.layer.0." and "weight"; nothing for
/// others.
struct JoinedName {
  std::string layer, part;
};
std::optional<JoinedName> split_joined(const std::string& name) {
  const auto place = name.find(joined);
  if (place == std::string::npos) return std::nullopt;
  return JoinedName{name.substr(0, place), name.substr(place + joined.size())};
}

Index layer_of(const std::string& name) {
  constexpr std::string_view prefix = "encoder.layer.";
  return std::stoll(name.substr(prefix.size()));
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
EncoderReader<T>::EncoderReader(const std::filesystem::path& file)
    : file_(std::make_shared<SafetensorsFile>(file)) {}

template <class T>
bool EncoderReader<T>::contains(const std::string& name) const {
  return file_->contains(stored_name(name));
}

template <class T>
std::string EncoderReader<T>::stored_name(const std::string& name) const {
  for (const std::string& known : {name, older_name(name)})
    for (const char* prefix : {"bert.", ""})
      if (file_->contains(prefix + known)) return prefix + known;
  const bool prefixed = std::ranges::any_of(
      file_->names(), [](const std::string& other) { return other.starts_with("bert."); });
  return prefixed ? "bert." + name : name;
}

template <class T>
Tensor<T> EncoderReader<T>::operator()(const std::string& name, const Shape& shape) const {
  const auto parts = split_joined(name);
  if (!parts) return file_->read<T>(stored_name(name), shape);
  Shape part_shape = shape;
  part_shape[0] /= 3;
  Tensor<T> all(shape);
  const Index size = all.size() / 3;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string part = parts->layer + bert_module(joined_types[i]) + "." + parts->part;
    const Tensor<T> value = file_->read<T>(stored_name(part), part_shape);
    tn::backend::copy(tn::backend::queue(), size, value.data(),
                      all.mutable_data() + static_cast<Index>(i) * size);
  }
  return all;
}

template <class T>
std::vector<NamedTensor<T>> encoder_tensors(const Encoder<T>& encoder,
                                            const MatrixChange<T>& change) {
  const auto& weights = encoder.weights();
  std::vector<NamedTensor<T>> tensors;
  const auto add = [&](const std::string& name, Tensor<T> value) {
    for (int t = 0; change && t < matrix_type_count; ++t) {
      const auto type = static_cast<MatrixType>(t);
      const std::string prefix = "encoder.layer.";
      if (!name.starts_with(prefix)) break;
      const Index layer = layer_of(name);
      if (name == prefix + std::to_string(layer) + "." + bert_module(type) + ".weight")
        value = change(layer, type, std::move(value));
    }
    tensors.push_back({"bert." + name, std::move(value)});
  };
  for (const auto id : encoder.ids()) {
    const std::string& name = weights.name(id);
    const Tensor<T> value = weights.value(id);
    const auto parts = split_joined(name);
    if (!parts) {
      add(name, value);
      continue;
    }
    const Index third = value.extent(0) / 3;
    for (std::size_t i = 0; i < 3; ++i)
      add(parts->layer + bert_module(joined_types[i]) + "." + parts->part,
          value.slice(static_cast<Index>(i) * third, static_cast<Index>(i + 1) * third));
  }
  return tensors;
}

#define METATT_INSTANTIATE(T)      \
  template class EncoderReader<T>; \
  template std::vector<NamedTensor<T>> encoder_tensors(const Encoder<T>&, const MatrixChange<T>&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::transformer
