#include <metatt/apps/training_pictures.hpp>

#include <algorithm>
#include <cmath>
#include <functional>

namespace metatt::apps {

namespace {

/// What a run adds to a curve of all runs: x and y of each point.
using PointsOf = std::function<void(const RunRecord&, Curve&)>;

LinePlot over_steps(const std::vector<RunRecord>& runs, const std::vector<RunGroup>& groups,
                    const std::string& title, const std::string& y_label, const PointsOf& points) {
  LinePlot plot{title, "step", y_label, {}};
  for (std::size_t g = 0; g < groups.size(); ++g) {
    bool named = false;
    for (const std::size_t i : groups[g].runs) {
      Curve curve;
      curve.colour = g;
      points(runs[i], curve);
      if (curve.x.empty()) continue;
      if (!named) curve.title = groups[g].label;
      named = true;
      plot.curves.push_back(std::move(curve));
    }
  }
  return plot;
}

PointsOf evaluations(const std::string& metric) {
  return [metric](const RunRecord& run, Curve& curve) {
    for (const EvaluationRecord& evaluation : run.evaluations) {
      if (metric != "loss" && !evaluation.metrics.contains(metric)) continue;
      curve.x.push_back(static_cast<double>(evaluation.step));
      curve.y.push_back(metric_value(evaluation, metric));
    }
  };
}

PointsOf steps(double StepRecord::*value) {
  return [value](const RunRecord& run, Curve& curve) {
    for (const StepRecord& step : run.steps) {
      curve.x.push_back(static_cast<double>(step.step));
      curve.y.push_back(step.*value);
    }
  };
}

/// What a picture shows, and of which run: of a long name (a path) the end, as much of it as a
/// title can hold.
std::string title_of(const std::string& subject, const RunRecord& run) {
  constexpr std::size_t longest_name = 24;
  std::string name = run.name;
  if (name.size() > longest_name) {
    std::size_t begin = name.size() - longest_name;
    while ((static_cast<unsigned char>(name[begin]) & 0xc0) == 0x80) ++begin;  // in UTF-8
    name = "…" + name.substr(begin);
  }
  return subject + ": " + name;
}

constexpr tn::Index bonds_drawn = 12;  // more curves cannot be told apart

/// The number of bonds over all trains, and how each is called.
struct Bonds {
  explicit Bonds(const RunRecord& run) {
    for (const SweepRecord& sweep : run.sweeps)
      for (const BondRecord& bond : sweep.bonds) {
        count = std::max(count, bond.bond);
        names.try_emplace(bond.bond,
                          "bond " + std::to_string(bond.bond) + ", right of " + bond.left_core);
      }
  }
  tn::Index drawn() const { return std::min(count, bonds_drawn); }
  std::string caption() const {
    return count > bonds_drawn ? "The first " + std::to_string(bonds_drawn) + " of " +
                                     std::to_string(count) + " bonds."
                               : "";
  }

