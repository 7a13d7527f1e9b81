#include <metatt/transformer/class_labels.hpp>

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <optional>

namespace metatt::transformer {

namespace {

using nlohmann::json;
using tn::Index;

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

void check_problem(const json& fields, const GlueTask& task, const std::string& source) {
  const std::string expected = task.regression() ? "regression" : "single_label_classification";
  const auto found = optional_or<std::string>(fields, "problem_type", expected, source);
  if (found != expected)
    tn::fail(source, ": field \"problem_type\": expected \"", expected, "\" for the task ",
             task.name, ", found \"", found, "\"");
}

void check_count(const char* field, Index found, const GlueTask& task, const std::string& source) {
  if (found != task.outputs())
    tn::fail(source, ": field \"", field, "\": expected ", task.outputs(), " for the task ",
             task.name, ", found ", found);
}

/// The names by the number of their output.
std::vector<std::string> read_names(const json& fields, const GlueTask& task,
                                    const std::string& source) {
  const json& labels = fields["id2label"];
  if (!labels.is_object())
    tn::fail(source, ": field \"id2label\": expected an object, found ", labels.dump());
  check_count("id2label", std::ssize(labels), task, source);
  std::vector<std::string> names;
  for (int i = 0; i < task.outputs(); ++i)
    names.push_back(lower_case(required<std::string>(labels, std::to_string(i), source)));
  return names;
}

/// Where each of the classes is among the names; nothing if one is not there.
std::optional<std::vector<Index>> places(const std::vector<std::string>& classes,
                                         const std::vector<std::string>& names) {
  std::vector<Index> result;
  for (const std::string& label : classes) {
    const auto found = std::ranges::find(names, label);
    if (found == names.end()) return std::nullopt;
    result.push_back(found - names.begin());
  }
  return result;
}

}  // namespace

std::vector<Index> stored_outputs(const std::filesystem::path& config_file, const GlueTask& task) {
  const std::string source = config_file.string();
  const json fields = parse_json(tn::read_file(config_file), source);
  check_problem(fields, task, source);
  check_count("num_labels", optional_or<std::int64_t>(fields, "num_labels", task.outputs(), source),
              task, source);
  std::vector<Index> in_order;
  std::vector<std::string> numbered;
  for (int i = 0; i < task.outputs(); ++i) {
    in_order.push_back(i);
    numbered.push_back("label_" + std::to_string(i));
  }
  if (fields.value("id2label", json()).is_null()) return in_order;
  const std::vector<std::string> names = read_names(fields, task, source);
  if (task.regression()) return in_order;
  for (const auto& classes : {task.labels, task.class_names, numbered})
    if (classes.size() == names.size())
      if (const auto found = places(classes, names)) return *found;
  tn::fail(source, ": field \"id2label\": expected the classes of ", task.name, " (",
           tn::joined(task.labels), task.class_names.empty() ? "" : "; or ",
           tn::joined(task.class_names), "; or LABEL_0, …), found ", fields["id2label"].dump());
}

}  // namespace metatt::transformer
