#pragma once
/// Training a classifier on a task of GLUE.

#include <metatt/transformer/epoch_objective.hpp>
#include <metatt/transformer/glue.hpp>
#include <metatt/transformer/model.hpp>

namespace metatt::transformer {

/// Loss and the task's metrics, dropout off.
template <class T>
Evaluation evaluate(const ClassifierModel<T>& model, const GlueTask& task,
                    std::span<const Example> examples, Index batch_size);

/// Classes or scores, dropout off.
template <class T>
std::vector<double> predict(const ClassifierModel<T>& model, std::span<const Example> examples,
                            Index batch_size);

/// Everything that it refers to must outlive it.
template <class T>
class ClassificationObjective final : public EpochObjective<T> {
 public:
  ClassificationObjective(ClassifierModel<T>& model, const GlueTask& task,
                          const TrainSettings& settings, std::span<const Example> train,
                          std::span<const Example> development);

  BatchLoss<T> loss(autodiff::Tape<T>& tape, std::span<const Index> examples,
                    std::uint64_t pass) const override;
  std::string described(std::span<const Index> examples) const override;
  std::vector<std::string> metrics() const override;
  std::optional<Evaluation> evaluate() const override;
  double probe_loss() const override;

 private:
  const ClassifierModel<T>& model_;
  const GlueTask& task_;
  std::span<const Example> train_, development_;
};

}  // namespace metatt::transformer
