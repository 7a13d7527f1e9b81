#pragma once
/// Training a classifier on one task of GLUE or several.

#include <metatt/transformer/epoch_objective.hpp>
#include <metatt/transformer/glue.hpp>
#include <metatt/transformer/model.hpp>

namespace metatt::transformer {

/// Loss and the task's metrics, dropout off. `place` is that of the task among the model's.
template <class T>
Evaluation evaluate(const ClassifierModel<T>& model, const GlueTask& task,
                    std::span<const Example> examples, Index batch_size, Index place = 0);

/// Classes or scores, dropout off.
template <class T>
std::vector<double> predict(const ClassifierModel<T>& model, std::span<const Example> examples,
                            Index batch_size, Index place = 0);

/// The metric of several tasks: the mean over them of the mean of each one's metrics, as GLUE's
/// score is taken.
inline constexpr const char* average_metric = "average";

/// What an evaluation of several tasks is together: the mean of their losses, average_metric, and
/// their metrics as TASK_METRIC. Of a single task it is its own.
struct TaskEvaluation {
  const GlueTask& task;
  Evaluation evaluation;
};
Evaluation joined_evaluation(std::span<const TaskEvaluation> tasks);

/// A task to train on.
struct TaskData {
  const GlueTask& task;
  std::span<const Example> train, development;
};

/// A step trains on examples of one task (TaskMixture). Evaluations are joined_evaluation()s.
template <class T>
class ClassificationObjective final : public EpochObjective<T> {
 public:
  /// `tasks` in the order of the model's heads. Everything that it refers to must outlive it.
  ClassificationObjective(ClassifierModel<T>& model, std::span<const TaskData> tasks,
                          const TrainSettings& settings);

  BatchLoss<T> loss(autodiff::Tape<T>& tape, std::span<const Index> examples,
                    std::uint64_t pass) const override;
  std::vector<typename Weights<T>::Id> unreached(std::span<const Index> examples) const override;
  std::string described(std::span<const Index> examples) const override;
  std::vector<std::string> metrics() const override;
  std::optional<Evaluation> evaluate() const override;
  double probe_loss() const override;

 private:
  const ClassifierModel<T>& model_;
  std::vector<TaskData> tasks_;
};

}  // namespace metatt::transformer
