#include <metatt/apps/console.hpp>
#include <metatt/apps/model_card.hpp>
#include <metatt/apps/run_record.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>

namespace metatt::apps {

namespace {

constexpr const char* first_lines = "---\nlibrary_name: metatt\n";

/// Text in a table: no line breaks, and no bar that would end a cell.
std::string cell(const nlohmann::json& value) {
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  for (char& c : text)
    if (c == '|' || c == '\n') c = ' ';
  return text;
}

}  // namespace

void remove_model_card(const tn::OutputFolder& folder) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder / "README.md", ignored)) return;
  if (tn::read_file(folder / "README.md").starts_with(first_lines))
    std::filesystem::remove(folder / "README.md");
}

void write_model_card(const tn::OutputFolder& folder, const nlohmann::json& settings,
                      const transformer::TrainResult& result, const nlohmann::json& size) {
  const std::string method = settings.value("method", "pretraining");
  const std::string base = settings.value("model", "");
  std::string text = first_lines;
  if (!base.empty()) text.append("base_model: ").append(nlohmann::json(base).dump()).append("\n");
  text.append("tags:\n- metatt\n- ").append(method).append("\n---\n\n# ");
  text.append(std::filesystem::absolute(folder.path).lexically_normal().filename().string());
  text.append("\n\nTrained by metatt " METATT_VERSION " with the method ").append(method);
  if (!base.empty()) text.append(" on the model `").append(base).append("`");
  text.append(".\n\n## Results\n\n| | |\n|---|---|\n");
  const auto row = [&](const std::string& name, const std::string& value) {
    text.append("| ").append(name).append(" | ").append(value).append(" |\n");
  };
  row("trained parameters", size.at("trained_parameters").dump());
  if (size.contains("ranks")) row("ranks", ranks_text(size["ranks"].get<std::vector<tn::Index>>()));
  row("steps", std::to_string(result.state.steps));
  row("training loss", fixed(result.state.train_loss, 4));
  if (!result.evaluation.metrics.empty()) row("evaluation loss", fixed(result.evaluation.loss, 4));
  for (const auto& [name, value] : result.evaluation.metrics) row(name, fixed(value, 4));
  text.append("\n## Settings\n\n| | |\n|---|---|\n");
  for (const auto& [name, value] : settings.items())
    if (!value.is_object() && !value.empty() && value != "") row(name, cell(value));
  remove_model_card(folder);
  std::error_code ignored;
  if (!std::filesystem::exists(folder / "README.md", ignored))
    tn::write_file_atomically(folder / "README.md", text);
}

}  // namespace metatt::apps
