#include <metatt/tn/chain/site.hpp>
#include <metatt/tn/error.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::tn {

namespace {

using Elements = std::vector<std::complex<double>>;

/// The matrix with values[i] at (i, i + offset) for a positive offset, (i − offset, i) otherwise.
Elements diagonal(Index dimension, Index offset, const std::vector<double>& values) {
  Elements elements(static_cast<std::size_t>(dimension * dimension));
  const Index row = std::max<Index>(0, -offset), column = std::max<Index>(0, offset);
  for (std::size_t i = 0; i < values.size(); ++i)
    elements[i * static_cast<std::size_t>(dimension + 1) +
             static_cast<std::size_t>(row * dimension + column)] = values[i];
  return elements;
}

Elements combination(std::complex<double> a, const Elements& x, std::complex<double> b,
                     const Elements& y) {
  Elements sum(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) sum[i] = a * x[i] + b * y[i];
  return sum;
}

std::vector<std::string> counted_states(int count) {
  std::vector<std::string> states;
  for (int i = 0; i < count; ++i) states.push_back(std::to_string(i));
  return states;
}

}  // namespace

LocalOperator LocalOperator::identity(Index dimension) {
  return {dimension,
          diagonal(dimension, 0, std::vector<double>(static_cast<std::size_t>(dimension), 1)),
          false};
}

bool LocalOperator::is_identity() const {
  return elements == identity(dimension).elements;
}

LocalOperator operator*(const LocalOperator& a, const LocalOperator& b) {
  if (a.dimension != b.dimension)
    fail("LocalOperator: cannot multiply operators of dimensions ", a.dimension, " and ",
         b.dimension);
  const auto d = static_cast<std::size_t>(a.dimension);
  LocalOperator product{a.dimension, Elements(d * d), a.fermionic != b.fermionic};
  for (std::size_t i = 0; i < d; ++i)
    for (std::size_t k = 0; k < d; ++k)
      for (std::size_t j = 0; j < d; ++j)
        product.elements[i * d + j] += a.elements[i * d + k] * b.elements[k * d + j];
  return product;
}

Site::Site(std::string name, std::vector<std::string> states, const std::vector<std::string>& odd)
    : name_(std::move(name)),
      states_(std::move(states)),
      leg_(std::max<Index>(1, static_cast<Index>(states_.size()))) {
  if (states_.empty()) fail("Site ", name_, ": expected at least one state, found none");
  for (std::size_t i = 0; i < states_.size(); ++i)
    if (std::find(states_.begin(), states_.begin() + static_cast<std::ptrdiff_t>(i), states_[i]) !=
        states_.begin() + static_cast<std::ptrdiff_t>(i))
      fail("Site ", name_, ": there are two states \"", states_[i], "\"");
  std::vector<double> parity(states_.size(), 1);
  for (const auto& state : odd) parity[static_cast<std::size_t>(find_state(state))] = -1;
  operators_["Id"] = LocalOperator::identity(dimension());
  operators_["F"] = {dimension(), diagonal(dimension(), 0, parity), false};
}

void Site::add_operator(const std::string& name, Elements elements, bool fermionic) {
  const auto d = states_.size();
  if (operators_.count(name)) fail("Site ", name_, ": there is an operator \"", name, "\" already");
  if (elements.size() != d * d)
    fail("Site ", name_, ": operator \"", name, "\": expected ", d * d, " elements, found ",
         elements.size());
  const auto& parity = operators_.at("F").elements;
  for (std::size_t i = 0; i < d; ++i)
    for (std::size_t j = 0; j < d; ++j) {
      const bool changes = parity[i * d + i] != parity[j * d + j];
      if (elements[i * d + j] != 0.0 && changes != fermionic)
        fail("Site ", name_, ": operator \"", name, "\" takes \"", states_[j], "\" to \"",
             states_[i], "\", which ", changes ? "changes" : "keeps",
             " the number of fermions modulo two, but is given as ",
             fermionic ? "fermionic" : "not fermionic");
    }
  operators_[name] = {dimension(), std::move(elements), fermionic};
}

