#include <metatt/apps/csv.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdlib>

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

std::vector<CsvRow> read_csv(const std::filesystem::path& file) {
  const std::string text = tn::read_file(file);
  if (text.empty()) tn::fail(file.string(), ": expected a table, found nothing");
  std::size_t at = 0;
  const auto names = next_fields(text, at);
  std::vector<CsvRow> rows;
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

const std::string& csv_text(const CsvRow& row, const std::string& column,
                            const std::filesystem::path& file) {
  const auto found = row.find(column);
  if (found == row.end())
    tn::fail(file.string(), ": expected a column \"", column, "\", found none");
  return found->second;
}

double csv_value(const CsvRow& row, const std::string& column, const std::filesystem::path& file) {
  const std::string& text = csv_text(row, column, file);
  if (text.empty()) return NAN;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end != text.c_str() + text.size())
    tn::fail(file.string(), ": ", column, ": expected a number, found \"", text, "\"");
  return value;
}

}  // namespace metatt::apps
