#include <metatt/tn/chain/matrix_product_operator.hpp>
#include <metatt/tn/chain/row_basis.hpp>
#include <metatt/tn/chain/vectors.hpp>
#include <metatt/tn/interpolation.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>

namespace metatt::tn {

namespace {

using Complex = std::complex<double>;

/// The elements of an operator that are not zero.
RowBasis::Row nonzero(const LocalOperator& matrix) {
  RowBasis::Row row;
  for (std::size_t i = 0; i < matrix.elements.size(); ++i)
    if (matrix.elements[i] != 0.0) row[static_cast<Index>(i)] = matrix.elements[i];
  return row;
}

/// All terms with their operators as numbers: operators[k][0] is the identity of site k, and what a
/// term has from site k on is a number too, a `Rest`.
class TermTable {
 public:
  struct Rest {
    Index op, next;  ///< operator on this site, rest from the next site on
    bool operator<(const Rest& other) const {
      return std::pair(op, next) < std::pair(other.op, other.next);
    }
  };

  TermTable(const OperatorSum& sum, const Sites& sites)
      : operators_(sites.size()), rests_(sites.size()), rest_ids_(sites.size()) {
    for (std::size_t k = 0; k < sites.size(); ++k)
      operators_[k].push_back(LocalOperator::identity(sites[k].dimension()));
    identity_rests_.assign(sites.size() + 1, 0);
    for (std::size_t k = sites.size(); k-- > 0;)
      identity_rests_[k] = rest_id(k, {0, identity_rests_[k + 1]});
    for (const auto& term : sum.terms()) add(local_product(term, sites));
  }

  const LocalOperator& op(std::size_t site, Index id) const {
    return operators_[site][static_cast<std::size_t>(id)];
  }
  /// Whether no operator of the site is a sum of others.
  bool independent(std::size_t site) const {
    RowBasis basis;
    for (std::size_t i = 0; i < operators_[site].size(); ++i)
      basis.expand(static_cast<Index>(i), nonzero(operators_[site][i]));
    return basis.size() == operators_[site].size();
  }
  Rest rest(std::size_t site, Index id) const { return rests_[site][static_cast<std::size_t>(id)]; }
  /// Nothing but identities from `site` on.
  Index identity_rest(std::size_t site) const { return identity_rests_[site]; }
  /// Coefficient of each different term, by its rest from site 0 on.
  const std::map<Index, Complex>& coefficients() const { return coefficients_; }

 private:
  void add(LocalProduct product) {
    Index id = 0;
    auto factor = product.factors.rbegin();
    for (std::size_t k = operators_.size(); k-- > 0;) {
      Index op = 0;
      if (factor != product.factors.rend() && factor->first == static_cast<Index>(k))
        op = operator_id(k, std::move((factor++)->second), product.coefficient);
      id = rest_id(k, {op, id});
    }
    coefficients_[id] += product.coefficient;
  }

  /// Operators that differ by a factor are one, and the factor goes to the coefficient.
  Index operator_id(std::size_t site, LocalOperator matrix, Complex& coefficient) {
    const auto largest =
        std::max_element(matrix.elements.begin(), matrix.elements.end(),
                         [](Complex a, Complex b) { return std::abs(a) < std::abs(b); });
    const Complex factor = *largest;
    coefficient *= factor;
    if (factor == 0.0) return 0;  // the whole term is zero
    for (auto& element : matrix.elements) element /= factor;
    auto& known = operators_[site];
    const auto same = std::find_if(known.begin(), known.end(), [&](const LocalOperator& o) {
      return o.elements == matrix.elements;
    });
    if (same != known.end()) return same - known.begin();
    known.push_back(std::move(matrix));
    return static_cast<Index>(known.size()) - 1;
  }

  Index rest_id(std::size_t site, Rest rest) {
    const auto [place, is_new] =
        rest_ids_[site].try_emplace(rest, static_cast<Index>(rests_[site].size()));
    if (is_new) rests_[site].push_back(rest);
    return place->second;
  }

  std::vector<std::vector<LocalOperator>> operators_;
  std::vector<std::vector<Rest>> rests_;
  std::vector<std::map<Rest, Index>> rest_ids_;
  std::vector<Index> identity_rests_;
  std::map<Index, Complex> coefficients_;
};

/// What is left to do at a bond: the index `left` of the bond, times everything that `rest` says,
/// times a coefficient.
struct Pending {
  Index left, rest;
  Complex coefficient;
};

/// Sets of numbers that are joined two at a time.
class UnionFind {
 public:
  explicit UnionFind(std::size_t count) : parents_(count) {
    std::iota(parents_.begin(), parents_.end(), 0);
  }
  std::size_t find(std::size_t i) {
    while (parents_[i] != i) i = parents_[i] = parents_[parents_[i]];
    return i;
  }
  void join(std::size_t a, std::size_t b) { parents_[find(a)] = find(b); }

