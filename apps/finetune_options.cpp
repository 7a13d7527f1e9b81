#include <metatt/apps/finetune_options.hpp>
#include <metatt/apps/validators.hpp>

#include <algorithm>

namespace metatt::apps {

using namespace transformer;

namespace {

void add_file_options(CLI::App& command, FinetuneOptions& o) {
  const std::string files = "Files";
  command
      .add_option("--model,--model_name_or_path", o.model,
                  "Folder with config.json, model.safetensors, vocab.txt")
      ->check(not_empty("a folder"))
      ->required()
      ->group(files);
  command.add_option("--task,--task_name", o.task, "cola, mrpc, stsb, rte, …")
      ->required()
      ->group(files);
  command.add_option("--data,--data_dir", o.data, "Folder with the task's TSV files")
      ->check(not_empty("a folder"))
      ->required()
      ->group(files);
  command.add_option("--output_dir", o.output, "Where the results go")
      ->check(not_empty("a folder"))
      ->required()
      ->group(files);
  command.add_flag("--overwrite_output_dir", o.overwrite, "Accept a folder that is not empty")
      ->check(true_or_false())
      ->group(files);
}

void add_adapter_options(CLI::App& command, FinetuneOptions& o) {
  const std::string adapter = "Adapter";
  command.add_option("--adapter", o.method, "metatt4d, lora, none (head only) or full")
      ->check(one_of({"metatt4d", "lora", "none", "full"}))
      ->group(adapter);
  command.add_option("--rank", o.rank, "Rank of every bond (metatt4d) or factor (lora)")
      ->transform(whole_number(1))
      ->group(adapter);
  command.add_option("--alpha", o.alpha, "Factor before the update")
      ->check(any_number())
      ->group(adapter);
  command
      .add_option("--target_modules", o.targets,
                  "query, key, value, attention_output, feed_forward_up, feed_forward_down")
      ->delimiter(',')
      ->group(adapter);
  command
      .add_option("--initialisation", o.initialisation,
                  "A code for each core: ze, id, no or or; exactly one ze")
      ->group(adapter);
}

void add_rank_options(CLI::App& command, FinetuneOptions& o) {
  const std::string ranks = "Rank adaptation";
  command
      .add_option("--rank_schedule", o.rank_schedule,
                  "EPOCH:RANK,…; a sweep at the start of each epoch named")
      ->check(not_empty("EPOCH:RANK,…"))
      ->excludes("--rank")
      ->group(ranks);
  command.add_option("--sweep", o.sweep, "paper or rounding")
      ->check(one_of({"paper", "rounding"}))
      ->group(ranks);
  command
      .add_option("--optimizer_state", o.optimizer_state, "Moments at a sweep: reset or project")
      ->check(one_of({"reset", "project"}))
      ->group(ranks);
}

void add_training_options(CLI::App& command, FinetuneOptions& o) {
  const std::string training = "Training";
  TrainSettings& t = o.train;
  command.add_option("--learning_rate", t.optimiser.learning_rate, "Peak learning rate")
      ->check(positive_number())
      ->group(training);
  command
      .add_option("--head_learning_rate", o.head_learning_rate,
                  "Peak learning rate of the head; 0: the same")
      ->check(non_negative_number())
      ->group(training);
  command.add_option("--num_train_epochs", t.epochs, "Epochs")
      ->transform(whole_number(1))
      ->group(training);
  command.add_option("--max_steps", t.max_steps, "Stop after so many steps; 0: no limit")
      ->transform(whole_number(0))
      ->group(training);
  command.add_option("--per_device_train_batch_size", t.batch_size, "Sequences a step")
      ->transform(whole_number(1))
      ->group(training);
  command
      .add_option("--per_device_eval_batch_size", t.eval_batch_size,
                  "Sequences a batch in evaluation")
      ->transform(whole_number(1))
      ->group(training);
  command
      .add_option("--max_seq_length", o.max_seq_length,
                  "Longer texts are cut; 0: 128, or the model's positions if fewer")
      ->transform(whole_number(0))
      ->group(training);
  command.add_option("--max_train_samples", o.max_train_samples, "Use only the first rows; 0: all")
      ->transform(whole_number(0))
      ->group(training);
  command.add_option("--warmup_ratio", t.warmup_ratio, "Share of steps with rising learning rate")
      ->check(number_between(0, 1))
      ->group(training);
  command
      .add_option("--weight_decay", t.optimiser.weight_decay,
                  "AdamW's decay (not of biases and norms)")
      ->check(non_negative_number())
      ->group(training);
  command.add_option("--max_grad_norm", t.optimiser.max_gradient_norm, "Clipping; 0: none")
      ->check(non_negative_number())
      ->group(training);
  command.add_flag("--no_dropout", o.no_dropout, "Ignore the dropout of config.json")
      ->check(true_or_false())
      ->group(training);
  command.add_option("--seed", t.seed, "Of head, adapter, order and dropout")
      ->transform(seed_number())
      ->group(training);
  command.add_option("--logging_steps", t.logging_steps, "Steps between two lines of the log")
      ->transform(whole_number(1))
      ->group(training);
}

}  // namespace

void add_options(CLI::App& command, FinetuneOptions& options) {
  add_file_options(command, options);
  add_adapter_options(command, options);
  add_rank_options(command, options);
  add_training_options(command, options);
}

void check_used(const CLI::App& command, const FinetuneOptions& options) {
  const bool train = options.method == "metatt4d", adapter = train || options.method == "lora";
  const auto refuse_unless = [&](bool used, std::initializer_list<const char*> names) {
    for (const char* name : names)
      if (!used && command.count(name) > 0)
        tn::fail(name, ": --adapter ", options.method, " has no use for it");
  };
  refuse_unless(adapter, {"--rank", "--alpha", "--target_modules"});
  refuse_unless(train, {"--initialisation", "--rank_schedule", "--sweep", "--optimizer_state"});
}

Method method_of(const FinetuneOptions& o, const TrainSettings& train) {
  AdapterSettings settings;
  settings.rank = train.rank_schedule.empty() ? o.rank : train.rank_schedule.front().rank;
  settings.alpha = o.alpha;
  settings.initialisation = o.initialisation;
  settings.seed = train.seed;
  settings.targets.clear();
  for (const auto& name : o.targets) settings.targets.push_back(find_matrix_type(name));
  std::sort(settings.targets.begin(), settings.targets.end());
  return Method::named(o.method, settings);
}

TrainSettings train_settings(const FinetuneOptions& o) {
  TrainSettings t = o.train;
  t.dropout = !o.no_dropout;
  t.optimiser.head_learning_rate =
      o.head_learning_rate > 0 ? o.head_learning_rate : t.optimiser.learning_rate;
  if (!o.rank_schedule.empty()) t.rank_schedule = parse_rank_schedule(o.rank_schedule, t.epochs);
  t.sweep = o.sweep == "paper" ? tn::SweepMode::paper : tn::SweepMode::rounding;
  t.optimizer_state =
      o.optimizer_state == "project" ? OptimizerState::project : OptimizerState::reset;
  return t;
}

}  // namespace metatt::apps
