#include <metatt/apps/console.hpp>
#include <metatt/apps/prediction_table.hpp>

namespace metatt::apps {

std::string prediction_table(const transformer::GlueTask& task,
                             std::span<const double> predictions) {
  std::string text = "index\tprediction\n";
  for (std::size_t i = 0; i < predictions.size(); ++i) {
    text.append(std::to_string(i)).append("\t");
    text.append(task.regression() ? fixed(predictions[i], 3)
                                  : task.labels[static_cast<std::size_t>(predictions[i])]);
    text.append("\n");
  }
  return text;
}

}  // namespace metatt::apps
