#include <metatt/apps/console.hpp>
#include <metatt/apps/trained_classifier.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/apps/vocabulary_warning.hpp>
#include <metatt/transformer/adapter_files.hpp>
#include <metatt/transformer/class_labels.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>

namespace metatt::apps {

using namespace transformer;

void add_classifier_options(CLI::App& command, ClassifierOptions& o,
                            const std::string& without_task) {
  command.add_option("--adapter", o.adapter, "Folder that finetune wrote")
      ->check(not_empty("a folder"));
  command
      .add_option("--model,--model_name_or_path", o.model,
                  "Base model (default: the one in the adapter's record), or without --adapter "
                  "a model with its head")
      ->check(not_empty("a folder"));
  command.add_option("--task,--task_name", o.task,
                     "Default: the adapter's; of an adapter for several tasks " + without_task);
  command.add_option("--per_device_eval_batch_size", o.batch_size, "Sequences a batch")
      ->transform(whole_number(1));
  command
      .add_option("--max_seq_length", o.max_seq_length,
                  "Longer texts are cut; 0: as the adapter was trained, or as the model's "
                  "tokenizer_config.json says, else 128 (a decoder on texts: 1024)")
      ->transform(whole_number(0));
}

namespace {

/// The task that was asked for, or all. A single one may be used on the data of another.
std::vector<TrainedTask> tasks_of(const ClassifierOptions& o, const AdapterRecord& record) {
  if (record.tasks.size() == 1) {
    const GlueTask& task = find_glue_task(o.task.empty() ? record.tasks.front() : o.task);
    if (task.name == record.tasks.front()) return {{task, 0}};
    if (const GlueTask& own = find_glue_task(record.tasks.front()); task.outputs() != own.outputs())
      tn::fail("--task: ", o.adapter, " was trained for ", own.name, " with ", own.outputs(),
               " outputs, found ", task.name, " with ", task.outputs());
    print_warning("--task " + task.name + ": " + o.adapter + " was trained for " +
                  record.tasks.front() + ", whose classes may mean something else");
    return {{task, 0}};
  }
  std::vector<TrainedTask> all;
  for (const std::string& name : record.tasks)
    all.push_back({find_glue_task(name), std::ssize(all)});
  if (o.task.empty()) return all;
  return {all[static_cast<std::size_t>(chosen_task(record, o.task))]};
}

}  // namespace

TrainedClassifier read_classifier(const ClassifierOptions& o) {
  if (o.adapter.empty() && (o.model.empty() || o.task.empty()))
    tn::fail("expected --adapter DIR, or --model DIR with --task NAME");
  if (o.adapter.empty()) {
    const GlueTask& task = find_glue_task(o.task);
    const std::filesystem::path folder = o.model;
    const TaskHead head{{}, task.outputs(), stored_outputs(folder / "config.json", task)};
    auto model = std::make_unique<ClassifierModel<float>>(
        folder, std::array{head}, Method::named("none", {}), HeadSource::from_model, 0);
    const auto length = read_model_max_length(model->base());
    warn_of_vocabulary(*model);
    const Index cut = model->sequence_length(o.max_seq_length, length.value_or(128));
    return {std::move(model), {{task, 0}}, cut};
  }
  const AdapterRecord record = read_adapter_record(o.adapter);
  if (record.next_tokens)
    tn::fail(o.adapter, ": expected the adapter of a classifier, found that of a language model");
  TrainedClassifier trained{read_adapted_model<float>(o.adapter, record, o.model),
                            tasks_of(o, record), 0};
  warn_of_vocabulary(*trained.model);
  trained.max_seq_length = trained.model->sequence_length(
      o.max_seq_length > 0 ? o.max_seq_length : record.max_seq_length);
  return trained;
}

}  // namespace metatt::apps
