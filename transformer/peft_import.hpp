#pragma once
/// LoRA adapters that PEFT wrote, as updates of our matrices.

#include <metatt/transformer/adapters/adapter.hpp>

#include <filesystem>
#include <map>
#include <utility>
#include <vector>

namespace metatt::transformer {

/// The updates of matrices, by layer and type, as factors without further scaling: ΔW = B·A.
using LoraUpdates = std::map<std::pair<Index, MatrixType>, Adapter<double>::LoraFactors>;

/// What a folder of PEFT's LoRA layout holds.
struct PeftLora {
  std::filesystem::path tensors;  ///< the file, for errors
  LoraUpdates updates;
  /// What is saved whole (modules_to_save), under the names of files without "base_model.model.".
  std::vector<NamedTensor<double>> saved;
  Index parameters = 0;  ///< numbers of all A and B
};

/// Reads adapter_config.json and adapter_model.safetensors, an adapter of a model with this config.
/// What is loaded is what the file of tensors holds, some matrices or layers may be missing.
///
/// The scaling α/r (α/√r with use_rslora) goes into B; r and α are those of rank_pattern and
/// alpha_pattern where one matches, as PEFT matches them: a regular expression at the end of the
/// module's name, behind a dot or as the whole. fan_in_fan_out changes no factor, only how PEFT
/// adds them to a transposed matrix. Where files have queries, keys and values as one matrix
/// (GPT-2), each gets the shared A and its rows of B, and of these types only those with an update
/// other than zero are kept.
///
/// Throws Error naming file and field or tensor on another peft_type, use_dora, biases, starts that
/// change the base (PiSSA, OLoRA, CorDA, LoftQ) and other settings that make more of the factors
/// than B·A; on tensors of modules that the model does not have, one factor without the other,
/// another shape than rank and module ask for; on patterns of which several that differ match, or
/// that versions of PEFT read differently.
PeftLora read_peft_lora(const std::filesystem::path& folder, const ModelConfig& config);

}  // namespace metatt::transformer
