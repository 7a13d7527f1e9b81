#include <metatt/transformer/checkpoint.hpp>

#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>

namespace metatt::transformer {

namespace {

using nlohmann::json;

constexpr int checkpoint_format = 2;
constexpr const char* prefix = "checkpoint-";
constexpr const char* state_name = "training_state.json";
constexpr const char* tensors_name = "training_state.safetensors";
constexpr const char* trainer_state_name = "trainer_state.json";
constexpr const char* first_moment = ".first_moment";
constexpr const char* second_moment = ".second_moment";

/// The step of "checkpoint-STEP", or nothing.
std::optional<Index> step_of(const std::string& name) {
  const std::string_view digits = std::string_view(name).substr(std::min(
      name.size(), name.starts_with(prefix) ? std::string_view(prefix).size() : name.size()));
  Index step = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return step;
}

json log_json(const TrainState& state) {
  json log = json::array();
  for (const LogEntry& entry : state.log) {
    json line{{"step", entry.step}, {"epoch", entry.epoch}};
    for (const auto& [name, value] : entry.values) line[name] = value;
    log.push_back(std::move(line));
  }
  return log;
}

std::vector<LogEntry> read_log(const json& state, const std::string& source) {
  std::vector<LogEntry> log;
  const json lines = state.value("log_history", json());
  if (!lines.is_array()) tn::fail(source, ": field \"log_history\": expected a list");
  for (const json& line : lines) {
    LogEntry entry{
        required<std::int64_t>(line, "step", source), required<double>(line, "epoch", source), {}};
    for (const auto& [name, value] : line.items())
      if (name != "step" && name != "epoch")
        entry.values.emplace_back(name, line[name].is_null()  // JSON has no infinity
                                            ? std::numeric_limits<double>::infinity()
                                            : required<double>(line, name, source));
    log.push_back(std::move(entry));
  }
  return log;
}

template <class T>
json state_json(const TrainState& state, const AdamW<T>& optimiser, const std::string& settings) {
  return {{"format", "metatt"},
          {"version", checkpoint_format},
          {"settings", json::parse(settings)},
          {"steps", state.steps},
          {"total_steps", state.total_steps},
          {"steps_per_epoch", state.steps_per_epoch},
          {"seconds", state.seconds},
          {"train_loss", state.train_loss},
          {"last_loss", state.last_loss},
          {"tokens", state.tokens},
          {"logged_loss", state.logged_loss},
          {"logged_steps", state.logged_steps},
          {"best_metric", state.best_metric ? json(*state.best_metric) : json()},
          {"best_step", state.best_step},
          {"evaluations_since_best", state.evaluations_since_best},
          {"two_site_pair", state.two_site.pair},
          {"two_site_steps", state.two_site.steps},
          {"two_site_merged", state.two_site.merged},
          {"two_site_rank", state.two_site.rank},
          {"optimizer_steps", optimiser.counts().steps},
          {"gradients_in_moments", optimiser.counts().averaged}};
}

constexpr const char* fingerprint = "fingerprint_of_";

/// All that either has, what a user gave before what follows from it, fingerprints at the end.
std::vector<std::string> names_in_order(const json& found, const json& wanted,
                                        const std::vector<std::string>& derived) {
  std::set<std::string> names;
  for (const json* settings : {&found, &wanted})
    for (const auto& item : settings->items()) names.insert(item.key());
  std::vector<std::string> ordered(names.begin(), names.end());
  const auto place = [&](const std::string& name) {
    const bool last = name.starts_with(fingerprint);
    return last ? 2 : std::ranges::find(derived, name) != derived.end() ? 1 : 0;
  };
  std::ranges::stable_sort(ordered, {}, place);
  return ordered;
}

/// The run that goes on must be the one that was interrupted.
void check_settings(const json& found, const CheckpointSettings& run, const std::string& source) {
  const json wanted = json::parse(run.settings);
  if (!found.is_object()) tn::fail(source, ": field \"settings\": expected an object");
  for (const std::string& name : names_in_order(found, wanted, run.derived_settings)) {
    const json before = found.value(name, json()), now = wanted.value(name, json());
    if (before == now) continue;
    if (name.starts_with(fingerprint)) {
      std::string what = name.substr(std::string_view(fingerprint).size());
      std::ranges::replace(what, '_', ' ');
      tn::fail(source, ": the run had other ", what, " under the same settings (", name, " = ",
               before.dump(), ", this one has ", now.dump(), "); resume with the same files");
    }
    tn::fail(source, ": the run had ", name, " = ", before.dump(), ", this one has ", now.dump(),
             "; resume with the same settings");
  }
}

TrainState read_state(const json& j, const std::string& source) {
  TrainState state;
  state.steps = required<std::int64_t>(j, "steps", source);
  state.total_steps = required<std::int64_t>(j, "total_steps", source);
  state.steps_per_epoch = required<std::int64_t>(j, "steps_per_epoch", source);
  state.seconds = required<double>(j, "seconds", source);
  state.train_loss = required<double>(j, "train_loss", source);
  state.last_loss = required<double>(j, "last_loss", source);
  state.tokens = required<std::int64_t>(j, "tokens", source);
  state.logged_loss = required<double>(j, "logged_loss", source);
  state.logged_steps = required<std::int64_t>(j, "logged_steps", source);
  if (j.contains("best_metric") && !j["best_metric"].is_null())
    state.best_metric = required<double>(j, "best_metric", source);
  state.best_step = required<std::int64_t>(j, "best_step", source);
  state.evaluations_since_best = required<std::int64_t>(j, "evaluations_since_best", source);
  state.two_site = {required<std::int64_t>(j, "two_site_pair", source),
                    required<std::int64_t>(j, "two_site_steps", source),
                    required<bool>(j, "two_site_merged", source),
                    required<std::int64_t>(j, "two_site_rank", source)};
  if (std::min({state.two_site.pair, state.two_site.steps, state.two_site.rank}) < 0)
    tn::fail(source,
             ": fields \"two_site_pair\", \"two_site_steps\" and \"two_site_rank\": expected ",
             "no negative numbers, found ", state.two_site.pair, ", ", state.two_site.steps,
             " and ", state.two_site.rank);
  if (state.steps < 1 || state.steps > state.total_steps)
    tn::fail(source, ": field \"steps\": expected 1 … ", state.total_steps, ", found ",
             state.steps);
  return state;
}

template <class T>
typename AdamW<T>::Counts read_counts(const json& j, const std::string& source) {
  typename AdamW<T>::Counts counts;
  counts.steps = required<std::int64_t>(j, "optimizer_steps", source);
  const auto averaged = required<std::vector<std::int64_t>>(j, "gradients_in_moments", source);
  if (averaged.size() != counts.averaged.size())
    tn::fail(source, ": field \"gradients_in_moments\": expected ", counts.averaged.size(),
             " numbers, found ", averaged.size());
  std::ranges::copy(averaged, counts.averaged.begin());
  return counts;
}

/// Whether a tensor can be what changes of ranks have made of one of an adapter: of a matrix or a
/// core only a bond may have another extent; of vectors only the diagonal E of a triplet, which is
/// one.
bool fits(const std::string& name, const Shape& found, const Shape& own) {
  if (!name.starts_with("adapter.") || found.size() != own.size()) return found == own;
  switch (own.size()) {
    case 1:
      return found == own || name.ends_with(".E");
    case 2:
      return found[0] == own[0] || found[1] == own[1];
    case 3:
      return found[1] == own[1];
    default:
      return found == own;
  }
}

/// Values, and moments if they are wanted, of all that is trained.
template <class T>
std::vector<typename Weights<T>::Replacement> read_tensors(const std::filesystem::path& checkpoint,
                                                           const Weights<T>& weights,
                                                           bool moments) {
  const SafetensorsFile file(checkpoint / tensors_name);
  std::vector<typename Weights<T>::Replacement> tensors;
  for (Index id = 0; id < weights.count(); ++id) {
    if (!weights.trainable(id)) continue;
    const std::string& name = weights.name(id);
    const Shape& shape = file.entry(name).shape;
    if (!fits(name, shape, weights.shape(id)))
      tn::fail(file.path().string(), ": \"", name, "\": expected a tensor like ",
               tn::shape_text(weights.shape(id)), ", found ", tn::shape_text(shape));
    tensors.push_back({id, file.read<T>(name, shape), {}, {}});
    if (!moments) continue;
    tensors.back().first_moment = file.read<T>(name + first_moment, shape);
    tensors.back().second_moment = file.read<T>(name + second_moment, shape);
  }
  if (file.names().size() != 3 * tensors.size())
    tn::fail(file.path().string(), ": expected ", 3 * tensors.size(),
             " tensors (values and two moments of what is trained), found ", file.names().size());
  return tensors;
}

}  // namespace

std::string checkpoint_name(Index step) {
  return prefix + std::to_string(step);
}

std::vector<Index> checkpoint_steps(const std::filesystem::path& folder) {
  std::vector<Index> steps;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (const auto step = step_of(entry.path().filename().string());
        step && std::filesystem::exists(entry.path() / state_name))
      steps.push_back(*step);
  std::ranges::sort(steps);
  return steps;
}

void remove_older_checkpoints(const CheckpointSettings& settings, const TrainState& state) {
  if (settings.total_limit <= 0) return;
  const std::vector<Index> steps = checkpoint_steps(settings.folder);
  const auto limit = static_cast<std::size_t>(settings.total_limit);
  for (std::size_t i = 0; i + limit < steps.size(); ++i)
    if (!state.best_metric || steps[i] != state.best_step)
      tn::remove_folder(settings.folder / checkpoint_name(steps[i]));
}

void remove_checkpoints(const std::filesystem::path& folder) {
  for (const Index step : checkpoint_steps(folder))
    tn::remove_folder(folder / checkpoint_name(step));
  remove_incomplete_checkpoints(folder);
}

void remove_incomplete_checkpoints(const std::filesystem::path& folder) {
  std::error_code error;
  std::vector<std::filesystem::path> incomplete;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && name.ends_with(".partial")) incomplete.push_back(entry.path());
  }
  for (const auto& path : incomplete) std::filesystem::remove_all(path, error);
}

