#pragma once
/// The sites of a chain: local dimension, named basis states and named operators.

#include <metatt/tn/symmetry/leg.hpp>

#include <complex>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace metatt::tn {

/// A matrix on one site, on the host. `fermionic` operators of different sites anticommute.
struct LocalOperator {
  Index dimension = 1;
  std::vector<std::complex<double>> elements;  ///< row-major, ⟨i|O|j⟩ at i·dimension + j
  bool fermionic = false;

  static LocalOperator identity(Index dimension);
  bool is_identity() const;
};

/// Matrix product; fermionic if one of the factors is. Throws Error if the dimensions differ.
LocalOperator operator*(const LocalOperator& a, const LocalOperator& b);

/// A local degree of freedom. Every site has the operators "Id" and "F" (the fermion parity, 1
/// where nothing is fermionic).
class Site {
 public:
  /// `states` names the basis states in their order; `odd` those with an odd number of fermions.
  /// Throws Error without a state or with a name twice.
  Site(std::string name, std::vector<std::string> states, const std::vector<std::string>& odd = {});

  const std::string& name() const { return name_; }
  Index dimension() const { return static_cast<Index>(states_.size()); }
  const std::vector<std::string>& state_names() const { return states_; }

  /// Throws Error on a name that is there already and on a wrong number of elements. A fermionic
  /// operator must change the parity of every state it acts on, any other one keep it.
  void add_operator(const std::string& name, std::vector<std::complex<double>> elements,
                    bool fermionic = false);
  bool has_operator(std::string_view name) const { return operators_.contains(name); }
  /// Throws Error naming the operators there are.
  const LocalOperator& find_operator(std::string_view name) const;
  /// Position of a basis state. Throws Error naming the states there are.
  Index find_state(std::string_view name) const;

  /// A quantity that could be conserved, with its value in each basis state. Throws Error on a name
  /// that is there already and on a wrong number of values.
  void add_quantity(const ConservedQuantity& quantity, std::vector<int> values);
  /// The same site for a model that conserves these quantities: states and operators made of such
  /// sites store only what their charges allow. Throws Error naming the quantities there are.
  Site conserving(const std::vector<std::string>& quantities) const;
  /// The same site with the opposite charges: the partner of a site in a purification.
  Site ancilla() const;
  /// The basis states as an incoming leg, in their order, with the charges that are conserved.
  const Leg& leg() const { return leg_; }
  /// By how much an operator changes the charge; nothing for a zero matrix. Throws Error if its
  /// elements change it by different amounts (as those of Sx change Sz), naming the states.
  std::optional<Charge> charge_change(const LocalOperator& op) const;

 private:
  std::string name_;
  std::vector<std::string> states_;
  std::map<std::string, LocalOperator, std::less<>> operators_;
  std::map<std::string, std::pair<int, std::vector<int>>, std::less<>>
      quantities_;  // modulus, values
  Leg leg_;
};

/// Spin S = twice_spin / 2: states from "m = S" down, for S = 1/2 "up" and "down", for S = 1 "up",
/// "zero", "down", else "0", "1", …; operators Sz, S+, S-, Sx, Sy, and for S = 1/2 the Pauli
/// matrices X, Y, Z; quantities 2Sz and, modulo 2, parity (the position of the state: lowered how
/// often).
Site spin_site(int twice_spin);

/// A spinless fermion: states "empty", "full"; C, Cdag (fermionic), N; quantities N and parity.
Site fermion_site();

/// A fermion with spin: states "empty", "up", "down", "both" (= c†_up c†_down |empty⟩); Cup,
/// Cdagup, Cdown, Cdagdown (fermionic), Nup, Ndown, N, NupNdown, Sz, S+, S-; quantities N, 2Sz and
/// parity (of N).
Site electron_site();

/// Bosons, at most `largest` on the site: states "0", "1", …; A, Adag, N; quantities N and parity.
Site boson_site(int largest);

using Sites = std::vector<Site>;

/// `length` times the same site.
Sites uniform_chain(Index length, const Site& site);

}  // namespace metatt::tn
