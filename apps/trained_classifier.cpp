#include <metatt/apps/trained_classifier.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/transformer/adapter_files.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>

#include <iostream>

namespace metatt::apps {

using namespace transformer;

void add_classifier_options(CLI::App& command, ClassifierOptions& o) {
  command.add_option("--adapter", o.adapter, "Folder that finetune wrote")
      ->check(not_empty("a folder"));
  command
      .add_option("--model,--model_name_or_path", o.model,
                  "Base model (default: the one in the adapter's record), or without --adapter "
                  "a model with its head")
      ->check(not_empty("a folder"));
  command.add_option("--task,--task_name", o.task, "Default: the adapter's");
  command.add_option("--per_device_eval_batch_size", o.batch_size, "Sequences a batch")
      ->transform(whole_number(1));
  command
      .add_option("--max_seq_length", o.max_seq_length,
                  "Longer texts are cut; 0: as the adapter was trained, or as the model's "
                  "tokenizer_config.json says, else 128 (a decoder on texts: 1024)")
      ->transform(whole_number(0));
}

std::vector<GlueRow> read_labelled(const std::string& folder, const GlueTask& task,
                                   const std::string& split) {
  std::size_t left_out = 0;
  auto rows = read_glue(folder, task, split, &left_out);
  if (left_out > 0)
    std::cout << task.name << ", " << split << ": " << left_out
              << " rows lack columns and are left out" << std::endl;
  return rows;
}

TrainedClassifier read_classifier(const ClassifierOptions& o) {
  if (o.adapter.empty() && (o.model.empty() || o.task.empty()))
    tn::fail("expected --adapter DIR, or --model DIR with --task NAME");
  if (o.adapter.empty()) {
    const GlueTask& task = find_glue_task(o.task);
    auto model = std::make_unique<ClassifierModel<float>>(
        o.model, task.outputs(), Method::named("none", {}), HeadSource::from_model, 0);
    const auto length = read_model_max_length(model->base());
    const Index cut = model->sequence_length(o.max_seq_length, length.value_or(128));
    return {task, std::move(model), cut};
  }
  const AdapterRecord record = read_adapter_record(o.adapter);
  if (record.task == causal_task)
    tn::fail(o.adapter, ": expected the adapter of a classifier, found that of a language model");
  check_single_task(o.adapter, record);
  const GlueTask& task = find_glue_task(o.task.empty() ? record.task : o.task);
  if (task.name != record.task)
    std::cerr << "warning: --task " << task.name << ": " << o.adapter << " was trained for "
              << record.task << ", whose classes may mean something else" << std::endl;
  auto model = read_adapted_model<float>(o.adapter, record, o.model, task.outputs());
  const Index cut =
      model->sequence_length(o.max_seq_length > 0 ? o.max_seq_length : record.max_seq_length);
  return {task, std::move(model), cut};
}

}  // namespace metatt::apps
