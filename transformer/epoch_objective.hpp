#pragma once
/// What objectives share that go through the examples of an adapted model epoch by epoch.

#include <metatt/transformer/adapted_model.hpp>
#include <metatt/transformer/task_mixture.hpp>
#include <metatt/transformer/trainer.hpp>

#include <algorithm>

namespace metatt::transformer {

/// Epochs of the examples of one task or several, each in an order of its own. The model must
/// outlive it.
template <class T>
class EpochObjective : public Objective<T> {
 public:
  Weights<T>& weights() const override { return model_.weights(); }
  const Adapter<T>* adapter() const override { return model_.adapter(); }
  Index steps_per_epoch() const override { return mixture_.steps_per_epoch(); }
  std::vector<Index> batch(Index step) const override { return mixture_.batch(step); }

 protected:
  /// `examples`: how many each task has.
  EpochObjective(AdaptedModel<T>& model, const TrainSettings& settings,
                 std::span<const Index> examples)
      : pass_(settings, model.config()),
        mixture_(examples, std::max<Index>(1, settings.examples_per_step()),
                 settings.task_temperature, settings.seed),
        model_(model) {}

  PassSettings pass_;
  TaskMixture mixture_;

 private:
  AdaptedModel<T>& model_;
};

}  // namespace metatt::transformer