  tn::Index count = 0;
  std::map<tn::Index, std::string> names;
};

/// A curve for each bond that is drawn, with what `points` says of each of its changes.
std::vector<Curve> bond_curves(
    const RunRecord& run, const Bonds& bonds,
    const std::function<void(const SweepRecord&, const BondRecord&, Curve&)>& points) {
  std::vector<Curve> curves;
  for (const auto& [number, name] : bonds.names) {
    if (number > bonds_drawn) break;
    Curve curve;
    curve.title = name;
    curve.colour = static_cast<std::size_t>(number - 1);
    for (const SweepRecord& sweep : run.sweeps)
      for (const BondRecord& bond : sweep.bonds)
        if (bond.bond == number) points(sweep, bond, curve);
    curves.push_back(std::move(curve));
  }
  return curves;
}

Picture rank_picture(const RunRecord& run, const Bonds& bonds) {
  LinePlot plot{title_of("Rank of each bond", run), "step", "rank", {}};
  plot.curves =
      bond_curves(run, bonds, [](const SweepRecord& sweep, const BondRecord& bond, Curve& curve) {
        add_step(curve, static_cast<double>(sweep.step), static_cast<double>(bond.rank_before),
                 static_cast<double>(bond.rank_after));
      });
  double largest = 0;
  for (Curve& curve : plot.curves) {
    curve.points = false;
    curve.x.push_back(static_cast<double>(run.last_step()));
    curve.y.push_back(curve.y.back());
    largest = std::max(largest, std::ranges::max(curve.y));
  }
  // Bonds of one rank would hide each other.
  double shift = 0;
  for (Curve& curve : plot.curves) {
    for (double& rank : curve.y) rank -= shift;
    shift += 0.008 * largest;
  }
  const char* about = plot.curves.size() > 1 ? " Lines of equal rank are drawn side by side." : "";
  return {"ranks", std::move(plot), bonds.caption() + about};
}

Picture entropy_picture(const RunRecord& run, const Bonds& bonds) {
  LinePlot plot{title_of("Entanglement entropy at each sweep", run), "step", "−Σ p ln p", {}};
  bool grew = false;
  plot.curves =
      bond_curves(run, bonds, [&](const SweepRecord& sweep, const BondRecord& bond, Curve& curve) {
        if (bond.grew()) return void(grew = true);
        curve.x.push_back(static_cast<double>(sweep.step));
        curve.y.push_back(bond.entropy);
      });
  std::string caption = bonds.caption();
  if (grew) caption += " Without the changes in which a bond grew.";
  return {"entropy", std::move(plot), std::move(caption)};
}

Picture weight_picture(const RunRecord& run, const Bonds& bonds) {
  LinePlot plot{
      title_of("Discarded weight at each sweep", run), "step", "Σ discarded σ² / Σ σ²", {}, true};
  plot.curves =
      bond_curves(run, bonds, [](const SweepRecord& sweep, const BondRecord& bond, Curve& curve) {
        curve.x.push_back(static_cast<double>(sweep.step));
        curve.y.push_back(bond.discarded_weight);
      });
  return {"discarded weight", std::move(plot), bonds.caption()};
}

Curve spectrum_curve(const BondRecord& bond, const std::vector<double>& spectrum) {
  Curve curve;
  curve.title = "bond " + std::to_string(bond.bond) + ", rank " + std::to_string(bond.rank_before) +
                " → " + std::to_string(bond.rank_after);
  for (std::size_t i = 0; i < spectrum.size(); ++i) {
    curve.x.push_back(static_cast<double>(i + 1));
    curve.y.push_back(spectrum[i]);
  }
  curve.colour = static_cast<std::size_t>(bond.bond - 1);
  return curve;
}

/// By importance: what stands in the place of singular values are scores.
bool pruned(const std::vector<BondRecord>& list) {
  return !list.empty() && std::isnan(list.front().entropy);
}

/// The singular values of some bonds; those that a bond keeps are discs.
LinePlot spectra(const std::string& title, const std::vector<BondRecord>& list) {
  LinePlot plot{title, "number", pruned(list) ? "importance" : "singular value", {}, true};
  for (const BondRecord& bond : list) {
    if (bond.bond > bonds_drawn) continue;
    Curve curve = spectrum_curve(bond, bond.spectrum);
    const tn::Index kept = bond.grew() ? bond.rank_after - bond.rank_before : bond.rank_after;
    curve.filled = static_cast<std::size_t>(std::max<tn::Index>(kept, 0));
    if (bond.grew()) curve.title += ": of the gradient";
    plot.curves.push_back(std::move(curve));
  }
  return plot;
}

/// Those that bonds have after a sweep.
LinePlot spectra_after(const std::string& title, const std::vector<BondRecord>& list) {
  LinePlot plot{title, "number", "singular value", {}, true};
  for (const BondRecord& bond : list)
    if (bond.bond <= bonds_drawn && !bond.spectrum_after.empty())
      plot.curves.push_back(spectrum_curve(bond, bond.spectrum_after));
  return plot;
}

/// Two for each sweep; of two-site steps, of which there are hundreds, the last one of each bond.
std::vector<Picture> spectrum_pictures(const RunRecord& run, const Bonds& bonds) {
  const std::string about =
      "Discs: as many as the bond keeps; circles: the others. " + bonds.caption();
  std::vector<Picture> pictures;
  std::map<tn::Index, BondRecord> splits;
  for (const SweepRecord& sweep : run.sweeps) {
    const std::string step = "the sweep at step " + std::to_string(sweep.step);
    if (sweep.pair) {
      for (const BondRecord& bond : sweep.bonds) splits[bond.bond] = bond;
      continue;
    }
    const std::string what = pruned(sweep.bonds) ? "Importance before " : "σ before ";
    pictures.push_back(
        {"spectra before " + step, spectra(title_of(what + step, run), sweep.bonds), about});
    if (pruned(sweep.bonds)) continue;
    pictures.push_back({"spectra after " + step,
                        spectra_after(title_of("σ after " + step, run), sweep.bonds),
                        bonds.caption()});
  }
  std::vector<BondRecord> last;
  for (const auto& [number, bond] : splits) last.push_back(bond);
  if (!last.empty())
    pictures.push_back({"spectra of splits",
                        spectra(title_of("σ at the last split of each bond", run), last), about});
  return pictures;
}

/// Chooses the axis of the parameters, and moves groups of equal numbers so that all are seen.
void set_apart(Picture& picture) {
  LinePlot& plot = picture.plot;
  const auto count_of = [](const Curve& curve) { return curve.x[0]; };
  const auto [first, last] = std::ranges::minmax(plot.curves, {}, count_of);
  const double least = first.x[0], most = last.x[0];
  plot.logarithmic_x = least > 0 && most > 20 * least;  // the head alone has none
  std::map<double, int> groups;
  bool moved = false;
  for (Curve& curve : plot.curves) {
    const int before = groups[curve.x[0]]++;
    if (before == 0) continue;
    moved = true;
    curve.x[0] = plot.logarithmic_x
                     ? curve.x[0] * std::pow(most / least, 0.012 * before)
                     : curve.x[0] + before * (most > least ? 0.012 * (most - least) : 1);
  }
  if (moved) picture.caption += " Groups of equal numbers are drawn side by side.";
}

/// What the main metric of a group is drawn against.
struct Cost {
  const char *name, *axis;
  std::optional<double> (*of)(const std::vector<RunRecord>&, const RunGroup&);
};

template <std::optional<double> RunRecord::*value>
std::optional<double> mean_of(const std::vector<RunRecord>& runs, const RunGroup& group) {
  const auto estimate = estimate_of_group(runs, group, value);
  return estimate ? std::optional(estimate->mean) : std::nullopt;
}

constexpr Cost costs[] = {
    {"trained parameters", "trained parameters without the head", parameters_of_group},
    {"time", "seconds of training", mean_of<&RunRecord::seconds>},
    {"memory", "peak memory, MB", mean_of<&RunRecord::peak_memory_mb>},
};

/// "1 (3 seeds): lora".
std::string title_with_seeds(const RunGroup& group, std::size_t seeds) {
  std::string title = group.label;
  title.insert(title.find(':'), " (" + std::to_string(seeds) + (seeds == 1 ? " seed)" : " seeds)"));
  return title;
}

}  // namespace

std::vector<Picture> curve_pictures(const std::vector<RunRecord>& runs,
                                    const std::vector<RunGroup>& groups) {
  std::vector<Picture> pictures;
  pictures.push_back({"training loss",
                      over_steps(runs, groups, "Training loss", "loss", steps(&StepRecord::loss))});
  pictures.push_back({"learning rate", over_steps(runs, groups, "Learning rate", "learning rate",
                                                  steps(&StepRecord::learning_rate))});
  pictures.push_back({"development loss",
                      over_steps(runs, groups, "Development loss", "loss", evaluations("loss"))});
  for (const std::string& metric : metric_names(runs))
    pictures.push_back({"development " + metric, over_steps(runs, groups, "Development: " + metric,
                                                            metric, evaluations(metric))});
  return pictures;
}

std::vector<Picture> metric_pictures(const std::vector<RunRecord>& runs,
                                     const std::vector<RunGroup>& groups) {
  std::vector<Picture> pictures;
  std::map<std::pair<std::string, std::string>, std::size_t> places;
  for (const Cost& cost : costs) {
    if (&cost != costs && groups.size() == 1) break;
    for (std::size_t g = 0; g < groups.size(); ++g) {
      if (groups[g].counted.empty()) continue;
      const RunRecord& first = runs[groups[g].counted.front()];
      const std::string metric = main_metric(first), task = purpose(first);
      const auto value = metric_of_group(runs, groups[g], metric);
      const auto at = cost.of(runs, groups[g]);
      if (!value || !at) continue;
      const std::string title = task + ": " + metric + " and " + cost.name;
      const auto [place, is_new] =
          places.try_emplace({task + " " + metric, cost.name}, pictures.size());
      if (is_new) {
        LinePlot plot{title, cost.axis, metric, {}};
        plot.lines = false;
        pictures.push_back({title, std::move(plot),
                            "Means over seeds; bars: 95 % intervals after Student, where there are "
                            "two seeds or more."});
      }
      Curve curve{
          title_with_seeds(groups[g], value->count), {*at}, {value->mean}, {value->half_width}};
      curve.colour = g;
      pictures[place->second].plot.curves.push_back(std::move(curve));
    }
  }
  for (Picture& picture : pictures) set_apart(picture);
  return pictures;
}

std::vector<Picture> bond_pictures(const RunRecord& run) {
  if (run.sweeps.empty()) return {};
  const Bonds bonds(run);
  if (bonds.count == 0) return {};
  std::vector<Picture> pictures{rank_picture(run, bonds), entropy_picture(run, bonds),
                                weight_picture(run, bonds)};
  for (Picture& picture : spectrum_pictures(run, bonds)) pictures.push_back(std::move(picture));
  return pictures;
}

}  // namespace metatt::apps
