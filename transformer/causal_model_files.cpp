#include <metatt/transformer/causal_model_files.hpp>
#include <metatt/transformer/json.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>

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
CausalModelFolder<T>::CausalModelFolder(const std::filesystem::path& folder,
                                        const std::optional<Method>& method,
                                        const std::map<std::string, Shape>& adapter_shapes)
    : AdaptedModel<T>(folder, read_causal_config(folder / "config.json"),
                      method.value_or(Method::named("none", {}))) {
  Weights<T>& weights = this->weights_;
  const BackboneReader<T> reader(folder, this->config());
  this->backbone_ = std::make_unique<Backbone<T>>(this->config(), weights, reader);
  reader.check_layers(this->backbone());
  model_ = std::make_unique<CausalLanguageModel<T>>(this->backbone(), reader);
  if (!method) return;
  if (method->kind == Method::Kind::head_only)
    tn::fail("a language model has no new head to train: expected an adapter or \"full\", found \"",
             method->name(), "\"");
  if (method->kind == Method::Kind::full) {
    train_all(weights, {this->backbone().ids(), model_->head_ids()});
  } else {
    this->adapter_ = make_adapter(method->adapter, this->config(), weights, adapter_shapes);
    weights.build_arena();
  }
}

template <class T>
Index CausalModelFolder<T>::sequence_length(Index wanted) const {
  const Index longest = this->config().longest_sequence();
  if (wanted > longest)
    tn::fail("max_seq_length: the model has ", longest, " positions, found ", wanted);
  return wanted > 0 ? wanted : std::min<Index>(1024, longest);
}

std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, const ModelConfig& config,
                                   std::string_view text) {
  std::vector<TokenId> ids =
      tokenizer.encode_pair(text, std::nullopt, std::numeric_limits<std::int32_t>::max()).ids;
  const std::vector<TokenId> around = tokenizer.template_ids(false);
  if (!around.empty() &&
      std::ranges::find(config.eos_token_id, around.back()) != config.eos_token_id.end())
    ids.pop_back();
  if (ids.empty() && config.bos_token_id) ids.push_back(static_cast<TokenId>(*config.bos_token_id));
  return ids;
}

void write_causal_model(const tn::OutputFolder& folder, const CausalLanguageModel<float>& model) {
  write_model(folder, model.backbone(), model.head_ids(),
              model.backbone().config().family().causal_architecture);
}

template class CausalModelFolder<float>;
template class CausalModelFolder<double>;

}  // namespace metatt::transformer
