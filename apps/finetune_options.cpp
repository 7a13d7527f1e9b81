#include <metatt/apps/finetune_options.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/transformer/classification_objective.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::apps {

using namespace transformer;

namespace {

constexpr const char* files = "Files";

void add_file_options(CLI::App& command, FinetuneOptions& o) {
  command
      .add_option("--model,--model_name_or_path", o.model,
                  "Folder with config.json, the weights and the tokenizer")
      ->check(not_empty("a folder"))
      ->required()
      ->group(files);
  CLI::Option* task = command.add_option(
      "--task,--task_name", o.tasks,
      "cola, mrpc, stsb, rte, …; several, as cola,mrpc, are trained together, with a head each");
  task->delimiter(',')->check(not_empty("a task"))->group(files);
  command
      .add_option("--data,--data_dir", o.data,
                  "Folder with the task's TSV files, or with the folders of the tasks")
      ->check(not_empty("a folder"))
      ->needs(task)
      ->group(files);
  command
      .add_option(
          "--train_file", o.train_file,
          "In place of a task: texts for a decoder. FILE.jsonl with \"text\", or \"prompt\" "
          "and \"completion\", in each line; any other file is one text")
      ->check(not_empty("a file"))
      ->excludes(task)
      ->group(files);
  command.add_option("--validation_file", o.validation_file, "The same, to evaluate on")
      ->check(not_empty("a file"))
      ->excludes(task)
      ->group(files);
}

void add_adapter_options(CLI::App& command, FinetuneOptions& o) {
  const std::string adapter = "Adapter";
  auto methods = adapter_kinds();
  methods.insert(methods.end(), {"none", "full"});
  command
      .add_option("--adapter", o.method, tn::joined(adapter_kinds()) + "; none (head only) or full")
      ->check(one_of(methods))
      ->group(adapter);
  command
      .add_option("--rank", o.ranks,
                  "Rank of all factors or bonds; of a train also a list, one for each bond")
      ->delimiter(',')
      ->transform(whole_number(1))
      ->group(adapter);
  command.add_option("--alpha", o.alpha, "Factor before the update")
      ->check(any_number())
      ->group(adapter);
  command
      .add_option("--scaling", o.scaling,
                  "What alpha is divided by: none, rank (as lora_alpha of PEFT) or root_rank "
                  "(rsLoRA); the largest rank of the start")
      ->check(one_of({"none", "rank", "root_rank"}))
      ->group(adapter);
  command
      .add_option("--target_modules", o.targets,
                  "query, key, value, attention_output, feed_forward_up, feed_forward_down, "
                  "feed_forward_gate (where there is one)")
      ->delimiter(',')
      ->group(adapter);
  command
      .add_option("--initialisation", o.initialisation,
                  "A code for each core of a train joined by \"-\": ze, id, no or or; exactly "
                  "one ze (default: ze, then id)")
      ->check(not_empty("codes"))
      ->group(adapter);
  command
      .add_option("--core_order", o.core_order,
                  "Order of a train's inner cores, such as layer,head,matrix_type")
      ->delimiter(',')
      ->group(adapter);
}

void add_rank_options(CLI::App& command, FinetuneOptions& o) {
  const std::string ranks = "Rank adaptation";
  command
      .add_option(
          "--rank_schedule", o.rank_schedule,
          "WHEN:WHAT,…; at the start of an epoch (3) or step (200s) ranks become a rank (8), "
          "one for each bond (8-4-8), or what cutoff=1e-3 or parameters=2000 leaves; the "
          "first entry is 0 with the ranks of the start")
      ->check(not_empty("WHEN:WHAT,…"))
      ->excludes("--rank")
      ->group(ranks);
  command.add_option("--sweep", o.sweep, "paper or rounding")
      ->check(one_of({"paper", "rounding"}))
      ->group(ranks);
  command
      .add_option("--optimizer_state", o.optimizer_state,
                  "What becomes of AdamW's moments when ranks change: reset or project "
                  "(default: reset; of adalora project, which keeps them)")
      ->check(one_of({"reset", "project"}))
      ->group(ranks);
  command
      .add_flag(
          "--activation_weighted", o.activation_weighted,
          "Sweeps cut what changes the outputs of the adapted matrices least, not the matrices")
      ->check(true_or_false())
      ->group(ranks);
  command
      .add_option("--orthogonality", o.orthogonality,
                  "Of adalora: weight of the distance of its factors from orthonormal ones")
      ->check(non_negative_number())
      ->group(ranks);
  command
      .add_option("--two_site_steps", o.two_site_steps,
                  "Merge neighbouring cores, train the merged one for so many steps, split it by "
                  "a truncated SVD and move on, as two-site DMRG; 0: train all cores together")
      ->transform(whole_number(0))
      ->group(ranks);
}

void add_training_options(CLI::App& command, FinetuneOptions& o) {
  const std::string training = "Training";
  TrainSettings& t = o.training.train;
  CLI::Option* epochs = command.add_option("--num_train_epochs", t.epochs, "Epochs");
  epochs->transform(whole_number(1))->group(training);
  command
      .add_option("--max_steps", t.max_steps,
                  "Steps in all, in the place of --num_train_epochs; 0: as many as these have")
      ->transform(whole_number(0))
      ->excludes(epochs)
      ->group(training);
  add_optimiser_options(command, o.training);
  command
      .add_option("--head_learning_rate", o.head_learning_rate,
                  "Peak learning rate of the head; 0: the same")
      ->check(non_negative_number())
      ->group(training);
  command.add_option("--max_train_samples", o.max_train_samples, "Use only the first rows; 0: all")
      ->transform(whole_number(0))
      ->group(training);
  command.add_flag("--no_dropout", o.no_dropout, "Ignore the dropout of config.json")
      ->check(true_or_false())
      ->group(training);
}

void add_prediction_options(CLI::App& command, FinetuneOptions& o) {
  command
      .add_flag("--do_predict", o.predict,
                "Of tasks: write the predictions for dev, and for test where it is there, into the "
                "output folder")
      ->check(true_or_false())
      ->group(files);
}

/// Those that one more task of an adapter does not have.
void add_whole_options(CLI::App& command, FinetuneOptions& o) {
  const std::string training = "Training";
  command
      .add_option(
          "--max_seq_length", o.max_seq_length,
          "Longer texts are cut; 0: 128 (a decoder on texts: 1024), or the model's positions "
          "if fewer")
      ->transform(whole_number(0))
      ->group(training);
  command
      .add_option("--task_temperature", o.training.train.task_temperature,
                  "Of several tasks: 1 gives each steps in proportion to its examples, more makes "
                  "them more equal")
      ->check(number_between(1, 1e6))
      ->group(training);
}

}  // namespace

