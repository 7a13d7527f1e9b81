#pragma once
/// The tasks of GLUE (Wang and others, arXiv:1804.07461) in the TSV files of its download script.

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace metatt::transformer {

enum class Metric { accuracy, f1, matthews, pearson, spearman };

/// What one task's files look like and how it is judged.
struct GlueTask {
  std::string name;    ///< as in Hugging Face's run_glue: "mrpc"
  std::string folder;  ///< GLUE's folder: "MRPC"
  /// Names of the columns of files that have no header; empty where the first line is one.
  std::vector<std::string> columns_without_header;
  std::string sentence1;  ///< column of the (first) sentence
  std::string sentence2;  ///< column of the second; empty for tasks on single sentences
  std::string label;      ///< column of the label or score
  /// Labels as written in the file; the position is the class. Empty for a score of 0 … 5.
  std::vector<std::string> labels;
  std::vector<Metric> metrics;
  /// What Hugging Face's data set calls the classes where the files only have numbers.
  std::vector<std::string> class_names = {};
  /// File names without ".tsv" for evaluation; the one for training is "train".
  std::vector<std::string> development_splits = {"dev"};
  bool short_rows =
      false;  ///< its labelled files have rows that lack columns, and nobody uses them

  bool regression() const { return labels.empty(); }
  /// Outputs of a head for this task: the number of classes, 1 for a score.
  int outputs() const { return regression() ? 1 : static_cast<int>(labels.size()); }
};

/// One line of a file.
struct GlueRow {
  std::string sentence1;
  std::optional<std::string> sentence2;
  double label = 0;  ///< the class (0, 1, …) or the score
};

/// Of all tasks.
std::vector<std::string> glue_task_names();
/// Throws tn::Error listing the names if there is no such task.
const GlueTask& find_glue_task(const std::string& name);

/// All rows of a labelled split ("train", "dev"; for MNLI "dev_matched", "dev_mismatched").
/// `folder` is the task's own folder or the one that holds it under GLUE's name (MRPC/train.tsv).
/// Tabs separate and quotes are plain text; a byte order mark, CRLF and a missing last newline are
/// accepted. Throws tn::Error naming file and line on a wrong number of columns (rows of QQP that
/// lack some are left out and counted in `left_out`), bytes that are no UTF-8, a zero, an unknown
/// label, a score outside 0 … 5, an empty sentence, a header without a needed column or a file
/// without rows.
std::vector<GlueRow> read_glue(const std::filesystem::path& folder, const GlueTask& task,
                               const std::string& split, std::size_t* left_out = nullptr);

/// The same for predictions: labels are not looked at, so also for "test" and the like, whose files
/// have none (and for CoLA a header then). Every label is 0.
std::vector<GlueRow> read_glue_texts(const std::filesystem::path& folder, const GlueTask& task,
                                     const std::string& split);

/// Those of the task's splits without labels whose files are there: "test", or of MNLI
/// "test_matched" and "test_mismatched".
std::vector<std::string> test_splits(const std::filesystem::path& folder, const GlueTask& task);

/// "accuracy", "f1", "matthews_correlation", "pearson", "spearmanr": Hugging Face's keys.
std::string metric_name(Metric metric);

/// The task's metrics, in its order. `predictions` and `labels` are classes or scores as in
/// GlueRow.
std::vector<std::pair<Metric, double>> glue_metrics(const GlueTask& task,
                                                    std::span<const double> predictions,
                                                    std::span<const double> labels);

}  // namespace metatt::transformer
