/// metatt finetune: trains an adapter (or only the head, or everything) on tasks of GLUE, or on
/// texts.

#include <metatt/apps/adapter_training.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/glue_examples.hpp>
#include <metatt/apps/interrupt.hpp>
#include <metatt/apps/prediction_table.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/training_run.hpp>
#include <metatt/transformer/text_objective.hpp>

#include <algorithm>
#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

/// Writes what the run leaves: the adapter or, for full, the model.
void write_trained(const tn::OutputFolder& folder, const AdaptedModel<float>& model,
                   const AdapterRecord& record) {
  if (record.method.kind == Method::Kind::full)
    write_merged_model(folder, model, record);
  else
    write_adapter(folder, model, record);
}

AdapterRecord record_of(const FinetuneOptions& o, const AdaptedModel<float>& model,
                        Index max_seq_length) {
  AdapterRecord record;
  record.base_model = std::filesystem::absolute(o.model).lexically_normal().string();
  record.base_fingerprint = backbone_fingerprint(model.backbone());
  record.next_tokens = o.tasks.empty();
  record.tasks = record.next_tokens ? std::vector<std::string>{causal_task} : o.tasks;
  record.max_seq_length = max_seq_length;
  record.method = model.method();
  return record;
}

/// As transformers' run_glue calls them, which predicts for test only.
std::string predictions_name(const GlueTask& task, const std::string& split) {
  return predictions_prefix + task.name + (split.ends_with("_mismatched") ? "-mm" : "") +
         (split.starts_with("dev") ? "_dev" : "") + ".txt";
}

/// A split to predict.
struct PredictedSplit {
  const GlueTask& task;
  Index place;  ///< of the task among the model's
  std::string name;
  std::vector<Example> examples;
};

/// Those of a task: what the run is evaluated on, and the splits without labels. Read before
/// training, which a broken file would else come behind.
void add_splits(const FinetuneOptions& o, const ClassifierModel<float>& model,
                const GlueExamples& data, Index place, std::vector<PredictedSplit>& splits) {
  splits.push_back({data.task, place, data.task.development_splits.front(), data.development});
  const Index length = model.sequence_length(o.max_seq_length);
  for (const std::string& split : test_splits(o.data, data.task)) {
    const auto rows = read_glue_texts(o.data, data.task, split);
    splits.push_back({data.task, place, split, encode_rows(model.tokenizer(), rows, length)});
    print_cut(cut_examples(splits.back().examples), length);
  }
}

void write_predictions(const ClassifierModel<float>& model, Index batch_size,
                       const std::vector<PredictedSplit>& splits, const tn::OutputFolder& folder) {
  for (const auto& [task, place, split, examples] : splits) {
    const auto file = folder / predictions_name(task, split);
    const auto found = predict<float>(model, examples, batch_size, place);
    tn::write_file_atomically(file, prediction_table(task, found));
    std::cout << "predictions: " << task.name << ", " << examples.size() << " of " << split
              << " in " << file << std::endl;
  }
}

/// On one task of GLUE or several.
void finetune_classifier(const FinetuneOptions& o, const TrainSettings& settings,
                         const Method& method) {
  ClassifierModel<float> model(o.model, task_heads(o.tasks), method, HeadSource::fresh,
                               settings.seed);
  print_model(model);
  const Index length = model.sequence_length(o.max_seq_length);
  std::vector<GlueExamples> examples;
  for (const std::string& name : o.tasks)
    examples.push_back(read_glue_examples(o.data, find_glue_task(name), model.tokenizer(), length,
                                          o.max_train_samples));
  std::vector<TaskData> tasks;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    tasks.push_back(examples[i].data());
    center_if_regression(model, tasks[i], static_cast<Index>(i));
  }
  AdapterRecord record = record_of(o, model, length);
  record.pooler_trained = model.pooler_trained();
  const ClassificationObjective<float> objective(model, tasks, settings);
  std::vector<PredictedSplit> splits;
  for (std::size_t i = 0; i < examples.size() && o.predict; ++i)
    add_splits(o, model, examples[i], static_cast<Index>(i), splits);
  train_adapter(o, settings, model, objective, record, fingerprint_of(tasks),
                {.write_results = [&](const auto& to) { write_trained(to, model, record); },
                 .finish =
                     [&](const auto& to) {
                       write_predictions(model, settings.eval_batch_size, splits, to);
                     }});
}

/// A decoder on texts.
void finetune_decoder(const FinetuneOptions& o, const TrainSettings& settings,
                      const Method& method) {
  CausalModelFolder<float> model(o.model, method);
  print_model(model);
  const Index length = model.sequence_length(o.max_seq_length);
  const auto read = [&](const std::string& file, Index limit) {
    std::vector<TokenText> texts;
    if (file.empty()) return texts;
    texts = read_texts(file, model.tokenizer(), model.config(), length);
    if (limit > 0 && static_cast<Index>(texts.size()) > limit)
      texts.resize(static_cast<std::size_t>(limit));
    return texts;
  };
  const std::vector<TokenText> train = read(o.train_file, o.max_train_samples);
  const std::vector<TokenText> development = read(o.validation_file, 0);
  std::cout << "data: " << train.size() << " training and " << development.size()
            << " development texts, " << padding_text << std::endl;
  print_cut(std::ranges::count_if(train, &TokenText::cut) +
                std::ranges::count_if(development, &TokenText::cut),
            length);
  const TextObjective<float> objective(model, settings, train, development);
  Fingerprint data;
  for (const auto* part : {&train, &development})
    for (const TokenText& text : *part) {
      data.add(std::span(text.ids));
      data.add(std::span(&text.given, 1));
    }
  const AdapterRecord record = record_of(o, model, length);
  train_adapter(o, settings, model, objective, record, data,
                {.write_results = [&](const auto& to) { write_trained(to, model, record); }});
}

void finetune(const FinetuneOptions& o) {
  const OutsideTraining signals;
  const TrainSettings settings = train_settings(o);
  const Method method = method_of(o, settings);
  check_results_folder(o.training.output,
                       method.kind == Method::Kind::full ? Results::model : Results::adapter,
                       {o.model});
  check_output(o.training);
  print_backend();
  o.tasks.empty() ? finetune_decoder(o, settings, method)
                  : finetune_classifier(o, settings, method);
}

}  // namespace

void add_finetune(CLI::App& program) {
  CLI::App* command =
      add_command(program, "finetune",
                  "Train an adapter on one GLUE task or several, or that of a decoder on texts");
  auto options = std::make_shared<FinetuneOptions>();
  add_options(*command, *options);
  command->callback([command, options] {
    check_used(*command, *options);
    finetune(*options);
  });
}

}  // namespace metatt::apps
