#pragma once
/// Sparse vectors written with some of their own.

#include <metatt/tn/backend/types.hpp>

#include <algorithm>
#include <complex>
#include <map>
#include <utility>
#include <vector>

namespace metatt::tn {

/// Takes sparse vectors one at a time and says how those taken before span the new one. By Gaussian
/// elimination with the largest element of each vector as its pivot; what is left at 1e-12 of the
/// vector counts as rounding.
class RowBasis {
 public:
  using Row = std::map<Index, std::complex<double>>;  ///< elements by their columns
  using Expansion = std::vector<std::pair<Index, std::complex<double>>>;  ///< numbers, coefficients

  /// The vector `number` as a sum of members. It becomes a member unless they span it.
  Expansion expand(Index number, Row row);
  std::size_t size() const { return members_.size(); }
  bool has(Index number) const {
    return std::ranges::any_of(members_, [&](const Member& m) { return m.number == number; });
  }

 private:
  struct Member {
    Index number, pivot;
    Row rest;        ///< the vector without what earlier members span, 1 at the pivot
    Row in_members;  ///< rest = Σ in_members · members
  };
  std::vector<Member> members_;
};

}  // namespace metatt::tn
