#pragma once
/// The pictures of training runs, before they are drawn.

#include <metatt/apps/plot.hpp>
#include <metatt/apps/run_groups.hpp>

namespace metatt::apps {

struct Picture {
  std::string name;  ///< of its file
  LinePlot plot;
  std::string caption = {};
};

/// Losses, learning rates and metrics of all runs over the steps; a group has one colour.
std::vector<Picture> curve_pictures(const std::vector<RunRecord>& runs,
                                    const std::vector<RunGroup>& groups);

/// For each purpose the main metric of each group, with the interval over seeds, at its number of
/// trained parameters, and of several groups at what they took of time and memory.
std::vector<Picture> metric_pictures(const std::vector<RunRecord>& runs,
                                     const std::vector<RunGroup>& groups);

/// Ranks, entropies, discarded weights and spectra of a run whose ranks were adapted; none of
/// another.
std::vector<Picture> bond_pictures(const RunRecord& run);

}  // namespace metatt::apps
