#pragma once
/// Which examples every step of a run has, where a model learns one task or several.

#include <metatt/transformer/batch.hpp>

#include <optional>
#include <span>
#include <vector>

namespace metatt::transformer {

/// Steps of one task each, in an order that is drawn for every epoch. All is a function of the
/// arguments. Examples are numbered through all tasks: those of task 0, then those of task 1, ….
class TaskMixture {
 public:
  /// `sizes`: how many examples each task has. With n steps to go through all examples once, an
  /// epoch has n steps, of which task t gets a share in proportion to (its steps)^(1/temperature),
  /// at least one: at temperature 1 (as at any with one task) an epoch has every example once; the
  /// higher it is, the more equal the tasks become (Raffel et al., arXiv:1910.10683, section
  /// 3.5.2). Throws Error on a task without examples and a temperature below 1 or not finite.
  TaskMixture(std::span<const tn::Index> sizes, tn::Index examples_per_step, double temperature,
              std::uint64_t seed);

  tn::Index steps_per_epoch() const { return steps_per_epoch_; }
  /// Steps of a task in each epoch.
  tn::Index steps_of(std::size_t task) const { return steps_[task]; }
  /// The examples of step 0, 1, …: all of one task.
  std::vector<tn::Index> batch(tn::Index step) const;

  /// An example by its task and its number there.
  struct Place {
    std::size_t task;
    tn::Index example;
  };
  Place place(tn::Index example) const;

 private:
  std::size_t task_of(tn::Index step) const;

  tn::Index examples_per_step_, steps_per_epoch_ = 0;
  std::vector<tn::Index> first_;  ///< number of each task's first example, and behind all
  std::vector<tn::Index> steps_;
  std::vector<ExampleOrder> orders_;   ///< of each task
  std::optional<ExampleOrder> slots_;  ///< of an epoch's steps, those of task 0 first
};

}  // namespace metatt::transformer
