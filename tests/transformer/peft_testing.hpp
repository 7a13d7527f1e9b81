#pragma once
/// Folders as PEFT writes them.

#include "model_testing.hpp"

#include <metatt/transformer/peft_import.hpp>

namespace metatt::testing {

/// A LoRA of rank 2 with lora_alpha 6 and no tensors yet.
struct PeftFolder {
  nlohmann::json config{{"peft_type", "LORA"},       {"r", 2},
                        {"lora_alpha", 6},           {"bias", "none"},
                        {"use_dora", false},         {"init_lora_weights", true},
                        {"modules_to_save", nullptr}};
  std::vector<NamedTensor<float>> tensors;
  TemporaryFolder folder;

  void add(const std::string& name, const Shape& shape) {
    tensors.push_back(
        {"base_model.model." + name, tn::random_normal<float>(shape, 11, tensors.size())});
  }
  /// Random factors of a module.
  void add_factors(const std::string& module, Index rank, Index d_in, Index d_out) {
    add(module + ".lora_A.weight", {rank, d_in});
    add(module + ".lora_B.weight", {d_out, rank});
  }
  void write() const {
    write_json(folder / "adapter_config.json", config);
    write_safetensors<float>(folder / "adapter_model.safetensors", tensors, {{"format", "pt"}});
  }
  PeftLora read(const ModelConfig& model) const {
    write();
    return read_peft_lora(folder.path(), model);
  }
  /// factor · B·A of the two tensors from `first` on.
  std::vector<double> update(std::size_t first, double factor) const {
    const auto A = tn::converted<double>(tensors[first].tensor),
               B = tn::converted<double>(tensors[first + 1].tensor);
    auto values = tn::matrix_product(B, A).to_vector();
    for (double& x : values) x *= factor;
    return values;
  }
};

}  // namespace metatt::testing
