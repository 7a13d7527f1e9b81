#include <metatt/transformer/trainer.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace metatt::transformer {

namespace {

using Clock = std::chrono::steady_clock;
using autodiff::Tape;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// What two-site steps cannot have. Weight decay would move the cores that stay.
void check_two_site(const TrainSettings& settings, std::size_t trains) {
  if (trains != 1)
    tn::fail("two_site_steps: expected an adapter of one tensor train, found ", trains);
  if (settings.optimiser.weight_decay > 0)
    tn::fail("two_site_steps: expected weight_decay 0, found ", settings.optimiser.weight_decay);
  if (settings.optimizer_state == OptimizerState::project)
    tn::fail("two_site_steps: expected optimizer_state reset, found project");
  for (const RankStep& step : settings.rank_schedule)
    if (step.target.budget.maximum_parameters != tn::unlimited)
      tn::fail(
          "two_site_steps: a pair cannot share out a budget of parameters; expected ranks or "
          "a cutoff");
}

template <class T>
void check_activation_weighted(const TrainSettings& settings, const Adapter<T>* adapter) {
  if (settings.rank_schedule.size() < 2 || settings.two_site_steps > 0)
    tn::fail("activation_weighted: is for the sweeps of a rank_schedule, found ",
             settings.two_site_steps > 0 ? "two_site_steps" : "none");
  if (adapter->trains().size() != 1)
    tn::fail("activation_weighted: expected an adapter of one tensor train, found ",
             adapter->trains().size());
}

/// A wish for the best evaluation needs evaluations, and their metric a name that they have.
void check_metric(const TrainSettings& settings, const std::vector<std::string>& known) {
  if (known.empty() && (settings.load_best_model || settings.early_stopping_patience > 0))
    tn::fail(settings.load_best_model ? "load_best_model_at_end" : "early_stopping_patience",
             ": nothing is evaluated, so there is no best evaluation");
  if (known.empty() || std::ranges::find(known, settings.metric) != known.end()) return;
  tn::fail("metric_for_best_model: expected one of ", tn::joined(known), ", found \"",
           settings.metric, "\"");
}

/// The value by which evaluations are compared.
double compared(const Evaluation& evaluation, const std::string& metric) {
  for (const auto& [name, value] : evaluation.metrics)
    if (name == metric) return value;
  return evaluation.loss;
}

}  // namespace

bool is_cost(const std::string& metric) {
  return metric == "loss" || metric == "perplexity";
}

std::string counted_from_one(std::span<const Index> positions) {
  std::string text;
  for (const Index i : positions) text += (text.empty() ? "" : ", ") + std::to_string(i + 1);
  return text;
}

template <class T>
Trainer<T>::Trainer(const Objective<T>& objective, TrainSettings settings, TrainObserver observer,
                    CheckpointSettings checkpoints)
    : objective_(objective),
      settings_(std::move(settings)),
      observer_(std::move(observer)),
      checkpoints_(std::move(checkpoints)),
      plan_(plan_training(settings_, objective.steps_per_epoch())),
      optimiser_(objective.weights(), settings_.optimiser, plan_.schedule) {
  if (settings_.rank_schedule.size() > 1) {
    if (!objective.adapter())
      tn::fail("rank_schedule: there is no adapter whose ranks could change");
    check_rank_schedule(settings_.rank_schedule, *objective.adapter(), objective.weights());
  }
  if (settings_.orthogonality > 0 &&
      (!objective.adapter() || objective.adapter()->triplets().empty()))
    tn::fail("orthogonality: is for adalora, found ",
             objective.adapter() ? objective.adapter()->settings().kind : "no adapter");
  if (settings_.activation_weighted) check_activation_weighted(settings_, objective.adapter());
  if (settings_.two_site_steps > 0) begin_two_site();
  check_metric(settings_, objective.metrics());
  if (settings_.load_best_model && checkpoints_.folder.empty())
    tn::fail("load_best_model_at_end: the best weights are kept in a checkpoint; none are written");
  state_.total_steps = plan_.schedule.total_steps;
  state_.steps_per_epoch = plan_.steps_per_epoch;
}

template <class T>
void Trainer<T>::resume(const std::filesystem::path& checkpoint) {
  state_ = read_checkpoint(checkpoint, checkpoints_, state_, objective_.weights(), optimiser_,
                           settings_.load_best_model);
  remove_older_checkpoints(checkpoints_, state_);  // which a kill may have prevented
  if (two_site_) two_site_->set_state(state_.two_site);
  saved_ = state_.steps;
}

template <class T>
void Trainer<T>::begin_two_site() {
  const auto trains =
      objective_.adapter() ? objective_.adapter()->trains() : std::vector<TrainIds<T>>{};
  check_two_site(settings_, trains.size());
  two_site_.emplace(trains.front(), objective_.weights(), settings_.two_site_steps);
  target_.ranks = WeightTrain<T>(trains.front(), objective_.weights()).read().train.ranks();
}