json trainer_state_json(const TrainState& state, const std::filesystem::path& folder,
                        bool writing) {
  TrainState end = state;
  end.steps = state.total_steps;
  const auto best = folder / checkpoint_name(state.best_step);
  // Not every evaluation leaves a checkpoint.
  const bool being_written = writing && state.best_step == state.steps;
  const bool kept = state.best_metric && (being_written || std::filesystem::exists(best));
  return {{"best_metric", state.best_metric ? json(*state.best_metric) : json()},
          {"best_model_checkpoint", kept ? json(best.string()) : json()},
          {"epoch", state.epochs()},
          {"global_step", state.steps},
          {"max_steps", state.total_steps},
          {"num_train_epochs", std::ceil(end.epochs())},
          {"is_hyper_param_search", false},
          {"is_local_process_zero", true},
          {"is_world_process_zero", true},
          {"log_history", log_json(state)},
          {"total_flos", 0},
          {"trial_name", nullptr},
          {"trial_params", nullptr}};
}

template <class T>
void write_checkpoint(const CheckpointSettings& settings, const Weights<T>& weights,
                      const AdamW<T>& optimiser, const TrainState& state) {
  tn::AtomicFolder checkpoint(settings.folder / checkpoint_name(state.steps));
  const tn::OutputFolder& folder = checkpoint.folder();
  if (settings.write_results) settings.write_results(folder);
  const auto& arena = weights.arena();
  std::vector<NamedTensor<T>> tensors;
  for (Index i = 0; i < arena.count(); ++i) {
    tensors.push_back({arena.name(i), arena.value(i)});
    tensors.push_back({arena.name(i) + first_moment, arena.first_moment(i)});
    tensors.push_back({arena.name(i) + second_moment, arena.second_moment(i)});
  }
  write_safetensors<T>(folder / tensors_name, tensors, {{"format", "metatt"}});
  write_json(folder / state_name, state_json(state, optimiser, settings.settings));
  write_json(folder / trainer_state_name,
             trainer_state_json(state, settings.folder, /*writing=*/true));
  checkpoint.commit();
  remove_older_checkpoints(settings, state);
}

