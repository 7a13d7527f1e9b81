#include <metatt/apps/training_report.hpp>

#include <metatt/apps/console.hpp>
#include <metatt/apps/training_pictures.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::apps {

namespace {

constexpr const char* unknown = "–";

std::string number(const std::optional<double>& value, int digits) {
  return value && std::isfinite(*value) ? fixed(*value, digits) : unknown;
}

std::string mean_text(const std::optional<Estimate>& estimate, int digits) {
  return estimate ? interval_text(estimate->mean, estimate->half_width, digits) : unknown;
}

std::string group_table(const std::vector<RunRecord>& runs, const std::vector<RunGroup>& groups) {
  HtmlTable table({"group", "task", "metric", "seeds", "parameters without head",
                   "mean of the metric", "mean of the dev loss", "seconds", "peak memory, MB"},
                  1);
  for (const RunGroup& group : groups) {
    const RunRecord& first = runs[group.runs.front()];
    const std::string metric = main_metric(first);
    table.row({group.label, purpose(first), metric, std::to_string(group.counted.size()),
               number(parameters_of_group(runs, group), 0),
               mean_text(metric_of_group(runs, group, metric), 4),
               mean_text(metric_of_group(runs, group, "loss"), 4),
               mean_text(estimate_of_group(runs, group, &RunRecord::seconds), 1),
               mean_text(estimate_of_group(runs, group, &RunRecord::peak_memory_mb), 0)});
  }
  return table.html();
}

std::string run_table(const std::vector<RunRecord>& runs, const std::vector<RunGroup>& groups) {
  const auto differing = differing_settings(runs);
  HtmlTable table({"run", "status", "settings that differ", "group", "seed", "steps",
                   "parameters without head", "ranks at the end", "metric", "dev loss",
                   "last training loss", "seconds", "peak memory, MB"},
                  3);
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (const std::size_t i : groups[g].runs) {
      const RunRecord& run = runs[i];
      std::optional<double> metric, loss, training;
      if (run.result) metric = metric_value(*run.result, main_metric(run));
      if (run.result) loss = run.result->loss;
      if (!run.steps.empty()) training = run.steps.back().loss;
      std::string settings;
      for (const std::string& name : differing)
        if (const std::string value = run.setting(name); !value.empty())
          settings += (settings.empty() ? "" : ", ") + name + " = " + value;
      table.row({run.name, run.status(), settings, std::to_string(g + 1), run.setting("seed"),
                 std::to_string(run.last_step()),
                 run.parameters ? std::to_string(*run.parameters) : unknown,
                 run.ranks.empty() ? unknown : ranks_text(run.ranks), number(metric, 4),
                 number(loss, 4), number(training, 4), number(run.seconds, 1),
                 number(run.peak_memory_mb, 0)});
    }
  return table.html();
}

/// What a reader must know of single runs before he believes the means.
std::string remarks(const std::vector<RunRecord>& runs, const std::vector<RunGroup>& groups) {
  std::string items;
  const auto item = [&](const std::string& text) {
    items += "<li>" + html_escaped(text) + "</li>\n";
  };
  for (const RunRecord& run : runs)
    if (run.end != RunEnd::ended || run.cut || !run.resumed_at.empty())
      item(run.name + ": " + run.status() + ", drawn up to step " +
           std::to_string(run.last_step()) +
           (run.end == RunEnd::ended ? "" : ", not counted in means") +
           (run.error.empty() ? "" : ": " + run.error));
  for (const RunGroup& group : groups)
    for (const std::size_t i : group.runs)
      if (runs[i].end == RunEnd::ended &&
          std::ranges::find(group.counted, i) == group.counted.end())
        item(runs[i].name + ": repeats seed " + runs[i].setting("seed") +
             " with the same settings, not counted in means");
  return items.empty() ? "" : "<ul>\n" + items + "</ul>\n";
}

std::string shared_settings(const std::vector<RunRecord>& runs) {
  std::string lines;
  for (const auto& setting : runs.front().settings) {
    const auto has_it = [&](const RunRecord& run) {
      return run.setting(setting.first) == setting.second;
    };
    if (!setting.second.empty() && std::ranges::all_of(runs, has_it))
      lines += setting.first + " = " + setting.second + "\n";
  }
  return "<pre>" + html_escaped(lines) + "</pre>\n";
}

void add_pictures(ReportPage& page, const std::vector<Picture>& pictures) {
  for (const Picture& picture : pictures) {
    const std::string rest = left_out(picture.plot);
    const std::string caption =
        picture.caption + (picture.caption.empty() || rest.empty() ? "" : " ") + rest;
    page.add_picture(picture.name, svg(picture.plot), caption);
  }
}

}  // namespace

ReportPage training_report(const std::vector<RunRecord>& runs, const std::string& searches) {
  const auto groups = group_runs(runs);
  ReportPage page("Training runs");
  page.add(searches);
  page.add_heading("Groups");
  page.add(
      "<p>A group is all runs whose settings differ in nothing but the seed. Means are over the "
      "seeds that ended; ± gives half the width of the 95 % interval (Student's t), from two seeds "
      "on.</p>\n");
  page.add(group_table(runs, groups));
  add_pictures(page, metric_pictures(runs, groups));
  page.add_heading("Runs");
  page.add(remarks(runs, groups) + run_table(runs, groups));
  page.add_heading("Over the steps");
  add_pictures(page, curve_pictures(runs, groups));
  for (const RunRecord& run : runs) {
    const auto pictures = bond_pictures(run);
    if (pictures.empty()) continue;
    page.add_heading("Ranks of " + run.name);
    add_pictures(page, pictures);
  }
  page.add_heading(runs.size() > 1 ? "Settings that all runs share" : "Settings");
  page.add(shared_settings(runs));
  return page;
}

}  // namespace metatt::apps
