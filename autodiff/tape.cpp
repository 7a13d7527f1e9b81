#include <metatt/autodiff/tape.hpp>

namespace metatt::autodiff {

template <class T>
Variable<T> Tape<T>::parameter(const ParameterArena<T>& arena, Index index) {
  if (!recording()) return constant(arena.value(index));
  if (&arena != parameters_)
    tn::fail("Tape::parameter: \"", arena.name(index), "\" belongs to another arena");
  return {arena.value(index), add_node("parameter", index, arena.value(index).shape(), nullptr)};
}

template <class T>
Dropout Tape<T>::dropout(double probability) {
  if (!(probability >= 0 && probability < 1))
    tn::fail("dropout: the probability must lie in [0, 1), found ", probability);
  if (!recording()) return {};
  // 2^20 dropouts a step are far more than any network has.
  return {probability, seed_, (step_ << 20) + dropouts_++};
}

template <class T>
Variable<T> Tape<T>::record(const char* operation, Tensor<T> value,
                            std::initializer_list<const Variable<T>*> inputs, Backward backward) {
  bool tracked = false;
  for (const auto* input : inputs) tracked = tracked || input->tracked();
  if (!recording() || !tracked) return constant(std::move(value));
  if (!backward) tn::fail(operation, ": has no derivative, but one of its inputs needs a gradient");
  const int node = add_node(operation, -1, value.shape(), std::move(backward));
  return {std::move(value), node};
}

template <class T>
Tensor<T> Tape<T>::save(const Tensor<T>& tensor) {
  if (saved_.insert(tensor.data()).second)
    saved_bytes_ += tensor.size() * static_cast<Index>(sizeof(T));
  return tensor;
}

template <class T>
void Tape<T>::backward(const Variable<T>& loss) {
  if (loss.value.size() != 1)
    tn::fail("backward: the loss must be one number, found shape ",
             tn::shape_text(loss.value.shape()));
  if (!loss.tracked()) tn::fail("backward: the loss depends on no trainable parameter");
  give(loss.node, Tensor<T>::from(loss.value.shape(), {T(1)}));
  Gradients<T> gradients(*this);
  for (int i = loss.node; i >= 0; --i) {
    Node& node = nodes_[static_cast<std::size_t>(i)];
    if (node.parameter >= 0) continue;
    // A result that the loss does not use has no gradient and passes none on.
    if (!node.gradient.empty()) {
      if (!node.backward)
        tn::fail("backward: an earlier pass went through ", node.operation,
                 " already and freed what it had saved");
      Tensor<T> gradient = std::move(node.gradient);
      node.gradient = {};
      node.backward(gradients, gradient);
    }
    node.backward = nullptr;
  }
}

template <class T>
int Tape<T>::add_node(const char* operation, Index parameter, Shape shape, Backward backward) {
  nodes_.push_back({operation, parameter, std::move(shape), std::move(backward), {}});
  return static_cast<int>(nodes_.size()) - 1;
}

template <class T>
std::pair<T*, T> Tape<T>::destination(int index) {
  Node& node = nodes_.at(static_cast<std::size_t>(index));
  if (node.parameter >= 0) {
    const auto target = parameters_->gradient_target(node.parameter);
    return {target.data, target.beta};
  }
  const bool first = node.gradient.empty();
  if (first) node.gradient = Tensor<T>(node.shape);
  return {node.gradient.mutable_data(), first ? T(0) : T(1)};
}

template <class T>
void Tape<T>::give(int index, Tensor<T> gradient) {
  Node& node = nodes_.at(static_cast<std::size_t>(index));
  if (node.parameter < 0 && node.gradient.empty()) {
    node.gradient = std::move(gradient);
    return;
  }
  auto& queue = tn::backend::queue();
  const auto [target, beta] = destination(index);
  if (beta == 0)
    tn::backend::copy(queue, gradient.size(), gradient.data(), target);
  else
    tn::backend::add_scaled(queue, gradient.size(), T(1), gradient.data(), target);
}

template class Tape<float>;
template class Tape<double>;

}  // namespace metatt::autodiff
