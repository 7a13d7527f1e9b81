/// What is taken and what is refused in a family's files.

#include "family_testing.hpp"

#include <metatt/transformer/backbone_files.hpp>

using namespace metatt;
using namespace metatt::testing;

namespace {

BOOST_AUTO_TEST_SUITE(model_files)

BOOST_AUTO_TEST_CASE(a_window_shorter_than_the_positions_is_the_longest_sequence) {
  const auto read = [](const nlohmann::json& changes) {
    auto fields = parse_json(tn::read_file(families / "mistral" / "config.json"), "mistral");
    fields.update(changes);
    if (changes.empty()) fields.erase("sliding_window");
    const TemporaryFolder folder;
    write_json(folder / "config.json", fields);
    const ModelConfig config = read_model_config(folder / "config.json");
    const nlohmann::json written = model_config_json(config);
    write_json(folder / "config.json", written);
    BOOST_TEST((read_model_config(folder / "config.json") == config));
    return std::pair(config.longest_sequence(), written["sliding_window"]);
  };
  using Read = std::pair<std::int64_t, nlohmann::json>;
  BOOST_TEST((read({{"sliding_window", 8}}) == Read{8, 8}));
  BOOST_TEST((read({{"sliding_window", 19}}) == Read{19, 19}));
  BOOST_TEST((read({{"sliding_window", 20}}) == Read{20, nullptr}));
  BOOST_TEST((read({{"sliding_window", nullptr}}) == Read{20, nullptr}));
  BOOST_TEST((read(nlohmann::json::object()) == Read{20, nullptr}));
}

/// The backbone of a family's fixture with one more tensor in its file.
void open_with(const char* name, const std::string& tensor) {
  const SafetensorsFile file(families / name / "model.safetensors");
  std::vector<NamedTensor<float>> tensors{{tensor, Tensor<float>::zeros({2})}};
  for (const std::string& other : file.names())
    tensors.push_back({other, file.read<float>(other, file.entry(other).shape)});
  const TemporaryFolder folder;
  write_safetensors<float>(folder / "model.safetensors", tensors, {});
  std::filesystem::copy(families / name / "config.json", folder / "config.json");
  const ModelConfig config = read_model_config(folder / "config.json");
  const BackboneReader<float> reader(folder.path(), config);
  Weights<float> weights;
  reader.check_layers(Backbone<float>(config, weights, reader));
}

BOOST_AUTO_TEST_CASE(a_tensor_of_a_layer_that_the_model_has_no_use_for_is_refused_by_name) {
  for (const auto& one : std::initializer_list<std::pair<const char*, const char*>>{
           {"llama", "model.layers.0.self_attn.q_proj.bias"},
           {"llama", "model.layers.1.mlp.up_proj.bias"},
           {"qwen2", "model.layers.1.self_attn.o_proj.bias"},
           {"qwen2", "layers.1.self_attn.q_norm.weight"},
           {"mistral", "model.layers.x.self_attn.q_proj.weight_scale"},
           {"gpt2", "transformer.h.0.crossattention.c_attn.weight"},
           {"roberta", "roberta.encoder.layer.0.crossattention.self.query.weight"},
           {"distilbert", "distilbert.transformer.layer.0.adapter.weight"}})
    BOOST_TEST_CONTEXT(one.second) {
      check_error([&] { open_with(one.first, one.second); },
                  {"model.safetensors", one.second, one.first});
    }
}

BOOST_AUTO_TEST_CASE(tensors_that_follow_from_the_config_or_stand_outside_of_layers_are_accepted) {
  for (const auto& [family, tensor] : std::initializer_list<std::pair<const char*, const char*>>{
           {"gpt2", "transformer.h.0.attn.bias"},
           {"gpt2", "h.1.attn.masked_bias"},
           {"llama", "model.layers.1.self_attn.rotary_emb.inv_freq"},
           {"roberta", "roberta.embeddings.position_ids"},
           {"roberta", "roberta.pooler.extra"}})
    BOOST_TEST_CONTEXT(tensor) {
      BOOST_CHECK_NO_THROW(open_with(family, tensor));
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
