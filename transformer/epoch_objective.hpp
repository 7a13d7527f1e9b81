#pragma once
/// What objectives share that go through the examples of an adapted model epoch by epoch.

#include <metatt/transformer/adapted_model.hpp>
#include <metatt/transformer/trainer.hpp>

namespace metatt::transformer {

/// Epochs of `examples` examples, each in an order of its own. The model must outlive it.
template <class T>
class EpochObjective : public Objective<T> {
 public:
  Weights<T>& weights() const override { return model_.weights(); }
  const MetaTT4D<T>* train() const override { return model_.train(); }
  Index steps_per_epoch() const override { return steps_per_epoch_; }
  std::vector<Index> batch(Index step) const override {
    return order_.batch(step, examples_per_step_);
  }

 protected:
  EpochObjective(AdaptedModel<T>& model, const TrainSettings& settings, std::size_t examples)
      : rates_(settings.dropout ? DropoutRates::of(model.config()) : DropoutRates{}),
        label_smoothing_(settings.label_smoothing),
        eval_batch_size_(settings.eval_batch_size),
        model_(model),
        examples_per_step_(settings.examples_per_step()),
        steps_per_epoch_(steps_in_epoch(static_cast<Index>(examples), settings)),
        order_(static_cast<Index>(examples), settings.seed) {}

  DropoutRates rates_;
  double label_smoothing_;
  Index eval_batch_size_;

 private:
  AdaptedModel<T>& model_;
  Index examples_per_step_, steps_per_epoch_;
  ExampleOrder order_;
};

}  // namespace metatt::transformer
