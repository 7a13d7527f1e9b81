#include <metatt/autodiff/arena.hpp>

#include <algorithm>

namespace metatt::autodiff {

namespace {

template <class T>
void fill_from(const Tensor<T>& source, const Shape& shape, const std::string& name, T* target) {
  auto& queue = tn::backend::queue();
  const Index size = tn::element_count(shape);
  if (source.empty()) {
    tn::backend::fill(queue, size, T(0), target);
    return;
  }
  if (source.shape() != shape)
    tn::fail("ParameterArena: \"", name, "\" has a moment of shape ",
             tn::shape_text(source.shape()), ", expected ", tn::shape_text(shape));
  tn::backend::copy(queue, size, source.data(), target);
}

}  // namespace

template <class T>
ParameterArena<T>::ParameterArena(std::vector<ParameterSpec<T>> specs) {
  if (specs.empty()) tn::fail("ParameterArena: there is no trainable parameter");
  std::stable_sort(specs.begin(), specs.end(),
                   [](const auto& a, const auto& b) { return a.group < b.group; });
  for (const auto& spec : specs) {
    for (const auto& other : entries_)
      if (other.name == spec.name)
        tn::fail("ParameterArena: two parameters are called \"", spec.name, "\"");
    if (spec.value.empty() || spec.value.size() == 0)
      tn::fail("ParameterArena: parameter \"", spec.name, "\" has no elements");
    entries_.push_back({spec.name, spec.value.shape(), spec.group, size_, spec.value.size()});
    size_ += spec.value.size();
  }
  for (Storage* storage : {&values_, &gradients_, &first_moments_, &second_moments_})
    *storage = std::make_shared<tn::Buffer<T>>(size_);
  tn::backend::fill(tn::backend::queue(), size_, T(0), gradients());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const Entry& e = entries_[i];
    fill_from(specs[i].value, e.shape, e.name, values() + e.offset);
    fill_from(specs[i].first_moment, e.shape, e.name, first_moments() + e.offset);
    fill_from(specs[i].second_moment, e.shape, e.name, second_moments() + e.offset);
  }
}

template <class T>
Index ParameterArena<T>::find(const std::string& name) const {
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].name == name) return static_cast<Index>(i);
  tn::fail("ParameterArena: no parameter is called \"", name, "\"");
}

template <class T>
void ParameterArena<T>::set_value(Index parameter, const Tensor<T>& value) {
  const Entry& e = entry(parameter);
  if (value.shape() != e.shape)
    tn::fail("ParameterArena::set_value: \"", e.name, "\" has shape ", tn::shape_text(e.shape),
             ", found ", tn::shape_text(value.shape()));
  tn::backend::copy(tn::backend::queue(), e.size, value.data(), values() + e.offset);
}

template <class T>
void ParameterArena<T>::clear_gradients() {
  for (auto& e : entries_) e.written = false;
}

template <class T>
typename ParameterArena<T>::GradientTarget ParameterArena<T>::gradient_target(Index parameter) {
  Entry& e = entries_.at(static_cast<std::size_t>(parameter));
  const T beta = e.written ? T(1) : T(0);
  e.written = true;
  return {gradients() + e.offset, beta};
}

template <class T>
typename ParameterArena<T>::Range ParameterArena<T>::group_range(int group) const {
  Range range;
  for (const auto& e : entries_) {
    if (e.group != group) continue;
    if (range.count == 0) range.begin = e.offset;
    range.count += e.size;
  }
  return range;
}

template <class T>
const typename ParameterArena<T>::Entry& ParameterArena<T>::entry(Index parameter) const {
  if (parameter < 0 || parameter >= count())
    tn::fail("ParameterArena: parameter ", parameter, " of ", count(), " does not exist");
  return entries_[static_cast<std::size_t>(parameter)];
}

template <class T>
Tensor<T> ParameterArena<T>::view(const Storage& storage, Index parameter) const {
  const Entry& e = entry(parameter);
  return Tensor<T>::view_of(storage, e.offset, e.shape);
}

template class ParameterArena<float>;
template class ParameterArena<double>;

}  // namespace metatt::autodiff