 private:
  std::vector<std::size_t> parents_;
};

using Core = MatrixProductOperator<Complex>::Core;

/// Leaves out the indices of the bond between two cores whose rows in the second the others span;
/// `channels`, which hand identities on, stay.
void drop_dependent_rows(Core& before, Core& after, const std::vector<Index>& channels) {
  const Index squared = after.dimension * after.dimension;
  // What counts as rounding must not depend on units: coefficients stand where terms end, and
  // weights of order one elsewhere. An expansion does not change if columns are scaled.
  std::vector<double> largest(static_cast<std::size_t>(after.right_bond));
  for (const auto& entry : after.entries)
    for (const Complex value : entry.matrix)
      largest[static_cast<std::size_t>(entry.right)] =
          std::max(largest[static_cast<std::size_t>(entry.right)], std::abs(value));
  std::vector<RowBasis::Row> rows(static_cast<std::size_t>(after.left_bond));
  for (const auto& [left, right, matrix] : after.entries)
    for (Index i = 0; i < squared; ++i)
      if (const Complex value = matrix[static_cast<std::size_t>(i)]; value != 0.0)
        rows[static_cast<std::size_t>(left)][right * squared + i] =
            value / largest[static_cast<std::size_t>(right)];
  std::vector<Index> order = channels;  // first come, first kept
  for (Index left = 0; left < after.left_bond; ++left)
    if (std::ranges::find(channels, left) == channels.end()) order.push_back(left);
  RowBasis basis;
  std::vector<RowBasis::Expansion> expansions(rows.size());
  for (const Index left : order)
    expansions[static_cast<std::size_t>(left)] =
        basis.expand(left, std::move(rows[static_cast<std::size_t>(left)]));
  if (basis.size() == rows.size()) return;

  std::vector<Index> numbers(rows.size(), -1);
  Index count = 0;
  for (Index left = 0; left < after.left_bond; ++left)
    if (basis.has(left)) numbers[static_cast<std::size_t>(left)] = count++;
  std::erase_if(after.entries, [&](const auto& entry) { return !basis.has(entry.left); });
  for (auto& entry : after.entries) entry.left = numbers[static_cast<std::size_t>(entry.left)];
  std::map<std::pair<Index, Index>, std::vector<Complex>> sums;
  for (const auto& [left, right, matrix] : before.entries)
    for (const auto& [member, weight] : expansions[static_cast<std::size_t>(right)]) {
      auto& sum = sums[{left, numbers[static_cast<std::size_t>(member)]}];
      sum.resize(matrix.size());
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += weight * matrix[i];
    }
  before.entries.clear();
  for (auto& [place, matrix] : sums)
    before.entries.push_back({place.first, place.second, std::move(matrix)});
  before.right_bond = after.left_bond = std::max<Index>(1, count);  // one for a sum that is zero
}

/// Builds the cores from left to right.
class MpoBuilder {
 public:
  MpoBuilder(const TermTable& table, const Sites& sites, double tolerance)
      : table_(table), sites_(sites), tolerance_(tolerance) {
    for (const auto& [rest, coefficient] : table.coefficients())
      if (coefficient != 0.0) pending_.push_back({0, rest, coefficient});
  }

  std::vector<Core> build() {
    std::vector<Core> cores;
    for (site_ = 0; site_ < sites_.size(); ++site_) {
      core_ = {bond_, sites_[site_].dimension(), 1, {}};
      if (site_ + 1 < sites_.size())
        pass_bond();
      else
        for (const Step& step : steps()) add_entry(step.left, 0, step.op, step.coefficient);
      bond_ = core_.right_bond;
      cores.push_back(std::move(core_));
    }
    bool dependent = false;
    for (std::size_t k = sites_.size() - 1; k > 0; --k) {
      dependent = dependent || !table_.independent(k);
      if (dependent) drop_dependent_rows(cores[k - 1], cores[k], channels_[k - 1]);
    }
    return cores;
  }
  /// The largest element that an interpolation left out.
  double dropped() const { return dropped_; }

 private:
  /// Rows of the coefficient matrix: an index of the left bond and the operator on this site.
  using Row = std::pair<Index, Index>;

  /// A pending product taken one site further: the operator here, and what is left then.
  struct Step {
    Index left, op, rest;
    Complex coefficient;
  };

