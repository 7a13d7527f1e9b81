/// metatt finetune: trains an adapter (or only the head, or everything) on a GLUE task.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/run_log.hpp>
#include <metatt/transformer/adapter_files.hpp>

#include <nlohmann/json.hpp>

#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

struct FinetuneOptions {
  std::string model, task, data, output;
  std::string method = "metatt4d";
  Index rank = 8;
  double alpha = 1;
  std::vector<std::string> targets{"query", "value"};
  std::string initialisation = "ze-id-id-id";
  std::string rank_schedule, sweep = "rounding", optimizer_state = "reset";
  Index max_seq_length = 0, max_train_samples = 0;
  double head_learning_rate = 0;
  bool overwrite = false, no_dropout = false;
  TrainSettings train;
};

void add_options(CLI::App& command, FinetuneOptions& o) {
  const std::string files = "Files", adapter = "Adapter", ranks = "Rank adaptation",
                    training = "Training";
  command
      .add_option("--model,--model_name_or_path", o.model,
                  "Folder with config.json, model.safetensors, vocab.txt")
      ->required()
      ->group(files);
  command.add_option("--task,--task_name", o.task, "cola, mrpc, stsb, rte, …")
      ->required()
      ->group(files);
  command.add_option("--data,--data_dir", o.data, "Folder with the task's TSV files")
      ->required()
      ->group(files);
  command.add_option("--output_dir", o.output, "Where the results go")->required()->group(files);
  command.add_flag("--overwrite_output_dir", o.overwrite, "Accept a folder that is not empty")
      ->group(files);

  command.add_option("--adapter", o.method, "metatt4d, lora, none (head only) or full")
      ->check(CLI::IsMember({"metatt4d", "lora", "none", "full"}))
      ->group(adapter);
  auto* rank =
      command.add_option("--rank", o.rank, "Rank of every bond (metatt4d) or factor (lora)")
          ->group(adapter);
  command.add_option("--alpha", o.alpha, "Factor before the update")->group(adapter);
  command
      .add_option("--target_modules", o.targets,
                  "query, key, value, attention_output, feed_forward_up, feed_forward_down")
      ->delimiter(',')
      ->group(adapter);
  command
      .add_option("--initialisation", o.initialisation,
                  "A code for each core: ze, id, no or or; exactly one ze")
      ->group(adapter);

  command
      .add_option("--rank_schedule", o.rank_schedule,
                  "EPOCH:RANK,…; a sweep at the start of each epoch named")
      ->excludes(rank)
      ->group(ranks);
  command.add_option("--sweep", o.sweep, "paper or rounding")
      ->check(CLI::IsMember({"paper", "rounding"}))
      ->group(ranks);
  command
      .add_option("--optimizer_state", o.optimizer_state, "Moments at a sweep: reset or project")
      ->check(CLI::IsMember({"reset", "project"}))
      ->group(ranks);

  TrainSettings& t = o.train;
  command.add_option("--learning_rate", t.optimiser.learning_rate, "Peak learning rate")
      ->check(CLI::PositiveNumber)
      ->group(training);
  command
      .add_option("--head_learning_rate", o.head_learning_rate,
                  "Peak learning rate of the head; 0: the same")
      ->check(CLI::NonNegativeNumber)
      ->group(training);
  command.add_option("--num_train_epochs", t.epochs, "Epochs")
      ->check(CLI::PositiveNumber)
      ->group(training);
  command.add_option("--max_steps", t.max_steps, "Stop after so many steps; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->group(training);
  command.add_option("--per_device_train_batch_size", t.batch_size, "Sequences a step")
      ->check(CLI::PositiveNumber)
      ->group(training);
  command
      .add_option("--per_device_eval_batch_size", t.eval_batch_size,
                  "Sequences a batch in evaluation")
      ->check(CLI::PositiveNumber)
      ->group(training);
  command
      .add_option("--max_seq_length", o.max_seq_length,
                  "Longer texts are cut; 0: 128, or the model's positions if fewer")
      ->check(CLI::NonNegativeNumber)
      ->group(training);
  command.add_option("--max_train_samples", o.max_train_samples, "Use only the first rows; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->group(training);
  command.add_option("--warmup_ratio", t.warmup_ratio, "Share of steps with rising learning rate")
      ->check(CLI::Range(0.0, 1.0))
      ->group(training);
  command
      .add_option("--weight_decay", t.optimiser.weight_decay,
                  "AdamW's decay (not of biases and norms)")
      ->check(CLI::NonNegativeNumber)
      ->group(training);
  command.add_option("--max_grad_norm", t.optimiser.max_gradient_norm, "Clipping; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->group(training);
  command.add_flag("--no_dropout", o.no_dropout, "Ignore the dropout of config.json")
      ->group(training);
  command.add_option("--seed", t.seed, "Of head, adapter, order and dropout")->group(training);
  command.add_option("--logging_steps", t.logging_steps, "Steps between two lines of the log")
      ->check(CLI::PositiveNumber)
      ->group(training);
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

void print_model(ClassifierModel<float>& model, std::size_t train, std::size_t development) {
  const auto& c = model.config();
  const Index trainable = model.weights().trainable_count(), total = model.weights().total_count();
  std::cout << "model " << model.base().string() << ": " << c.num_hidden_layers << " layers, width "
            << c.hidden_size << ", " << c.num_attention_heads << " heads, float32\n"
            << "method " << model.method().name() << ": " << trainable << " trainable of " << total
            << " parameters ("
            << fixed(100.0 * static_cast<double>(trainable) / static_cast<double>(total), 3)
            << " %): " << model.trainable_adapter()
            << (model.method().kind == Method::Kind::full ? " encoder, " : " adapter, ")
            << model.trainable_head() << " head\n"
            << "data: " << train << " training and " << development << " development examples"
            << std::endl;
}

/// Writes what the run leaves: adapter (or, for full, the model) and result files.
void write_results(const OutputFolder& folder, const ClassifierModel<float>& model,
                   const AdapterRecord& record, const GlueTask& task, const TrainResult* result) {
  if (record.method.kind == Method::Kind::full)
    write_merged_model(folder, model, task);
  else
    write_adapter(folder, model, record);
  if (!result) return;
  nlohmann::json train{
      {"train_loss", result->train_loss},
      {"train_runtime", result->seconds},
      {"train_steps", result->steps},
      {"train_tokens_per_second", static_cast<double>(result->tokens) / result->seconds},
      {"peak_memory_mb", peak_memory_megabytes()}};
  write_file_atomically(folder / "train_results.json", train.dump(2) + "\n");
  write_file_atomically(folder / "eval_results.json",
                        evaluation_json(result->evaluation).dump(2) + "\n");
}

TrainObserver make_observer(Progress& progress, RunLog& log, Index logging_steps) {
  TrainObserver observer;
  auto tokens = std::make_shared<Index>(0);
  observer.step = [&progress, &log, tokens, logging_steps](const StepReport& report) {
    *tokens += report.tokens;
    progress.update(report.step, "epoch " + std::to_string(report.epoch) + "  loss " +
                                     fixed(report.loss, 4) + "  " +
                                     fixed(static_cast<double>(*tokens) / report.seconds, 0) +
                                     " tokens/s");
    if (report.step % logging_steps == 0 || report.step == report.total_steps || report.step == 1)
      log.step(report);
  };
  observer.epoch = [&progress, &log](Index epoch, const Evaluation& evaluation) {
    progress.clear();
    std::cout << "epoch " << epoch << ": dev loss " << fixed(evaluation.loss, 4) << ", "
              << metrics_text(evaluation.metrics) << std::endl;
    log.evaluation(epoch, evaluation);
  };
  observer.sweep = [&progress, &log](const transformer::SweepReport& report) {
    progress.clear();
    std::cout << "sweep before epoch " << report.epoch << ": ranks";
    for (std::size_t k = 0; k < report.sweep.bonds.size(); ++k)
      std::cout << " " << report.sweep.ranks_before[k] << "→" << report.sweep.ranks_after[k]
                << " (discarded weight " << report.sweep.bonds[k].truncation.discarded_weight
                << ")";
    std::cout << ", loss " << fixed(report.loss_before, 4) << " → " << fixed(report.loss_after, 4)
              << std::endl;
    log.sweep(report);
  };
  return observer;
}

void finetune(const FinetuneOptions& o) {
  const TrainSettings settings = train_settings(o);
  const Method method = method_of(o, settings);
  if (settings.rank_schedule.size() > 1 && o.method != "metatt4d")
    tn::fail("rank_schedule: --adapter ", o.method,
             " has no tensor train whose ranks could change");
  const GlueTask& task = find_glue_task(o.task);
  print_backend();
  ClassifierModel<float> model(o.model, task.outputs(), method, HeadSource::fresh, settings.seed);
  const Index max_seq_length = model.sequence_length(o.max_seq_length);
  auto rows = read_glue(o.data, task, "train");
  if (o.max_train_samples > 0 && static_cast<Index>(rows.size()) > o.max_train_samples)
    rows.resize(static_cast<std::size_t>(o.max_train_samples));
  const auto examples = encode_rows(model.tokenizer(), rows, max_seq_length);
  const auto development = encode_rows(
      model.tokenizer(), read_glue(o.data, task, task.development_splits.front()), max_seq_length);
  const TrainPlan plan = plan_training(settings, static_cast<Index>(examples.size()));
  const OutputFolder folder = prepare_output_folder(o.output, o.overwrite);
  print_model(model, examples.size(), development.size());

  AdapterRecord record{std::filesystem::absolute(o.model).lexically_normal().string(), task.name,
                       max_seq_length, method, model.pooler_trained()};
  RunLog log(folder / "log.jsonl");
  const auto about = tn::backend::describe();
  log.write({{"event", "start"},
             {"version", METATT_VERSION},
             {"method", method.name()},
             {"task", task.name},
             {"rank", method.adapter.rank},
             {"seed", settings.seed},
             {"learning_rate", settings.optimiser.learning_rate},
             {"rank_schedule", o.rank_schedule},
             {"sweep", o.sweep},
             {"optimizer_state", o.optimizer_state},
             {"blas", about.blas},
             {"core", about.core},
             {"threads", about.threads},
             {"trainable_adapter", model.trainable_adapter()},
             {"trainable_head", model.trainable_head()}});
  Progress progress(plan.schedule.total_steps);
  TrainResult result;
  try {
    result = train(model, task, settings, std::span<const Example>(examples),
                   std::span<const Example>(development),
                   make_observer(progress, log, settings.logging_steps));
  } catch (const Diverged& error) {
    progress.clear();
    write_results(folder, model, record, task, nullptr);
    log.write({{"event", "error"}, {"message", error.what()}});
    tn::fail(error.what(), "; the last good state is in ", folder.path.string());
  }
  progress.clear();
  write_results(folder, model, record, task, &result);
  log.write({{"event", "end"},
             {"steps", result.steps},
             {"seconds", result.seconds},
             {"peak_memory_mb", peak_memory_megabytes()},
             {"results", evaluation_json(result.evaluation)}});
  std::cout << "result: method " << method.name() << ", adapter parameters "
            << model.trainable_adapter() << ", head parameters " << model.trainable_head() << ", "
            << metrics_text(result.evaluation.metrics) << ", " << fixed(result.seconds, 1) << " s, "
            << fixed(static_cast<double>(result.tokens) / result.seconds, 0)
            << " tokens/s, peak memory " << fixed(peak_memory_megabytes(), 0) << " MB, output "
            << folder.path.string() << std::endl;
}

}  // namespace

void add_finetune(CLI::App& program) {
  CLI::App* command = add_command(program, "finetune", "Train an adapter on a GLUE task");
  auto options = std::make_shared<FinetuneOptions>();
  options->train.optimiser.learning_rate = 1e-3;
  add_options(*command, *options);
  command->callback([options] { finetune(*options); });
}

}  // namespace metatt::apps