const LocalOperator& Site::find_operator(std::string_view name) const {
  const auto found = operators_.find(name);
  if (found != operators_.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, matrix] : operators_) names.push_back(known);
  fail("Site ", name_, ": expected an operator of ", joined(names), ", found \"", name, "\"");
}

Index Site::find_state(std::string_view name) const {
  const auto found = std::find(states_.begin(), states_.end(), name);
  if (found != states_.end()) return found - states_.begin();
  fail("Site ", name_, ": expected a state of ", joined(states_), ", found \"", name, "\"");
}

void Site::add_quantity(const ConservedQuantity& quantity, std::vector<int> values) {
  if (quantities_.count(quantity.name))
    fail("Site ", name_, ": there is a quantity \"", quantity.name, "\" already");
  if (values.size() != states_.size())
    fail("Site ", name_, ": quantity \"", quantity.name, "\": expected a value for each of ",
         states_.size(), " states, found ", values.size());
  quantities_[quantity.name] = {quantity.modulus, std::move(values)};
}

Site Site::conserving(const std::vector<std::string>& quantities) const {
  std::vector<ConservedQuantity> conserved;
  for (const auto& name : quantities) {
    const auto found = quantities_.find(name);
    if (found == quantities_.end()) {
      std::vector<std::string> names;
      for (const auto& [known, values] : quantities_) names.push_back(known);
      fail("Site ", name_, ": expected a conserved quantity of ", joined(names), ", found \"", name,
           "\"");
    }
    conserved.push_back({name, found->second.first});
  }
  const Symmetry symmetry(std::move(conserved));
  std::vector<Sector> sectors;
  for (std::size_t i = 0; i < states_.size(); ++i) {
    std::vector<int> values;
    for (const auto& name : quantities) values.push_back(quantities_.at(name).second[i]);
    const Charge charge = symmetry.charge(values);
    if (!sectors.empty() && sectors.back().charge == charge)
      ++sectors.back().dimension;
    else
      sectors.push_back({charge, 1});
  }
  Site result = *this;
  result.leg_ = Leg(symmetry, std::move(sectors));
  return result;
}

Site Site::ancilla() const {
  Site result = *this;
  result.name_ += ", ancilla";
  for (auto& [name, quantity] : result.quantities_)
    for (int& value : quantity.second) value = -value;
  std::vector<Sector> sectors = leg_.sectors();
  for (Sector& sector : sectors) sector.charge = leg_.symmetry().difference({}, sector.charge);
  result.leg_ = Leg(leg_.symmetry(), std::move(sectors));
  return result;
}

std::optional<Charge> Site::charge_change(const LocalOperator& op) const {
  const Symmetry& symmetry = leg_.symmetry();
  std::vector<Charge> charges;
  for (const Sector& sector : leg_.sectors())
    charges.insert(charges.end(), static_cast<std::size_t>(sector.dimension), sector.charge);
  if (op.dimension != dimension())
    fail("Site ", name_, ": expected an operator of dimension ", dimension(), ", found ",
         op.dimension);
  const std::size_t d = states_.size();
  std::optional<std::size_t> first;
  std::optional<Charge> change;
  for (std::size_t e = 0; e < d * d; ++e) {
    if (op.elements[e] == 0.0) continue;
    const Charge here = symmetry.difference(charges[e / d], charges[e % d]);
    if (change && here != *change)
      fail("site ", name_, ": an operator takes \"", states_[*first % d], "\" to \"",
           states_[*first / d], "\" and \"", states_[e % d], "\" to \"", states_[e / d],
           "\", which change the conserved charge by ", symmetry.text(*change), " and ",
           symmetry.text(here));
    change = here;
    first = first.value_or(e);
  }
  return change;
}

namespace {

/// 0, 1, … with step -1 or 1 as often as there are states.
std::vector<int> counting(int count, int start, int step) {
  std::vector<int> values;
  for (int i = 0; i < count; ++i) values.push_back(start + i * step);
  return values;
}

}  // namespace