  /// With operators that are linearly independent for each index of the left bond: dependent ones
  /// would be rows of their own.
  std::vector<Step> steps() const {
    std::map<Index, RowBasis> bases;
    if (started_) bases[0].expand(0, nonzero(table_.op(site_, 0)));
    std::map<std::pair<Index, Index>, RowBasis::Expansion> expansions;
    std::map<std::array<Index, 3>, std::size_t> places;
    std::vector<Step> result;
    for (const Pending& p : pending_) {
      const auto [op, rest] = table_.rest(site_, p.rest);
      const auto [place, is_new] = expansions.try_emplace({p.left, op});
      if (is_new) place->second = bases[p.left].expand(op, nonzero(table_.op(site_, op)));
      for (const auto& [member, coefficient] : place->second) {
        const std::size_t at =
            places.try_emplace({p.left, member, rest}, result.size()).first->second;
        if (at == result.size()) result.push_back({p.left, member, rest, 0});
        result[at].coefficient += p.coefficient * coefficient;
      }
    }
    std::erase_if(result, [](const Step& step) { return step.coefficient == 0.0; });
    return result;
  }

  void pass_bond() {
    std::vector<Pending> next;
    std::map<Row, std::size_t> rows;
    std::map<Index, std::size_t> columns;
    std::vector<std::tuple<std::size_t, std::size_t, Complex>> elements;
    std::vector<Pending> done;
    bool starts = false;
    const bool was_started = started_;
    for (const auto& [left, op, rest, coefficient] : steps()) {
      if (was_started && left == 0 && op == 0 && rest != table_.identity_rest(site_ + 1)) {
        starts = true;
        next.push_back({0, rest, coefficient});
      } else if (rest == table_.identity_rest(site_ + 1)) {
        done.push_back({left, op, coefficient});
      } else {
        const std::size_t row = rows.try_emplace({left, op}, rows.size()).first->second;
        const std::size_t column = columns.try_emplace(rest, columns.size()).first->second;
        elements.emplace_back(row, column, coefficient);
      }
    }
    Index count = starts ? 1 : 0;
    std::vector<Index> channels;
    if (starts) {
      add_entry(0, 0, 0, 1.0);
      channels.push_back(0);
      // A constant alone needs no index of its own: it goes on until the first term ends.
      if (done.size() == 1 && done[0].left == 0 && done[0].rest == 0 && was_started) {
        next.push_back({0, table_.identity_rest(site_ + 1), done[0].coefficient});
        done.clear();
      }
    }
    compress(rows, columns, elements, next, count);
    if (!done.empty()) {
      for (const Pending& d : done) add_entry(d.left, count, d.rest, d.coefficient);
      channels.push_back(count);
      next.push_back({count++, table_.identity_rest(site_ + 1), 1.0});
    }
    channels_.push_back(std::move(channels));
    started_ = starts;
    core_.right_bond = std::max<Index>(1, count);
    pending_ = std::move(next);
  }

  /// One set of new bond indices for each connected part of the coefficient matrix.
  void compress(const std::map<Row, std::size_t>& rows, const std::map<Index, std::size_t>& columns,
                const std::vector<std::tuple<std::size_t, std::size_t, Complex>>& elements,
                std::vector<Pending>& next, Index& count) {
    UnionFind parts(rows.size() + columns.size());
    for (const auto& [row, column, value] : elements) parts.join(row, rows.size() + column);
    std::vector<Row> row_of(rows.size());
    for (const auto& [row, i] : rows) row_of[i] = row;
    std::vector<Index> rest_of(columns.size());
    for (const auto& [rest, i] : columns) rest_of[i] = rest;
    // Rows, columns and elements of each part, in the order of the first row.
    std::map<std::size_t, std::size_t> part_numbers;
    std::vector<std::vector<std::size_t>> part_rows, part_columns;
    std::vector<std::size_t> local(rows.size() + columns.size());
    for (std::size_t i = 0; i < local.size(); ++i) {
      const auto [place, is_new] = part_numbers.try_emplace(parts.find(i), part_numbers.size());
      if (is_new) part_rows.emplace_back(), part_columns.emplace_back();
      auto& members = i < rows.size() ? part_rows[place->second] : part_columns[place->second];
      local[i] = members.size();
      members.push_back(i < rows.size() ? i : i - rows.size());
    }
    std::vector<HostMatrix<Complex>> blocks;
    for (std::size_t p = 0; p < part_rows.size(); ++p)
      blocks.push_back({part_rows[p].size(), part_columns[p].size(),
                        std::vector<Complex>(part_rows[p].size() * part_columns[p].size())});
    for (const auto& [row, column, value] : elements)
      blocks[part_numbers.at(parts.find(row))].at(local[row], local[rows.size() + column]) += value;
    for (std::size_t p = 0; p < blocks.size(); ++p) {
      const double largest = std::abs(*std::ranges::max_element(
          blocks[p].elements, {}, [](const Complex& value) { return std::abs(value); }));
      const auto part = interpolate(blocks[p], tolerance_ * largest);
      dropped_ = std::max(dropped_, part.rest);
      for (std::size_t i = 0; i < blocks[p].rows; ++i)
        for (std::size_t j = 0; j < part.rows.size(); ++j)
          add_entry(row_of[part_rows[p][i]].first, count + static_cast<Index>(j),
                    row_of[part_rows[p][i]].second, part.weights.at(i, j));
      for (std::size_t j = 0; j < part.rows.size(); ++j)
        for (std::size_t c = 0; c < blocks[p].columns; ++c)
          if (const Complex value = blocks[p].at(part.rows[j], c); value != 0.0)
            next.push_back({count + static_cast<Index>(j), rest_of[part_columns[p][c]], value});
      count += static_cast<Index>(part.rows.size());
    }
  }

