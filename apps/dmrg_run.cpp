#include <metatt/apps/console.hpp>
#include <metatt/apps/dmrg_measurements.hpp>
#include <metatt/apps/dmrg_run.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/run_log.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/chain/operator_application.hpp>
#include <metatt/tn/files/chain_files.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <iomanip>
#include <iostream>
#include <map>
#include <sstream>

namespace metatt::apps {

using nlohmann::json;
using tn::Index;

namespace {

constexpr const char* main_file = "dmrg.h5";
constexpr const char* log_file = "sweeps.jsonl";
constexpr const char* new_log_file = "sweeps.jsonl.partial";  // until the first sweep is safe

/// Entry i of a list whose last one goes on.
template <class Value>
Value entry(const std::vector<Value>& list, Index i) {
  return list[std::min(static_cast<std::size_t>(i), list.size() - 1)];
}

/// The list, or the default one, of which a short run has the end.
template <class Value>
std::vector<Value> schedule(const char* option, const std::vector<Value>& list, Index sweeps,
                            std::vector<Value> usual) {
  const auto most = static_cast<std::size_t>(sweeps);
  if (list.size() > most)
    tn::fail(option, ": expected at most ", sweeps, " values for --sweeps ", sweeps, ", found ",
             list.size());
  if (!list.empty()) return list;
  if (usual.size() > most) usual.erase(usual.begin(), usual.end() - sweeps);
  return usual;
}

tn::DmrgSettings dmrg_settings(const DmrgOptions& o) {
  const auto bonds = schedule<Index>("maximum_bond", o.maximum_bond, o.sweeps, {20, 50, 100, 200});
  const auto cutoffs = schedule<double>("cutoff", o.cutoff, o.sweeps, {1e-10});
  const auto noises = schedule<double>("noise", o.noise, o.sweeps, {1e-5, 1e-6, 1e-8, 0});
  const auto steps = schedule<Index>("solver_steps", o.solver_steps, o.sweeps, {3});
  tn::DmrgSettings settings;
  for (Index i = 0; i < o.sweeps; ++i)
    settings.sweeps.push_back({.maximum_bond = entry(bonds, i),
                               .cutoff = entry(cutoffs, i),
                               .solver_steps = entry(steps, i),
                               .noise = entry(noises, i)});
  settings.sites = o.sites_at_a_time;
  if (o.solver == "davidson") settings.solver = tn::EigenSolver::davidson;
  settings.energy_tolerance = o.energy_tolerance;
  settings.entropy_tolerance = o.entropy_tolerance;
  settings.variance_tolerance = o.variance_tolerance;
  return settings;
}

json sweep_json(const tn::DmrgSweep& sweep) {
  return {{"maximum_bond", sweep.maximum_bond},
          {"cutoff", sweep.cutoff},
          {"noise", sweep.noise},
          {"solver_steps", sweep.solver_steps}};
}

/// Everything that decides the bits of a run, but how long it goes on.
json identity_json(const DmrgOptions& o, const std::string& text) {
  return {{"model", text},
          {"sites", o.choices.length ? json(*o.choices.length) : json()},
          {"site", o.choices.site ? json(*o.choices.site) : json()},
          {"parameters", o.choices.parameters},
          {"conserve", o.choices.conserve ? json(*o.choices.conserve) : json()},
          {"start", o.choices.start},
          {"sites_at_a_time", o.sites_at_a_time},
          {"solver", o.solver},
          {"random_bond", o.random_bond},
          {"seed", o.seed}};
}

json row_json(Index state, const tn::DmrgSweepReport& row) {
  return {{"event", "sweep"},
          {"state", state},
          {"sweep", row.sweep},
          {"energy", row.energy},
          {"energy_change", row.energy_change},  // dump() writes NaN as null
          {"maximum_bond", row.maximum_bond},
          {"discarded_weight", row.discarded_weight},
          {"residual", row.residual},
          {"centre_entropy", row.centre_entropy},
          {"variance", row.variance},
          {"products", row.products},
          {"seconds", row.seconds},
          {"peak_bytes", row.peak_bytes}};
}

/// How many basis states of the chain have this charge, rounded where they are very many.
double sector_size(const tn::Sites& sites, const tn::Charge& charge) {
  const tn::Symmetry& symmetry = sites.front().leg().symmetry();
  std::map<tn::Charge, double> counts{{tn::Charge{}, 1}};
  for (const tn::Site& site : sites) {
    std::map<tn::Charge, double> next;
    for (const auto& [before, count] : counts)
      for (const tn::Sector& sector : site.leg().sectors())
        next[symmetry.sum(before, sector.charge)] += count * static_cast<double>(sector.dimension);
    counts = std::move(next);
  }
  return counts[charge];
}

void print_title(Index state) {
  std::cout
      << "state " << state
      << "\nsweep           energy    change   bond  discarded  residual   entropy       s     MB"
      << std::endl;
}

void print_row(const tn::DmrgSweepReport& row) {
  std::cout << std::setw(5) << row.sweep << std::setw(17) << fixed(row.energy, 10) << std::setw(10)
            << scientific(row.energy_change) << std::setw(7) << row.maximum_bond << std::setw(11)
            << scientific(row.discarded_weight) << std::setw(10) << scientific(row.residual)
            << std::setw(10) << fixed(row.centre_entropy, 6) << std::setw(8)
            << fixed(row.seconds, 1) << std::setw(7)
            << fixed(static_cast<double>(row.peak_bytes) / 1e6, 0) << std::endl;
}

/// One call of the program; T is real where the Hamiltonian is.
template <class T>
class Run {
 public:
  Run(const DmrgOptions& options, tn::ChainModel model, const std::string& text)
      : options_(options),
        model_(std::move(model)),
        observables_(choose_observables(options.measure, options.correlate, model_.sites)),
        settings_(dmrg_settings(options)),
        identity_(identity_json(options, text)),
        hamiltonian_(tn::matrix_product_operator<T>(model_.hamiltonian, model_.sites)) {
    tn::check_hermitian("dmrg", hamiltonian_);
    product_ =
        std::make_unique<tn::TensorTrain<T>>(tn::product_state<T>(model_.sites, model_.start));
    measure(*product_, model_.sites, observables_);  // what cannot be measured is noticed now
    const double states = sector_size(model_.sites, product_->charge());
    if (static_cast<double>(options.states) > states)
      tn::fail("states: the sector has ", states, ", found ", options.states);
  }