Site spin_site(int twice_spin) {
  if (twice_spin < 1) fail("spin_site: expected 2S of at least 1, found ", twice_spin);
  const int d = twice_spin + 1;
  std::vector<std::string> states = counted_states(d);
  if (twice_spin == 1) states = {"up", "down"};
  if (twice_spin == 2) states = {"up", "zero", "down"};
  const std::string name =
      twice_spin % 2 ? std::to_string(twice_spin).append("/2") : std::to_string(twice_spin / 2);
  Site site("spin " + name, states);
  const double S = twice_spin / 2.0;
  std::vector<double> z, raising;
  for (int i = 0; i < d; ++i) {
    const double m = S - i;
    z.push_back(m);
    if (i > 0) raising.push_back(std::sqrt(S * (S + 1) - m * (m + 1)));  // ⟨m+1|S+|m⟩
  }
  const Elements Sz = diagonal(d, 0, z), plus = diagonal(d, 1, raising),
                 minus = diagonal(d, -1, raising);
  const std::complex<double> i(0, 1);
  site.add_operator("Sz", Sz);
  site.add_operator("S+", plus);
  site.add_operator("S-", minus);
  site.add_operator("Sx", combination(0.5, plus, 0.5, minus));
  site.add_operator("Sy", combination(-0.5 * i, plus, 0.5 * i, minus));
  site.add_quantity({"2Sz"}, counting(d, twice_spin, -2));
  site.add_quantity({"parity", 2}, counting(d, 0, 1));
  if (twice_spin == 1) {
    site.add_operator("X", combination(1, plus, 1, minus));
    site.add_operator("Y", combination(-i, plus, i, minus));
    site.add_operator("Z", combination(2, Sz, 0, Sz));
  }
  return site;
}

Site fermion_site() {
  Site site("fermion", {"empty", "full"}, {"full"});
  site.add_operator("C", {0, 1, 0, 0}, true);
  site.add_operator("Cdag", {0, 0, 1, 0}, true);
  site.add_operator("N", {0, 0, 0, 1});
  site.add_quantity({"N"}, {0, 1});
  site.add_quantity({"parity", 2}, {0, 1});
  return site;
}

Site electron_site() {
  Site site("electron", {"empty", "up", "down", "both"}, {"up", "down"});
  // |both⟩ = c†_up c†_down |empty⟩, so c†_down |up⟩ = −|both⟩.
  site.add_operator("Cup", {0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, true);
  site.add_operator("Cdagup", {0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}, true);
  site.add_operator("Cdown", {0, 0, 1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0}, true);
  site.add_operator("Cdagdown", {0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, 0, 0}, true);
  site.add_operator("Nup", diagonal(4, 0, {0, 1, 0, 1}));
  site.add_operator("Ndown", diagonal(4, 0, {0, 0, 1, 1}));
  site.add_operator("N", diagonal(4, 0, {0, 1, 1, 2}));
  site.add_operator("NupNdown", diagonal(4, 0, {0, 0, 0, 1}));
  site.add_operator("Sz", diagonal(4, 0, {0, 0.5, -0.5, 0}));
  site.add_operator("S+", {0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  site.add_operator("S-", {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0});
  site.add_quantity({"N"}, {0, 1, 1, 2});
  site.add_quantity({"2Sz"}, {0, 1, -1, 0});
  site.add_quantity({"parity", 2}, {0, 1, 1, 0});
  return site;
}

Site boson_site(int largest) {
  if (largest < 1) fail("boson_site: expected at least one boson, found ", largest);
  Site site("boson", counted_states(largest + 1));
  std::vector<double> number, lowering;
  for (int n = 0; n <= largest; ++n) {
    number.push_back(n);
    if (n > 0) lowering.push_back(std::sqrt(n));
  }
  site.add_operator("A", diagonal(largest + 1, 1, lowering));
  site.add_operator("Adag", diagonal(largest + 1, -1, lowering));
  site.add_operator("N", diagonal(largest + 1, 0, number));
  site.add_quantity({"N"}, counting(largest + 1, 0, 1));
  site.add_quantity({"parity", 2}, counting(largest + 1, 0, 1));
  return site;
}

Sites uniform_chain(Index length, const Site& site) {
  if (length < 1) fail("uniform_chain: expected at least one site, found ", length);
  return Sites(static_cast<std::size_t>(length), site);
}

}  // namespace metatt::tn
