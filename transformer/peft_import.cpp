#include <metatt/transformer/peft_import.hpp>

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <regex>

namespace metatt::transformer {

namespace {

const std::string wrapper = "base_model.model.";  ///< before all names in PEFT's files

/// adapter_config.json.
class PeftConfig {
 public:
  explicit PeftConfig(const std::filesystem::path& path)
      : source_(path.string()), json_(parse_json(tn::read_file(path), source_)) {
    check_plain_lora();
    rank_ = required<std::int64_t>(json_, "r", source_);
    alpha_ = required<double>(json_, "lora_alpha", source_);
    root_ = optional_or<bool>(json_, "use_rslora", false, source_);
  }

  /// Of a module, by its name in the model.
  Index rank(const std::string& module) const {
    const auto own = pattern_value("rank_pattern", module);
    if (own && (*own != std::floor(*own) || std::abs(*own) > 1e9))
      tn::fail(source_, ": rank_pattern: expected whole numbers, found ", *own);
    const Index rank = own ? static_cast<Index>(*own) : rank_;
    if (rank < 1)
      tn::fail(source_, ": ", own ? "rank_pattern" : "r", ": expected at least 1, found ", rank);
    return rank;
  }

  /// What B·A is multiplied by.
  double scaling(const std::string& module) const {
    const auto r = static_cast<double>(rank(module));
    const double alpha = pattern_value("alpha_pattern", module).value_or(alpha_);
    check_alpha_of_old_versions(module, alpha);
    return alpha / (root_ ? std::sqrt(r) : r);
  }

 private:
  void check_plain_lora() const;
  void check_absent(const char* field) const;
  void check_alpha_of_old_versions(const std::string& module, double alpha) const;
  std::optional<double> pattern_value(const char* field, const std::string& module) const;
  bool matches(const char* field, const std::string& pattern, const std::string& module) const;

  std::string source_;
  nlohmann::json json_;
  Index rank_ = 0;
  double alpha_ = 0;
  bool root_ = false;
};

/// A setting that makes more than B·A of the factors must be absent or say nothing.
void PeftConfig::check_absent(const char* field) const {
  const auto found = json_.find(field);
  if (found != json_.end() && !found->empty() && *found != false)
    tn::fail(source_, ": ", field, ": expected none, since an update is B·A alone, found ",
             found->dump());
}

void PeftConfig::check_plain_lora() const {
  const auto expect = [&](const char* field, const std::string& value, const std::string& found) {
    if (found != value)
      tn::fail(source_, ": ", field, ": expected \"", value, "\", found \"", found, "\"");
  };
  expect("peft_type", "LORA", required<std::string>(json_, "peft_type", source_));
  expect("bias", "none", optional_or<std::string>(json_, "bias", "none", source_));
  for (const char* field :
       {"use_dora", "lora_bias", "use_qalora", "layer_replication", "target_parameters",
        "trainable_token_indices", "alora_invocation_tokens", "arrow_config"})
    check_absent(field);
  const auto start = json_.find("init_lora_weights");
  if (start == json_.end() || start->is_boolean()) return;
  const auto name = required<std::string>(json_, "init_lora_weights", source_);
  for (const char* harmless : {"gaussian", "eva", "orthogonal"})
    if (name == harmless) return;
  tn::fail(source_, ": init_lora_weights: expected one that leaves the base model as it is, found ",
           "\"", name, "\"; PEFT can convert such an adapter (path_initial_model_for_weight_",
           "conversion)");
}

bool PeftConfig::matches(const char* field, const std::string& pattern,
                         const std::string& module) const {
  // Nested repetitions take std::regex forever, and names of modules need none.
  const auto repetitions = std::ranges::count_if(
      pattern, [](char c) { return std::string_view("*+?{").find(c) != std::string_view::npos; });
  if (repetitions > 2 || pattern.size() > 200)
    tn::fail(source_, ": ", field, ": expected a module's name or a simple pattern, found \"",
             pattern, "\"");
  try {
    return std::regex_match(module, std::regex("(.*\\.)?(" + pattern + ")"));
  } catch (const std::regex_error&) {
    tn::fail(source_, ": ", field, ": \"", pattern, "\" is no regular expression");
  }
}

std::optional<double> PeftConfig::pattern_value(const char* field,
                                                const std::string& module) const {
  const auto patterns = json_.find(field);
  if (patterns == json_.end() || patterns->is_null()) return std::nullopt;
  if (!patterns->is_object())
    tn::fail(source_, ": ", field, ": expected an object, found ", patterns->type_name());
  std::optional<double> found;
  for (const auto& [pattern, value] : patterns->items()) {
    if (!matches(field, pattern, module)) continue;
    if (!value.is_number())
      tn::fail(source_, ": ", field, ": \"", pattern, "\": expected a number, found ",
               value.type_name());
    // PEFT takes the first one of the file, an order that JSON does not promise.
    if (found && *found != value.get<double>())
      tn::fail(source_, ": ", field, ": several patterns match ", module, ", with ", *found,
               " and ", value.dump());
    found = value.get<double>();
  }
  return found;
}

/// PEFT before 0.14 looked for the alpha under the pattern that had matched in rank_pattern, later
/// versions look for it by itself. The file does not say which version it was trained with.
void PeftConfig::check_alpha_of_old_versions(const std::string& module, double alpha) const {
  const auto patterns = json_.find("rank_pattern");
  if (patterns == json_.end() || !patterns->is_object()) return;
  for (const auto& [pattern, rank] : patterns->items()) {
    if (!matches("rank_pattern", pattern, module)) continue;
    const auto alphas = json_.find("alpha_pattern");
    const bool own = alphas != json_.end() && alphas->contains(pattern);
    const double old = own ? alphas->at(pattern).get<double>() : alpha_;
    if (old != alpha)
      tn::fail(source_, ": alpha_pattern: ", module, " has alpha ", alpha, " in newer versions of ",
               "PEFT and ", old, " before 0.14, which looks for \"", pattern,
               "\" of rank_pattern; expected the same names in both");
  }
}

/// One module that may be adapted: a matrix, or queries, keys and values as one.
struct AdaptedModule {
  std::string name;  ///< with the family's prefix
  Index layer;
  std::vector<MatrixType> types;  ///< of the matrices one below the other
};

/// All of a model, by name, with the family's prefix and without.
std::map<std::string, AdaptedModule> modules_of(const ModelConfig& config) {
  using enum MatrixType;
  const Family& family = config.family();
  std::map<std::string, AdaptedModule> modules;
  const auto add = [&](Index layer, const char* module, std::vector<MatrixType> types) {
    const std::string name = family.names.layers + std::to_string(layer) + "." + module;
    const AdaptedModule entry{file_name(family, name), layer, std::move(types)};
    modules.emplace(name, entry);
    modules.emplace(entry.name, entry);
  };
  for (Index layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const MatrixType type : matrix_types(family))
      if (const char* module = module_of(family, type)) add(layer, module, {type});
    if (family.joined_in_file) add(layer, family.names.joined, {query, key, value});
  }
  return modules;
}

class PeftReader {
 public:
  PeftReader(const std::filesystem::path& folder, const ModelConfig& config)
      : config_(config), settings_(folder / "adapter_config.json"), file_(tensors_of(folder)) {
    result_.tensors = file_.path();
  }