  /// The results of an earlier call, as far as they go.
  void load(const std::filesystem::path& path) {
    const tn::Hdf5Reader file(path);
    for (Index k = 0; file.contains(state_name(k)); ++k)
      states_.push_back(tn::load_dmrg_result<T>(file, state_name(k)));
    if (static_cast<Index>(states_.size()) > options_.states)
      tn::fail(path.string(), ": holds ", states_.size(), " states, found --states ",
               options_.states);
    check_same_run(file);
  }

  void go(const tn::OutputFolder& folder) {
    print_start();
    RunLog log(folder / new_log_file);
    log.write(start_line());
    for (std::size_t k = 0; k < states_.size(); ++k)
      for (const auto& row : states_[k].sweeps) log.write(row_json(static_cast<Index>(k), row));
    for (Index k = 0; k < options_.states; ++k) find_state(k, folder, log);
    finish(folder, log);
  }

 private:
  static std::string state_name(Index k) { return "state_" + std::to_string(k); }

  /// After the first file of this run is safe: what an earlier run has left gives way.
  void replace_earlier(const tn::OutputFolder& folder) {
    if (replaced_) return;
    replaced_ = true;
    std::filesystem::rename(folder / new_log_file, folder / log_file);
    for (const auto& file : std::filesystem::directory_iterator(folder.path)) {
      const std::string name = file.path().filename().string();
      if (name == "results.json" || name == "report.html" ||
          (name.starts_with("state_") && name.ends_with(".csv")))
        std::filesystem::remove(file.path());
    }
  }

  void print_start() const {
    const auto bonds = hamiltonian_.bonds();
    std::cout << model_.sites.size() << " sites, " << model_.hamiltonian.terms().size()
              << " terms, operator bond " << (bonds.empty() ? 1 : *std::ranges::max_element(bonds))
              << ", sector " << product_->core(0).leg(0).symmetry().text(product_->charge())
              << (std::is_same_v<T, double> ? "" : ", complex") << std::endl;
  }

