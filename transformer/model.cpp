#include <metatt/transformer/model.hpp>

#include <algorithm>
#include <numeric>

namespace metatt::transformer {

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

/// The rows (numbers of a vector) in the order of `places`; as they are if that is empty.
template <class T>
Tensor<T> reordered(const Tensor<T>& rows, std::span<const Index> places) {
  if (places.empty()) return rows;
  Tensor<T> result(rows.shape());
  const Index width = rows.size() / rows.extent(0);
  Index written = 0;
  for (const Index place : places) {
    const Tensor<T> row = rows.slice(place, place + 1);
    tn::backend::copy(tn::backend::queue(), width, row.data(), result.mutable_data() + written);
    written += width;
  }
  return result;
}

}  // namespace

template <class T>
ClassifierModel<T>::ClassifierModel(const std::filesystem::path& base,
                                    std::span<const TaskHead> heads, const Method& method,
                                    HeadSource source, std::uint64_t seed,
                                    const std::map<std::string, Shape>& adapter_shapes,
                                    std::optional<bool> pooler_trained)
    : AdaptedModel<T>(base, read_model_config(base / "config.json"), method) {
  const ModelConfig& config = this->config();
  const BackboneReader<T> reader(base, config);
  this->backbone_ = std::make_unique<Backbone<T>>(config, this->weights_, reader);
  reader.check_layers(this->backbone());
  const ClassifierHead& head = config.family().classifier;
  const std::string pooler = head.dense_is_pooler ? head.dense + std::string(".") : "";
  const bool new_head = source == HeadSource::fresh;
  const bool new_pooler = new_head && !pooler.empty() && !reader.contains(pooler + "weight");
  pooler_trained_ = pooler_trained.value_or(new_pooler);
  for (const TaskHead& task : heads) {
    const auto initial = [&](const std::string& name, const Shape& shape) {
      const bool in_pooler = !pooler.empty() && name.starts_with(pooler);
      if (in_pooler ? new_pooler : new_head) return initial_weight<T>(name, shape, seed);
      const bool output = name.starts_with(task.prefix() + head.output + ".");
      return output ? reordered(reader(name, shape), task.stored_outputs) : reader(name, shape);
    };
    prefixes_.push_back(task.prefix());
    classifiers_.push_back(
        std::make_unique<Classifier<T>>(this->backbone(), task.outputs, initial, prefixes_.back()));
  }
  if (method.kind == Method::Kind::adapter)
    this->adapter_ = make_adapter(method.adapter, config, this->weights_, adapter_shapes);
  for (const auto& classifier : classifiers_)
    mark_trained(method, this->backbone(), *classifier, pooler_trained_);
  this->weights_.build_arena();
}

template <class T>
Index ClassifierModel<T>::sequence_length(Index wanted, Index otherwise) const {
  const Index longest = this->config().longest_sequence();
  if (wanted > longest)
    tn::fail("max_seq_length: the model has ", longest, " positions, found ", wanted);
  const auto special = static_cast<Index>(this->tokenizer().template_ids(true).size());
  const Index length = wanted != 0 ? wanted : std::min(otherwise, longest);
  if (length < special + 2)
    tn::fail("max_seq_length: expected at least ", special + 2, " (a pair has ", special,
             " special tokens), found ", length);
  return length;
}

template <class T>
std::vector<typename Weights<T>::Id> ClassifierModel<T>::head_ids() const {
  std::vector<Id> ids = classifier().pooler_ids();
  for (const auto& classifier : classifiers_)
    for (const Id id : classifier->head_ids()) ids.push_back(id);
  return ids;
}

template <class T>
std::vector<typename ClassifierModel<T>::NamedId> ClassifierModel<T>::task_head(Index task) const {
  const std::string& prefix = prefixes_.at(static_cast<std::size_t>(task));
  std::vector<NamedId> head;
  for (const Id id : classifier(task).pooler_ids()) head.push_back({this->weights_.name(id), id});
  for (const Id id : classifier(task).head_ids())
    head.push_back({this->weights_.name(id).substr(prefix.size()), id});
  return head;
}

template <class T>
void ClassifierModel<T>::center_regression(std::span<const double> labels, Index task) {
  if (labels.empty()) tn::fail("center_regression: expected labels, found none");
  const Classifier<T>& head = classifier(task);
  if (head.outputs() != 1)
    tn::fail("center_regression: expected a head with one output, found ", head.outputs());
  const double mean =
      std::accumulate(labels.begin(), labels.end(), 0.0) / static_cast<double>(labels.size());
  if (const auto bias = head.output_bias(); bias != Backbone<T>::none)
    this->weights_.set_value(bias, Tensor<T>::from({1}, {static_cast<T>(mean)}));
}

template class ClassifierModel<float>;
template class ClassifierModel<double>;
template void mark_trained(const Method&, const Backbone<float>&, const Classifier<float>&, bool);
template void mark_trained(const Method&, const Backbone<double>&, const Classifier<double>&, bool);

}  // namespace metatt::transformer
