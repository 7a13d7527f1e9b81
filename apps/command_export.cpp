/// metatt export and metatt merge: an adapter for other programs.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/transformer/adapter_files.hpp>

#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

struct ExportOptions {
  std::string adapter, model, output, task, format = "peft-lora";
  bool overwrite = false;
};

void add_common(CLI::App& command, ExportOptions& o) {
  command.add_option("--adapter", o.adapter, "Folder that finetune wrote")
      ->check(not_empty("a folder"))
      ->required();
  command
      .add_option("--model,--model_name_or_path", o.model,
                  "Base model (default: the one in the adapter's record)")
      ->check(not_empty("a folder"));
  command.add_option("--task,--task_name", o.task, "Which one of an adapter for several tasks")
      ->check(not_empty("a task"));
  command.add_option("--output_dir", o.output, "Where the files go")
      ->check(not_empty("a folder"))
      ->required();
  command.add_flag("--overwrite_output_dir", o.overwrite, "Write into a folder that is not empty")
      ->check(true_or_false());
}

using Write = void (*)(const tn::OutputFolder&, const AdaptedModel<float>&, const AdapterRecord&,
                       const std::string&);

void convert(const ExportOptions& o, Results kind, Write write) {
  AdapterRecord record = read_adapter_record(o.adapter);
  chosen_task(record, o.task);  // an error before the model is read
  check_results_folder(o.output, kind, {o.adapter, o.model.empty() ? record.base_model : o.model});
  if (!o.model.empty()) record.base_model = o.model;  // where other programs will look for it
  std::unique_ptr<AdaptedModel<float>> model;
  if (record.next_tokens)
    model = read_adapted_decoder<float>(o.adapter, record, o.model);
  else
    model = read_adapted_model<float>(o.adapter, record, o.model);
  if (kind == Results::peft_adapter) check_exportable(*model, record);
  const auto folder = open_results_folder(o.output, o.overwrite);
  write(folder, *model, record, o.task);
  std::cout << "result: written to " << folder.path.string() << std::endl;
}

}  // namespace

void add_export(CLI::App& program) {
  auto e = std::make_shared<ExportOptions>();
  CLI::App* command =
      add_command(program, "export", "Write an adapter as PEFT LoRA files (exact, no SVD)");
  add_common(*command, *e);
  command->add_option("--format", e->format, "peft-lora")->check(one_of({"peft-lora"}));
  command->callback([e] { convert(*e, Results::peft_adapter, export_peft_lora<float>); });

  auto m = std::make_shared<ExportOptions>();
  CLI::App* merge = add_command(program, "merge", "Write base model plus adapter as one model");
  add_common(*merge, *m);
  merge->callback([m] { convert(*m, Results::model, write_merged_model<float>); });
}

}  // namespace metatt::apps