  /// W[left, right] += coefficient · operator.
  void add_entry(Index left, Index right, Index op, Complex coefficient) {
    if (coefficient == 0.0) return;
    std::vector<Complex> values = table_.op(site_, op).elements;
    for (Complex& value : values) value *= coefficient;
    for (auto& entry : core_.entries)
      if (entry.left == left && entry.right == right) {
        for (std::size_t i = 0; i < values.size(); ++i) entry.matrix[i] += values[i];
        return;
      }
    core_.entries.push_back({left, right, std::move(values)});
  }

  const TermTable& table_;
  const Sites& sites_;
  double tolerance_, dropped_ = 0;
  std::vector<Pending> pending_;
  Core core_;
  std::size_t site_ = 0;
  Index bond_ = 1;
  bool started_ = true;  ///< index 0 of the bond has nothing but identities left of it
  std::vector<std::vector<Index>> channels_;  ///< indices of each bond with identities on a side
};

template <class T>
T scalar(Complex value) {
  if (std::is_same_v<T, Real<T>> && std::abs(value.imag()) > 1e-14 * std::abs(value))
    fail("matrix_product_operator: the sum has the complex coefficient ", value,
         "; use a complex type");
  return scalar_of<T>(value);
}

template <class T>
typename MatrixProductOperator<T>::Core converted(const Core& core) {
  typename MatrixProductOperator<T>::Core result{
      core.left_bond, core.dimension, core.right_bond, {}};
  for (const auto& [left, right, matrix] : core.entries) {
    result.entries.push_back({left, right, {}});
    for (const Complex value : matrix) result.entries.back().matrix.push_back(scalar<T>(value));
  }
  return result;
}

}  // namespace

namespace {

/// What is wrong with the charge of a term; "" if nothing is.
std::string broken_charge(const OperatorProduct& term, const Sites& sites) {
  const Symmetry& symmetry = sites.front().leg().symmetry();
  Charge change;
  bool zero = false;
  for (const auto& [site, matrix] : local_product(term, sites).factors) {
    std::optional<Charge> own;
    try {
      own = sites[static_cast<std::size_t>(site)].charge_change(matrix);
    } catch (const Error& error) {
      return error.what();
    }
    zero = zero || !own;
    change = symmetry.sum(change, own.value_or(Charge{}));
  }
  if (zero || change == Charge{}) return "";
  return "changes the conserved charge by " + symmetry.text(change);
}

/// Names every term that breaks a charge, as far as an error can be read.
void check_conservation(const OperatorSum& sum, const Sites& sites) {
  constexpr Index most = 10;
  std::string message;
  Index found = 0;
  for (const auto& term : sum.terms()) {
    const std::string wrong = term.coefficient == 0.0 ? "" : broken_charge(term, sites);
    if (wrong.empty() || ++found > most) continue;
    if (!message.empty()) message += "; ";
    message.append("term ").append(to_string(term)).append(": ").append(wrong);
  }
  if (found > most) fail(message, "; and ", found - most, " more terms");
  if (found > 0) fail(message);
}

}  // namespace

template <class T>
MatrixProductOperator<T> matrix_product_operator(const OperatorSum& sum, const Sites& sites,
                                                 double tolerance) {
  if (!(tolerance >= 0 && tolerance < 1))
    fail("matrix_product_operator: expected a tolerance in [0, 1), found ", tolerance);
  if (sum.terms().empty()) fail("matrix_product_operator: the sum has no term");
  if (sites.empty()) fail("matrix_product_operator: expected at least one site, found none");
  check_conservation(sum, sites);
  const TermTable table(sum, sites);
  MpoBuilder builder(table, sites, tolerance);
  std::vector<typename MatrixProductOperator<T>::Core> cores;
  for (const Core& core : builder.build()) cores.push_back(converted<T>(core));
  return MatrixProductOperator<T>(std::move(cores), sites, builder.dropped());
}

#define METATT_INSTANTIATE(T)                                                                 \
  template MatrixProductOperator<T> matrix_product_operator(const OperatorSum&, const Sites&, \
                                                            double);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
