#include <metatt/apps/console.hpp>
#include <metatt/apps/interrupt.hpp>
#include <metatt/apps/model_card.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/training_log.hpp>
#include <metatt/apps/training_run.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/weight_trains.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <iostream>
#include <optional>

namespace metatt::apps {

using namespace transformer;
using nlohmann::json;

namespace {

/// What the last bits depend on.
json computed_by() {
  const auto about = tn::backend::describe();
  return {{"version", METATT_VERSION},
          {"blas", about.blas},
          {"core", about.core},
          {"kernels", about.vector_set},
          {"threads", about.threads}};
}

/// Says where a run goes on by other means than the part that wrote the checkpoint, after which the
/// log has been cut.
void warn_of_other_bits(const std::filesystem::path& log) {
  json before;
  for (const std::string& line : tn::split_lines(tn::read_file(log)))
    if (line.find("\"event\":\"start\"") != std::string::npos)
      before = parse_json(line, log.string());
  const json now = computed_by();
  for (const auto& [field, value] : now.items())
    if (const auto old = before.find(field); old != before.end() && *old != value)
      std::cerr << "warning: --resume: the run had " << field << " = " << *old << ", this one has "
                << value << ": its last bits may be others" << std::endl;
}

/// What the trainer tells goes to the terminal and into the log.
class Reporter {
 public:
  Reporter(const TrainSettings& settings, bool epochs, const InterruptWatch& watch)
      : logging_steps_(settings.logging_steps), epochs_(epochs), watch_(watch) {}

  /// Before the first step; from then on there is a log.
  void open(const tn::OutputFolder& folder, const TrainState& state, const json& start) {
    log_.emplace(folder, state.steps);
    if (state.steps > 0) warn_of_other_bits(folder / "log.jsonl");
    progress_.emplace(state.total_steps);
    tokens_ = state.tokens;
    step_ = state.steps;
    log_->write(start);
  }
  TrainingLog& log() { return *log_; }
  void clear() { progress_->clear(); }

  TrainObserver observer() {
    TrainObserver observer;
    observer.step = [this](const StepReport& report) { step(report); };
    observer.evaluation = [this](tn::Index number, tn::Index epoch, const Evaluation& result) {
      clear();
      std::cout << (epochs_ ? "epoch " : "step ") << (epochs_ ? epoch : number)
                << (epochs_ ? ": dev loss " : ": validation loss ") << fixed(result.loss, 4) << ", "
                << metrics_text(result.metrics) << std::endl;
      log_->evaluation(number, epoch, result);
    };
    observer.sweep = [this](const SweepReport& report) { sweep(report); };
    observer.saving = [this](tn::Index number) { log_->checkpoint(number); };
    observer.interrupted = [this] { return watch_.signal() != 0; };
    return observer;
  }

 private:
  void step(const StepReport& report) {
    step_ = report.step;
    tokens_ += report.tokens;
    progress_->update(report.step,
                      (epochs_ ? "epoch " + std::to_string(report.epoch) + "  " : std::string()) +
                          "loss " + fixed(report.loss, 4) + "  " +
                          fixed(static_cast<double>(tokens_) / report.seconds, 0) + " tokens/s");
    if (report.step % logging_steps_ == 0 || report.step == report.total_steps || report.step == 1)
      log_->step(report);
  }
  void sweep(const SweepReport& report) {
    log_->sweep(step_, report);
    if (report.pair) return;  // hundreds
    clear();
    std::cout << "sweep after " << report.step << " steps";
    if (epochs_) std::cout << ", in epoch " << report.epoch;
    std::cout << ": ranks";
    constexpr std::size_t listed = 8;  // an adapter may have a hundred
    for (const BondChange& bond :
         std::span(report.sweep.bonds).first(std::min(listed, report.sweep.bonds.size())))
      say(bond);
    if (report.sweep.bonds.size() > listed)
      std::cout << " and of " << report.sweep.bonds.size() - listed << " more bonds";
    std::cout << ", loss " << fixed(report.loss_before, 4) << " → " << fixed(report.loss_after, 4)
              << std::endl;
  }

  static void say(const BondChange& bond) {
    std::cout << " " << bond.rank_before << "→" << bond.rank_after;
    if (std::isfinite(bond.discarded_weight))
      std::cout << " (discarded weight " << bond.discarded_weight << ")";
  }

