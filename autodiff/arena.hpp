#pragma once
/// All trainable parameters in four flat arrays: values, gradients and AdamW's two moments.

#include <metatt/tn/tensor.hpp>

#include <string>
#include <vector>

namespace metatt::autodiff {

using tn::Index;
using tn::Shape;
using tn::Tensor;

/// A parameter as it enters the arena. Parameters of one group lie next to each other, so that an
/// optimiser can treat each group (its own learning rate or decay) as one flat array.
template <class T>
struct ParameterSpec {
  std::string name;
  Tensor<T> value;
  int group = 0;
  Tensor<T> first_moment = {};   ///< empty: zeros
  Tensor<T> second_moment = {};  ///< empty: zeros
};

/// Owns the trainable parameters. value(i) and the other three are views: they see every later
/// update. Which parameters received a gradient since clear_gradients() is remembered, so that a
/// forgotten one is an error and the first writer need not add to zeros.
template <class T>
class ParameterArena {
 public:
  /// Takes the values in the order of (group, position in `specs`). Names must be unique.
  explicit ParameterArena(std::vector<ParameterSpec<T>> specs);

  Index count() const { return static_cast<Index>(entries_.size()); }  ///< parameters
  Index size() const { return size_; }                                 ///< numbers
  const std::string& name(Index parameter) const { return entry(parameter).name; }
  int group(Index parameter) const { return entry(parameter).group; }
  /// Position of the parameter called `name`; throws Error if there is none.
  Index find(const std::string& name) const;

  Tensor<T> value(Index parameter) const { return view(values_, parameter); }
  Tensor<T> gradient(Index parameter) const { return view(gradients_, parameter); }
  Tensor<T> first_moment(Index parameter) const { return view(first_moments_, parameter); }
  Tensor<T> second_moment(Index parameter) const { return view(second_moments_, parameter); }
  /// Overwrites a value with a tensor of the same shape.
  void set_value(Index parameter, const Tensor<T>& value);

  /// From now on every gradient counts as not written.
  void clear_gradients();
  bool has_gradient(Index parameter) const { return entry(parameter).written; }
  /// Memory of the gradient and the factor for what it holds already: 0 for the first writer, then
  /// 1. Marks it as written.
  struct GradientTarget {
    T* data;
    T beta;
  };
  GradientTarget gradient_target(Index parameter);

  /// First number and count of the numbers of one group; count 0 if the group is empty.
  struct Range {
    Index begin = 0;
    Index count = 0;
  };
  Range group_range(int group) const;
  T* values() { return values_->data(); }
  T* gradients() { return gradients_->data(); }
  T* first_moments() { return first_moments_->data(); }
  T* second_moments() { return second_moments_->data(); }

 private:
  struct Entry {
    std::string name;
    Shape shape;
    int group;
    Index offset;
    Index size;
    bool written = false;
  };
  using Storage = std::shared_ptr<tn::Buffer<T>>;

  const Entry& entry(Index parameter) const;
  Tensor<T> view(const Storage& storage, Index parameter) const;

  std::vector<Entry> entries_;
  Index size_ = 0;
  Storage values_, gradients_, first_moments_, second_moments_;
};

}  // namespace metatt::autodiff
