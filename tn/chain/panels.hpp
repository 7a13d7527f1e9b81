#pragma once
/// Internal to the environments: the blocks that stand between two products.

#include <metatt/tn/backend/backend.hpp>
#include <metatt/tn/symmetry/leg.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <utility>
#include <vector>

namespace metatt::tn {

/// Groups of equal charge: in which each index is, and at which place there.
struct Grouping {
  std::vector<Index> group, place, size;  ///< of each index, of each index, of each group

  void add(Index to) {
    if (to == static_cast<Index>(size.size())) size.push_back(0);
    group.push_back(to);
    place.push_back(size[static_cast<std::size_t>(to)]++);
  }
  Index count() const { return static_cast<Index>(group.size()); }
  Index size_of(Index g) const { return size[static_cast<std::size_t>(g)]; }

  static Grouping of(const Leg& leg) {
    Grouping result;
    for (Index s = 0; s < leg.sector_count(); ++s)
      for (Index i = 0; i < leg.sector(s).dimension; ++i) result.add(s);
    return result;
  }
};

/// Matrices of one shape, rows × columns, one for each pair (index of the operator bond, index of
/// the modes) of those groups that the charges allow. Those of a pair of groups follow each other,
/// the bond index slower.
struct Panel {
  Index rows = 0, columns = 0;
  Index count = 0;                                   ///< of matrices
  std::map<std::pair<Index, Index>, Index> numbers;  ///< of the first matrix of a pair of groups
  Index offset = 0;  ///< of the first matrix in the memory of all panels

  Index block() const { return rows * columns; }
  void add(Index bond_group, Index mode_group, Index matrices) {
    if (numbers.try_emplace({bond_group, mode_group}, count).second) count += matrices;
  }
};

/// The panels of a step, by the sectors of their rows and columns.
class Panels {
 public:
  Panels(Grouping bond, Grouping modes) : bond_(std::move(bond)), modes_(std::move(modes)) {}

  /// Room for the matrices of a pair of groups.
  void add(std::pair<Index, Index> sectors, Index rows, Index columns, Index bond_group,
           Index mode_group) {
    Panel& panel = panels_[sectors];
    panel.rows = rows;
    panel.columns = columns;
    panel.add(bond_group, mode_group, bond_.size_of(bond_group) * modes_.size_of(mode_group));
  }
  /// After the last add(): where each panel begins.
  void place() {
    size_ = 0;
    for (auto& [sectors, panel] : panels_) {
      panel.offset = size_;
      size_ += panel.count * panel.block();
    }
  }

  const std::map<std::pair<Index, Index>, Panel>& all() const { return panels_; }
  const Panel* find(std::pair<Index, Index> sectors) const {
    const auto found = panels_.find(sectors);
    return found == panels_.end() ? nullptr : &found->second;
  }
  const Grouping& bond() const { return bond_; }
  const Grouping& modes() const { return modes_; }
  Index size() const { return size_; }  ///< elements of all panels

  /// Offset of the first matrix of a pair of groups.
  Index offset(const Panel& panel, Index bond_group, Index mode_group) const {
    return panel.offset + panel.numbers.at({bond_group, mode_group}) * panel.block();
  }

 private:
  Grouping bond_, modes_;
  std::map<std::pair<Index, Index>, Panel> panels_;
  Index size_ = 0;
};

/// Products that add up to several results, listed in any order.
template <class T>
class ProductSums {
 public:
  void add(const GemmTerm<T>& term) { terms_.push_back(term); }
  /// Makes them all; every result is only written.
  void run(Transpose a, Transpose b) {
    std::stable_sort(terms_.begin(), terms_.end(),
                     [](const auto& x, const auto& y) { return std::less<const T*>()(x.C, y.C); });
    backend::gemm_sums<T>(backend::queue(), a, b, terms_);
  }

 private:
  std::vector<GemmTerm<T>> terms_;
};

/// Sorted by row, entries at one place added up.
template <class T>
std::vector<SparseEntry<T>> sorted(std::vector<SparseEntry<T>> entries) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::pair(a.row, a.column) < std::pair(b.row, b.column);
  });
  std::vector<SparseEntry<T>> result;
  for (const auto& entry : entries) {
    if (!result.empty() && result.back().row == entry.row && result.back().column == entry.column)
      result.back().value += entry.value;
    else
      result.push_back(entry);
  }
  return result;
}

/// The operator between the panels before and after it: for each panel of `after` a sparse matrix.
template <class T>
class PanelOperator {
 public:
  /// `entries` have the row (bond index after, mode) as bond index · modes + mode, the column
  /// likewise before.
  PanelOperator(const Panels& before, const Panels& after,
                const std::vector<SparseEntry<T>>& entries) {
    // The entries by the groups they lead to and come from, numbered within them.
    std::map<Groups, std::map<Groups, std::vector<SparseEntry<T>>>> buckets;
    for (const auto& entry : entries) {
      const auto [to, row] = located(after, entry.row);
      const auto [from, column] = located(before, entry.column);
      buckets[to][from].push_back({row, column, entry.value});
    }
    for (const auto& [sectors, to] : after.all()) {
      std::vector<SparseEntry<T>> own;
      const Panel* from = before.find(sectors);
      for (const auto& [groups, first_row] : to.numbers) {
        const auto bucket = buckets.find(groups);
        if (!from || bucket == buckets.end()) continue;
        for (const auto& [source, inside] : bucket->second) {
          const auto first_column = from->numbers.find(source);
          if (first_column == from->numbers.end()) continue;
          for (const auto& entry : inside)
            own.push_back(
                {first_row + entry.row, first_column->second + entry.column, entry.value});
        }
      }
      steps_.push_back(
          {to.count, to.block(), from ? from->offset : 0, to.offset, sorted(std::move(own))});
    }
  }

  void apply(const T* before, T* after) const {
    for (const Step& step : steps_)
      backend::combine_blocks<T>(backend::queue(), step.rows, step.block, step.entries,
                                 before + step.from, after + step.to);
  }

 private:
  using Groups = std::pair<Index, Index>;  ///< of the bond, of the modes

  static std::pair<Groups, Index> located(const Panels& panels, Index number) {
    const Index modes = panels.modes().count();
    const auto b = static_cast<std::size_t>(number / modes),
               m = static_cast<std::size_t>(number % modes);
    const Index group = panels.modes().group[m];
    return {{panels.bond().group[b], group},
            panels.bond().place[b] * panels.modes().size_of(group) + panels.modes().place[m]};
  }

  struct Step {
    Index rows, block, from, to;
    std::vector<SparseEntry<T>> entries;
  };
  std::vector<Step> steps_;
};

}  // namespace metatt::tn
