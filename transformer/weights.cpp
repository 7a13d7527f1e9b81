#include <metatt/transformer/weights.hpp>

#include <algorithm>

namespace metatt::transformer {

using autodiff::ParameterArena;
using autodiff::ParameterSpec;

WeightGroup backbone_group(const Shape& shape) {
  return shape.size() == 1 ? WeightGroup::not_decayed : WeightGroup::decayed;
}

WeightGroup head_group(const Shape& shape) {
  return shape.size() == 1 ? WeightGroup::head_not_decayed : WeightGroup::head;
}

template <class T>
typename Weights<T>::Id Weights<T>::add(std::string name, Tensor<T> value) {
  for (const auto& e : entries_)
    if (e.name == name) tn::fail("Weights: \"", name, "\" is there already");
  if (arena_) tn::fail("Weights: \"", name, "\" comes after the arena was built");
  Shape shape = value.shape();
  entries_.push_back({std::move(name), std::move(shape), std::move(value)});
  return count() - 1;
}

template <class T>
bool Weights<T>::contains(const std::string& name) const {
  return std::ranges::find(entries_, name, &Entry::name) != entries_.end();
}

template <class T>
typename Weights<T>::Id Weights<T>::find(const std::string& name) const {
  for (Id id = 0; id < count(); ++id)
    if (entry(id).name == name) return id;
  tn::fail("Weights: there is no \"", name, "\"");
}

template <class T>
void Weights<T>::train(Id id, WeightGroup group) {
  if (arena_) tn::fail("Weights::train: \"", name(id), "\" comes after the arena was built");
  entries_[static_cast<std::size_t>(id)].trainable = true;
  entries_[static_cast<std::size_t>(id)].group = group;
}

template <class T>
Index Weights<T>::trainable_count() const {
  Index numbers = 0;
  for (const auto& e : entries_)
    if (e.trainable) numbers += tn::element_count(e.shape);
  return numbers;
}

template <class T>
Index Weights<T>::total_count() const {
  Index numbers = 0;
  for (const auto& e : entries_) numbers += tn::element_count(e.shape);
  return numbers;
}

template <class T>
void Weights<T>::build_arena() {
  std::vector<ParameterSpec<T>> specs;
  for (const auto& e : entries_)
    if (e.trainable) specs.push_back({e.name, e.frozen, static_cast<int>(e.group), {}, {}});
  build_from(std::move(specs));
}

template <class T>
Tensor<T> Weights<T>::value(Id id) const {
  const Entry& e = entry(id);
  return e.parameter < 0 ? e.frozen : arena_->value(e.parameter);
}

template <class T>
Variable<T> Weights<T>::use(autodiff::Tape<T>& tape, Id id) const {
  const Entry& e = entry(id);
  if (e.parameter < 0) return autodiff::constant(e.frozen);
  return tape.parameter(*arena_, e.parameter);
}

template <class T>
void Weights<T>::set_zero_gradient(Id id) {
  const auto target = arena().gradient_target(entry(id).parameter);
  tn::backend::fill(tn::backend::queue(), tn::element_count(shape(id)), T(0), target.data);
}

template <class T>
void Weights<T>::set_value(Id id, const Tensor<T>& value) {
  Entry& e = entries_.at(static_cast<std::size_t>(id));
  if (value.shape() != e.shape)
    tn::fail("Weights: \"", e.name, "\" has shape ", tn::shape_text(e.shape), ", found ",
             tn::shape_text(value.shape()));
  if (e.parameter < 0)
    e.frozen = value;
  else
    arena_->set_value(e.parameter, value);
}

template <class T>
void Weights<T>::replace(std::span<const Replacement> replacements) {
  std::vector<ParameterSpec<T>> specs;
  for (auto& e : entries_) {
    if (e.parameter < 0) continue;
    specs.push_back({e.name, arena_->value(e.parameter), static_cast<int>(e.group),
                     arena_->first_moment(e.parameter), arena_->second_moment(e.parameter)});
    for (const auto& r : replacements) {
      if (&e != &entry(r.id)) continue;
      e.shape = r.value.shape();
      specs.back().value = r.value;
      specs.back().first_moment = r.first_moment;
      specs.back().second_moment = r.second_moment;
    }
  }
  build_from(std::move(specs));
}

template <class T>
std::vector<NamedTensor<T>> Weights<T>::trainable_values() const {
  std::vector<NamedTensor<T>> values;
  for (const auto& e : entries_) {
    if (e.parameter < 0) continue;
    const Tensor<T> view = arena_->value(e.parameter);
    Tensor<T> copy(view.shape());
    tn::backend::copy(tn::backend::queue(), view.size(), view.data(), copy.mutable_data());
    values.push_back({e.name, std::move(copy)});
  }
  return values;
}

template <class T>
void Weights<T>::restore(std::span<const NamedTensor<T>> values) {
  std::vector<Replacement> reshaped;
  for (const auto& v : values) {
    const Id id = find(v.name);
    if (v.tensor.shape() == shape(id))
      set_value(id, v.tensor);
    else
      reshaped.push_back({id, v.tensor, {}, {}});
  }
  if (!reshaped.empty()) replace(reshaped);
}

template <class T>
const typename Weights<T>::Entry& Weights<T>::entry(Id id) const {
  if (id < 0 || id >= count()) tn::fail("Weights: weight ", id, " of ", count(), " does not exist");
  return entries_[static_cast<std::size_t>(id)];
}

template <class T>
void Weights<T>::build_from(std::vector<ParameterSpec<T>> specs) {
  arena_ = std::make_shared<ParameterArena<T>>(std::move(specs));
  for (auto& e : entries_) {
    if (!e.trainable) continue;
    e.parameter = arena_->find(e.name);
    e.frozen = {};
  }
}

template class Weights<float>;
template class Weights<double>;

}  // namespace metatt::transformer
