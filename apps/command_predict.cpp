/// metatt predict: what a classifier says of texts without labels.

#include <metatt/apps/console.hpp>
#include <metatt/apps/prediction_table.hpp>
#include <metatt/apps/trained_classifier.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/classification_objective.hpp>

#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

struct PredictOptions {
  ClassifierOptions classifier;
  std::string data, split = "test", output;
};

void run_predict(const PredictOptions& o) {
  const TrainedClassifier trained = read_classifier(o.classifier);
  if (trained.tasks.size() > 1)
    tn::fail("--task: expected one of the ", trained.tasks.size(),
             " that the adapter has, found none");
  const auto& [task, place] = trained.tasks.front();
  const auto rows = read_glue_texts(o.data, task, o.split);
  const auto examples = encode_rows(trained.model->tokenizer(), rows, trained.max_seq_length);
  print_cut(cut_examples(examples), trained.max_seq_length);
  const std::string text = prediction_table(
      task, predict<float>(*trained.model, examples, o.classifier.batch_size, place));
  if (o.output.empty()) {
    std::cout << text << std::flush;
    return;
  }
  tn::write_file_atomically(o.output, text);
  std::cout << "result: " << examples.size() << " predictions in " << o.output << std::endl;
}

}  // namespace

void add_predict(CLI::App& program) {
  auto o = std::make_shared<PredictOptions>();
  CLI::App* command =
      add_command(program, "predict", "Predict the labels of a GLUE task's test file");
  add_classifier_options(*command, o->classifier, "one must be named");
  command->add_option("--data,--data_dir", o->data, "Folder with the task's TSV files")
      ->check(not_empty("a folder"))
      ->required();
  command->add_option("--split", o->split, "File without .tsv; its labels are not looked at")
      ->check(not_empty("a split"));
  command
      ->add_option("--output_file", o->output,
                   "Table of index and prediction (default: standard output)")
      ->check(in_a_folder());
  command->callback([o] { run_predict(*o); });
}

}  // namespace metatt::apps