template <class T>
TrainState read_checkpoint(const std::filesystem::path& checkpoint,
                           const CheckpointSettings& settings, const TrainState& run,
                           Weights<T>& weights, AdamW<T>& optimiser, bool needs_best) {
  const std::string source = (checkpoint / state_name).string();
  const json j = parse_json(tn::read_file(source), source);
  if (required<std::string>(j, "format", source) != "metatt" ||
      required<std::int64_t>(j, "version", source) != checkpoint_format)
    tn::fail(source, ": expected format \"metatt\", version ", checkpoint_format);
  check_settings(j.value("settings", json()), settings, source);
  TrainState state = read_state(j, source);
  if (state.total_steps != run.total_steps || state.steps_per_epoch != run.steps_per_epoch)
    tn::fail(source, ": expected a run of ", run.total_steps, " steps, ", run.steps_per_epoch,
             " an epoch, found ", state.total_steps, " and ", state.steps_per_epoch);
  const auto best = checkpoint.parent_path() / checkpoint_name(state.best_step);
  if (needs_best && state.best_metric && !std::filesystem::exists(best / tensors_name))
    tn::fail(source,
             ": the best weights, which the run is to end with, are missing: ", best.string());
  const auto counts = read_counts<T>(j, source);
  const std::string history = (checkpoint / trainer_state_name).string();
  state.log = read_log(parse_json(tn::read_file(history), history), history);
  const auto tensors = read_tensors(checkpoint, weights, true);
  weights.replace(tensors);
  optimiser.set_counts(counts);
  return state;
}

template <class T>
void restore_values(const std::filesystem::path& checkpoint, Weights<T>& weights) {
  weights.replace(read_tensors(checkpoint, weights, false));
}

#define METATT_INSTANTIATE(T)                                                                   \
  template void write_checkpoint(const CheckpointSettings&, const Weights<T>&, const AdamW<T>&, \
                                 const TrainState&);                                            \
  template TrainState read_checkpoint(const std::filesystem::path&, const CheckpointSettings&,  \
                                      const TrainState&, Weights<T>&, AdamW<T>&, bool);         \
  template void restore_values(const std::filesystem::path&, Weights<T>&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::transformer
