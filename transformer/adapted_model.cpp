#include <metatt/transformer/adapted_model.hpp>
#include <metatt/transformer/backbone_files.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>

namespace metatt::transformer {

template <class T>
AdaptedModel<T>::AdaptedModel(const std::filesystem::path& base, ModelConfig config,
                              const Method& method)
    : base_(base), method_(method), config_(std::move(config)), tokenizer_(read_tokenizer(base)) {
  check_vocabulary(*tokenizer_, config_, (base / "config.json").string());
}

template <class T>
const MetaTT<T>* AdaptedModel<T>::train() const {
  return dynamic_cast<const MetaTT<T>*>(adapter_.get());
}

template <class T>
std::vector<typename AdaptedModel<T>::NamedId> AdaptedModel<T>::task_head(Index /*task*/) const {
  std::vector<NamedId> head;
  for (const Id id : head_ids()) head.push_back({weights_.name(id), id});
  return head;
}

template <class T>
Index AdaptedModel<T>::trainable_head() const {
  Index numbers = 0;
  for (const Id id : head_ids())
    if (weights_.trainable(id)) numbers += tn::element_count(weights_.shape(id));
  return numbers;
}

template <class T>
std::vector<NamedTensor<T>> AdaptedModel<T>::own_tensors() const {
  std::vector<Id> ids = adapter_ ? adapter_->tensors() : std::vector<Id>();
  for (const Id id : head_ids())
    if (weights_.trainable(id)) ids.push_back(id);
  std::vector<NamedTensor<T>> tensors;
  for (const Id id : ids) tensors.push_back({weights_.name(id), weights_.value(id)});
  return tensors;
}

template class AdaptedModel<float>;
template class AdaptedModel<double>;

}  // namespace metatt::transformer
