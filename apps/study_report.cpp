#include <metatt/apps/study_report.hpp>

#include <metatt/apps/console.hpp>
#include <metatt/apps/csv.hpp>
#include <metatt/apps/plot.hpp>
#include <metatt/apps/statistics.hpp>
#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

namespace metatt::apps {

namespace {

using Row = CsvRow;

constexpr const char* what_the_table_shows =
    "<p>Each strategy at its best learning rate, chosen by the same seeds. Recovered: the share of "
    "seeds that end with the planted train; ranks found: the share whose significant ranks are its "
    "ranks, of the strategies that are not told them. ± gives half the width of the 95 % interval "
    "(Student's t); differences are of log10 of the error, seed by seed. Seconds are processor "
    "time.</p>\n";

class StudyReport {
 public:
  explicit StudyReport(const std::filesystem::path& folder)
      : folder_(folder),
        summary_(read_csv(folder / study_summary_name)),
        curves_(read_csv(folder / study_curves_name)),
        sweeps_(read_csv(folder / study_sweeps_name)) {
    if (summary_.empty()) tn::fail(file_of(summary_), ": expected a strategy, found none");
    for (const Row& row : summary_) {
      add_once(comparisons_, field(summary_, row, "comparison"));
      add_once(strategies_, field(summary_, row, "strategy"));
      add_once(oversamplings_, field(summary_, row, "oversampling"));
      best_rates_[key(summary_, row)] = field(summary_, row, "best_learning_rate");
    }
    moments_ = lines_at_best_rates(curves_);
    changes_ = lines_at_best_rates(sweeps_);
  }

  ReportPage page() const {
    ReportPage page("Rank adaptation in isolation");
    for (const std::string& comparison : comparisons_) {
      page.add_heading("At equal " + comparison);
      page.add(what_the_table_shows + table(comparison));
      add_outcomes(page, comparison);
      for (const std::string& oversampling : oversamplings_)
        add_courses(page, comparison, oversampling);
      add_bonds(page, comparison, most_targets());
    }
    page.add_heading("Settings");
    page.add("<pre>" + html_escaped(tn::read_file(folder_ / "settings.json")) + "</pre>\n");
    return page;
  }

 private:
  /// Comparison, oversampling and strategy.
  using Key = std::array<std::string, 3>;
  using Lines = std::vector<const Row*>;
  Key key(const std::vector<Row>& table, const Row& row) const {
    return {field(table, row, "comparison"), field(table, row, "oversampling"),
            field(table, row, "strategy")};
  }
  static void add_once(std::vector<std::string>& values, const std::string& value) {
    if (std::ranges::find(values, value) == values.end()) values.push_back(value);
  }
  std::string file_of(const std::vector<Row>& table) const {
    return (folder_ / (&table == &summary_  ? study_summary_name
                       : &table == &curves_ ? study_curves_name
                                            : study_sweeps_name))
        .string();
  }
  const std::string& field(const std::vector<Row>& table, const Row& row,
                           const std::string& column) const {
    return csv_text(row, column, file_of(table));
  }
  double number(const std::vector<Row>& table, const Row& row, const std::string& column) const {
    return csv_value(row, column, file_of(table));
  }

  std::string table(const std::string& comparison) const {
    HtmlTable table({"strategy", "targets a degree of freedom", "learning rate", "recovered",
                     "ranks found", "steps to recovery", "log10 of the tensor's error",
                     "to the first, log10", "parameters", "seconds"},
                    1);
    for (const Row& row : summary_) {
      if (field(summary_, row, "comparison") != comparison) continue;
      const auto share = [&](const char* column) {
        const double value = number(summary_, row, column);
        return std::isfinite(value) ? fixed(100 * value, 0) + " %" : "–";
      };
      const auto mean = [&](const std::string& column, const std::string& half, int digits) {
        return interval_text(number(summary_, row, column), number(summary_, row, half), digits);
      };
      table.row({field(summary_, row, "strategy"), field(summary_, row, "oversampling"),
                 field(summary_, row, "best_learning_rate"), share("recovered"),
                 share("ranks_found"), mean("steps_to_recovery", "steps_to_recovery_half_width", 0),
                 mean("log10_tensor_error", "log10_tensor_error_half_width", 2),
                 mean("log10_difference_to_first", "log10_difference_half_width", 2),
                 fixed(number(summary_, row, "parameters"), 0),
                 fixed(number(summary_, row, "seconds"), 2)});
    }
    return table.html();
  }

