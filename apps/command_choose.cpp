/// metatt choose: multiple choice by the likelihood of the answers.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/trained_decoder.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/multiple_choice.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

struct ChooseOptions {
  DecoderOptions decoder;
  std::string data, split = "test", output, predictions;
  Index batch_size = 8, max_samples = 0;
};

std::vector<ChoiceScores> score_all(const CausalModelFolder<float>& folder,
                                    std::span<const ChoiceQuestion> questions, Index batch_size) {
  Progress progress(static_cast<std::int64_t>(questions.size()));
  std::vector<ChoiceScores> all;
  while (all.size() < questions.size()) {
    const std::size_t count =
        std::min(questions.size() - all.size(), static_cast<std::size_t>(batch_size));
    for (auto& scores : score_choices<float>(folder, questions.subspan(all.size(), count)))
      all.push_back(std::move(scores));
    progress.update(static_cast<std::int64_t>(all.size()), "questions");
  }
  return all;
}

/// An object a line for each question, answers counted from 0.
void write_predictions(const std::string& path, std::span<const ChoiceQuestion> questions,
                       std::span<const ChoiceScores> scores) {
  tn::AtomicFile file(path);
  for (std::size_t i = 0; i < questions.size(); ++i)
    file.write(nlohmann::json{{"question", i},
                              {"correct", questions[i].correct},
                              {"prediction", scores[i].likeliest()},
                              {"prediction_norm", scores[i].likeliest_per_byte()},
                              {"log_probabilities", scores[i].log_probabilities},
                              {"log_probabilities_per_byte", scores[i].per_byte}}
                   .dump() +
               "\n");
  file.commit();
}

void run_choose(const ChooseOptions& o) {
  std::vector<ChoiceQuestion> questions = read_choice_questions(o.data, o.split);
  if (o.max_samples > 0 && static_cast<Index>(questions.size()) > o.max_samples)
    questions.resize(static_cast<std::size_t>(o.max_samples));
  const auto decoder = read_trained_decoder(o.decoder);
  print_backend();
  const std::vector<ChoiceScores> scores = score_all(*decoder, questions, o.batch_size);
  const ChoiceAccuracy result = choice_accuracy(questions, scores);
  const auto cut = std::ranges::count_if(scores, &ChoiceScores::cut);
  std::cout << "result: " << questions.size() << " questions, accuracy "
            << fixed(result.accuracy, 4) << ", accuracy_norm " << fixed(result.accuracy_norm, 4);
  if (cut > 0) std::cout << ", prompts of " << cut << " cut to the model's positions";
  std::cout << std::endl;
  if (!o.output.empty())
    write_json(o.output, {{"questions", questions.size()},
                          {"accuracy", result.accuracy},
                          {"accuracy_norm", result.accuracy_norm},
                          {"cut_questions", cut}});
  if (!o.predictions.empty()) write_predictions(o.predictions, questions, scores);
}

}  // namespace

void add_choose(CLI::App& program) {
  auto o = std::make_shared<ChooseOptions>();
  CLI::App* command = add_command(
      program, "choose", "Answer multiple-choice questions by the likeliest answer of a decoder");
  add_decoder_options(*command, o->decoder);
  command
      ->add_option("--data,--data_dir", o->data,
                   "Folder with the JSON files of BoolQ, PIQA, Social IQa, WinoGrande, ARC or "
                   "OpenBookQA in instruction form")
      ->check(not_empty("a folder"))
      ->required();
  command->add_option("--split", o->split, "File without .json")->check(not_empty("a split"));
  command->add_option("--max_samples", o->max_samples, "Only the first so many questions; 0: all")
      ->transform(whole_number(0));
  command->add_option("--per_device_eval_batch_size", o->batch_size, "Questions a batch")
      ->transform(whole_number(1));
  command->add_option("--output_file", o->output, "Accuracies as JSON")->check(in_a_folder());
  command
      ->add_option("--predictions_file", o->predictions,
                   "What was chosen and all log-probabilities, a JSON object a question")
      ->check(in_a_folder());
  command->callback([o] { run_choose(*o); });
}

}  // namespace metatt::apps
