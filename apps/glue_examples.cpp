#include <metatt/apps/console.hpp>
#include <metatt/apps/glue_examples.hpp>

#include <iostream>

namespace metatt::apps {

using namespace transformer;

std::vector<GlueRow> read_labelled(const std::string& folder, const GlueTask& task,
                                   const std::string& split) {
  std::size_t left_out = 0;
  auto rows = read_glue(folder, task, split, &left_out);
  if (left_out > 0)
    std::cout << task.name << ", " << split << ": " << left_out
              << " rows lack columns and are left out" << std::endl;
  return rows;
}

GlueExamples read_glue_examples(const std::string& folder, const GlueTask& task,
                                const Tokenizer& tokenizer, Index max_length, Index limit) {
  const auto read = [&](const std::string& split, Index most) {
    auto rows = read_labelled(folder, task, split);
    if (most > 0 && std::ssize(rows) > most) rows.resize(static_cast<std::size_t>(most));
    return encode_rows(tokenizer, rows, max_length);
  };
  GlueExamples examples{task, read("train", limit), read(task.development_splits.front(), 0)};
  std::cout << "data: " << task.name << ", " << examples.train.size() << " training and "
            << examples.development.size() << " development examples, " << padding_text
            << std::endl;
  print_cut(cut_examples(examples.train) + cut_examples(examples.development), max_length);
  return examples;
}

void center_if_regression(ClassifierModel<float>& model, const TaskData& data, Index place) {
  if (!data.task.regression()) return;
  std::vector<double> labels;
  for (const Example& example : data.train) labels.push_back(example.label);
  model.center_regression(labels, place);
}

Fingerprint fingerprint_of(std::span<const TaskData> tasks) {
  Fingerprint data;
  for (const TaskData& task : tasks)
    for (const auto part : {task.train, task.development})
      for (const Example& example : part) {
        data.add(std::span(example.text.ids));
        data.add(std::span(&example.label, 1));
      }
  return data;
}

}  // namespace metatt::apps