/// What belongs to a step, in its order: a change of ranks that is due before it, the merger of a
/// pair of cores, the step, the split of the pair, an evaluation, a checkpoint.
template <class T>
TrainResult Trainer<T>::run() {
  TrainingEnd end = TrainingEnd::finished;
  bool evaluated = false;
  while (!over() && !patience_over()) {
    sweep_if_due();
    if (two_site_ && !two_site_->merged()) merge_pair();
    step();
    evaluated = evaluation_due();
    if (two_site_ && (two_site_->count_step() || evaluated || sweep_due())) split_pair();
    if (two_site_) state_.two_site = two_site_->state();
    const bool best = evaluated && evaluate();
    if (save_due(best)) save();
    if (!over() && observer_.interrupted && observer_.interrupted()) {
      end = TrainingEnd::interrupted;
      if (saved_ != state_.steps) save();
      break;
    }
  }
  if (end == TrainingEnd::finished) {
    if (!over()) end = TrainingEnd::stopped_early;
    if (settings_.load_best_model && state_.best_metric) {
      restore_values(checkpoints_.folder / checkpoint_name(state_.best_step), objective_.weights());
      evaluated = false;
    }
    // After the best weights, and in a run that was over when it was resumed.
    if (!evaluated) evaluation_ = objective_.evaluate().value_or(Evaluation{});
  }
  return {state_, evaluation_, end};
}

template <class T>
bool Trainer<T>::patience_over() const {
  if (settings_.early_stopping_patience == 0 ||
      state_.evaluations_since_best < settings_.early_stopping_patience)
    return false;
  const auto& schedule = settings_.rank_schedule;  // whose last change comes in any case
  return schedule.empty() || schedule.back().steps_before(plan_.steps_per_epoch) < state_.steps;
}

template <class T>
bool Trainer<T>::due(const RankStep& step) const {
  return state_.steps == step.steps_before(plan_.steps_per_epoch);
}

template <class T>
bool Trainer<T>::sweep_due() const {
  for (std::size_t i = 1; i < settings_.rank_schedule.size(); ++i)
    if (due(settings_.rank_schedule[i])) return true;
  return false;
}

template <class T>
void Trainer<T>::sweep_if_due() {
  for (std::size_t i = 1; i < settings_.rank_schedule.size(); ++i)
    if (due(settings_.rank_schedule[i])) {
      tell_sweep([&] { return adapted(settings_.rank_schedule[i].target); }, /*pair=*/false);
      // Evaluations at other ranks do not compare with those to come.
      state_.best_metric.reset();
      state_.evaluations_since_best = 0;
    }
}

template <class T>
void Trainer<T>::merge_pair() {
  const auto start = Clock::now();
  two_site_->merge(optimiser_);
  state_.seconds += seconds_since(start);
}

/// The target is that of the last sweep before this step.
template <class T>
void Trainer<T>::split_pair() {
  RankTarget target = target_;
  for (std::size_t i = 1; i < settings_.rank_schedule.size(); ++i) {
    const RankStep& step = settings_.rank_schedule[i];
    if (step.steps_before(plan_.steps_per_epoch) < state_.steps) target = step.target;
  }
  tell_sweep(
      [&] {
        try {
          return two_site_->split(optimiser_, target);
        } catch (const tn::Error& error) {
          diverge("at the split after step " + std::to_string(state_.steps), error.what());
        }
      },
      /*pair=*/true);
}

template <class T>
void Trainer<T>::tell_sweep(const std::function<RankSweep()>& sweep, bool pair) {
  const auto finite_loss = [&](const std::string& when) {
    const double loss = objective_.probe_loss();
    if (!std::isfinite(loss))
      diverge(when + " that follows step " + std::to_string(state_.steps),
              "the loss is " + std::to_string(loss));
    return loss;
  };
  const double before = finite_loss("before the sweep");
  keep_good_state();
  const auto start = Clock::now();
  RankSweep done = sweep();
  const double seconds = seconds_since(start);
  state_.seconds += seconds;
  const double after = finite_loss("after the sweep");
  keep_good_state();
  if (observer_.sweep)
    observer_.sweep({state_.steps, epoch(), std::move(done), before, after, seconds, pair});
}

