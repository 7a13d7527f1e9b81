/// metatt finetune: trains an adapter (or only the head, or everything) on a GLUE task, or on
/// texts.

#include <metatt/apps/console.hpp>
#include <metatt/apps/finetune_options.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/trained_classifier.hpp>
#include <metatt/apps/training_log.hpp>
#include <metatt/apps/training_run.hpp>
#include <metatt/transformer/adapter_files.hpp>
#include <metatt/transformer/classification_objective.hpp>
#include <metatt/transformer/fingerprint.hpp>
#include <metatt/transformer/text_objective.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

void print_model(const AdaptedModel<float>& model, const char* kind, std::size_t train,
                 std::size_t development) {
  const auto& c = model.config();
  const Index trainable = model.weights().trainable_count(), total = model.weights().total_count();
  std::cout << "model " << model.base().string() << ": " << c.num_hidden_layers << " layers, width "
            << c.hidden_size << ", " << c.num_attention_heads << " heads, float32\n"
            << "method " << model.method().name() << ": " << trainable << " trainable of " << total
            << " parameters ("
            << fixed(100.0 * static_cast<double>(trainable) / static_cast<double>(total), 3)
            << " %): " << model.trainable_adapter()
            << (model.method().kind == Method::Kind::full ? " backbone, " : " adapter, ")
            << model.trainable_head() << " head\n"
            << "data: " << train << " training and " << development << " development " << kind
            << std::endl;
}

/// Writes what the run leaves: the adapter or, for full, the model.
void write_trained(const tn::OutputFolder& folder, const AdaptedModel<float>& model,
                   const AdapterRecord& record) {
  if (record.method.kind == Method::Kind::full)
    write_merged_model(folder, model, record);
  else
    write_adapter(folder, model, record);
}

AdapterRecord record_of(const FinetuneOptions& o, const AdaptedModel<float>& model,
                        const std::string& task, Index max_seq_length) {
  AdapterRecord record;
  record.base_model = std::filesystem::absolute(o.model).lexically_normal().string();
  record.base_fingerprint = backbone_fingerprint(model.backbone());
  record.task = task;
  record.max_seq_length = max_seq_length;
  record.method = model.method();
  return record;
}

/// The examples of one split, as far as they are wanted.
std::vector<Example> read_examples(const FinetuneOptions& o, const ClassifierModel<float>& model,
                                   const GlueTask& task, const std::string& split, Index limit) {
  auto rows = read_labelled(o.data, task, split);
  if (limit > 0 && static_cast<Index>(rows.size()) > limit)
    rows.resize(static_cast<std::size_t>(limit));
  return encode_rows(model.tokenizer(), rows, model.sequence_length(o.max_seq_length));
}

/// What decides the result.
nlohmann::json run_settings(const FinetuneOptions& o, const TrainSettings& train,
                            const AdaptedModel<float>& model, const AdapterRecord& record,
                            const Fingerprint& data) {
  nlohmann::json settings = settings_json(train);
  settings["head_learning_rate"] = train.optimiser.head_learning_rate;
  settings["num_train_epochs"] = train.epochs;
  settings["metric_for_best_model"] = train.metric;
  settings["early_stopping_patience"] = train.early_stopping_patience;
  settings["load_best_model_at_end"] = train.load_best_model;
  settings["dropout"] = train.dropout;
  settings["fingerprint_of_data"] = data.text();
  Fingerprint frozen;  // what is trained is in the checkpoints
  for (Index id = 0; id < model.weights().count(); ++id)
    if (!model.weights().trainable(id)) {
      const auto values = model.weights().value(id).to_vector();
      frozen.add(std::span(values));
    }
  settings["fingerprint_of_frozen_weights"] = frozen.text();
  settings["model"] = o.model;
  settings["task"] = record.task;
  settings["data"] = o.data;
  settings["train_file"] = o.train_file;
  settings["validation_file"] = o.validation_file;
  settings["method"] = model.method().name();
  settings["rank"] = model.method().adapter.rank;
  settings["ranks"] = model.method().adapter.ranks;
  settings["alpha"] = o.alpha;
  settings["scaling"] = o.scaling;
  settings["core_order"] = o.core_order;
  settings["target_modules"] = o.targets;
  settings["initialisation"] = model.method().adapter.initialisation;
  settings["rank_schedule"] = o.rank_schedule;
  settings["sweep"] = o.sweep;
  settings["optimizer_state"] = o.optimizer_state;
  settings["orthogonality"] = train.orthogonality;
  settings["activation_weighted"] = o.activation_weighted;
  settings["two_site_steps"] = o.two_site_steps;
  settings["max_seq_length"] = record.max_seq_length;
  settings["max_train_samples"] = o.max_train_samples;
  settings["trainable_adapter"] = model.trainable_adapter();
  settings["trainable_head"] = model.trainable_head();
  return settings;
}

