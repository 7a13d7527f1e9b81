#pragma once
/// The modes of a symmetric tensor: a range of indices cut into sectors of one charge each.

#include <metatt/tn/symmetry/charge.hpp>

#include <optional>
#include <utility>

namespace metatt::tn {

/// Whether the charge of a leg counts positive (in) or negative (out).
enum class Direction { in, out };

/// Consecutive indices of equal charge.
struct Sector {
  Charge charge;
  Index dimension = 1;

  bool operator==(const Sector&) const = default;
};

/// One mode of a BlockTensor. Its indices are those of its sectors, one sector after the other. A
/// charge may stand in several sectors.
class Leg {
 public:
  /// One sector without a charge: a mode of a dense tensor. Throws Error on a dimension below one.
  explicit Leg(Index dimension, Direction direction = Direction::in);
  /// Charges are reduced modulo the groups of the symmetry. Throws Error without a sector and on a
  /// dimension below one.
  Leg(Symmetry symmetry, std::vector<Sector> sectors, Direction direction = Direction::in);

  const Symmetry& symmetry() const { return symmetry_; }
  Direction direction() const { return direction_; }
  const std::vector<Sector>& sectors() const { return sectors_; }
  const Sector& sector(Index k) const { return sectors_[static_cast<std::size_t>(k)]; }
  Index sector_count() const { return static_cast<Index>(sectors_.size()); }
  /// In which sector an index is, and at which place there. Throws Error outside the leg.
  std::pair<Index, Index> find_index(Index index) const;
  /// First index of sector k.
  Index offset(Index k) const { return offsets_[static_cast<std::size_t>(k)]; }
  Index dimension() const { return offsets_.back(); }
  /// The first sector of this charge, if there is one.
  std::optional<Index> find(const Charge& charge) const;
  /// Whether no charge stands in two sectors.
  bool unique() const;
  /// charge_sum ± charge of sector k, plus for an incoming leg.
  Charge add_to(const Charge& charge_sum, Index k) const;

  Leg reversed() const;
  /// Whether two tensors can be summed over this leg and that one: the same sectors, of opposite
  /// direction.
  bool matches(const Leg& other) const;
  bool operator==(const Leg&) const = default;

 private:
  Symmetry symmetry_;
  std::vector<Sector> sectors_;
  std::vector<Index> offsets_;
  Direction direction_;
};

/// "in, 5 = 2 (N = 0) + 3 (N = 1)" for messages; "in, 5" without a symmetry.
std::string leg_text(const Leg& leg);

/// The sectors of two legs of the same direction, ascending, each charge once with the sum of its
/// dimensions. Throws Error if symmetries or directions differ.
Leg direct_sum(const Leg& a, const Leg& b);

}  // namespace metatt::tn