/// Of the batches of the last steps, dropout off.
template <class T>
Tensor<double> Trainer<T>::input_gram() const {
  constexpr Index recent_steps = 8;
  const Adapter<T>& adapter = *objective_.adapter();
  const auto train = adapter.trains().front();
  InputGram<T> inputs(objective_.weights().shape(train.front()).front());
  struct Noting {
    const Adapter<T>& adapter;
    Noting(const Adapter<T>& a, InputGram<T>* to) : adapter(a) { a.note_inputs(to); }
    ~Noting() { adapter.note_inputs(nullptr); }
  };
  const Noting noting(adapter, &inputs);
  const auto part = static_cast<std::size_t>(settings_.batch_size);
  for (Index step = std::max<Index>(0, state_.steps - recent_steps); step < state_.steps; ++step) {
    const std::vector<Index> examples = objective_.batch(step);
    for (std::size_t begin = 0; begin < examples.size(); begin += part) {
      Tape<T> tape;
      objective_.loss(tape,
                      std::span(examples).subspan(begin, std::min(part, examples.size() - begin)),
                      static_cast<std::uint64_t>(step));
    }
  }
  return inputs.mean();
}

/// Bonds grow where the gradient of the step's batch points.
template <class T>
RankSweep Trainer<T>::adapted(const RankTarget& target) {
  const Adapter<T>& adapter = *objective_.adapter();
  Weights<T>& weights = objective_.weights();
  const auto compute_gradients = [&](Index ahead) { gradients_of(state_.steps + ahead); };
  try {
    RankSweep done;
    if (adapter.triplets().empty()) {
      Tensor<double> gram;
      if (settings_.activation_weighted) gram = input_gram();
      done = adapt_ranks(
          adapter.trains(), weights, optimiser_, target,
          {settings_.sweep, settings_.optimizer_state, settings_.seed},
          [&] { compute_gradients(0); }, gram);
    } else {
      done = prune_triplets<T>(adapter.triplets(), weights, optimiser_, target,
                               settings_.optimizer_state, compute_gradients);
    }
    weights.arena().clear_gradients();
    return done;
  } catch (const tn::Error& error) {
    diverge("at the sweep before step " + std::to_string(state_.steps + 1), error.what());
  }
}

/// Of the mean loss of a step's batch.
template <class T>
void Trainer<T>::gradients_of(Index step) {
  auto& arena = objective_.weights().arena();
  arena.clear_gradients();
  const std::vector<Index> examples = objective_.batch(step);
  Index targets = 0, tokens = 0;
  const double loss = accumulate(step, examples, targets, tokens);
  if (!std::isfinite(loss))
    tn::fail("the loss is ", loss, "; the batch holds ", objective_.described(examples));
  for (const auto id : objective_.unreached(examples)) objective_.weights().set_zero_gradient(id);
  if (settings_.gradient_accumulation_steps > 1)
    tn::backend::scale(tn::backend::queue(), arena.size(), T(1) / static_cast<T>(targets),
                       arena.gradients());
}

template <class T>
void Trainer<T>::step() {
  const auto start = Clock::now();
  const std::vector<Index> examples = objective_.batch(state_.steps);
  const auto where = [&] {
    return "at step " + std::to_string(state_.steps + 1) + " (epoch " + std::to_string(epoch()) +
           ")";
  };
  Index targets = 0, tokens = 0;
  const double loss = accumulate(state_.steps, examples, targets, tokens);
  if (!std::isfinite(loss))
    diverge(where(), "the loss is " + std::to_string(loss) + "; the batch holds " +
                         objective_.described(examples));
  // After a checkpoint too, so that a run that goes on from there keeps the same.
  if (good_.empty() || state_.steps == saved_ || state_.steps % settings_.logging_steps == 0)
    keep_good_state();
  const double rate = optimiser_.learning_rate();
  double norm = 0;
  for (const auto id : objective_.unreached(examples)) objective_.weights().set_zero_gradient(id);
  if (two_site_) two_site_->keep_others_fixed();
  if (settings_.orthogonality > 0) add_penalty(targets);
  try {
    norm = optimiser_.step(
        settings_.gradient_accumulation_steps > 1 ? 1 / static_cast<double>(targets) : 1);
  } catch (const tn::Error& error) {
    diverge(where(), error.what() + ("; the batch holds " + objective_.described(examples)));
  }
  const Index epoch_of_step = epoch();
  state_.seconds += seconds_since(start);
  count_step(loss, tokens);
  if (over() && !weights_finite())
    diverge("after step " + std::to_string(state_.steps), "the weights are not finite");
  if (observer_.step)
    observer_.step({state_.steps, state_.total_steps, epoch_of_step, loss, rate, norm, tokens,
                    state_.seconds});
  log_if_due(norm);
}

/// With accumulation the gradients are sums over the targets, of which the step takes the mean.
template <class T>
void Trainer<T>::add_penalty(Index targets) {
  const auto triplets = objective_.adapter()->triplets();
  const double sum = settings_.gradient_accumulation_steps > 1 ? static_cast<double>(targets) : 1;
  add_orthogonality_gradients<T>(triplets, objective_.weights(), settings_.orthogonality * sum);
}

