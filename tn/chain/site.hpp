#pragma once
/// The sites of a chain: local dimension, named basis states and named operators.

#include <metatt/tn/backend/types.hpp>

#include <complex>
#include <map>
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

  /// Throws Error on a name that is there already and on a wrong number of elements. A fermionic
  /// operator must change the parity of every state it acts on, any other one keep it.
  void add_operator(const std::string& name, std::vector<std::complex<double>> elements,
                    bool fermionic = false);
  /// Throws Error naming the operators there are.
  const LocalOperator& find_operator(std::string_view name) const;
  /// Position of a basis state. Throws Error naming the states there are.
  Index find_state(std::string_view name) const;

 private:
  std::string name_;
  std::vector<std::string> states_;
  std::map<std::string, LocalOperator, std::less<>> operators_;
};

/// Spin S = twice_spin / 2: states from "m = S" down, for S = 1/2 "up" and "down", for S = 1 "up",
/// "zero", "down", else "0", "1", …; operators Sz, S+, S-, Sx, Sy, and for S = 1/2 the Pauli
/// matrices X, Y, Z.
Site spin_site(int twice_spin);

/// A spinless fermion: states "empty", "full"; C, Cdag (fermionic), N.
Site fermion_site();

/// A fermion with spin: states "empty", "up", "down", "both" (= c†_up c†_down |empty⟩); Cup,
/// Cdagup, Cdown, Cdagdown (fermionic), Nup, Ndown, N, NupNdown, Sz, S+, S-.
Site electron_site();

/// Bosons, at most `largest` on the site: states "0", "1", …; A, Adag, N.
Site boson_site(int largest);

using Sites = std::vector<Site>;

/// `length` times the same site.
Sites uniform_chain(Index length, const Site& site);

}  // namespace metatt::tn
