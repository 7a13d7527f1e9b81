#include <metatt/apps/training_options.hpp>
#include <metatt/apps/validators.hpp>

namespace metatt::apps {

using namespace transformer;

void add_output_options(CLI::App& command, TrainingOptions& o, bool epochs) {
  const std::string files = "Files";
  command.add_option("--output_dir", o.output, "Where the results go")
      ->check(not_empty("a folder"))
      ->required()
      ->group(files);
  CLI::Option* overwrite =
      command.add_flag("--overwrite_output_dir", o.overwrite,
                       "Write into a folder that is not empty; checkpoints and results of an "
                       "earlier run in it are removed");
  overwrite->check(true_or_false())->group(files);
  command
      .add_flag("--resume", o.resume,
                "Go on from the newest checkpoint in the output folder, with the same settings")
      ->check(true_or_false())
      ->excludes(overwrite)
      ->group(files);
  if (epochs)
    command
        .add_option(
            "--save_strategy", o.save_strategy,
            "Checkpoints: epoch (at the end of each), steps (every --save_steps), or no (only "
            "when the run is interrupted)")
        ->check(one_of({"epoch", "steps", "no"}))
        ->group(files);
  command
      .add_option("--save_steps", o.save_steps,
                  epochs ? "Steps between checkpoints, for --save_strategy steps"
                         : "Steps between checkpoints")
      ->transform(whole_number(1))
      ->group(files);
  command
      .add_option("--save_total_limit", o.save_total_limit,
                  "Keep so many checkpoints, and the best one; 0: all")
      ->transform(whole_number(0))
      ->group(files);
  command
      .add_option("--logging_steps", o.train.logging_steps, "Steps between two lines of the log")
      ->transform(whole_number(1))
      ->group(files);
}

namespace {

void add_batch_options(CLI::App& command, TrainSettings& t) {
  const std::string training = "Training";
  command
      .add_option("--per_device_train_batch_size", t.batch_size, "Sequences of one forward pass")
      ->transform(whole_number(1))
      ->group(training);
  command
      .add_option("--gradient_accumulation_steps", t.gradient_accumulation_steps,
                  "Such passes a step: the batch is their product")
      ->transform(whole_number(1))
      ->group(training);
  command
      .add_option("--per_device_eval_batch_size", t.eval_batch_size,
                  "Sequences a batch in evaluation")
      ->transform(whole_number(1))
      ->group(training);
}

}  // namespace

void add_optimiser_options(CLI::App& command, TrainingOptions& o) {
  const std::string training = "Training";
  TrainSettings& t = o.train;
  command.add_option("--learning_rate", t.optimiser.learning_rate, "Peak learning rate")
      ->check(positive_number())
      ->group(training);
  command
      .add_option("--lr_scheduler_type", o.schedule,
                  "How the learning rate falls after the warm-up: linear, cosine, or constant")
      ->check(one_of({"linear", "cosine", "constant"}))
      ->group(training);
  command.add_option("--warmup_ratio", t.warmup_ratio, "Share of steps with rising learning rate")
      ->check(number_between(0, 1))
      ->group(training);
  command
      .add_option("--weight_decay", t.optimiser.weight_decay,
                  "AdamW's decay (not of biases and norms)")
      ->check(non_negative_number())
      ->group(training);
  command
      .add_option("--label_smoothing_factor", t.label_smoothing,
                  "Share of a label that all classes get, in training")
      ->check(number_between(0, 1))
      ->group(training);
  command.add_option("--max_grad_norm", t.optimiser.max_gradient_norm, "Clipping; 0: none")
      ->check(non_negative_number())
      ->group(training);
  add_batch_options(command, t);
  command
      .add_option("--eval_steps", t.eval_steps,
                  "Steps between evaluations; 0: at the end of every epoch, or of the run where "
                  "there are none")
      ->transform(whole_number(0))
      ->group(training);
  command
      .add_flag("--gradient_checkpointing", t.gradient_checkpointing,
                "Run layers again in the backward pass instead of keeping what it needs: less "
                "memory, a third more time")
      ->check(true_or_false())
      ->group(training);
  command.add_option("--seed", t.seed, "Seed of new weights, order, dropout and masks")
      ->transform(seed_number())
      ->group(training);
}

void add_best_options(CLI::App& command, TrainingOptions& o) {
  const std::string best = "Best weights";
  TrainSettings& t = o.train;
  command
      .add_option("--metric_for_best_model", o.metric,
                  "loss, or another one that evaluations have (default: a task's first one, the "
                  "average of several tasks, or loss)")
      ->check(not_empty("a metric"))
      ->group(best);
  command
      .add_flag("--load_best_model_at_end", t.load_best_model,
                "End with the weights of the best evaluation")
      ->check(true_or_false())
      ->group(best);
  command
      .add_option("--early_stopping_patience", t.early_stopping_patience,
                  "Stop after so many evaluations without a better one; 0: never")
      ->transform(whole_number(0))
      ->group(best);
}

TrainSettings shared_settings(const TrainingOptions& o) {
  TrainSettings t = o.train;
  if (!o.metric.empty()) t.metric = o.metric;
  t.schedule = o.schedule == "cosine"     ? ScheduleShape::cosine
               : o.schedule == "constant" ? ScheduleShape::constant
                                          : ScheduleShape::linear;
  return t;
}

CheckpointSettings checkpoint_settings(const TrainingOptions& o) {
  CheckpointSettings settings;
  settings.folder = o.output;
  settings.strategy = o.save_strategy == "epoch"   ? SaveStrategy::epoch
                      : o.save_strategy == "steps" ? SaveStrategy::steps
                                                   : SaveStrategy::no;
  settings.save_steps = o.save_steps;
  settings.total_limit = o.save_total_limit;
  return settings;
}

}  // namespace metatt::apps