/// Forward and backward passes over the parts of a step's batch; returns the mean loss over the
/// targets. With more than one part the gradients are those of the sum over the targets.
template <class T>
double Trainer<T>::accumulate(Index step, std::span<const Index> examples, Index& targets,
                              Index& tokens) {
  const auto part = static_cast<std::size_t>(settings_.batch_size);
  const bool several = settings_.gradient_accumulation_steps > 1;
  auto pass = static_cast<std::uint64_t>(step * settings_.gradient_accumulation_steps);
  double sum = 0, mean = 0;
  for (std::size_t begin = 0; begin < examples.size(); begin += part, ++pass) {
    Tape<T> tape(objective_.weights().arena(), settings_.seed, pass);
    tape.set_recomputes_layers(settings_.gradient_checkpointing);
    const BatchLoss<T> batch = objective_.loss(
        tape, examples.subspan(begin, std::min(part, examples.size() - begin)), pass);
    mean = static_cast<double>(batch.loss.value.item());
    if (!std::isfinite(mean)) return mean;
    tape.backward(batch.loss, several ? static_cast<T>(batch.targets) : T(1));
    sum += mean * static_cast<double>(batch.targets);
    targets += batch.targets;
    tokens += batch.tokens;
  }
  return several ? sum / static_cast<double>(targets) : mean;
}

template <class T>
void Trainer<T>::count_step(double loss, Index tokens) {
  const Index tail = std::max<Index>(1, state_.total_steps / 10);
  ++state_.steps;
  state_.tokens += tokens;
  state_.train_loss += (loss - state_.train_loss) / static_cast<double>(state_.steps);
  if (state_.steps > state_.total_steps - tail)
    state_.last_loss += loss / static_cast<double>(tail);
  state_.logged_loss += loss;
  ++state_.logged_steps;
}

template <class T>
bool Trainer<T>::weights_finite() const {
  auto& arena = objective_.weights().arena();
  return tn::backend::all_finite(tn::backend::queue(), arena.size(), arena.values());
}

template <class T>
void Trainer<T>::log_if_due(double gradient_norm) {
  if (state_.steps % settings_.logging_steps != 0 && !over()) return;
  state_.log.push_back({state_.steps,
                        state_.epochs(),
                        {{"loss", state_.logged_loss / static_cast<double>(state_.logged_steps)},
                         {"grad_norm", gradient_norm},
                         {"learning_rate", optimiser_.learning_rate()}}});
  state_.logged_loss = 0;
  state_.logged_steps = 0;
}

template <class T>
bool Trainer<T>::evaluation_due() const {
  if (over()) return true;
  return settings_.eval_steps > 0 ? state_.steps % settings_.eval_steps == 0 : epoch_boundary();
}

template <class T>
bool Trainer<T>::evaluate() {
  auto evaluation = objective_.evaluate();
  if (!evaluation) return false;
  if (!std::isfinite(evaluation->loss))
    diverge("after step " + std::to_string(state_.steps),
            "the loss on the development examples is " + std::to_string(evaluation->loss));
  evaluation_ = std::move(*evaluation);
  const double value = compared(evaluation_, settings_.metric);
  const bool best =
      !state_.best_metric ||
      (is_cost(settings_.metric) ? value < *state_.best_metric : value > *state_.best_metric);
  if (best) {
    state_.best_metric = value;
    state_.best_step = state_.steps;
  }
  state_.evaluations_since_best = best ? 0 : state_.evaluations_since_best + 1;
  LogEntry entry{state_.steps, state_.epochs(), {{"eval_loss", evaluation_.loss}}};
  for (const auto& [name, number] : evaluation_.metrics)
    entry.values.emplace_back("eval_" + name, number);
  state_.log.push_back(std::move(entry));
  // At the end of an epoch the steps belong to the one that is over.
  const Index number = epoch_boundary() ? epoch() - 1 : epoch();
  if (observer_.evaluation) observer_.evaluation(state_.steps, number, evaluation_);
  return best;
}

template <class T>
bool Trainer<T>::save_due(bool best) const {
  if (checkpoints_.folder.empty()) return false;
  if (best && settings_.load_best_model) return true;
  if (checkpoints_.strategy == SaveStrategy::no) return false;
  if (over()) return true;
  return checkpoints_.strategy == SaveStrategy::epoch ? epoch_boundary()
                                                      : state_.steps % checkpoints_.save_steps == 0;
}

template <class T>
void Trainer<T>::save() {
  if (checkpoints_.folder.empty()) return;
  if (observer_.saving) observer_.saving(state_.steps);
  write_checkpoint(checkpoints_, objective_.weights(), optimiser_, state_);
  saved_ = state_.steps;
}

template <class T>
void Trainer<T>::diverge(const std::string& when, const std::string& what) {
  if (!good_.empty()) objective_.weights().restore(good_);
  throw Diverged("training stopped " + when + ": " + what);
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace metatt::transformer