  /// A column of the summary over the number of targets.
  void add_outcome(ReportPage& page, const std::string& comparison, const std::string& title,
                   const std::string& label, const std::string& column,
                   const std::string& half_width = "") const {
    LinePlot plot{title, "targets for each degree of freedom", label, {}};
    for (const std::string& strategy : strategies_) {
      Curve curve{strategy, {}, {}};
      for (const Row& row : summary_) {
        if (field(summary_, row, "comparison") != comparison ||
            field(summary_, row, "strategy") != strategy)
          continue;
        curve.x.push_back(number(summary_, row, "oversampling"));
        curve.y.push_back(number(summary_, row, column));
        if (!half_width.empty()) curve.half_widths.push_back(number(summary_, row, half_width));
      }
      plot.curves.push_back(std::move(curve));
    }
    page.add_picture(column + " equal " + comparison, svg(plot),
                     "Of equal values the last one drawn is seen. " + left_out(plot));
  }

  void add_outcomes(ReportPage& page, const std::string& comparison) const {
    add_outcome(page, comparison, "How often the train is found", "share of the seeds",
                "recovered");
    add_outcome(page, comparison, "How often its ranks are found", "share of the seeds",
                "ranks_found");
    add_outcome(page, comparison, "How fast it is found", "steps to recovery", "steps_to_recovery",
                "steps_to_recovery_half_width");
    add_outcome(page, comparison, "How well it is found", "log10 of the tensor's relative error",
                "log10_tensor_error", "log10_tensor_error_half_width");
  }

  std::map<Key, Lines> lines_at_best_rates(const std::vector<Row>& table) const {
    std::map<Key, Lines> lines;
    for (const Row& row : table) {
      const auto best = best_rates_.find(key(table, row));
      if (best != best_rates_.end() && best->second == field(table, row, "learning_rate"))
        lines[best->first].push_back(&row);
    }
    return lines;
  }

  /// The mean over the seeds of what the lines of each step say, over the steps.
  Curve course(const std::string& strategy, const std::vector<Row>& table, const Lines& lines,
               const std::string& column, bool logarithmic) const {
    std::map<double, std::pair<double, int>> sums;
    for (const Row* row : lines) {
      const double value = number(table, *row, column);
      if (std::isnan(value)) continue;  // a column that does not apply to this change
      auto& [sum, count] = sums[number(table, *row, "step")];
      sum += logarithmic ? std::log10(value) : value;
      ++count;
    }
    Curve curve{strategy, {}, {}};
    for (const auto& [step, sum] : sums) {
      const double mean = sum.first / sum.second;
      curve.x.push_back(step);
      curve.y.push_back(logarithmic ? std::pow(10, mean) : mean);
    }
    return curve;
  }

  /// The rank of a bond over the run, from what each change says of it.
  Curve ranks(const std::string& strategy, const Lines& changes, double last_step) const {
    const Curve before = course(strategy, sweeps_, changes, "rank_before", false);
    const Curve after = course(strategy, sweeps_, changes, "rank_after", false);
    Curve curve{strategy, {}, {}};
    curve.points = false;
    for (std::size_t i = 0; i < after.x.size(); ++i)
      add_step(curve, after.x[i], before.y[i], after.y[i]);
    if (!curve.x.empty()) {
      curve.x.push_back(last_step);
      curve.y.push_back(curve.y.back());
    }
    return curve;
  }

