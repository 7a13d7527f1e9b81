#include <metatt/tn/chain/row_basis.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::tn {

namespace {

/// y += factor · x
void add(RowBasis::Row& y, std::complex<double> factor, const RowBasis::Row& x) {
  for (const auto& [column, value] : x) y[column] += factor * value;
}

RowBasis::Row::const_iterator largest(const RowBasis::Row& row) {
  return std::ranges::max_element(row, {}, [](const auto& e) { return std::abs(e.second); });
}

double largest_size(const RowBasis::Row& row) {
  return row.empty() ? 0 : std::abs(largest(row)->second);
}

}  // namespace

RowBasis::Expansion RowBasis::expand(Index number, Row row) {
  const double whole = largest_size(row);
  Row coefficients;
  for (const Member& member : members_) {
    const auto at = row.find(member.pivot);
    if (at == row.end()) continue;
    const std::complex<double> factor = at->second;
    add(row, -factor, member.rest);
    row.erase(member.pivot);
    add(coefficients, factor, member.in_members);
  }
  if (largest_size(row) <= 1e-12 * whole) {
    const double most = largest_size(coefficients);
    std::erase_if(coefficients,
                  [&](const auto& entry) { return std::abs(entry.second) <= 1e-13 * most; });
    return {coefficients.begin(), coefficients.end()};
  }
  const auto [pivot, value] = *largest(row);
  for (auto& [column, element] : row) element /= value;
  for (auto& [member, coefficient] : coefficients) coefficient /= -value;
  coefficients[number] = 1.0 / value;
  members_.push_back({number, pivot, std::move(row), std::move(coefficients)});
  return {{number, 1.0}};
}

}  // namespace metatt::tn
