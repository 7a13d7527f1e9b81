/// metatt finetune: trains an adapter (or only the head, or everything) on a GLUE task.

#include <metatt/apps/console.hpp>
#include <metatt/apps/finetune_options.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/run_log.hpp>
#include <metatt/transformer/adapter_files.hpp>
#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

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
void write_results(const tn::OutputFolder& folder, const ClassifierModel<float>& model,
                   const AdapterRecord& record, const GlueTask& task, const TrainResult* result) {
  if (record.method.kind == Method::Kind::full)
    write_merged_model(folder, model, task, record.max_seq_length);
  else
    write_adapter(folder, model, record);
  if (!result) return;
  nlohmann::json train{
      {"train_loss", result->train_loss},
      {"train_runtime", result->seconds},
      {"train_steps", result->steps},
      {"train_tokens_per_second", static_cast<double>(result->tokens) / result->seconds},
      {"peak_memory_mb", peak_memory_megabytes()}};
  write_json(folder / "train_results.json", train);
  write_json(folder / "eval_results.json", evaluation_json(result->evaluation));
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

/// The examples of one split, as far as they are wanted.
std::vector<Example> read_examples(const FinetuneOptions& o, const ClassifierModel<float>& model,
                                   const GlueTask& task, const std::string& split, Index limit) {
  auto rows = read_glue(o.data, task, split);
  if (limit > 0 && static_cast<Index>(rows.size()) > limit)
    rows.resize(static_cast<std::size_t>(limit));
  return encode_rows(model.tokenizer(), rows, model.sequence_length(o.max_seq_length));
}

nlohmann::json start_line(const FinetuneOptions& o, const TrainSettings& settings,
                          const ClassifierModel<float>& model, const GlueTask& task) {
  const auto about = tn::backend::describe();
  return {{"event", "start"},
          {"version", METATT_VERSION},
          {"model", o.model},
          {"data", o.data},
          {"task", task.name},
          {"method", model.method().name()},
          {"rank", model.method().adapter.rank},
          {"alpha", model.method().adapter.alpha},
          {"target_modules", o.targets},
          {"initialisation", model.method().adapter.initialisation},
          {"rank_schedule", o.rank_schedule},
          {"sweep", o.sweep},
          {"optimizer_state", o.optimizer_state},
          {"learning_rate", settings.optimiser.learning_rate},
          {"head_learning_rate", settings.optimiser.head_learning_rate},
          {"weight_decay", settings.optimiser.weight_decay},
          {"max_grad_norm", settings.optimiser.max_gradient_norm},
          {"warmup_ratio", settings.warmup_ratio},
          {"num_train_epochs", settings.epochs},
          {"max_steps", settings.max_steps},
          {"per_device_train_batch_size", settings.batch_size},
          {"max_seq_length", model.sequence_length(o.max_seq_length)},
          {"max_train_samples", o.max_train_samples},
          {"dropout", settings.dropout},
          {"seed", settings.seed},
          {"blas", about.blas},
          {"core", about.core},
          {"threads", about.threads},
          {"trainable_adapter", model.trainable_adapter()},
          {"trainable_head", model.trainable_head()}};
}

void finish(const tn::OutputFolder& folder, const ClassifierModel<float>& model,
            const TrainResult& result, RunLog& log) {
  log.write({{"event", "end"},
             {"steps", result.steps},
             {"seconds", result.seconds},
             {"peak_memory_mb", peak_memory_megabytes()},
             {"results", evaluation_json(result.evaluation)}});
  const bool full = model.method().kind == Method::Kind::full;
  std::cout << "result: method " << model.method().name()
            << (full ? ", encoder parameters " : ", adapter parameters ")
            << model.trainable_adapter() << ", head parameters " << model.trainable_head() << ", "
            << metrics_text(result.evaluation.metrics) << ", " << fixed(result.seconds, 1) << " s, "
            << fixed(static_cast<double>(result.tokens) / result.seconds, 0)
            << " tokens/s, peak memory " << fixed(peak_memory_megabytes(), 0) << " MB, output "
            << folder.path.string() << std::endl;
}

void finetune(const FinetuneOptions& o) {
  const TrainSettings settings = train_settings(o);
  const Method method = method_of(o, settings);
  const GlueTask& task = find_glue_task(o.task);
  check_results_folder(
      o.output, method.kind == Method::Kind::full ? Results::model : Results::adapter, {o.model});
  print_backend();
  ClassifierModel<float> model(o.model, task.outputs(), method, HeadSource::fresh, settings.seed);
  const auto examples = read_examples(o, model, task, "train", o.max_train_samples);
  const auto development = read_examples(o, model, task, task.development_splits.front(), 0);
  if (task.regression()) {
    std::vector<double> labels;
    for (const Example& example : examples) labels.push_back(example.label);
    model.center_regression(labels);
  }
  const TrainPlan plan = plan_training(settings, static_cast<Index>(examples.size()));
  const tn::OutputFolder folder = tn::prepare_output_folder(o.output, o.overwrite);
  print_model(model, examples.size(), development.size());

  const AdapterRecord record{std::filesystem::absolute(o.model).lexically_normal().string(),
                             task.name, model.sequence_length(o.max_seq_length), method,
                             model.pooler_trained()};
  for (const char* stale : {"train_results.json", "eval_results.json"})
    std::filesystem::remove(folder / stale);  // of an earlier run, should this one end early
  RunLog log(folder / "log.jsonl");
  log.write(start_line(o, settings, model, task));
  Progress progress(plan.schedule.total_steps);
  try {
    const TrainResult result = train(model, task, settings, std::span<const Example>(examples),
                                     std::span<const Example>(development),
                                     make_observer(progress, log, settings.logging_steps));
    progress.clear();
    write_results(folder, model, record, task, &result);
    finish(folder, model, result, log);
  } catch (const Diverged& error) {
    progress.clear();
    log.write({{"event", "error"}, {"message", error.what()}});
    write_results(folder, model, record, task, nullptr);
    tn::fail(error.what(), "; the last good state is in ", folder.path.string());
  } catch (const tn::Error& error) {
    log.write({{"event", "error"}, {"message", error.what()}});
    throw;
  }
}

}  // namespace

void add_finetune(CLI::App& program) {
  CLI::App* command = add_command(program, "finetune", "Train an adapter on a GLUE task");
  auto options = std::make_shared<FinetuneOptions>();
  options->train.optimiser.learning_rate = 1e-3;
  add_options(*command, *options);
  command->callback([command, options] {
    check_used(*command, *options);
    finetune(*options);
  });
}

}  // namespace metatt::apps
