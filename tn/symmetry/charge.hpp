#pragma once
/// Abelian symmetries: conserved quantities, and the charges that label the parts of an index.

#include <metatt/tn/backend/types.hpp>

#include <array>
#include <compare>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace metatt::tn {

/// A quantity that adds up over the parts of a system: an integer for U(1) (a number of particles,
/// twice a spin projection), or an integer modulo n for Z_n (a parity).
struct ConservedQuantity {
  std::string name;
  int modulus = 0;  ///< n of Z_n, at least 2; 0 for U(1)

  bool operator==(const ConservedQuantity&) const = default;
};

/// One value for each quantity of a Symmetry, the rest zero.
struct Charge {
  static constexpr std::size_t most_quantities = 4;
  std::array<int, most_quantities> values{};

  auto operator<=>(const Charge&) const = default;
};

/// The group of all conserved quantities. A default-constructed one conserves nothing: its only
/// charge is zero.
class Symmetry {
 public:
  Symmetry() = default;
  /// Throws Error on more than Charge::most_quantities, a name twice, and a modulus that is neither
  /// 0 nor at least 2.
  explicit Symmetry(std::vector<ConservedQuantity> quantities);

  std::span<const ConservedQuantity> quantities() const;
  bool trivial() const { return !quantities_; }

  /// The charge with these values, reduced modulo n. Throws Error unless there is one for each
  /// quantity.
  Charge charge(std::span<const int> values) const;
  Charge sum(const Charge& a, const Charge& b) const;
  Charge difference(const Charge& a, const Charge& b) const;
  /// "(N = 3, 2Sz = -1)" for messages.
  std::string text(const Charge& charge) const;

  bool operator==(const Symmetry& other) const;

 private:
  Charge reduced(Charge charge) const;

  std::shared_ptr<const std::vector<ConservedQuantity>> quantities_;  // none: null
};

}  // namespace metatt::tn
