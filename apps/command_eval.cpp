/// metatt eval: the metrics of an adapter or of a whole model.

#include <metatt/apps/console.hpp>
#include <metatt/apps/glue_examples.hpp>
#include <metatt/apps/trained_classifier.hpp>
#include <metatt/apps/trained_decoder.hpp>
#include <metatt/apps/training_log.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/transformer/adapter_files.hpp>
#include <metatt/transformer/classification_objective.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/masked_objective.hpp>
#include <metatt/transformer/text_objective.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

struct EvalOptions {
  ClassifierOptions classifier;
  std::string data, split, validation_file, output;
  double mask_share = 0.15;
};

void report(const Evaluation& result, std::size_t examples, const std::string& kind) {
  if (!std::isfinite(result.loss))
    tn::fail("eval: the loss on ", examples, " ", kind, " is ", result.loss,
             ": weights or adapter are too large for float32");
  std::cout << "result: " << examples << " " << kind << ", loss " << fixed(result.loss, 6) << ", "
            << metrics_text(result.metrics) << std::endl;
}

/// One task, or each of several with its own line; their metrics go into one file, by the names
/// that they have in a run's eval_results.json.
void eval_classifier(const EvalOptions& o) {
  if (o.data.empty()) tn::fail("eval: expected --data, or --validation_file, found neither");
  const TrainedClassifier trained = read_classifier(o.classifier);
  const bool several = trained.tasks.size() > 1;
  if (several && !o.split.empty())
    tn::fail("--split: is for one task; expected --task, found none for an adapter with ",
             trained.tasks.size(), " tasks");
  print_backend();
  std::vector<TaskEvaluation> evaluations;
  for (const auto& [task, place] : trained.tasks) {
    const auto rows =
        read_labelled(o.data, task, o.split.empty() ? task.development_splits.front() : o.split);
    const auto examples = encode_rows(trained.model->tokenizer(), rows, trained.max_seq_length);
    print_cut(cut_examples(examples), trained.max_seq_length);
    evaluations.push_back(
        {task, evaluate<float>(*trained.model, task, examples, o.classifier.batch_size, place)});
    report(evaluations.back().evaluation, examples.size(),
           several ? "examples of " + task.name : "examples");
  }
  const Evaluation all = joined_evaluation(evaluations);
  if (several)
    std::cout << "all tasks: loss " << fixed(all.loss, 6) << ", " << average_metric << " "
              << fixed(all.metrics.front().second, 4) << std::endl;
  if (!o.output.empty()) write_json(o.output, evaluation_json(all));
}

void eval_decoder(const EvalOptions& o) {
  const auto decoder =
      read_trained_decoder({o.classifier.model, o.classifier.adapter, o.classifier.task});
  Index length = o.classifier.max_seq_length;
  if (length == 0 && !o.classifier.adapter.empty())
    length = read_adapter_record(o.classifier.adapter).max_seq_length;
  length = decoder->sequence_length(length);
  print_backend();
  const std::vector<TokenText> texts =
      read_texts(o.validation_file, decoder->tokenizer(), decoder->config(), length);
  print_cut(std::ranges::count_if(texts, &TokenText::cut), length);
  const Evaluation result = evaluate<float>(*decoder, texts, o.classifier.batch_size);
  report(result, texts.size(), "texts");
  if (!o.output.empty()) write_json(o.output, evaluation_json(result));
}

/// Whether --model is an encoder, which predicts hidden tokens of texts.
bool predicts_hidden_tokens(const EvalOptions& o) {
  return o.classifier.adapter.empty() && !o.classifier.model.empty() &&
         !read_model_config(std::filesystem::path(o.classifier.model) / "config.json")
              .family()
              .causal;
}

void eval_masked(const EvalOptions& o) {
  if (!o.classifier.task.empty())
    tn::fail("--task: is not for hidden tokens of --validation_file, found ", o.classifier.task);
  const std::filesystem::path folder = o.classifier.model;
  const ModelConfig config = read_model_config(folder / "config.json");
  const auto tokenizer = read_tokenizer(folder);
  check_vocabulary(*tokenizer, config, (folder / "config.json").string());
  print_warning(vocabulary_warning(*tokenizer, config, (folder / "config.json").string()));
  const BackboneReader<float> reader(folder, config);
  Weights<float> weights;
  const Backbone<float> backbone(config, weights, reader);
  reader.check_layers(backbone);
  const MaskedLanguageModel<float> model(backbone, reader);
  const Index longest = config.longest_sequence(), wanted = o.classifier.max_seq_length;
  if (wanted > longest)
    tn::fail("--max_seq_length: the model has ", longest, " positions, found ", wanted);
  const Index length = wanted > 0 ? wanted : longest;
  const TokenMasker masker(*tokenizer, o.mask_share);
  const auto [lines, blank] = read_corpus(o.validation_file, *tokenizer, length);
  print_backend();
  print_blank(blank);
  print_cut(std::ranges::count_if(lines, [](const CorpusLine& line) { return line.text.cut; }),
            length);
  const Evaluation result = evaluate(model, masker, lines, o.classifier.batch_size);
  report(result, lines.size(), "lines");
  if (!o.output.empty()) write_json(o.output, evaluation_json(result));
}

void eval_texts(const CLI::App& command, const EvalOptions& o) {
  if (predicts_hidden_tokens(o)) return eval_masked(o);
  if (command.count("--mlm_probability") > 0)
    tn::fail("--mlm_probability: is for an encoder's hidden tokens");
  eval_decoder(o);
}

}  // namespace

void add_eval(CLI::App& program) {
  auto o = std::make_shared<EvalOptions>();
  CLI::App* command = add_command(
      program, "eval", "Evaluate an adapter folder, or a merged or fully fine-tuned model");
  add_classifier_options(*command, o->classifier, "all (of a decoder one must be named)");
  CLI::Option* data =
      command->add_option("--data,--data_dir", o->data, "Folder with the task's TSV files");
  data->check(not_empty("a folder"));
  command->add_option("--split", o->split, "File without .tsv (default: the task's dev)")
      ->needs(data);
  command
      ->add_option("--validation_file", o->validation_file,
                   "In place of a task's files: texts for a decoder, as finetune reads them, or "
                   "for an encoder lines of which tokens are hidden")
      ->check(not_empty("a file"))
      ->excludes(data);
  command
      ->add_option("--mlm_probability", o->mask_share, "Share of tokens that an encoder predicts")
      ->check(number_between(0.01, 0.99))
      ->excludes(data);
  command->add_option("--output_file", o->output, "Metrics as JSON")->check(in_a_folder());
  command->callback([command, o] {
    o->validation_file.empty() ? eval_classifier(*o) : eval_texts(*command, *o);
  });
}

}  // namespace metatt::apps
