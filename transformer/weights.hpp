#pragma once
/// Every weight of a model by name: frozen ones as tensors, trainable ones in one arena.

#include <metatt/autodiff/tape.hpp>
#include <metatt/transformer/safetensors.hpp>

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace metatt::transformer {

using autodiff::Variable;
using tn::Index;
using tn::Shape;
using tn::Tensor;

/// Groups of trainable weights, which may differ in learning rate and weight decay.
enum class WeightGroup { decayed = 0, not_decayed = 1, head = 2, head_not_decayed = 3 };
inline constexpr int weight_groups = 4;

/// The group of an encoder's or a head's weight: vectors (biases, norms) do not decay.
WeightGroup backbone_group(const Shape& shape);
WeightGroup head_group(const Shape& shape);

/// The weights of a model with its head and adapter. Add all, mark those to be trained, then call
/// build_arena(); a model asks for them by the id that add() gave.
template <class T>
class Weights {
 public:
  using Id = Index;

  /// Adds a frozen weight. Throws Error on a name that is there already.
  Id add(std::string name, Tensor<T> value);
  Index count() const { return static_cast<Index>(entries_.size()); }
  const std::string& name(Id id) const { return entry(id).name; }
  const Shape& shape(Id id) const { return entry(id).shape; }
  bool contains(const std::string& name) const;
  /// Throws Error if there is none of this name.
  Id find(const std::string& name) const;

  /// Marks a weight as trainable; before build_arena().
  void train(Id id, WeightGroup group);
  bool trainable(Id id) const { return entry(id).trainable; }
  Index trainable_count() const;  ///< numbers, not tensors
  Index total_count() const;

  /// Moves what is trainable into the arena. Throws Error if nothing is.
  void build_arena();
  bool has_arena() const { return arena_ != nullptr; }
  autodiff::ParameterArena<T>& arena() const { return *arena_; }

  /// The value now (a view into the arena if trainable).
  Tensor<T> value(Id id) const;
  /// The weight as a variable of one pass.
  Variable<T> use(autodiff::Tape<T>& tape, Id id) const;
  /// Says of a trained weight that its gradient is zero, where no pass comes to it.
  void set_zero_gradient(Id id);
  /// Overwrites a value by one of the same shape.
  void set_value(Id id, const Tensor<T>& value);

  /// A trainable weight's new value and moments, possibly of another shape.
  struct Replacement {
    Id id;
    Tensor<T> value, first_moment, second_moment;
  };
  /// Rebuilds the arena with some weights replaced; all others keep values and moments.
  void replace(std::span<const Replacement> replacements);

  /// Copies of all trainable values, to go back to: the last good state or the best one.
  std::vector<NamedTensor<T>> trainable_values() const;
  /// Puts such copies back. Where a shape has changed since, the moments of that weight restart.
  void restore(std::span<const NamedTensor<T>> values);

 private:
  struct Entry {
    std::string name;
    Shape shape;
    Tensor<T> frozen;  ///< empty once the value lives in the arena
    bool trainable = false;
    WeightGroup group = WeightGroup::decayed;
    Index parameter = -1;  ///< position in the arena
  };
  const Entry& entry(Id id) const;
  void build_from(std::vector<autodiff::ParameterSpec<T>> specs);

  std::vector<Entry> entries_;
  std::shared_ptr<autodiff::ParameterArena<T>> arena_;
};

/// Marks all of these as trained, in the groups of backbone_group, and builds the arena.
template <class T>
void train_all(Weights<T>& weights,
               std::initializer_list<std::vector<typename Weights<T>::Id>> parts) {
  for (const auto& ids : parts)
    for (const auto id : ids) weights.train(id, backbone_group(weights.shape(id)));
  weights.build_arena();
}

}  // namespace metatt::transformer
