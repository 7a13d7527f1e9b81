#pragma once
/// When the ranks of an adapter's trains change, and to what.

#include <metatt/tn/truncation.hpp>

#include <string>
#include <vector>

namespace metatt::transformer {

using tn::Index;

/// What the bonds of a train shall become: ranks, or as small as a budget for the whole train asks;
/// of an adapter of several trains each by itself. With both, where one cut serves (a split pair, a
/// compression), ranks are the largest that the cutoff may leave.
struct RankTarget {
  std::vector<Index> ranks = {};  ///< one for all bonds, or one for each; empty: by the budget
  tn::TruncationBudget budget = {};

  /// The rank of a bond, where ranks are given.
  Index rank(std::size_t bond) const { return ranks.size() == 1 ? ranks.front() : ranks.at(bond); }
};

/// A change of the ranks before an epoch or a step.
struct RankStep {
  Index when = 0;  ///< an epoch, or a step, from 0
  bool in_steps = false;
  RankTarget target = {};

  /// How many steps come before it.
  Index steps_before(Index steps_per_epoch) const {
    return in_steps ? when : when * steps_per_epoch;
  }
};

/// Where two-site steps stand (TwoSiteSweep), to go on from there.
struct TwoSiteState {
  Index pair = 0;       ///< place of the present pair on the way to the right end, back, and so on
  Index steps = 0;      ///< of the present pair that are done
  bool merged = false;  ///< whether the present pair is one core
  Index rank = 0;       ///< that the bond inside it had before
};

/// Reads WHEN:WHAT,WHEN:WHAT,… as "0:10,3:8,5:6". WHEN is an epoch, or a step if an "s" follows
/// ("200s"); all after the first are of one kind and rise. WHAT is a rank for all bonds ("8"), one
/// for each ("8-4-8"), "cutoff=1e-3", what the discarded weights Σ discarded σ² / Σσ² of all bonds
/// may sum up to (with two-site steps: that of each split), or "parameters=2000", the numbers that
/// the cores may have. The first entry is 0 with the ranks that training starts with. Throws Error
/// naming what was expected and found.
std::vector<RankStep> parse_rank_schedule(const std::string& text);

}  // namespace metatt::transformer
