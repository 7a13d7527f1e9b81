// DoRA, AdaLoRA and VeRA against PEFT (fixtures/make_adapter_fixtures.py).

#include "adapter_testing.hpp"
#include "family_testing.hpp"

#include <metatt/autodiff/ops_loss.hpp>

using namespace metatt;
using namespace metatt::testing;

namespace {

/// PEFT's name of one of our tensors, and whether it lies there transposed.
struct PeftName {
  std::string name;
  bool transposed;
};

PeftName peft_name(const std::string& kind, const std::string& name) {
  if (name == "adapter.U") return {"vera_A", true};
  if (name == "adapter.V") return {"vera_B", true};
  const std::string site = name.substr(0, name.rfind('.')), part = name.substr(name.rfind('.') + 1);
  const std::string layer = site.substr(14, 1), matrix = site.substr(16);  // adapter.layer.0.query
  const std::string module = "encoder.layer." + layer + ".attention.self." + matrix + ".";
  const std::map<std::string, PeftName> names{
      {"U", {kind == "dora" ? "lora_A.weight" : "lora_A", true}},
      {"V", {kind == "dora" ? "lora_B.weight" : "lora_B", true}},
      {"E", {"lora_E", false}},
      {"m", {"lora_magnitude_vector", false}},
      {"d", {"vera_lambda_d", false}},
      {"b", {"vera_lambda_b", false}}};
  const PeftName& found = names.at(part);
  return {module + found.name, found.transposed};
}

BOOST_AUTO_TEST_SUITE(peft)

BOOST_AUTO_TEST_CASE(hidden_states_and_gradients_are_those_of_peft) {
  for (const std::string kind : {"dora", "adalora", "vera"}) BOOST_TEST_CONTEXT(kind) {
      const Golden golden("bert_tanh", "adapters.safetensors");
      const ModelConfig config = read_model_config(golden.folder / "config.json");
      const BackboneReader<double> reader(golden.folder, config);
      Weights<double> weights;
      const Backbone<double> backbone(config, weights, reader);
      AdapterSettings settings;
      settings.kind = kind;
      settings.rank = 3;
      // lora_alpha / r; AdaLoRA's divisor is r + 1e-5, and VeRA has none.
      settings.alpha = kind == "dora" ? 2.0 / 3 : kind == "adalora" ? 2 / (3 + 1e-5) : 1;
      const auto adapter = make_adapter(settings, config, weights);
      const auto array = [&](const std::string& prefix, const std::string& name) {
        const auto [peft, transposed] = peft_name(kind, name);
        const auto value = golden.array<double>(kind + "." + prefix + peft);
        return transposed ? scaled_transpose(value, 1.0) : value;
      };
      for (const auto id : adapter->tensors())
        weights.set_value(id, array("", weights.name(id)).reshaped(weights.shape(id)));
      weights.build_arena();

      Tape<double> tape(weights.arena(), 0, 0);
      const auto hidden = backbone.forward(tape, pack(golden.examples), adapter.get(), {});
      check_close(golden.array<double>(kind + ".hidden").to_vector(), hidden.value.to_vector(),
                  1e-10);
      // The mean of (hidden − target)² whose gradient is the probe.
      const auto count = static_cast<double>(hidden.value.size());
      auto target = hidden.value.to_vector();
      const auto probe = golden.array<double>(kind + ".probe").to_vector();
      for (std::size_t i = 0; i < target.size(); ++i) target[i] -= count / 2 * probe[i];
      weights.arena().clear_gradients();
      tape.backward(autodiff::mean_squared_error(
          tape, hidden,
          Tensor<double>::from(hidden.value.shape(), std::span<const double>(target))));
      for (const auto id : adapter->tensors()) {
        if (!weights.trainable(id)) continue;
        const std::string name = weights.name(id);
        BOOST_TEST_CONTEXT(name)
        check_close(array("gradient.", name).to_vector(),
                    weights.arena().gradient(weights.arena().find(name)).to_vector(), 1e-10);
      }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
