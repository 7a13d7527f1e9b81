#pragma once
/// Reverse-mode differentiation on an eager, linear tape: operations run at once, and those on a
/// gradient path leave one closure each. Creation order is a topological order, so the backward
/// pass is one loop from the last closure to the first.

#include <metatt/autodiff/arena.hpp>
#include <metatt/autodiff/backend/backend.hpp>

#include <functional>
#include <initializer_list>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace metatt::autodiff {

/// A value and, if a gradient is wanted for it, its place on the tape. Cheap to copy.
template <class T>
struct Variable {
  Tensor<T> value;
  int node = -1;

  bool tracked() const { return node >= 0; }
  bool empty() const { return value.empty(); }
};

/// A value for which no gradient is wanted: an input or a frozen weight.
template <class T>
Variable<T> constant(Tensor<T> value) {
  return {std::move(value), -1};
}

template <class T>
class Tape;

/// Where closures put gradients during the backward pass.
template <class T>
class Gradients {
 public:
  /// Calls write(destination, beta) to accumulate into the gradient of `variable`: the destination
  /// has the variable's shape and layout, and what it holds counts beta times: 0 for the first
  /// writer (the memory is then uninitialised), 1 for later ones. Does nothing if untracked.
  template <class Write>
  void into(const Variable<T>& variable, Write&& write) {
    if (!variable.tracked()) return;
    const auto [destination, beta] = tape_.destination(variable.node);
    write(destination, beta);
  }

  /// As into(), for writers that reach only a part of the variable and always add: the rest is set
  /// to zero before the first of them.
  template <class Write>
  void add_into(const Variable<T>& variable, Write&& write) {
    into(variable, [&](T* destination, T beta) {
      if (beta == 0)
        tn::backend::fill(tn::backend::queue(), tape_.size(variable.node), T(0), destination);
      write(destination);
    });
  }

  /// Adds a finished gradient; the first one is taken over without a copy.
  void give(const Variable<T>& variable, Tensor<T> gradient) {
    if (variable.tracked()) tape_.give(variable.node, std::move(gradient));
  }

 private:
  friend class Tape<T>;
  explicit Gradients(Tape<T>& tape) : tape_(tape) {}
  Tape<T>& tape_;
};

/// One forward and backward pass. Make one for each step.
template <class T>
class Tape {
 public:
  /// Receives the gradients' places and the finished gradient of the operation's result, which the
  /// closure may overwrite or give on.
  using Backward = std::function<void(Gradients<T>&, Tensor<T>&)>;

  /// A tape for training: parameter(i) is tracked and dropout is active, its masks drawn from
  /// `seed` and `step`.
  Tape(ParameterArena<T>& parameters, std::uint64_t seed, std::uint64_t step)
      : parameters_(&parameters), seed_(seed), step_(step) {}
  /// A tape for inference: nothing is recorded, dropout is off.
  Tape() = default;

  bool recording() const { return parameters_ != nullptr; }

  /// Parameter `index` of the arena as a variable of this pass.
  Variable<T> parameter(const ParameterArena<T>& arena, Index index);

  /// The next dropout of this pass, each with random numbers of its own; off in inference.
  Dropout dropout(double probability);

  /// Ends an operation: `value` becomes a variable, tracked if one of `inputs` is; then `backward`
  /// is kept. An operation that has no derivative passes nullptr, which is an error on a gradient
  /// path rather than a silent cut.
  Variable<T> record(const char* operation, Tensor<T> value,
                     std::initializer_list<const Variable<T>*> inputs, Backward backward);

  /// Marks a tensor as kept for the backward pass and returns it. For the count in saved_bytes();
  /// frozen weights and parameters are not saved, they are there anyway.
  Tensor<T> save(const Tensor<T>& tensor);
  /// Bytes of all distinct tensors saved by this pass so far.
  std::int64_t saved_bytes() const { return saved_bytes_; }

  /// A part of the network as a function of its inputs, on the tape that it is given.
  using Part = std::function<Variable<T>(Tape<T>&, std::span<const Variable<T>>)>;
  /// Runs a part, and again in the backward pass, so that between the two only its inputs are kept
  /// (Chen et al., arXiv:1604.06174): memory for one more forward pass. Whatever needs a gradient
  /// and is no parameter of the arena must come in through `inputs`. The dropout masks are those of
  /// a part that is run as it is, the gradients so to rounding.
  Variable<T> recompute(std::vector<Variable<T>> inputs, Part part);
  /// Whether a model should use recompute() for its layers.
  bool recomputes_layers() const { return recomputes_layers_; }
  void set_recomputes_layers(bool wanted) { recomputes_layers_ = wanted; }

  /// Fills the arena's gradients with weight·∂loss/∂parameter (adding to those already written
  /// since clear_gradients()). Closures are destroyed as they have run, which frees what they
  /// saved. Errors: the loss is not a single number; it depends on no parameter; an operation that
  /// it uses has had its backward pass.
  void backward(const Variable<T>& loss, T weight = 1);

 private:
  friend class Gradients<T>;
  struct Node {
    const char* operation;
    Index parameter = -1;  ///< position in the arena, or -1 for the result of an operation
    Shape shape;
    Backward backward;
    Tensor<T> gradient;
    bool input = false;  ///< of a part that is run again: its gradient is asked for
  };

  int add_node(const char* operation, Index parameter, Shape shape, Backward backward);
  /// Numbers in the gradient of a node.
  Index size(int node) const {
    return tn::element_count(nodes_.at(static_cast<std::size_t>(node)).shape);
  }
  std::pair<T*, T> destination(int node);
  void give(int node, Tensor<T> gradient);
  /// The same variables as inputs of this tape.
  std::vector<Variable<T>> as_inputs(std::span<const Variable<T>> variables);
  /// Runs the closures from that node to the first.
  void run_backward(int last);

  ParameterArena<T>* parameters_ = nullptr;
  std::uint64_t seed_ = 0;
  std::uint64_t step_ = 0;
  std::uint64_t dropouts_ = 0;
  bool recomputes_layers_ = false;
  std::vector<Node> nodes_;
  std::set<const T*> saved_;
  std::int64_t saved_bytes_ = 0;
};

}  // namespace metatt::autodiff
