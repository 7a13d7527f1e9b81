#include <metatt/tn/symmetry/leg.hpp>

#include <metatt/tn/error.hpp>

#include <algorithm>
#include <map>
#include <set>

namespace metatt::tn {

Leg::Leg(Index dimension, Direction direction)
    : Leg(Symmetry(), {Sector{{}, dimension}}, direction) {}

Leg::Leg(Symmetry symmetry, std::vector<Sector> sectors, Direction direction)
    : symmetry_(std::move(symmetry)),
      sectors_(std::move(sectors)),
      offsets_{0},
      direction_(direction) {
  if (sectors_.empty()) fail("Leg: expected at least one sector, found none");
  for (Sector& sector : sectors_) {
    sector.charge = symmetry_.sum(sector.charge, {});
    if (sector.dimension < 1)
      fail("Leg: sector ", symmetry_.text(sector.charge), " has dimension ", sector.dimension,
           ", expected at least 1");
    offsets_.push_back(offsets_.back() + sector.dimension);
  }
}

std::optional<Index> Leg::find(const Charge& charge) const {
  const auto place = std::ranges::find(sectors_, charge, &Sector::charge);
  if (place == sectors_.end()) return std::nullopt;
  return place - sectors_.begin();
}

std::pair<Index, Index> Leg::find_index(Index index) const {
  if (index < 0 || index >= dimension())
    fail("Leg: expected an index below ", dimension(), ", found ", index);
  Index sector = 0;
  while (offset(sector) + this->sector(sector).dimension <= index) ++sector;
  return {sector, index - offset(sector)};
}

bool Leg::unique() const {
  std::set<Charge> seen;
  return std::ranges::all_of(sectors_,
                             [&](const Sector& s) { return seen.insert(s.charge).second; });
}

Charge Leg::add_to(const Charge& charge_sum, Index k) const {
  const Charge& own = sector(k).charge;
  return direction_ == Direction::in ? symmetry_.sum(charge_sum, own)
                                     : symmetry_.difference(charge_sum, own);
}

Leg Leg::reversed() const {
  Leg result = *this;
  result.direction_ = direction_ == Direction::in ? Direction::out : Direction::in;
  return result;
}

bool Leg::matches(const Leg& other) const {
  return direction_ != other.direction_ && sectors_ == other.sectors_ &&
         symmetry_ == other.symmetry_;
}

std::string leg_text(const Leg& leg) {
  std::string text = leg.direction() == Direction::in ? "in, " : "out, ";
  text += std::to_string(leg.dimension());
  if (leg.symmetry().trivial()) return text;
  const char* separator = " = ";
  for (const Sector& sector : leg.sectors()) {
    text += separator;
    text += std::to_string(sector.dimension);
    text += " ";
    text += leg.symmetry().text(sector.charge);
    separator = " + ";
  }
  return text;
}

Leg direct_sum(const Leg& a, const Leg& b) {
  if (a.symmetry() != b.symmetry() || a.direction() != b.direction())
    fail("direct_sum: the legs (", leg_text(a), ") and (", leg_text(b),
         ") differ in symmetry or direction");
  std::map<Charge, Index> dimensions;
  for (const Leg* leg : {&a, &b})
    for (const Sector& sector : leg->sectors()) dimensions[sector.charge] += sector.dimension;
  std::vector<Sector> sectors;
  for (const auto& [charge, dimension] : dimensions) sectors.push_back({charge, dimension});
  return Leg(a.symmetry(), std::move(sectors), a.direction());
}

}  // namespace metatt::tn
