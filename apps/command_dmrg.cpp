/// metatt dmrg: the lowest states of a chain, for a user without a compiler at hand.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/dmrg_run.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/error.hpp>

#include <charconv>
#include <cmath>
#include <iostream>

namespace metatt::apps {

namespace {

using tn::Index;

/// What of the model comes from the command line, as it was typed.
struct ModelWords {
  Index sites = 0;
  std::string site;
  std::vector<std::string> parameters, conserve;
  bool list = false;
};

tn::ModelChoices model_choices(const ModelWords& words, const std::vector<std::string>& start) {
  tn::ModelChoices choices;
  if (words.sites > 0) choices.length = words.sites;
  if (!words.site.empty()) choices.site = words.site;
  for (const std::string& word : words.parameters) {
    const std::size_t equals = word.find('=');
    if (equals == 0 || equals == std::string::npos)
      tn::fail("parameters: expected NAME=NUMBER, found \"", word, "\"");
    const std::string name = word.substr(0, equals);
    std::string number = word.substr(equals + 1);
    double value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error != std::errc() || end != number.data() + number.size() || !std::isfinite(value))
      tn::fail("parameters: ", name, ": expected a number, found \"", number, "\"");
    if (!choices.parameters.emplace(name, value).second)
      tn::fail("parameters: ", name, " is there twice");
  }
  if (!words.conserve.empty()) choices.conserve = words.conserve;
  choices.start = start;
  return choices;
}

void print_models() {
  for (const tn::BuiltInModel& model : tn::built_in_models())
    std::cout << "# " << model.name << ": " << model.description << "\n" << model.text << "\n";
}

void add_model_options(CLI::App& command, DmrgOptions& o, ModelWords& words) {
  const std::string group = "Model";
  std::string names;
  for (const auto& model : tn::built_in_models()) names += (names.empty() ? "" : ", ") + model.name;
  CLI::Option* model = command.add_option("--model", o.model, "One of " + names)->group(group);
  command.add_option("--input", o.input, "File with sites and terms (docs/models.md)")
      ->check(not_empty("a file"))
      ->excludes(model)
      ->group(group);
  command.add_flag("--list_models", words.list, "Print the texts of all models and end")
      ->check(true_or_false())
      ->group(group);
  command.add_option("--sites", words.sites, "Length of the chain")
      ->default_str("")
      ->transform(whole_number(1, 1'000'000))
      ->group(group);
  command.add_option("--site", words.site, "\"spin 1\", \"boson 3\", … instead of the model's")
      ->check(not_empty("a kind of site"))
      ->group(group);
  command.add_option("--parameters", words.parameters, "NAME=NUMBER,…")
      ->delimiter(',')
      ->group(group);
  command
      .add_option("--conserve", words.conserve,
                  "Charges to conserve, such as N,2Sz; none for none (default: the model's)")
      ->delimiter(',')
      ->group(group);
  command
      .add_option("--start", o.choices.start,
                  "Basis states, repeated along the chain: with charges they say which sector")
      ->delimiter(',')
      ->group(group);
}

void add_sweep_options(CLI::App& command, DmrgOptions& o) {
  const std::string group = "Sweeps (lists have a value for each sweep; the last one goes on)";
  command.add_option("--sweeps", o.sweeps, "At most so many")
      ->transform(whole_number(1))
      ->group(group);
  command
      .add_option("--maximum_bond", o.maximum_bond,
                  "Largest bond dimensions (default: 20,50,100,200)")
      ->transform(whole_number(1))
      ->delimiter(',')
      ->group(group);
  command.add_option("--cutoff", o.cutoff, "Discarded weights of a truncation (default: 1e-10)")
      ->check(number_between(0, 1))
      ->delimiter(',')
      ->group(group);
  command
      .add_option("--noise", o.noise,
                  "Weights of the perturbation, the last 0 (default: 1e-5,1e-6,1e-8,0)")
      ->check(number_between(0, 1))
      ->delimiter(',')
      ->group(group);
  command.add_option("--solver_steps", o.solver_steps, "Products for a pair of sites (default: 3)")
      ->transform(whole_number(1))
      ->delimiter(',')
      ->group(group);
  command.add_option("--solver", o.solver, "lanczos, or davidson for terms of unlike strength")
      ->check(one_of({"lanczos", "davidson"}))
      ->group(group);
  command.add_option("--sites_at_a_time", o.sites_at_a_time, "2, or 1 with subspace expansion")
      ->transform(whole_number(1, 2))
      ->group(group);
  command
      .add_option("--energy_tolerance", o.energy_tolerance, "Ends at this change of a sweep; 0: no")
      ->check(non_negative_number())
      ->group(group);
  command.add_option("--entropy_tolerance", o.entropy_tolerance, "The same of the middle entropy")
      ->check(non_negative_number())
      ->group(group);
  command.add_option("--variance_tolerance", o.variance_tolerance, "Ends at this variance; 0: no")
      ->check(non_negative_number())
      ->group(group);
  command.add_option("--states", o.states, "The lowest so many states of the sector")
      ->transform(whole_number(1, 1000))
      ->group(group);
  command
      .add_option("--random_bond", o.random_bond,
                  "Bond dimension of the random start; 0: the product state itself")
      ->transform(whole_number(0))
      ->group(group);
  command.add_option("--seed", o.seed, "Of random states")->transform(seed_number())->group(group);
}

void add_result_options(CLI::App& command, DmrgOptions& o) {
  const std::string group = "Results";
  command.add_option("--measure", o.measure, "Operators on every site, such as Sz,N")
      ->delimiter(',')
      ->group(group);
  command.add_option("--correlate", o.correlate, "Pairs of operators, such as Sz:Sz,Cdagup:Cup")
      ->delimiter(',')
      ->group(group);
  command.add_option("--output_dir", o.output, "Where the results go")
      ->check(not_empty("a folder"))
      ->group(group);
  command.add_flag("--overwrite_output_dir", o.overwrite, "Write into a folder that is not empty")
      ->check(true_or_false())
      ->group(group);
  command.add_flag("--resume", o.resume, "Go on where the run in this folder was")
      ->check(true_or_false())
      ->group(group);
}

}  // namespace

void add_dmrg(CLI::App& program) {
  auto o = std::make_shared<DmrgOptions>();
  auto words = std::make_shared<ModelWords>();
  CLI::App* command = add_command(
      program, "dmrg", "Find the lowest states of a quantum chain by DMRG and measure them");
  add_model_options(*command, *o, *words);
  add_sweep_options(*command, *o);
  add_result_options(*command, *o);
  command->callback([o, words] {
    if (words->list) return print_models();
    if (o->model.empty() == o->input.empty()) tn::fail("expected --model NAME or --input FILE");
    if (o->output.empty()) tn::fail("expected --output_dir FOLDER");
    o->choices = model_choices(*words, o->choices.start);
    run_dmrg(*o);
  });
}

}  // namespace metatt::apps
