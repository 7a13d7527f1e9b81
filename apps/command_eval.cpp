/// metatt eval: the dev metric of an adapter or of a whole model.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/run_log.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/transformer/adapter_files.hpp>
#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

struct EvalOptions {
  std::string adapter, model, task, data, split, output;
  Index batch_size = 32, max_seq_length = 0;
};

void run_eval(EvalOptions o) {
  if (o.adapter.empty() && (o.model.empty() || o.task.empty()))
    tn::fail("eval: expected --adapter DIR, or --model DIR with --task NAME");
  std::unique_ptr<ClassifierModel<float>> model;
  if (!o.adapter.empty()) {
    const AdapterRecord record = read_adapter_record(o.adapter);
    if (o.task.empty()) o.task = record.task;
    if (o.max_seq_length == 0) o.max_seq_length = record.max_seq_length;
    model = read_adapted_model<float>(o.adapter, record, o.model, find_glue_task(o.task).outputs());
  } else {
    model = std::make_unique<ClassifierModel<float>>(o.model, find_glue_task(o.task).outputs(),
                                                     Method::named("none", {}),
                                                     HeadSource::from_model, 0);
  }
  print_backend();
  const GlueTask& task = find_glue_task(o.task);
  const auto rows =
      read_glue(o.data, task, o.split.empty() ? task.development_splits.front() : o.split);
  const auto model_length = model->tokenizer().options().model_max_length;
  const auto examples =
      encode_rows(model->tokenizer(), rows,
                  model->sequence_length(o.max_seq_length, model_length.value_or(128)));
  const Evaluation result =
      evaluate(*model, task, std::span<const Example>(examples), o.batch_size);
  if (!std::isfinite(result.loss))
    tn::fail("eval: the loss on ", examples.size(), " examples is ", result.loss,
             ": weights or adapter are too large for float32");
  std::cout << "result: " << examples.size() << " examples, loss " << fixed(result.loss, 6) << ", "
            << metrics_text(result.metrics) << std::endl;
  if (!o.output.empty()) write_json(o.output, evaluation_json(result));
}

}  // namespace

void add_eval(CLI::App& program) {
  auto o = std::make_shared<EvalOptions>();
  CLI::App* command = add_command(
      program, "eval", "Evaluate an adapter folder, or a merged or fully fine-tuned model");
  command->add_option("--adapter", o->adapter, "Folder that finetune wrote")
      ->check(not_empty("a folder"));
  command
      ->add_option("--model,--model_name_or_path", o->model,
                   "Base model (default: the one in the adapter's record), or without --adapter "
                   "a model with its head")
      ->check(not_empty("a folder"));
  command->add_option("--task,--task_name", o->task, "Default: the adapter's");
  command->add_option("--data,--data_dir", o->data, "Folder with the task's TSV files")
      ->check(not_empty("a folder"))
      ->required();
  command->add_option("--split", o->split, "File without .tsv (default: the task's dev)");
  command->add_option("--per_device_eval_batch_size", o->batch_size, "Sequences a batch")
      ->transform(whole_number(1));
  command
      ->add_option("--max_seq_length", o->max_seq_length,
                   "Longer texts are cut; 0: as the adapter was trained, or as the model's "
                   "tokenizer_config.json says, else 128")
      ->transform(whole_number(0));
  command->add_option("--output_file", o->output, "Metrics as JSON");
  command->callback([o] { run_eval(*o); });
}

}  // namespace metatt::apps
