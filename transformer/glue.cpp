#include <metatt/transformer/glue.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/metrics.hpp>
#include <metatt/transformer/tokenizers/unicode.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <system_error>

namespace metatt::transformer {

namespace {

constexpr double largest_score = 5;

const std::vector<std::string> entailment = {"entailment", "not_entailment"};

const std::vector<GlueTask> tasks = {
    {"cola",
     "CoLA",
     {"source", "label", "mark", "sentence"},
     "sentence",
     "",
     "label",
     {"0", "1"},
     {Metric::matthews},
     {"unacceptable", "acceptable"}},
    {"sst2",
     "SST-2",
     {},
     "sentence",
     "",
     "label",
     {"0", "1"},
     {Metric::accuracy},
     {"negative", "positive"}},
    {"mrpc",
     "MRPC",
     {},
     "#1 String",
     "#2 String",
     "Quality",
     {"0", "1"},
     {Metric::accuracy, Metric::f1},
     {"not_equivalent", "equivalent"}},
    {"stsb",
     "STS-B",
     {},
     "sentence1",
     "sentence2",
     "score",
     {},
     {Metric::pearson, Metric::spearman}},
    {"qqp",
     "QQP",
     {},
     "question1",
     "question2",
     "is_duplicate",
     {"0", "1"},
     {Metric::accuracy, Metric::f1},
     {"not_duplicate", "duplicate"},
     {"dev"},
     true},
    {"mnli",
     "MNLI",
     {},
     "sentence1",
     "sentence2",
     "gold_label",
     {"entailment", "neutral", "contradiction"},
     {Metric::accuracy},
     {},
     {"dev_matched", "dev_mismatched"}},
    {"qnli", "QNLI", {}, "question", "sentence", "label", entailment, {Metric::accuracy}},
    {"rte", "RTE", {}, "sentence1", "sentence2", "label", entailment, {Metric::accuracy}},
    {"wnli",
     "WNLI",
     {},
     "sentence1",
     "sentence2",
     "label",
     {"0", "1"},
     {Metric::accuracy},
     {"not_entailment", "entailment"}},
};

/// Lines without a byte order mark.
std::vector<std::string> read_lines(const std::filesystem::path& file) {
  const std::string contents = tn::read_file(file);
  std::string_view text = contents;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  return tn::split_lines(text);
}

void check_split(const GlueTask& task, const std::string& split) {
  const auto& others = task.development_splits;
  if (split != "train" && std::find(others.begin(), others.end(), split) == others.end())
    tn::fail("split: expected train or ", tn::joined(others), " for task ", task.name, ", found \"",
             split, "\"");
}

/// Where a split may lie, the one that is taken first.
std::array<std::filesystem::path, 2> split_paths(const std::filesystem::path& folder,
                                                 const GlueTask& task, const std::string& split) {
  return {folder / task.folder / (split + ".tsv"), folder / (split + ".tsv")};
}

bool is_there(const std::filesystem::path& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored);
}

std::filesystem::path find_file(const std::filesystem::path& folder, const GlueTask& task,
                                const std::string& split) {
  const auto paths = split_paths(folder, task, split);
  const auto found = std::ranges::find_if(paths, is_there);
  if (found != paths.end()) return *found;
  tn::fail("task ", task.name, ": expected the file ", paths[0].string(), " or ", paths[1].string(),
           ", found neither");
}

/// Reads lines of one file into rows.
class RowReader {
 public:
  RowReader(const GlueTask& task, std::string file, std::vector<std::string> columns, bool labelled)
      : task_(task),
        file_(std::move(file)),
        columns_(std::move(columns)),
        sentence1_(column(task.sentence1)),
        sentence2_(task.sentence2.empty() ? 0 : column(task.sentence2)),
        label_(labelled ? std::optional(column(task.label)) : std::nullopt) {}

  bool lacks_columns(const std::string& line) const {
    return tn::split_at(line, '\t').size() < columns_.size();
  }

  GlueRow read(const std::string& line, std::size_t number) const {
    const std::string where = file_ + ":" + std::to_string(number);
    if (line.find('\0') != std::string::npos || !is_valid_utf8(line))
      tn::fail(where, ": expected UTF-8, found ", is_valid_utf8(line) ? "a zero" : "other bytes");
    const std::vector<std::string> values = tn::split_at(line, '\t');
    if (values.size() != columns_.size()) {
      tn::fail(where, ": expected ", columns_.size(), " columns (", tn::joined(columns_),
               "), found ", values.size());
    }
    GlueRow row;
    row.sentence1 = sentence(values, sentence1_, where);
    if (!task_.sentence2.empty()) row.sentence2 = sentence(values, sentence2_, where);
    if (label_)
      row.label =
          task_.regression() ? score(values[*label_], where) : label(values[*label_], where);
    return row;
  }

 private:
  std::size_t column(const std::string& name) const {
    const auto place = std::find(columns_.begin(), columns_.end(), name);
    if (place == columns_.end()) {
      tn::fail(file_, ":1: expected a header with column \"", name, "\", found ",
               tn::joined(columns_));
    }
    return static_cast<std::size_t>(place - columns_.begin());
  }