  json start_line() const {
    json line{{"event", "start"}, {"version", METATT_VERSION}};
    line.update(identity_);
    line["schedule"] = json::array();
    for (const auto& sweep : settings_.sweeps) line["schedule"].push_back(sweep_json(sweep));
    return line;
  }

  /// `key` = `found` now and `made` then.
  [[noreturn]] static void fail_other(const tn::Hdf5Reader& file, const std::string& key,
                                      const json& made, const json& found) {
    tn::fail(file.path().string(), ": was made with ", key, " = ", made.dump(), ", found ",
             found.dump(), "; resume with the same settings");
  }

  /// Where nothing was asked for, a sweep that was made stands for one of the usual schedule.
  template <class Value>
  static void adopt(Value& own, const std::vector<Value>& asked, const json& made,
                    const char* key) {
    const bool fits =
        made.is_object() && made.contains(key) &&
        (std::is_integral_v<Value> ? made[key].is_number_integer() : made[key].is_number());
    if (asked.empty() && fits) own = made[key].get<Value>();
  }

  /// What decides the bits must be as it was, and the sweeps that were made those asked for.
  void check_same_run(const tn::Hdf5Reader& file) {
    const json before = json::parse(file.read_text("settings"), nullptr, /*exceptions=*/false);
    if (!before.is_object() || !before.contains("schedule") || !before["schedule"].is_array())
      tn::fail(file.path().string(), ": settings: expected a JSON object with a schedule");
    for (const auto& [key, value] : identity_.items())
      if (!before.contains(key) || before[key] != value)
        fail_other(file, key, before.value(key, json()), value);
    for (const auto& state : states_) {
      if (state.sweeps.size() > settings_.sweeps.size())
        tn::fail(file.path().string(), ": has made ", state.sweeps.size(),
                 " sweeps, found --sweeps ", settings_.sweeps.size());
      for (std::size_t i = 0; i < state.sweeps.size(); ++i) {
        const json made = i < before["schedule"].size() ? before["schedule"][i] : json();
        tn::DmrgSweep& sweep = settings_.sweeps[i];
        adopt(sweep.maximum_bond, options_.maximum_bond, made, "maximum_bond");
        adopt(sweep.cutoff, options_.cutoff, made, "cutoff");
        adopt(sweep.noise, options_.noise, made, "noise");
        adopt(sweep.solver_steps, options_.solver_steps, made, "solver_steps");
        const json now = sweep_json(sweep);
        if (now != made) fail_other(file, "sweep " + std::to_string(i), made, now);
      }
    }
  }

  tn::TensorTrain<T> start(Index k) const {
    if (k == 0 && options_.random_bond == 0) return *product_;
    // An excited state needs a start that differs from the states below it.
    return tn::random_state<T>(model_.sites, std::max<Index>(options_.random_bond, 4),
                               options_.seed + static_cast<std::uint64_t>(k), model_.start);
  }

  void find_state(Index k, const tn::OutputFolder& folder, RunLog& log) {
    const auto index = static_cast<std::size_t>(k);
    const bool there = index < states_.size();
    if (!there) states_.push_back({0, start(k), {}});
    std::vector<tn::TensorTrain<T>> lower;
    for (std::size_t i = 0; i < index; ++i) lower.push_back(states_[i].state);
    print_title(k);
    for (const auto& row : states_[index].sweeps) print_row(row);
    const std::size_t made = states_[index].sweeps.size();
    states_[index] = tn::excited_state<T>(hamiltonian_, lower, states_[index], settings_,
                                          [&](const tn::DmrgResult<T>& so_far) {
                                            // States above a state that changes are no longer
                                            // orthogonal to it.
                                            states_.erase(states_.begin() + k + 1, states_.end());
                                            states_[index] = so_far;
                                            save(folder, nullptr);
                                            replace_earlier(folder);
                                            log.write(row_json(k, so_far.sweeps.back()));
                                            print_row(so_far.sweeps.back());
                                          });
    if (made > 0 && states_[index].sweeps.size() == made)
      std::cout << "nothing left to do" << std::endl;
  }