  PeftLora read() {
    const auto modules = modules_of(config_);
    for (const std::string& name : file_.names()) {
      if (!name.starts_with(wrapper)) unknown(name);
      const std::string rest = name.substr(wrapper.size());
      if (rest.find("lora_") == std::string::npos) {
        result_.saved.push_back({rest, file_.read<double>(name, file_.entry(name).shape)});
        continue;
      }
      const bool a = rest.ends_with(suffix_a);
      if (!a && !rest.ends_with(suffix_b)) unknown(name);
      const std::string module = rest.substr(0, rest.size() - suffix_a.size());
      const auto found = modules.find(module);
      if (found == modules.end()) unknown(name);
      if (a) add(module, found->second);
      // The reader of A asks for B, so that only a B without A is still to be found.
      file_.entry(wrapper + module + (a ? suffix_b : suffix_a));
    }
    if (result_.updates.empty())
      tn::fail(file_.path().string(), ": expected factors (…", suffix_a, "), found none");
    if (config_.family().joined_in_file) drop_unused_types();
    return std::move(result_);
  }

 private:
  static std::filesystem::path tensors_of(const std::filesystem::path& folder) {
    const auto path = folder / "adapter_model.safetensors";
    if (!std::filesystem::exists(path) && std::filesystem::exists(folder / "adapter_model.bin"))
      tn::fail(path.string(), ": expected this file, found only adapter_model.bin, a pickle; PEFT ",
               "writes the other one with safe_serialization=True");
    return path;
  }

  [[noreturn]] void unknown(const std::string& name) const {
    tn::fail(file_.path().string(), ": tensor \"", name, "\" belongs to no LoRA of a matrix that ",
             "the model (", config_.model_type, ", ", config_.num_hidden_layers, " layers) has");
  }

  void add(const std::string& stored, const AdaptedModule& module) {
    Index d_in = 0, rows = 0;
    for (const MatrixType type : module.types) {
      d_in = matrix_extents(config_, type).d_in;
      rows += matrix_extents(config_, type).d_out;
    }
    const Index rank = settings_.rank(module.name);
    const auto A = file_.read<double>(wrapper + stored + suffix_a, {rank, d_in});
    auto B = file_.read<double>(wrapper + stored + suffix_b, {rows, rank});
    tn::backend::scale(tn::backend::queue(), B.size(), settings_.scaling(module.name),
                       B.mutable_data());
    result_.parameters += A.size() + B.size();
    Index first = 0;
    for (const MatrixType type : module.types) {
      const Index end = first + matrix_extents(config_, type).d_out;
      const Adapter<double>::LoraFactors factors{A, B.slice(first, end)};
      if (!result_.updates.emplace(std::pair(module.layer, type), factors).second)
        tn::fail(file_.path().string(), ": there are two updates of ", module.name);
      first = end;
    }
  }

  /// Of queries, keys and values that are one matrix in files, those of which no layer adapts
  /// anything.
  void drop_unused_types() {
    for (const MatrixType type : {MatrixType::query, MatrixType::key, MatrixType::value}) {
      const auto is_zero = [&](const auto& update) {
        return update.first.second != type ||
               std::ranges::all_of(update.second.B.to_vector(), [](double x) { return x == 0; });
      };
      if (std::ranges::all_of(result_.updates, is_zero))
        std::erase_if(result_.updates,
                      [&](const auto& update) { return update.first.second == type; });
    }
    if (result_.updates.empty()) tn::fail(file_.path().string(), ": all updates are zero");
  }

  static inline const std::string suffix_a = ".lora_A.weight", suffix_b = ".lora_B.weight";
  const ModelConfig& config_;
  PeftConfig settings_;
  SafetensorsFile file_;
  PeftLora result_;
};

}  // namespace

PeftLora read_peft_lora(const std::filesystem::path& folder, const ModelConfig& config) {
  return PeftReader(folder, config).read();
}

}  // namespace metatt::transformer