  const std::string& sentence(const std::vector<std::string>& values, std::size_t column,
                              const std::string& where) const {
    if (values[column].empty()) {
      tn::fail(where, ": column \"", columns_[column], "\": expected a sentence, found nothing");
    }
    return values[column];
  }

  double label(const std::string& text, const std::string& where) const {
    const auto place = std::find(task_.labels.begin(), task_.labels.end(), text);
    if (place == task_.labels.end()) {
      tn::fail(where, ": column \"", task_.label, "\": expected one of ", tn::joined(task_.labels),
               ", found \"", text, "\"");
    }
    return static_cast<double>(place - task_.labels.begin());
  }

  double score(const std::string& text, const std::string& where) const {
    double value = -1;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    // Written so that NaN is refused too.
    if (error != std::errc() || stop != end || !(value >= 0 && value <= largest_score)) {
      tn::fail(where, ": column \"", task_.label, "\": expected a number 0 … ", largest_score,
               ", found \"", text, "\"");
    }
    return value;
  }

  const GlueTask& task_;
  std::string file_;
  std::vector<std::string> columns_;
  std::size_t sentence1_, sentence2_;
  std::optional<std::size_t> label_;  ///< none: labels are not looked at
};

std::vector<int> classes(std::span<const double> values) {
  return std::vector<int>(values.begin(), values.end());
}

}  // namespace

std::vector<std::string> glue_task_names() {
  std::vector<std::string> names;
  for (const GlueTask& task : tasks) names.push_back(task.name);
  return names;
}

const GlueTask& find_glue_task(const std::string& name) {
  for (const GlueTask& task : tasks)
    if (task.name == name) return task;
  tn::fail("task: expected one of ", tn::joined(glue_task_names()), ", found \"", name, "\"");
}

namespace {

std::vector<GlueRow> read_rows(const std::filesystem::path& file, const GlueTask& task,
                               bool labelled, std::size_t* left_out) {
  const std::vector<std::string> lines = read_lines(file);
  const auto& known = task.columns_without_header;
  bool has_header = known.empty();
  // Files without labels have a header in every task.
  if (!labelled && !lines.empty() && !known.empty())
    has_header = tn::split_at(lines.front(), '\t').size() != known.size();
  const std::size_t first = has_header ? 1 : 0;
  if (lines.size() <= first) {
    tn::fail(file.string(), ": expected ",
             has_header ? "a header and at least one row" : "at least one row", ", found ",
             lines.size(), " lines");
  }
  const RowReader reader(task, file.string(),
                         has_header ? tn::split_at(lines.front(), '\t') : known, labelled);
  std::vector<GlueRow> rows;
  for (std::size_t i = first; i < lines.size(); ++i)
    if (left_out && task.short_rows && reader.lacks_columns(lines[i]))
      ++*left_out;
    else
      rows.push_back(reader.read(lines[i], i + 1));
  return rows;
}

}  // namespace

std::vector<GlueRow> read_glue(const std::filesystem::path& folder, const GlueTask& task,
                               const std::string& split, std::size_t* left_out) {
  check_split(task, split);
  return read_rows(find_file(folder, task, split), task, true, left_out);
}

std::vector<GlueRow> read_glue_texts(const std::filesystem::path& folder, const GlueTask& task,
                                     const std::string& split) {
  return read_rows(find_file(folder, task, split), task, false, nullptr);
}

std::vector<std::string> test_splits(const std::filesystem::path& folder, const GlueTask& task) {
  std::vector<std::string> splits;
  for (const std::string& development : task.development_splits) {
    const std::string split = "test" + development.substr(std::string_view("dev").size());
    if (std::ranges::any_of(split_paths(folder, task, split), is_there)) splits.push_back(split);
  }
  return splits;
}

std::string metric_name(Metric metric) {
  switch (metric) {
    case Metric::accuracy:
      return "accuracy";
    case Metric::f1:
      return "f1";
    case Metric::matthews:
      return "matthews_correlation";
    case Metric::pearson:
      return "pearson";
    case Metric::spearman:
      return "spearmanr";
  }
  tn::fail("metric_name: expected a Metric, found ", static_cast<int>(metric));
}

std::vector<std::pair<Metric, double>> glue_metrics(const GlueTask& task,
                                                    std::span<const double> predictions,
                                                    std::span<const double> labels) {
  const auto value = [&](Metric metric) {
    switch (metric) {
      case Metric::accuracy:
        return accuracy(classes(predictions), classes(labels));
      case Metric::f1:
        return f1(classes(predictions), classes(labels));
      case Metric::matthews:
        return matthews(classes(predictions), classes(labels));
      case Metric::pearson:
        return pearson(predictions, labels);
      case Metric::spearman:
        return spearman(predictions, labels);
    }
    tn::fail("glue_metrics: expected a Metric, found ", static_cast<int>(metric));
  };
  std::vector<std::pair<Metric, double>> result;
  for (const Metric metric : task.metrics) result.emplace_back(metric, value(metric));
  return result;
}

}  // namespace metatt::transformer
