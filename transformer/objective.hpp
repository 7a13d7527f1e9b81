#pragma once
/// What a model is trained for, as the trainer sees it: numbered batches of examples, their loss
/// and an evaluation.

#include <metatt/transformer/adapters/adapter.hpp>

#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace metatt::transformer {

using Metrics = std::vector<std::pair<std::string, double>>;

/// Loss and metrics on a labelled set.
struct Evaluation {
  double loss = 0;
  Metrics metrics;
  std::vector<double> predictions;
};

/// What evaluations of language models have beside the mean loss over the predicted tokens.
inline Evaluation language_evaluation(double loss) {
  return {loss, {{"perplexity", std::exp(loss)}}, {}};
}
inline std::vector<std::string> language_metrics() {
  return {"loss", "perplexity"};
}

/// The loss of a batch.
template <class T>
struct BatchLoss {
  Variable<T> loss;   ///< the mean over the targets
  Index targets = 1;  ///< what the mean is over: labelled examples, or tokens to predict
  Index tokens = 0;   ///< that went through the model
};

/// Everything is a function of its arguments and the weights, never of what was called before, so
/// that a run that goes on from a checkpoint sees what the uninterrupted one would have seen.
template <class T>
class Objective {
 public:
  virtual ~Objective() = default;

  /// The model's weights, with an arena.
  virtual Weights<T>& weights() const = 0;
  /// The adapter whose ranks may change, or null.
  virtual const Adapter<T>* adapter() const { return nullptr; }

  /// 0: the batches have no epochs.
  virtual Index steps_per_epoch() const = 0;
  /// The examples of step 0, 1, …
  virtual std::vector<Index> batch(Index step) const = 0;
  /// The loss of some of a batch's examples, dropout on. `pass` numbers the forward passes of the
  /// run, for random numbers of its own.
  virtual BatchLoss<T> loss(autodiff::Tape<T>& tape, std::span<const Index> examples,
                            std::uint64_t pass) const = 0;
  /// Trained weights that the loss of these examples does not depend on, such as the heads of other
  /// tasks: their gradient is zero.
  virtual std::vector<typename Weights<T>::Id> unreached(
      std::span<const Index> /*examples*/) const {
    return {};
  }
  /// "training examples 3, 17" for an error.
  virtual std::string described(std::span<const Index> examples) const = 0;

  /// The names by which evaluations can be compared, "loss" and those of its metrics; none if there
  /// is no evaluation.
  virtual std::vector<std::string> metrics() const = 0;
  /// Dropout off, on examples that are not trained on; nothing if there are none.
  virtual std::optional<Evaluation> evaluate() const = 0;
  /// The loss on some training examples, dropout off: what a sweep over the ranks of the
  /// adapter changes.
  virtual double probe_loss() const {
    tn::fail("probe_loss: the objective has no adapter whose ranks could be swept");
  }
};

}  // namespace metatt::transformer
