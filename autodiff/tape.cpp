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
void Tape<T>::backward(const Variable<T>& loss, T weight) {
  if (loss.value.size() != 1)
    tn::fail("backward: the loss must be one number, found shape ",
             tn::shape_text(loss.value.shape()));
  if (!loss.tracked()) tn::fail("backward: the loss depends on no trainable parameter");
  give(loss.node, Tensor<T>::from(loss.value.shape(), {weight}));
  run_backward(loss.node);
}

template <class T>
void Tape<T>::run_backward(int last) {
  Gradients<T> gradients(*this);
  for (int i = last; i >= 0; --i) {
    Node& node = nodes_[static_cast<std::size_t>(i)];
    if (node.parameter >= 0 || node.input) continue;
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
std::vector<Variable<T>> Tape<T>::as_inputs(std::span<const Variable<T>> variables) {
  std::vector<Variable<T>> inputs;
  for (const Variable<T>& variable : variables) {
    inputs.push_back(constant(variable.value));
    if (!variable.tracked()) continue;
    inputs.back().node = add_node("input", -1, variable.value.shape(), nullptr);
    nodes_.back().input = true;
  }
  return inputs;
}

template <class T>
Variable<T> Tape<T>::recompute(std::vector<Variable<T>> inputs, Part part) {
  if (!recording()) return part(*this, inputs);
  const std::uint64_t dropouts = dropouts_;
  Variable<T> result;
  {
    Tape<T> once(*parameters_, seed_, step_);
    once.dropouts_ = dropouts;
    result = part(once, once.as_inputs(inputs));
    dropouts_ = once.dropouts_;
  }
  if (!result.tracked()) return result;
  for (const Variable<T>& input : inputs)
    if (!input.tracked() || nodes_[static_cast<std::size_t>(input.node)].parameter < 0)
      save(input.value);
  auto backward = [parameters = parameters_, seed = seed_, step = step_, dropouts,
                   inputs = std::move(inputs),
                   part = std::move(part)](Gradients<T>& gradients, Tensor<T>& gradient) {
    Tape<T> again(*parameters, seed, step);
    again.dropouts_ = dropouts;
    const auto own = again.as_inputs(inputs);
    const Variable<T> output = part(again, own);
    again.give(output.node, std::move(gradient));
    again.run_backward(output.node);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!own[i].tracked()) continue;
      Tensor<T>& found = again.nodes_[static_cast<std::size_t>(own[i].node)].gradient;
      if (!found.empty()) gradients.give(inputs[i], std::move(found));
    }
  };
  result.node = add_node("recompute", -1, result.value.shape(), std::move(backward));
  return result;
}

template <class T>
int Tape<T>::add_node(const char* operation, Index parameter, Shape shape, Backward backward) {
  nodes_.push_back({operation, parameter, std::move(shape), std::move(backward), {}, false});
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
