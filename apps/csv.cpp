#include <metatt/apps/csv.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>

#include <nlohmann/json.hpp>

#include <cmath>

namespace metatt::apps {

namespace {

/// The next line's fields, from a position that is moved behind it.
std::vector<std::string> next_fields(const std::string& text, std::size_t& at) {
  std::vector<std::string> fields(1);
  for (bool quoted = false; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"') {
      // Two of them inside quotes are one that is meant.
      if (quoted && text.compare(at, 2, "\"\"") == 0)
        fields.back() += text[++at];
      else
        quoted = !quoted;
    } else if (c == '\n' && !quoted) {
      ++at;
      break;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

}  // namespace

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string csv_number(double value) {
  if (!std::isfinite(value)) return "";
  if (value == std::floor(value) && std::abs(value) < 1e15)
    return std::to_string(static_cast<long long>(value));
  return nlohmann::json(value).dump();
}

std::vector<std::map<std::string, std::string>> read_csv(const std::filesystem::path& file) {
  const std::string text = tn::read_file(file);
  if (text.empty()) tn::fail(file.string(), ": expected a table, found nothing");
  std::size_t at = 0;
  const auto names = next_fields(text, at);
  std::vector<std::map<std::string, std::string>> rows;
  while (at < text.size()) {
    const auto fields = next_fields(text, at);
    if (fields.size() != names.size())
      tn::fail(file.string(), ": row ", rows.size() + 1, ": expected ", names.size(),
               " fields, found ", fields.size());
    auto& row = rows.emplace_back();
    for (std::size_t i = 0; i < names.size(); ++i) row[names[i]] = fields[i];
  }
  return rows;
}

}  // namespace metatt::apps
