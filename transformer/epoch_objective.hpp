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
  const Adapter<T>* adapter() const override { return model_.adapter(); }
  Index steps_per_epoch() const override { return steps_per_epoch_; }
  std::vector<Index> batch(Index step) const override {
    return order_.batch(step, pass_.examples_per_step);
  }

 protected:
  EpochObjective(AdaptedModel<T>& model, const TrainSettings& settings, std::size_t examples)
      : pass_(settings, model.config()),
        model_(model),
        steps_per_epoch_(steps_in_epoch(static_cast<Index>(examples), settings)),
        order_(static_cast<Index>(examples), settings.seed) {}

  PassSettings pass_;

 private:
  AdaptedModel<T>& model_;
  Index steps_per_epoch_;
  ExampleOrder order_;
};

}  // namespace metatt::transformer