  tn::Index logging_steps_;
  bool epochs_;
  const InterruptWatch& watch_;
  std::optional<TrainingLog> log_;
  std::optional<Progress> progress_;
  tn::Index step_ = 0;
  std::int64_t tokens_ = 0;
};

/// The first line of a log, or of its part that goes on.
json start_line(json settings, tn::Index step) {
  settings["event"] = "start";
  settings["padding_share"] = 0;  // sequences of a batch stand one after the other
  settings.update(computed_by());
  if (step > 0) settings["resumed_at"] = step;
  return settings;
}

/// What is left at the end of a run; sweeps have changed it since the start.
json size_at_the_end(const Objective<float>& objective) {
  json size{{"trained_parameters", objective.weights().trainable_count()}};
  if (const auto* adapter = objective.adapter())
    if (const auto ranks = present_ranks(*adapter, objective.weights()); !ranks.empty())
      size["ranks"] = ranks;
  return size;
}

void write_run_results(const tn::OutputFolder& folder, const TrainResult& result,
                       const json& size) {
  const TrainState& state = result.state;
  json results{{"train_loss", state.train_loss},
               {"train_runtime", state.seconds},
               {"train_steps", state.steps},
               {"train_tokens_per_second", static_cast<double>(state.tokens) / state.seconds},
               {"peak_memory_mb", peak_memory_megabytes()}};
  results.update(size);
  write_json(folder / "train_results.json", results);
  write_json(folder / "trainer_state.json",
             trainer_state_json(state, folder.path, /*writing=*/false));
  if (!result.evaluation.metrics.empty())
    write_json(folder / "eval_results.json", evaluation_json(result.evaluation));
  if (const std::string table = rank_table(folder / "log.jsonl"); !table.empty())
    tn::write_file_atomically(folder / rank_table_name, table);
}

/// The last line of a log.
json end_line(const TrainResult& result, const json& size) {
  json end{{"event", "end"},
           {"steps", result.state.steps},
           {"seconds", result.state.seconds},
           {"peak_memory_mb", peak_memory_megabytes()}};
  end.update(size);
  if (!result.evaluation.metrics.empty()) end["results"] = evaluation_json(result.evaluation);
  return end;
}

/// Those files whose names the program gives.
void remove_predictions(const std::filesystem::path& folder) {
  for (const std::string& name : glue_task_names())
    for (const char* end : {".txt", "_dev.txt", "-mm.txt", "-mm_dev.txt"})
      if (const auto file = folder / (predictions_prefix + name + end);
          std::filesystem::is_regular_file(file))
        std::filesystem::remove(file);
}

/// What an earlier run left, should this one end early.
void remove_stale(const tn::OutputFolder& folder, bool goes_on) {
  remove_model_card(folder);
  for (const char* name :
       {"train_results.json", "eval_results.json", "trainer_state.json", rank_table_name})
    std::filesystem::remove(folder / name);
  remove_predictions(folder.path);
  if (goes_on) return remove_incomplete_checkpoints(folder.path);
  remove_checkpoints(folder.path);
  remove_event_files(folder / "runs");
}

/// Whether --resume finds what a run has left, and not another folder with files.
bool is_run(const TrainingOptions& o) {
  std::error_code ignored;
  return o.resume &&
         (std::filesystem::exists(std::filesystem::path(o.output) / "log.jsonl", ignored) ||
          !checkpoint_steps(o.output).empty());
}

/// Where --resume begins: a checkpoint, or anew if there is none.
std::optional<tn::Index> newest_checkpoint(const TrainingOptions& o) {
  if (!o.resume) return std::nullopt;
  const auto steps = checkpoint_steps(o.output);
  if (!steps.empty()) return steps.back();
  std::cout << "no checkpoint to resume from in " << o.output << ": starting anew" << std::endl;
  return std::nullopt;
}

[[noreturn]] void leave(const TrainResult& result, const TrainingOptions& o,
                        const InterruptWatch& watch) {
  throw Interrupted(
      "stopped by " + watch.name() + " after step " + std::to_string(result.state.steps) + " of " +
          std::to_string(result.state.total_steps) + ", all is saved in " +
          (std::filesystem::path(o.output) / checkpoint_name(result.state.steps)).string() +
          "; the same settings with --resume go on from there",
      watch.signal());
}

}  // namespace

void check_output(const TrainingOptions& o) {
  std::error_code ignored;
  const std::filesystem::path folder = o.output;
  if (!std::filesystem::exists(folder, ignored)) return;
  open_results_folder(o.output, o.overwrite || is_run(o), /*resumable=*/true);
  if (o.resume && checkpoint_steps(folder).empty() &&
      std::filesystem::exists(folder / "train_results.json", ignored))
    tn::fail(folder.string(), ": --resume: expected a checkpoint to go on from, found a run that ",
             "has ended and left none");
}

json settings_json(const TrainSettings& settings) {
  constexpr const char* schedules[] = {"linear", "cosine", "constant"};
  return {{"learning_rate", settings.optimiser.learning_rate},
          {"weight_decay", settings.optimiser.weight_decay},
          {"max_grad_norm", settings.optimiser.max_gradient_norm},
          {"warmup_ratio", settings.warmup_ratio},
          {"lr_scheduler_type", schedules[static_cast<int>(settings.schedule)]},
          {"max_steps", settings.max_steps},
          {"per_device_train_batch_size", settings.batch_size},
          {"gradient_accumulation_steps", settings.gradient_accumulation_steps},
          {"per_device_eval_batch_size", settings.eval_batch_size},
          {"eval_steps", settings.eval_steps},
          {"metric_for_best_model", settings.metric},
          {"early_stopping_patience", settings.early_stopping_patience},
          {"load_best_model_at_end", settings.load_best_model},
          {"label_smoothing_factor", settings.label_smoothing},
          {"logging_steps", settings.logging_steps},
          {"gradient_checkpointing", settings.gradient_checkpointing},
          {"seed", settings.seed}};
}

TrainResult run_training(const Objective<float>& objective, const TrainSettings& train,
                         const TrainingOptions& o, const json& settings,
                         const std::function<void(const tn::OutputFolder&)>& write_results,
                         const std::function<void(const tn::OutputFolder&)>& finish) {
  CheckpointSettings checkpoints = checkpoint_settings(o);
  checkpoints.settings = settings.dump();
  checkpoints.derived_settings = {
      "config", "head_learning_rate", "initialisation", "metric_for_best_model", "rank",
      "ranks",  "trainable_adapter",  "trainable_head"};
  checkpoints.write_results = write_results;
  const InterruptWatch watch;
  Reporter reporter(train, objective.steps_per_epoch() > 0, watch);
  Trainer<float> trainer(objective, train, reporter.observer(), checkpoints);
  const tn::OutputFolder folder =
      open_results_folder(o.output, o.overwrite || is_run(o), /*resumable=*/true);
  const auto checkpoint = newest_checkpoint(o);
  if (checkpoint) {
    trainer.resume(folder / checkpoint_name(*checkpoint));
    std::cout << "resumed after step " << *checkpoint << " of " << trainer.state().total_steps
              << std::endl;
  }
  remove_stale(folder, checkpoint.has_value());
  reporter.open(folder, trainer.state(), start_line(settings, trainer.state().steps));
  try {
    TrainResult result = trainer.run();
    reporter.clear();
    if (result.end == TrainingEnd::interrupted) leave(result, o, watch);
    if (result.end == TrainingEnd::stopped_early)
      std::cout << "stopped early: " << train.early_stopping_patience
                << " evaluations without a better " << train.metric << std::endl;
    const json size = size_at_the_end(objective);
    write_results(folder);
    if (finish) finish(folder);  // before there is anything by which the run is over
    write_run_results(folder, result, size);
    write_model_card(folder, settings, result, size);
    reporter.log().write(end_line(result, size));
    return result;
  } catch (const Diverged& error) {
    reporter.clear();
    reporter.log().write({{"event", "error"}, {"message", error.what()}});
    write_results(folder);
    tn::fail(error.what(), "; the last good state is in ", folder.path.string());
  } catch (const tn::Error& error) {
    reporter.clear();
    reporter.log().write({{"event", "error"}, {"message", error.what()}});
    throw;
  }
}

}  // namespace metatt::apps