void add_options(CLI::App& command, FinetuneOptions& options) {
  add_file_options(command, options);
  add_output_options(command, options.training, true);
  add_prediction_options(command, options);
  add_adapter_options(command, options);
  add_rank_options(command, options);
  add_training_options(command, options);
  add_whole_options(command, options);
  add_best_options(command, options.training);
}

void add_added_task_options(CLI::App& command, FinetuneOptions& options) {
  command
      .add_option("--model,--model_name_or_path", options.model,
                  "Base model (default: the one in the adapter's record)")
      ->check(not_empty("a folder"))
      ->group(files);
  command.add_option("--task,--task_name", options.tasks, "The new one: cola, mrpc, stsb, rte, …")
      ->expected(1)
      ->check(not_empty("a task"))
      ->required()
      ->group(files);
  command.add_option("--data,--data_dir", options.data, "Folder with the task's TSV files")
      ->check(not_empty("a folder"))
      ->required()
      ->group(files);
  add_output_options(command, options.training, true);
  add_training_options(command, options);
  add_best_options(command, options.training);
}

void check_training_used(const CLI::App& command, const FinetuneOptions& options) {
  if (command.count("--save_steps") > 0 && options.training.save_strategy != "steps")
    tn::fail("--save_steps: only for --save_strategy steps");
  const bool scores =
      !options.tasks.empty() && std::ranges::all_of(options.tasks, [](const std::string& task) {
        return find_glue_task(task).regression();
      });
  if (scores && options.training.train.label_smoothing > 0)
    tn::fail("--label_smoothing_factor: the scores of ", options.tasks.front(), " are no classes");
}

