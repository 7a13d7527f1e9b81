#include <metatt/transformer/adapter.hpp>

#include <metatt/transformer/lora.hpp>
#include <metatt/transformer/metatt4d.hpp>

#include <algorithm>
#include <functional>

namespace metatt::transformer {

namespace {

constexpr std::array<const char*, matrix_type_count> type_names{"query",
                                                                "key",
                                                                "value",
                                                                "attention_output",
                                                                "feed_forward_up",
                                                                "feed_forward_down",
                                                                "feed_forward_gate"};

template <class T>
using Maker = std::unique_ptr<Adapter<T>> (*)(const AdapterSettings&, const ModelConfig&,
                                              Weights<T>&, const std::map<std::string, Shape>&);

template <class T, class Kind>
std::unique_ptr<Adapter<T>> make(const AdapterSettings& settings, const ModelConfig& config,
                                 Weights<T>& weights, const std::map<std::string, Shape>& shapes) {
  return std::make_unique<Kind>(settings, config, weights, shapes);
}

/// The table of adapters: a new one is a line here and a file of its own.
template <class T>
const std::map<std::string, Maker<T>>& makers() {
  static const std::map<std::string, Maker<T>> table{
      {"lora", make<T, Lora<T>>},
      {"metatt4d", make<T, MetaTT4D<T>>},
  };
  return table;
}

}  // namespace

std::string matrix_type_name(MatrixType type) {
  return type_names.at(static_cast<std::size_t>(type));
}

MatrixType find_matrix_type(const std::string& name) {
  std::string known;
  for (int i = 0; i < matrix_type_count; ++i) {
    if (name == type_names[static_cast<std::size_t>(i)]) return static_cast<MatrixType>(i);
    known += (i ? ", " : "") + std::string(type_names[static_cast<std::size_t>(i)]);
  }
  tn::fail("target_modules: expected names out of ", known, "; found \"", name, "\"");
}

const char* module_of(const Family& family, MatrixType type) {
  const ModuleNames& names = family.names;
  switch (type) {
    case MatrixType::query:
      return names.query;
    case MatrixType::key:
      return names.key;
    case MatrixType::value:
      return names.value;
    case MatrixType::attention_output:
      return names.attention_output;
    case MatrixType::feed_forward_up:
      return names.up;
    case MatrixType::feed_forward_down:
      return names.down;
    case MatrixType::feed_forward_gate:
      return names.gate;
  }
  return nullptr;
}

std::vector<MatrixType> matrix_types(const Family& family) {
  std::vector<MatrixType> types;
  for (int t = 0; t < matrix_type_count; ++t)
    if (const auto type = static_cast<MatrixType>(t);
        family.gated || type != MatrixType::feed_forward_gate)
      types.push_back(type);
  return types;
}

MatrixExtents matrix_extents(const ModelConfig& config, MatrixType type) {
  const Index d = config.hidden_size, f = config.intermediate_size;
  switch (type) {
    case MatrixType::query:
      return {d, config.query_width()};
    case MatrixType::key:
    case MatrixType::value:
      return {d, config.key_value_width()};
    case MatrixType::attention_output:
      return {config.query_width(), d};
    case MatrixType::feed_forward_gate:
    case MatrixType::feed_forward_up:
      return {d, f};
    case MatrixType::feed_forward_down:
      break;
  }
  return {f, d};
}

void check_adapter_settings(const AdapterSettings& settings, const ModelConfig& config) {
  if (settings.targets.empty()) tn::fail("target_modules: an adapter needs at least one matrix");
  if (std::adjacent_find(settings.targets.begin(), settings.targets.end(),
                         std::greater_equal<>()) != settings.targets.end())
    tn::fail(
        "target_modules: expected each name once, in the order query, key, value, "
        "attention_output, feed_forward_up, feed_forward_down, feed_forward_gate");
  if (!config.family().gated && settings.targets.back() == MatrixType::feed_forward_gate)
    tn::fail("target_modules: feed_forward_gate: the family \"", config.model_type,
             "\" has no gate");
  if (settings.rank < 1 || settings.rank > config.hidden_size)
    tn::fail("rank: expected 1 … ", config.hidden_size, " (the width of the model), found ",
             settings.rank);
  if (!(settings.alpha > 0) || settings.alpha > 1e6)
    tn::fail("alpha: expected a positive factor up to 1e6, found ", settings.alpha);
}

namespace {

/// The factors that an update has.
template <class T>
std::vector<Variable<T>*> factors_of(autodiff::LowRankUpdate<T>& update) {
  std::vector<Variable<T>*> factors{&update.U, &update.V};
  if (!update.C.empty()) factors.push_back(&update.C);
  return factors;
}

}  // namespace

template <class T>
void UpdateTable<T>::append_factors(Index layer, std::vector<Variable<T>>& factors) const {
  for (auto [place, update] : updates_)
    if (place.first == layer)
      for (const Variable<T>* factor : factors_of(update)) factors.push_back(*factor);
}

template <class T>
UpdateTable<T> UpdateTable<T>::with_factors(Index layer,
                                            std::span<const Variable<T>> factors) const {
  UpdateTable result;
  std::size_t next = 0;
  for (auto [place, update] : updates_) {
    if (place.first != layer) continue;
    for (Variable<T>* factor : factors_of(update)) *factor = factors[next++];
    result.set(layer, place.second, std::move(update));
  }
  return result;
}

template class UpdateTable<float>;
template class UpdateTable<double>;

template <class T>
std::unique_ptr<Adapter<T>> make_adapter(const AdapterSettings& settings, const ModelConfig& config,
                                         Weights<T>& weights,
                                         const std::map<std::string, Shape>& shapes) {
  check_adapter_settings(settings, config);
  const auto found = makers<T>().find(settings.kind);
  if (found == makers<T>().end()) {
    std::string known;
    for (const auto& name : adapter_kinds()) known += (known.empty() ? "" : ", ") + name;
    tn::fail("adapter: expected one of ", known, "; found \"", settings.kind, "\"");
  }
  return found->second(settings, config, weights, shapes);
}

std::vector<std::string> adapter_kinds() {
  std::vector<std::string> names;
  for (const auto& [name, maker] : makers<float>()) names.push_back(name);
  return names;
}

template std::unique_ptr<Adapter<float>> make_adapter(const AdapterSettings&, const ModelConfig&,
                                                      Weights<float>&,
                                                      const std::map<std::string, Shape>&);
template std::unique_ptr<Adapter<double>> make_adapter(const AdapterSettings&, const ModelConfig&,
                                                       Weights<double>&,
                                                       const std::map<std::string, Shape>&);

}  // namespace metatt::transformer
