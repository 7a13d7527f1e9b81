/// metatt compress: LoRA adapters of other programs as one tensor train.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/csv.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/transformer/adapter_compression.hpp>
#include <metatt/transformer/json.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iomanip>
#include <iostream>
#include <optional>
#include <sstream>

namespace metatt::apps {

namespace {

using namespace transformer;

struct CompressOptions {
  std::string model, output, kind;
  std::vector<std::string> adapters, tasks;
  std::vector<Index> ranks;
  std::optional<double> cutoff;
  std::optional<Index> parameters;
  Index max_seq_length = 0;
  bool overwrite = false;
};

/// What is asked for, without what single precision does not hold.
RankTarget target_of(const CompressOptions& o) {
  return {o.ranks, {o.cutoff.value_or(1e-12), o.parameters.value_or(tn::unlimited)}};
}

/// What was compressed, to what.
struct Comparison {
  std::vector<SiteError> sites;
  TotalError total;
  Index parameters_before = 0;
};

/// Empty where there is nothing to be relative to.
std::optional<double> relative_error(double error, double norm) {
  if (norm > 0) return error / norm;
  return std::nullopt;
}

std::string site_table(const std::vector<SiteError>& sites, const std::vector<std::string>& tasks) {
  std::string rows = "task,layer,matrix_type,norm,error,relative_error\n";
  for (const SiteError& site : sites) {
    const auto relative = relative_error(site.error, site.norm);
    rows.append(csv_field(tasks[static_cast<std::size_t>(site.task)]))
        .append(",")
        .append(std::to_string(site.layer));
    rows.append(",").append(matrix_type_name(site.type)).append(",").append(csv_number(site.norm));
    rows.append(",").append(csv_number(site.error)).append(",");
    rows.append(relative ? csv_number(*relative) : "").append("\n");
  }
  return rows;
}

nlohmann::json summary(const CompressOptions& o, const CompressedUpdates& compressed,
                       const std::vector<std::string>& tasks, const Comparison& comparison) {
  nlohmann::json bonds = nlohmann::json::array();
  for (std::size_t k = 0; k < compressed.spectra.size(); ++k) {
    const auto& [spectrum, cut] = compressed.spectra[k];
    bonds.push_back({{"bond", compressed.bonds[k]},
                     {"rank", cut.kept},
                     {"spectrum", spectrum},
                     {"discarded_weight", cut.discarded_weight},
                     {"discarded_norm", cut.discarded_norm}});
  }
  return {{"adapters", o.adapters},
          {"tasks", tasks},
          {"adapter", compressed.settings.kind},
          {"modes", compressed.train.modes()},
          {"ranks", compressed.train.ranks()},
          {"parameters_before", comparison.parameters_before},
          {"parameters", compressed.train.parameter_count()},
          {"norm", comparison.total.norm},
          {"error", comparison.total.error},
          {"relative_error", comparison.total.error / comparison.total.norm},
          {"error_bound", compressed.error_bound},
          {"bonds", bonds}};
}

void print(const CompressedUpdates& compressed, const std::vector<std::string>& tasks,
           const Comparison& comparison) {
  std::ostringstream out;
  const auto width = static_cast<int>(
      std::max<std::size_t>(4, std::ranges::max_element(tasks, {}, &std::string::size)->size()));
  out << std::left << std::setw(width) << "task"
      << "  layer  matrix type                ‖ΔW‖     error  relative\n";
  for (const SiteError& site : comparison.sites) {
    const auto relative = relative_error(site.error, site.norm);
    out << std::left << std::setw(width) << tasks[static_cast<std::size_t>(site.task)] << std::right
        << std::setw(7) << site.layer << "  " << std::left << std::setw(20)
        << matrix_type_name(site.type) << std::right << std::setw(11) << scientific(site.norm)
        << std::setw(10) << scientific(site.error) << std::setw(10)
        << (relative ? scientific(*relative) : "-") << "\n";
  }
  const auto& [norm, error] = comparison.total;
  const Index after = compressed.train.parameter_count();
  out << "total: norm " << scientific(norm) << ", error " << scientific(error) << ", relative "
      << scientific(error / norm) << "\n"
      << compressed.settings.kind << ": modes " << tn::shape_text(compressed.train.modes())
      << ", ranks " << tn::shape_text(compressed.train.ranks()) << "\n"
      << "parameters: " << comparison.parameters_before << " before, " << after << " after ("
      << fixed(100 * static_cast<double>(after) / static_cast<double>(comparison.parameters_before),
               1)
      << " %)\n";
  std::cout << out.str();
}

/// Names for the updates of a decoder: those of their folders, with a number where two are alike.
std::vector<std::string> folder_names(const std::vector<std::string>& folders) {
  if (folders.size() == 1) return {causal_task};
  std::vector<std::string> names;
  for (const std::string& folder : folders) {
    const auto path = std::filesystem::absolute(folder).lexically_normal();
    const std::string own = (path.has_filename() ? path : path.parent_path()).filename().string();
    std::string name = own;
    for (int copy = 2; std::ranges::find(names, name) != names.end(); ++copy)
      name = own + "-" + std::to_string(copy);
    names.push_back(name);
  }
  return names;
}

AdapterRecord new_record(const CompressOptions& o) {
  AdapterRecord record;
  record.base_model = std::filesystem::absolute(o.model).lexically_normal().string();
  record.next_tokens = o.tasks.empty();
  if (record.next_tokens) record.tasks = folder_names(o.adapters);
  for (const std::string& task : o.tasks) record.tasks.push_back(find_glue_task(task).name);
  record.max_seq_length = o.max_seq_length;
  return record;
}

void check_model(const CompressOptions& o, const ModelConfig& config) {
  if (o.tasks.empty() && !config.family().causal)
    tn::fail("compress: expected --task, the task of the LoRA's head, since ", o.model, " (",
             config.model_type, ") predicts no next tokens");
  if (!o.tasks.empty() && o.adapters.size() != o.tasks.size())
    tn::fail("--task: expected the task of each LoRA's head, ", o.adapters.size(),
             " of them, found ", o.tasks.size());
  refuse_repeated("--task", "task", o.tasks);
}

void compress(CompressOptions o) {
  std::vector<std::filesystem::path> inputs(o.adapters.begin(), o.adapters.end());
  inputs.emplace_back(o.model);
  check_results_folder(o.output, Results::adapter, inputs);
  if (o.kind.empty()) o.kind = o.adapters.size() > 1 ? "metatt4+1d" : "metatt4d";
  AdapterRecord record = new_record(o);
  const ModelConfig config = read_model_config(std::filesystem::path(o.model) / "config.json");
  check_model(o, config);
  std::vector<PeftLora> adapters;
  std::vector<LoraUpdates> tasks;
  Comparison comparison;
  for (const std::string& folder : o.adapters) {
    adapters.push_back(read_peft_lora(folder, config));
    tasks.push_back(adapters.back().updates);
    comparison.parameters_before += adapters.back().parameters;
  }
  const auto compressed = compress_updates(tasks, o.kind, config, target_of(o));
  const auto model = compressed_model<float>(o.model, compressed, adapters, record);
  comparison.sites = site_errors<float>(tasks, *model->adapter(), config);
  comparison.total = total_error(comparison.sites);
  const auto folder = open_results_folder(o.output, o.overwrite);
  write_adapter<float>(folder, *model, record);
  tn::write_file_atomically(folder / "compression.csv", site_table(comparison.sites, record.tasks));
  write_json(folder / "compression.json", summary(o, compressed, record.tasks, comparison));
  print(compressed, record.tasks, comparison);
  std::cout << "result: written to " << folder.path.string() << std::endl;
}

void add_target_options(CLI::App& command, CompressOptions& o) {
  CLI::Option* rank = command
                          .add_option("--rank", o.ranks,
                                      "The largest rank of all bonds, or a list, one for each bond")
                          ->delimiter(',')
                          ->transform(whole_number(1));
  CLI::Option* cutoff =
      command
          .add_option(
              "--cutoff", o.cutoff,
              "Σ discarded σ² / Σ σ² that the whole train may lose: the square of the "
              "relative error (default: 1e-12, which goes beside --parameters too and, with "
              "--rank, at each bond)")
          ->check(number_between(0, 1))
          ->excludes(rank);
  command
      .add_option(
          "--parameters", o.parameters,
          "How many numbers the cores may have, spread over the bonds by what each is worth")
      ->transform(whole_number(1))
      ->excludes(rank)
      ->excludes(cutoff);
}

}  // namespace

void add_compress(CLI::App& program) {
  auto o = std::make_shared<CompressOptions>();
  CLI::App* command = add_command(
      program, "compress", "Many LoRA updates, of one or several tasks, as one MetaTT adapter");
  command
      ->add_option("--model,--model_name_or_path", o->model,
                   "Folder of the base model of all LoRA adapters")
      ->check(not_empty("a folder"))
      ->required();
  command
      ->add_option("--adapter", o->adapters,
                   "Folder with adapter_config.json and adapter_model.safetensors; several are "
                   "several tasks")
      ->allow_extra_args(false)
      ->check(not_empty("a folder"))
      ->required();
  command
      ->add_option("--task,--task_name", o->tasks,
                   "Of the head that each LoRA was trained with: mrpc, or for several "
                   "cola,mrpc,…; without it the adapter predicts next tokens, and tasks are named "
                   "after their folders")
      ->delimiter(',')
      ->check(not_empty("a task"));
  command
      ->add_option("--max_seq_length", o->max_seq_length,
                   "What the adapter's record says; 0: 128 (without a task: 1024), or the model's "
                   "positions if fewer")
      ->transform(whole_number(0));
  add_target_options(*command, *o);
  command
      ->add_option("--kind", o->kind,
                   "metatt4d or metatt4+1d (default: the second one for several LoRA adapters)")
      ->check(one_of({"metatt4d", "metatt4+1d"}));
  command->add_option("--output_dir", o->output, "Where the adapter goes")
      ->check(not_empty("a folder"))
      ->required();
  command->add_flag("--overwrite_output_dir", o->overwrite, "Write into a folder that is not empty")
      ->check(true_or_false());
  command->callback([o] { compress(*o); });
}

}  // namespace metatt::apps
