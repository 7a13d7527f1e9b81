#pragma once
/// What transformers and PyTorch computed with the models of fixtures/families (README.md there).

#include "model_testing.hpp"

#include <metatt/transformer/backbone_files.hpp>

#include <tuple>

namespace metatt::testing {

using Types = std::tuple<float, double>;
const std::filesystem::path families = std::filesystem::path(METATT_FIXTURES) / "families";

/// What PyTorch computed.
struct Golden {
  explicit Golden(const std::string& name, const char* file = "fixture.safetensors")
      : folder(families / name),
        facts(parse_json(tn::read_file(folder / "fixture.json"), name)),
        arrays(folder / file) {
    const auto ids = facts["input_ids"].get<std::vector<std::int32_t>>();
    auto begin = ids.begin();
    for (const auto length : facts["lengths"].get<std::vector<std::ptrdiff_t>>()) {
      const std::vector<std::int32_t> text(begin, begin + length);
      examples.push_back({{text, std::vector<std::int32_t>(text.size(), 0)}, 0});
      begin += length;
    }
  }
  template <class T>
  Tensor<T> array(const std::string& name) const {
    return arrays.read<T>(name, arrays.entry(name).shape);
  }

  std::filesystem::path folder;
  nlohmann::json facts;
  SafetensorsFile arrays;
  std::vector<Example> examples;
};

/// transformers makes the angles of rotary positions in single precision.
template <class T>
double tolerance(const ModelConfig& config) {
  return sizeof(T) == 4 || config.family().rotary ? 2e-5 : 1e-10;
}

template <class T>
void check_close(const std::vector<T>& golden, const std::vector<T>& found, double allowed) {
  // Gradients of key biases are zero but for rounding.
  const auto largest =
      std::abs(*std::ranges::max_element(golden, {}, [](T x) { return std::abs(x); }));
  BOOST_TEST(relative_error(golden, found) * std::min<double>(1, largest) < allowed);
}

/// The gradients of a backbone and its head under the names and in the layout of files.
template <class T>
std::vector<NamedTensor<T>> stored_gradients(
    const ModelConfig& config, const Weights<T>& weights,
    const std::vector<typename Weights<T>::Id>& head_ids = {}) {
  const auto gradient = [&](const std::string& name) {
    return weights.arena().gradient(weights.arena().find(name));
  };
  Weights<T> carrier_weights;
  const Backbone<T> carrier(config, carrier_weights,
                            [&](const std::string& name, const Shape&) { return gradient(name); });
  auto result = backbone_tensors(carrier);
  for (const auto id : head_ids)
    result.push_back({file_name(config.family(), weights.name(id)), gradient(weights.name(id))});
  return result;
}

}  // namespace metatt::testing
