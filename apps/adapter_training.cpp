#include <metatt/apps/adapter_training.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/training_log.hpp>
#include <metatt/apps/training_run.hpp>
#include <metatt/apps/vocabulary_warning.hpp>

#include <nlohmann/json.hpp>

#include <iostream>

namespace metatt::apps {

using namespace transformer;

void print_model(const AdaptedModel<float>& model) {
  const auto& c = model.config();
  const Index trainable = model.weights().trainable_count(), total = model.weights().total_count();
  std::cout << "model " << model.base().string() << ": " << c.num_hidden_layers << " layers, width "
            << c.hidden_size << ", " << c.num_attention_heads << " heads, float32\n"
            << "method " << model.method().name() << ": " << trainable << " trainable of " << total
            << " parameters ("
            << fixed(100.0 * static_cast<double>(trainable) / static_cast<double>(total), 3)
            << " %): " << model.trainable_adapter()
            << (model.method().kind == Method::Kind::full ? " backbone, " : " adapter, ")
            << model.trainable_head() << " head" << std::endl;
  warn_of_vocabulary(model);
}

namespace {

/// What decides the result.
nlohmann::json run_settings(const FinetuneOptions& o, const TrainSettings& train,
                            const AdaptedModel<float>& model, const AdapterRecord& record,
                            const Fingerprint& data) {
  nlohmann::json settings = settings_json(train);
  settings["head_learning_rate"] = train.optimiser.head_learning_rate;
  if (train.max_steps == 0) settings["num_train_epochs"] = train.epochs;
  settings["dropout"] = train.dropout;
  settings["fingerprint_of_data"] = data.text();
  Fingerprint frozen;  // what is trained is in the checkpoints
  for (Index id = 0; id < model.weights().count(); ++id)
    if (!model.weights().trainable(id)) {
      const auto values = model.weights().value(id).to_vector();
      frozen.add(std::span(values));
    }
  settings["fingerprint_of_frozen_weights"] = frozen.text();
  settings["model"] = o.model;
  settings["task"] = tn::joined(record.tasks, ",");
  if (record.tasks.size() > 1) settings["task_temperature"] = train.task_temperature;
  settings["data"] = o.data;
  settings["train_file"] = o.train_file;
  settings["validation_file"] = o.validation_file;
  settings["method"] = model.method().name();
  settings["rank"] = model.method().adapter.rank;
  settings["ranks"] = model.method().adapter.ranks;
  settings["alpha"] = o.alpha;
  settings["scaling"] = o.scaling;
  settings["core_order"] = o.core_order;
  settings["target_modules"] = o.targets;
  settings["initialisation"] = model.method().adapter.initialisation;
  settings["rank_schedule"] = o.rank_schedule;
  settings["sweep"] = o.sweep;
  settings["optimizer_state"] =
      train.optimizer_state == OptimizerState::project ? "project" : "reset";
  settings["orthogonality"] = train.orthogonality;
  settings["activation_weighted"] = o.activation_weighted;
  settings["two_site_steps"] = o.two_site_steps;
  settings["max_seq_length"] = record.max_seq_length;
  settings["max_train_samples"] = o.max_train_samples;
  settings["trainable_adapter"] = model.trainable_adapter();
  settings["trainable_head"] = model.trainable_head();
  return settings;
}

}  // namespace

void train_adapter(const FinetuneOptions& o, const TrainSettings& settings,
                   const AdaptedModel<float>& model, const Objective<float>& objective,
                   const AdapterRecord& record, const Fingerprint& data,
                   const TrainingParts& parts) {
  nlohmann::json all = run_settings(o, settings, model, record, data);
  all.update(parts.settings);
  const TrainResult result =
      run_training(objective, settings, o.training, all, parts.write_results, parts.finish);
  const bool full = model.method().kind == Method::Kind::full;
  std::cout << "result: method " << model.method().name()
            << (full ? ", backbone parameters " : ", adapter parameters ")
            << model.trainable_adapter() << ", head parameters " << model.trainable_head() << ", ";
  if (!result.evaluation.metrics.empty())
    std::cout << metrics_text(result.evaluation.metrics) << ", ";
  std::cout << fixed(result.state.seconds, 1) << " s, "
            << fixed(static_cast<double>(result.state.tokens) / result.state.seconds, 0)
            << " tokens/s, peak memory " << fixed(peak_memory_megabytes(), 0) << " MB, output "
            << o.training.output << std::endl;
}

}  // namespace metatt::apps
