#include <metatt/transformer/model.hpp>

#include <algorithm>
#include <numeric>

namespace metatt::transformer {

std::string Method::name() const {
  if (kind == Kind::head_only) return "none";
  return kind == Kind::full ? "full" : adapter.kind;
}

Method Method::named(const std::string& name, const AdapterSettings& settings) {
  Method method{Kind::adapter, settings};
  method.adapter.kind = name;
  if (name == "none") method.kind = Kind::head_only;
  if (name == "full") method.kind = Kind::full;
  return method;
}

template <class T>
void mark_trained(const Method& method, const Backbone<T>& backbone,
                  const Classifier<T>& classifier, bool pooler) {
  Weights<T>& weights = backbone.weights();
  const bool full = method.kind == Method::Kind::full;
  if (full)
    for (const auto id : backbone.ids()) weights.train(id, backbone_group(weights.shape(id)));
  if (full || pooler)
    for (const auto id : classifier.pooler_ids()) weights.train(id, head_group(weights.shape(id)));
  for (const auto id : classifier.head_ids()) weights.train(id, head_group(weights.shape(id)));
}

namespace {

/// Other families have heads of their own.
ModelConfig read_classifier_config(const std::filesystem::path& path) {
  const ModelConfig config = read_model_config(path);
  if (config.model_type != "bert")
    tn::fail(path.string(),
             ": field \"model_type\": classifiers are of the family \"bert\" only, found \"",
             config.model_type, "\"");
  return config;
}

}  // namespace

template <class T>
ClassifierModel<T>::ClassifierModel(const std::filesystem::path& base, Index outputs,
                                    const Method& method, HeadSource source, std::uint64_t seed,
                                    const std::map<std::string, Shape>& adapter_shapes,
                                    std::optional<bool> pooler_trained)
    : base_(base),
      method_(method),
      config_(read_classifier_config(base / "config.json")),
      tokenizer_(WordPiece::from_folder(base)) {
  if (static_cast<Index>(tokenizer_.vocabulary().size()) > config_.vocab_size)
    tn::fail((base / "vocab.txt").string(), ": ", tokenizer_.vocabulary().size(),
             " entries, but config.json says vocab_size ", config_.vocab_size);
  // Vocabularies are padded to a multiple of up to 128; what misses more has been cut off.
  if (static_cast<Index>(tokenizer_.vocabulary().size()) + 128 <= config_.vocab_size)
    tn::fail((base / "vocab.txt").string(), ": expected the ", config_.vocab_size,
             " entries of config.json's vocab_size, found ", tokenizer_.vocabulary().size());
  const BackboneReader<T> reader(base, config_);
  if (reader.has_further_layers())
    tn::fail((base / "config.json").string(), ": num_hidden_layers is ", config_.num_hidden_layers,
             ", but model.safetensors has more layers (", config_.family().names.layers,
             config_.num_hidden_layers, ")");
  backbone_ = std::make_unique<Backbone<T>>(config_, weights_, reader);
  const bool new_pooler = source == HeadSource::fresh && !reader.contains("pooler.dense.weight");
  pooler_trained_ = pooler_trained.value_or(new_pooler);
  classifier_ = std::make_unique<Classifier<T>>(
      *backbone_, outputs, [&](const std::string& name, const Shape& shape) {
        const bool pooler = name.starts_with("pooler");
        const bool fresh = pooler ? new_pooler : source == HeadSource::fresh;
        return fresh ? initial_weight<T>(name, shape, seed) : reader(name, shape);
      });
  if (method.kind == Method::Kind::adapter)
    adapter_ = make_adapter(method.adapter, config_, weights_, adapter_shapes);
  mark_trained(method, *backbone_, *classifier_, pooler_trained_);
  weights_.build_arena();
}

template <class T>
Index ClassifierModel<T>::sequence_length(Index wanted, Index otherwise) const {
  const Index positions = config_.max_position_embeddings;
  if (wanted > positions)
    tn::fail("max_seq_length: the model has ", positions, " positions, found ", wanted);
  if (wanted != 0 && wanted < 5)
    tn::fail("max_seq_length: expected at least 5 (a pair has three special tokens), found ",
             wanted);
  return wanted > 0 ? wanted : std::min(otherwise, positions);
}

template <class T>
const MetaTT4D<T>* ClassifierModel<T>::train() const {
  return dynamic_cast<const MetaTT4D<T>*>(adapter_.get());
}

template <class T>
Index ClassifierModel<T>::trainable_head() const {
  Index numbers = 0;
  for (const auto& ids : {classifier_->pooler_ids(), classifier_->head_ids()})
    for (const auto id : ids)
      if (weights_.trainable(id)) numbers += tn::element_count(weights_.shape(id));
  return numbers;
}

template <class T>
void ClassifierModel<T>::center_regression(std::span<const double> labels) {
  if (labels.empty()) tn::fail("center_regression: expected labels, found none");
  const double mean =
      std::accumulate(labels.begin(), labels.end(), 0.0) / static_cast<double>(labels.size());
  const auto bias = classifier_->head_ids().back();
  if (weights_.shape(bias) != Shape{1})
    tn::fail("center_regression: expected a head with one output, found ",
             tn::shape_text(weights_.shape(bias)));
  weights_.set_value(bias, Tensor<T>::from({1}, {static_cast<T>(mean)}));
}

template <class T>
std::vector<NamedTensor<T>> ClassifierModel<T>::own_tensors() const {
  std::vector<NamedTensor<T>> tensors;
  const auto add = [&](const auto& ids) {
    for (const auto id : ids)
      if (weights_.trainable(id)) tensors.push_back({weights_.name(id), weights_.value(id)});
  };
  if (adapter_) add(adapter_->tensors());
  add(classifier_->pooler_ids());
  add(classifier_->head_ids());
  return tensors;
}

template class ClassifierModel<float>;
template class ClassifierModel<double>;
template void mark_trained(const Method&, const Backbone<float>&, const Classifier<float>&, bool);
template void mark_trained(const Method&, const Backbone<double>&, const Classifier<double>&, bool);

}  // namespace metatt::transformer
