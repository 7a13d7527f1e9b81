#include <metatt/transformer/training_plan.hpp>

#include <metatt/tn/error.hpp>

namespace metatt::transformer {

namespace {

void check_number(const char* name, double value, double least, double most) {
  if (!(value >= least && value <= most))
    tn::fail(name, ": expected ", least, " … ", most, ", found ", value);
}

void check_numbers(const TrainSettings& settings) {
  constexpr double many = 1e9;
  check_number("num_train_epochs", static_cast<double>(settings.epochs), 1, 1e5);
  check_number("per_device_train_batch_size", static_cast<double>(settings.batch_size), 1, 1e5);
  check_number("gradient_accumulation_steps",
               static_cast<double>(settings.gradient_accumulation_steps), 1, 1e5);
  check_number("per_device_eval_batch_size", static_cast<double>(settings.eval_batch_size), 1, 1e5);
  check_number("max_steps", static_cast<double>(settings.max_steps), 0, many);
  check_number("logging_steps", static_cast<double>(settings.logging_steps), 1, many);
  check_number("eval_steps", static_cast<double>(settings.eval_steps), 0, many);
  check_number("orthogonality", settings.orthogonality, 0, many);
  check_number("two_site_steps", static_cast<double>(settings.two_site_steps), 0, many);
  check_number("early_stopping_patience", static_cast<double>(settings.early_stopping_patience), 0,
               many);
  check_number("warmup_ratio", settings.warmup_ratio, 0, 1);
  check_number("label_smoothing_factor", settings.label_smoothing, 0, 1);
  check_number("learning_rate", settings.optimiser.learning_rate, 0, 1e38);
  check_number("head_learning_rate", settings.optimiser.head_learning_rate, 0, 1e38);
  check_number("weight_decay", settings.optimiser.weight_decay, 0, 1e3);
  check_number("max_grad_norm", settings.optimiser.max_gradient_norm, 0, many);
}

/// Every sweep must be reached, and the adapter have left zero before the first one.
void check_schedule_times(const TrainSettings& settings, const TrainPlan& plan) {
  for (std::size_t i = 1; i < settings.rank_schedule.size(); ++i) {
    const RankStep& step = settings.rank_schedule[i];
    const char* unit = step.in_steps ? "step " : "epoch ";
    if (!step.in_steps && plan.steps_per_epoch == 0)
      tn::fail("rank_schedule: there are no epochs; expected steps such as 200s");
    const Index steps_before = step.steps_before(plan.steps_per_epoch);
    if (steps_before >= plan.schedule.total_steps)
      tn::fail("rank_schedule: ", unit, step.when, " is never reached in ",
               plan.schedule.total_steps, " steps",
               step.in_steps ? "" : " of " + std::to_string(plan.steps_per_epoch) + " an epoch");
    // With a warm-up the first step has learning rate zero.
    const bool warms_up = plan.schedule.warmup_steps > 0;
    if (steps_before < (warms_up ? 2 : 1))
      tn::fail("rank_schedule: the change before ", unit, step.when,
               " comes while the adapter is still zero; expected at least ",
               warms_up ? "2 steps before it, of which the warm-up has the first at rate zero"
                        : "1 step before it",
               ", found ", steps_before);
  }
}

}  // namespace

TrainPlan plan_training(const TrainSettings& settings, Index steps_per_epoch) {
  check_numbers(settings);
  if (steps_per_epoch == 0 && settings.max_steps == 0)
    tn::fail("max_steps: expected at least 1, since there are no epochs, found 0");
  const Index steps =
      settings.max_steps > 0 ? settings.max_steps : settings.epochs * steps_per_epoch;
  const TrainPlan plan{steps_per_epoch, LearningRateSchedule::with_warmup(
                                            steps, settings.warmup_ratio, settings.schedule)};
  check_schedule_times(settings, plan);
  return plan;
}

}  // namespace metatt::transformer
