/// metatt add-task: one more task for a trained adapter, the others untouched.

#include <metatt/apps/adapter_training.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/glue_examples.hpp>
#include <metatt/apps/interrupt.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/training_run.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/transformer/added_task.hpp>

#include <nlohmann/json.hpp>

#include <array>
#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

struct AddTaskOptions {
  std::string adapter;
  FinetuneOptions train;
};

/// What the settings of the new task say of the adapter is what it is.
void take_over(FinetuneOptions& o, const AdapterRecord& record) {
  const AdapterSettings& settings = record.method.adapter;
  o.method = settings.kind;
  o.alpha = settings.alpha;
  o.targets.clear();
  for (const MatrixType type : settings.targets) o.targets.push_back(matrix_type_name(type));
  if (o.model.empty()) o.model = record.base_model;
  o.max_seq_length = record.max_seq_length;  // one for all tasks
}

/// What a run that goes on must find again: all that is written on from the adapter's own files.
nlohmann::json settings_of_adapter(const std::string& folder, const AdapterRecord& record) {
  Fingerprint files;
  for (const char* name : {adapter_file_name, adapter_config_name}) {
    const std::string content = tn::read_file(std::filesystem::path(folder) / name);
    files.add(std::span(content));
  }
  return {{"adapter", folder},
          {"earlier_tasks", tn::joined(record.tasks, ",")},
          {"fingerprint_of_adapter", files.text()}};
}

void add_task_to(AddTaskOptions o) {
  const OutsideTraining signals;
  const GlueTask& task = find_glue_task(o.train.tasks.front());
  const AdapterRecord record = read_adapter_record(o.adapter);
  take_over(o.train, record);
  const TrainSettings settings = train_settings(o.train);
  check_results_folder(o.train.training.output, Results::adapter, {o.adapter, o.train.model});
  check_output(o.train.training);
  const auto model =
      read_for_new_task<float>(o.adapter, record, o.train.model, task, settings.seed);
  print_backend();
  const Index length = model->sequence_length(o.train.max_seq_length);
  print_model(*model);
  const GlueExamples examples =
      read_glue_examples(o.train.data, task, model->tokenizer(), length, o.train.max_train_samples);
  const std::array tasks{examples.data()};
  center_if_regression(*model, tasks.front(), 0);
  const ClassificationObjective<float> objective(*model, tasks, settings);
  AdapterRecord added = record;
  added.tasks = {task.name};
  train_adapter(o.train, settings, *model, objective, added, fingerprint_of(tasks),
                {.write_results =
                     [&](const tn::OutputFolder& folder) {
                       write_with_new_task(folder, o.adapter, *model, task);
                     },
                 .settings = settings_of_adapter(o.adapter, record)});
}

}  // namespace

void add_add_task(CLI::App& program) {
  CLI::App* command = add_command(program, "add-task",
                                  "Train one more task of an adapter that has a core for tasks");
  auto o = std::make_shared<AddTaskOptions>();
  command
      ->add_option("--adapter", o->adapter,
                   "Folder of a metatt4+1d or metatt5+1d that finetune or add-task wrote")
      ->check(not_empty("a folder"))
      ->required();
  add_added_task_options(*command, o->train);
  command->callback([command, o] {
    check_training_used(*command, o->train);
    add_task_to(*o);
  });
}

}  // namespace metatt::apps