/// Trains and says how it ended.
void run(const FinetuneOptions& o, const TrainSettings& settings, const AdaptedModel<float>& model,
         const Objective<float>& objective, const AdapterRecord& record, const Fingerprint& data) {
  const TrainResult result =
      run_training(objective, settings, o.training, run_settings(o, settings, model, record, data),
                   [&](const tn::OutputFolder& folder) { write_trained(folder, model, record); });
  const bool full = model.method().kind == Method::Kind::full;
  std::cout << "result: method " << model.method().name()
            << (full ? ", backbone parameters " : ", adapter parameters ")
            << model.trainable_adapter() << ", head parameters " << model.trainable_head() << ", ";
  if (!result.evaluation.metrics.empty())
    std::cout << metrics_text(result.evaluation.metrics) << ", ";
  std::cout << fixed(result.state.seconds, 1) << " s, "
            << fixed(static_cast<double>(result.state.tokens) / result.state.seconds, 0)
            << " tokens/s, peak memory " << fixed(peak_memory_megabytes(), 0) << " MB, output "
            << o.training.output << std::endl;
}

/// On a task of GLUE.
void finetune_classifier(const FinetuneOptions& o, const TrainSettings& settings,
                         const Method& method) {
  const GlueTask& task = find_glue_task(o.task);
  ClassifierModel<float> model(o.model, task.outputs(), method, HeadSource::fresh, settings.seed);
  const auto examples = read_examples(o, model, task, "train", o.max_train_samples);
  const auto development = read_examples(o, model, task, task.development_splits.front(), 0);
  if (task.regression()) {
    if (settings.label_smoothing > 0)
      tn::fail("--label_smoothing_factor: the scores of ", task.name, " are no classes");
    std::vector<double> labels;
    for (const Example& example : examples) labels.push_back(example.label);
    model.center_regression(labels);
  }
  print_model(model, "examples", examples.size(), development.size());
  print_cut(cut_examples(examples) + cut_examples(development),
            model.sequence_length(o.max_seq_length));
  AdapterRecord record = record_of(o, model, task.name, model.sequence_length(o.max_seq_length));
  record.pooler_trained = model.pooler_trained();
  const ClassificationObjective<float> objective(model, task, settings, examples, development);
  Fingerprint data;
  for (const auto* part : {&examples, &development})
    for (const Example& example : *part) {
      data.add(std::span(example.text.ids));
      data.add(std::span(&example.label, 1));
    }
  run(o, settings, model, objective, record, data);
}

/// A decoder on texts.
void finetune_decoder(const FinetuneOptions& o, const TrainSettings& settings,
                      const Method& method) {
  CausalModelFolder<float> model(o.model, method);
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
  print_model(model, "texts", train.size(), development.size());
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
  run(o, settings, model, objective, record_of(o, model, causal_task, length), data);
}

void finetune(const FinetuneOptions& o) {
  const TrainSettings settings = train_settings(o);
  const Method method = method_of(o, settings);
  check_results_folder(o.training.output,
                       method.kind == Method::Kind::full ? Results::model : Results::adapter,
                       {o.model});
  check_output(o.training);
  print_backend();
  o.task.empty() ? finetune_decoder(o, settings, method) : finetune_classifier(o, settings, method);
}

}  // namespace

void add_finetune(CLI::App& program) {
  CLI::App* command = add_command(program, "finetune",
                                  "Train an adapter on a GLUE task, or that of a decoder on texts");
  auto options = std::make_shared<FinetuneOptions>();
  add_options(*command, *options);
  command->callback([command, options] {
    check_used(*command, *options);
    finetune(*options);
  });
}

}  // namespace metatt::apps
