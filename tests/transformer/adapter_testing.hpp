#pragma once
/// What the tests of all adapters share.

#include "model_testing.hpp"

#include <metatt/tn/contract.hpp>

namespace metatt::testing {

/// Trainable numbers of an adapter on a model of this shape, with a feed-forward of four widths.
inline Index parameters_of(const AdapterSettings& settings, Index width, Index layers,
                           Index heads) {
  ModelConfig config = small_config();
  config.hidden_size = width;
  config.intermediate_size = 4 * width;
  config.num_hidden_layers = layers;
  config.num_attention_heads = heads;
  Weights<float> weights;
  make_adapter(settings, config, weights);
  return weights.trainable_count();
}

/// On queries and values.
inline Index adapter_parameters(const std::string& kind, Index rank, Index width, Index layers,
                                Index heads, Index tasks = 1) {
  AdapterSettings settings;
  settings.kind = kind;
  settings.rank = rank;
  settings.tasks = tasks;
  return parameters_of(settings, width, layers, heads);
}

/// Logits of the bare model after the updates for a task are added to its weights.
inline std::vector<double> merged_logits(const AssembledModel<double>& model, const Batch& batch,
                                         Index task = 0) {
  const auto& config = model.backbone.config();
  const auto initial = [&](const std::string& name, const Shape& shape) {
    return random_weight<double>(name, shape);
  };
  AssembledModel<double> merged(config, 2, Method::named("none", {}), initial);
  autodiff::Tape<double> tape;
  const auto updates = model.adapter->updates(tape, task);
  for (Index l = 0; l < config.num_hidden_layers; ++l) {
    const auto& ids = merged.backbone.layers()[static_cast<std::size_t>(l)];
    const auto add = [&](auto id, Index first_row, MatrixType type) {
      Tensor<double> weight = merged.weights.value(id);
      const Index rows = matrix_extents(config, type).d_out;
      const auto updated =
          model.adapter->merged(updates, l, type, weight.slice(first_row, first_row + rows));
      tn::backend::copy(tn::backend::queue(), updated.size(), updated.data(),
                        weight.mutable_data() + first_row * weight.extent(1));
      merged.weights.set_value(id, weight);
    };
    const Index d = config.hidden_size;
    add(ids.qkv.weight, 0, MatrixType::query);
    add(ids.qkv.weight, d, MatrixType::key);
    add(ids.qkv.weight, 2 * d, MatrixType::value);
    add(ids.attention_output.weight, 0, MatrixType::attention_output);
    add(ids.up.weight, 0, MatrixType::feed_forward_up);
    add(ids.down.weight, 0, MatrixType::feed_forward_down);
  }
  return logits_of(merged, batch);
}

/// What the tensors of an adapted matrix of a small model are called in a PEFT file, up to their
/// ends.
inline std::string exported_site(Index layer, MatrixType type) {
  return "base_model.model.bert.encoder.layer." + std::to_string(layer) + "." +
         module_of(ModelConfig().family(), type);
}

/// By how much ΔW in a PEFT file, lora_alpha / r = 1 times B·A, differs from the adapter's.
inline double export_error(const SafetensorsFile& file, const Adapter<float>& adapter, Index layer,
                           MatrixType type, Index task) {
  const auto read = [&](const char* end) {
    const std::string name = exported_site(layer, type) + end;
    return file.read<float>(name, file.entry(name).shape);
  };
  const auto native = dense_update<float>(lora_factors(adapter, layer, type, task));
  const auto exported = tn::matrix_product(read(".lora_B.weight"), read(".lora_A.weight"));
  return relative_error(native.to_vector(), exported.to_vector());
}

}  // namespace metatt::testing
