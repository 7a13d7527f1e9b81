#include <metatt/transformer/causal_model_files.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>
#include <nlohmann/json.hpp>

namespace metatt::transformer {

namespace {

ModelConfig read_causal_config(const std::filesystem::path& path) {
  ModelConfig config = read_model_config(path);
  if (!config.family().causal)
    tn::fail(path.string(),
             ": field \"model_type\": expected a family that predicts next tokens, found \"",
             config.model_type, "\"");
  return config;
}

}  // namespace

template <class T>
CausalModelFolder<T>::CausalModelFolder(const std::filesystem::path& folder)
    : config_(read_causal_config(folder / "config.json")), tokenizer_(read_tokenizer(folder)) {
  check_vocabulary(*tokenizer_, config_, folder);
  const BackboneReader<T> reader(folder, config_);
  if (reader.has_further_layers())
    tn::fail((folder / "config.json").string(), ": ", config_.family().fields.num_hidden_layers,
             " is ", config_.num_hidden_layers, ", but the weights have more layers");
  backbone_ = std::make_unique<Backbone<T>>(config_, weights_, reader);
  model_ = std::make_unique<CausalLanguageModel<T>>(*backbone_, reader);
}

void check_vocabulary(const Tokenizer& tokenizer, const ModelConfig& config,
                      const std::filesystem::path& folder) {
  if (tokenizer.vocabulary().size() > config.vocab_size)
    tn::fail(folder.string(), ": the tokenizer has ", tokenizer.vocabulary().size(),
             " entries, but config.json says vocab_size ", config.vocab_size);
}

void write_causal_model(const tn::OutputFolder& folder, const CausalLanguageModel<float>& model) {
  auto tensors = backbone_tensors(model.backbone());
  const auto& weights = model.backbone().weights();
  for (const auto id : model.head_ids()) tensors.push_back({weights.name(id), weights.value(id)});
  write_safetensors<float>(folder / "model.safetensors", tensors, {{"format", "pt"}});
  const ModelConfig& config = model.backbone().config();
  nlohmann::json json = model_config_json(config);
  json["architectures"] = {config.family().causal_architecture};
  write_json(folder / "config.json", json);
}

template class CausalModelFolder<float>;
template class CausalModelFolder<double>;

}  // namespace metatt::transformer