  void save(const tn::OutputFolder& folder, const std::vector<Measurements>* measurements) const {
    tn::Hdf5Writer file(folder / main_file);
    file.write("settings", start_line().dump());
    tn::save(file, "hamiltonian", hamiltonian_);
    for (std::size_t k = 0; k < states_.size(); ++k) {
      const std::string name = state_name(static_cast<Index>(k));
      tn::save(file, name, states_[k]);
      if (measurements != nullptr) apps::save(file, name + "/measurements", (*measurements)[k]);
    }
    file.commit();
  }

  void finish(const tn::OutputFolder& folder, RunLog& log) {
    std::vector<Measurements> measurements;
    json results{{"states", json::array()}};
    for (const auto& state : states_) {
      const auto k = static_cast<Index>(measurements.size());
      measurements.push_back(measure(state.state, model_.sites, observables_));
      const double spread = tn::variance(hamiltonian_, state.state);
      if (k > 0 && state.energy < states_[static_cast<std::size_t>(k - 1)].energy - 1e-8)
        std::cout << "warning: state " << k << " lies below state " << k - 1
                  << ", which is an eigenstate but not the lowest; start from another state"
                  << std::endl;
      std::cout << "result: state " << k << ", energy " << fixed(state.energy, 10) << ", variance "
                << scientific(spread) << (state.converged ? "" : ", not converged") << std::endl;
      results["states"].push_back({{"energy", state.energy},
                                   {"variance", spread},
                                   {"converged", state.converged},
                                   {"sweeps", state.sweeps.size()},
                                   {"entropies", measurements.back().entropies}});
    }
    save(folder, &measurements);
    replace_earlier(folder);
    for (std::size_t k = 0; k < measurements.size(); ++k)
      write_tables(folder, state_name(static_cast<Index>(k)), measurements[k]);
    tn::write_file_atomically(folder / "results.json", results.dump(2) + "\n");
    results["event"] = "end";
    log.write(results);
    std::cout << "output " << folder.path.string() << std::endl;
  }

  const DmrgOptions& options_;
  tn::ChainModel model_;
  Observables observables_;
  tn::DmrgSettings settings_;
  json identity_;
  tn::MatrixProductOperator<T> hamiltonian_;
  std::unique_ptr<const tn::TensorTrain<T>> product_;
  std::vector<tn::DmrgResult<T>> states_;
  bool replaced_ = false;  ///< what an earlier run has left
};

/// The text of a file, which goes into results that are UTF-8.
std::string model_text(const std::string& path) {
  std::string text = tn::read_file(path);
  const std::string byte_order_mark = "\xEF\xBB\xBF";
  if (text.starts_with(byte_order_mark)) text.erase(0, byte_order_mark.size());
  try {
    static_cast<void>(json(text).dump());
  } catch (const json::type_error&) {
    tn::fail(path, ": expected text in UTF-8");
  }
  return text;
}

template <class T>
void run(const DmrgOptions& o, tn::ChainModel model, const std::string& text) {
  Run<T> run(o, std::move(model), text);
  const auto earlier = std::filesystem::path(o.output) / main_file;
  const bool there = std::filesystem::exists(earlier);
  // A run that died in its first sweep has left its log only.
  const bool begun =
      there || std::filesystem::exists(std::filesystem::path(o.output) / new_log_file);
  const tn::OutputFolder folder =
      open_results_folder(o.output, o.overwrite || (o.resume && begun), /*resumable=*/true);
  if (o.resume && there) run.load(earlier);
  print_backend();  // not before everything has been checked
  if (o.resume && !there)
    std::cout << "no sweep to resume from in " << o.output << ": starting anew" << std::endl;
  run.go(folder);
}

}  // namespace

void run_dmrg(const DmrgOptions& o) {
  check_results_folder(o.output, Results::dmrg, {});
  const std::string text = o.input.empty() ? tn::find_model(o.model).text : model_text(o.input);
  tn::ChainModel model = tn::read_model(text, o.input.empty() ? o.model : o.input, o.choices);
  if (tn::is_real(model.hamiltonian, model.sites))
    run<double>(o, std::move(model), text);
  else
    run<std::complex<double>>(o, std::move(model), text);
}

}  // namespace metatt::apps