  double last_step(const Key& key) const {
    double last = 0;
    for (const Row* row : lines_of(moments_, key))
      last = std::max(last, number(curves_, *row, "step"));
    return last;
  }

  void add_courses(ReportPage& page, const std::string& comparison,
                   const std::string& oversampling) const {
    const std::string where = oversampling + " targets for each degree of freedom";
    LinePlot errors{"Error, " + where, "step", "relative error of the tensor", {}, true};
    LinePlot parameters{"Parameters, " + where, "step", "numbers in the cores", {}};
    for (const std::string& strategy : strategies_) {
      const Lines lines = lines_of(moments_, {comparison, oversampling, strategy});
      errors.curves.push_back(course(strategy, curves_, lines, "tensor_error", true));
      parameters.curves.push_back(course(strategy, curves_, lines, "parameters", false));
      errors.curves.back().points = parameters.curves.back().points = false;
    }
    const std::string name = " equal " + comparison + " oversampling " + oversampling;
    page.add_picture("error" + name, svg(errors),
                     "Means over the seeds, of errors their logarithms'. " + left_out(errors));
    page.add_picture("parameters" + name, svg(parameters));
  }

  static Lines lines_of(const std::map<Key, Lines>& lines, const Key& key) {
    const auto found = lines.find(key);
    return found == lines.end() ? Lines{} : found->second;
  }

  std::string most_targets() const {
    const auto targets = [&](const Row& row) { return number(summary_, row, "oversampling"); };
    return field(summary_, *std::ranges::max_element(summary_, {}, targets), "oversampling");
  }

  /// What the changes of ranks did to each bond.
  void add_bonds(ReportPage& page, const std::string& comparison,
                 const std::string& oversampling) const {
    std::vector<std::string> bonds;
    for (const Row& row : sweeps_) add_once(bonds, field(sweeps_, row, "bond"));
    for (const std::string& bond : bonds)
      for (const auto& [column, title, label] :
           {std::array<std::string, 3>{"rank_after", "Rank", "rank"},
            {"entropy", "Entropy", "entropy at the change, nats"},
            {"discarded_weight", "Discarded weight", "share of the squared norm"}}) {
        LinePlot plot{title + " of bond " + bond + ", " + oversampling +
                          " targets for each degree of freedom",
                      "step",
                      label,
                      {}};
        const bool of_spectrum = column == "entropy";
        for (const std::string& strategy : strategies_) {
          const Key key{comparison, oversampling, strategy};
          Lines lines = lines_of(changes_, key);
          std::erase_if(lines, [&](const Row* row) {
            const bool grown = number(sweeps_, *row, "rank_after") >
                               number(sweeps_, *row, "rank_before");  // its spectrum is another
            return field(sweeps_, *row, "bond") != bond || (of_spectrum && grown);
          });
          plot.curves.push_back(column == "rank_after"
                                    ? ranks(strategy, lines, last_step(key))
                                    : course(strategy, sweeps_, lines, column, false));
        }
        plot.logarithmic = column == "discarded_weight";
        std::string about = "Means over the seeds";
        about += column == "rank_after" ? ", of strategies that change ranks"
                                        : ", a point for each change of ranks";
        if (of_spectrum) about += " but growth";
        page.add_picture(column + " bond " + bond + " equal " + comparison, svg(plot),
                         about + ". " + left_out(plot));
      }
  }

  std::filesystem::path folder_;
  std::vector<Row> summary_, curves_, sweeps_;
  std::vector<std::string> comparisons_, strategies_, oversamplings_;
  std::map<Key, std::string> best_rates_;
  std::map<Key, Lines> moments_, changes_;  ///< lines of curves_ and sweeps_ at the best rate
};

}  // namespace

ReportPage study_report(const std::filesystem::path& folder) {
  return StudyReport(folder).page();
}

}  // namespace metatt::apps