void check_used(const CLI::App& command, const FinetuneOptions& options) {
  if (options.tasks.empty() && options.train_file.empty())
    tn::fail("finetune: expected --task and --data, or --train_file, found neither");
  if (!options.tasks.empty() && options.data.empty())
    tn::fail("--data: needed for --task ", tn::joined(options.tasks, ","));
  for (const std::string& task : options.tasks) find_glue_task(task);
  refuse_repeated("--task", "task", options.tasks);
  if (options.tasks.size() < 2 && command.count("--task_temperature") > 0)
    tn::fail("--task_temperature: is for several tasks, found ",
             options.tasks.empty() ? "none" : options.tasks.front());
  check_training_used(command, options);
  if (options.method == "full" && options.tasks.size() > 1)
    tn::fail("--adapter full: a whole model has one head; expected one --task, found ",
             tn::joined(options.tasks, ","));
  if (options.tasks.empty() && options.predict)
    tn::fail("--do_predict: is for tasks, found --train_file");
  if (!options.train_file.empty() && options.validation_file.empty())
    for (const char* name :
         {"--eval_steps", "--metric_for_best_model", "--per_device_eval_batch_size"})
      if (command.count(name) > 0) tn::fail(name, ": needs --validation_file");
  if (options.tasks.empty() && command.count("--head_learning_rate") > 0)
    tn::fail("--head_learning_rate: is for the heads of tasks, found --train_file");
  const bool train = is_one_train(options.method);
  const bool adapter = options.method != "none" && options.method != "full";
  const auto refuse_unless = [&](bool used, std::initializer_list<const char*> names) {
    for (const char* name : names)
      if (!used && command.count(name) > 0)
        tn::fail(name, ": --adapter ", options.method, " has no use for it");
  };
  refuse_unless(adapter, {"--rank", "--alpha", "--scaling", "--target_modules"});
  refuse_unless(train, {"--initialisation", "--core_order"});
  const bool trains = has_trains(options.method), triplets = has_triplets(options.method);
  refuse_unless(trains || triplets, {"--rank_schedule", "--optimizer_state"});
  refuse_unless(trains, {"--sweep"});
  refuse_unless(triplets, {"--orthogonality"});
  refuse_unless(train, {"--two_site_steps", "--activation_weighted"});
  const bool changes =
      !options.rank_schedule.empty() && parse_rank_schedule(options.rank_schedule).size() > 1;
  for (const char* name : {"--sweep", "--optimizer_state"})
    if (!changes && command.count(name) > 0)
      tn::fail(name, ": is for the changes of a --rank_schedule, found none");
  if (!train && options.ranks.size() > 1)
    tn::fail("--rank: --adapter ", options.method, " has one rank, found ", options.ranks.size());
}

Method method_of(const FinetuneOptions& o, const TrainSettings& train) {
  AdapterSettings settings;
  const auto& ranks =
      train.rank_schedule.empty() ? o.ranks : train.rank_schedule.front().target.ranks;
  if (ranks.size() > 1 && !is_one_train(o.method))
    tn::fail("--rank_schedule: --adapter ", o.method, " starts with one rank, found ",
             ranks.size());
  settings.rank = std::ranges::max(ranks);
  if (ranks.size() > 1) settings.ranks = ranks;
  const auto rank = static_cast<double>(settings.rank);
  settings.alpha = o.alpha;
  if (o.scaling == "rank") settings.alpha /= rank;
  if (o.scaling == "root_rank") settings.alpha /= std::sqrt(rank);
  settings.initialisation = o.initialisation;
  if (has_task_mode(o.method)) settings.tasks = std::max<Index>(1, std::ssize(o.tasks));
  settings.seed = train.seed;
  settings.core_order = find_core_modes(o.core_order);
  settings.targets = find_matrix_types(o.targets);
  std::sort(settings.targets.begin(), settings.targets.end());
  return Method::named(o.method, settings);
}

namespace {

std::string main_metric_of(const std::vector<std::string>& tasks) {
  if (tasks.empty()) return "loss";
  if (tasks.size() > 1) return average_metric;
  return metric_name(find_glue_task(tasks.front()).metrics.front());
}

}  // namespace

TrainSettings train_settings(const FinetuneOptions& o) {
  TrainSettings t = shared_settings(o.training);
  t.dropout = !o.no_dropout;
  t.optimiser.head_learning_rate =
      o.head_learning_rate > 0 ? o.head_learning_rate : t.optimiser.learning_rate;
  if (o.training.metric.empty()) t.metric = main_metric_of(o.tasks);
  if (!o.rank_schedule.empty()) t.rank_schedule = parse_rank_schedule(o.rank_schedule);
  if (has_triplets(o.method)) t.orthogonality = o.orthogonality;
  t.activation_weighted = o.activation_weighted;
  t.two_site_steps = o.two_site_steps;
  t.sweep = o.sweep == "paper" ? tn::SweepMode::paper : tn::SweepMode::rounding;
  // Pruning does not change what stays; the paper of AdaLoRA keeps its moments.
  const bool project =
      o.optimizer_state.empty() ? has_triplets(o.method) : o.optimizer_state == "project";
  t.optimizer_state = project ? OptimizerState::project : OptimizerState::reset;
  return t;
}

}  // namespace metatt::apps
