#include <metatt/tn/symmetry/charge.hpp>

#include <metatt/tn/error.hpp>

#include <algorithm>

namespace metatt::tn {

Symmetry::Symmetry(std::vector<ConservedQuantity> quantities) {
  if (quantities.size() > Charge::most_quantities)
    fail("Symmetry: expected at most ", Charge::most_quantities, " conserved quantities, found ",
         quantities.size());
  for (auto q = quantities.begin(); q != quantities.end(); ++q) {
    if (q->modulus != 0 && q->modulus < 2)
      fail("Symmetry: \"", q->name, "\" needs the modulus 0 (an integer) or at least 2, found ",
           q->modulus);
    if (std::any_of(quantities.begin(), q,
                    [&](const auto& other) { return other.name == q->name; }))
      fail("Symmetry: there are two quantities \"", q->name, "\"");
  }
  if (!quantities.empty())
    quantities_ = std::make_shared<const std::vector<ConservedQuantity>>(std::move(quantities));
}

std::span<const ConservedQuantity> Symmetry::quantities() const {
  return quantities_ ? std::span<const ConservedQuantity>(*quantities_)
                     : std::span<const ConservedQuantity>();
}

Charge Symmetry::charge(std::span<const int> values) const {
  if (values.size() != quantities().size())
    fail("Symmetry: expected a value for each of ", quantities().size(),
         " conserved quantities, found ", values.size());
  Charge result;
  std::copy(values.begin(), values.end(), result.values.begin());
  return reduced(result);
}

Charge Symmetry::sum(const Charge& a, const Charge& b) const {
  Charge result;
  for (std::size_t i = 0; i < quantities().size(); ++i)
    result.values[i] = a.values[i] + b.values[i];
  return reduced(result);
}

Charge Symmetry::difference(const Charge& a, const Charge& b) const {
  Charge result;
  for (std::size_t i = 0; i < quantities().size(); ++i)
    result.values[i] = a.values[i] - b.values[i];
  return reduced(result);
}

Charge Symmetry::reduced(Charge charge) const {
  for (std::size_t i = 0; i < quantities().size(); ++i)
    if (const int n = quantities()[i].modulus; n != 0)
      charge.values[i] = (charge.values[i] % n + n) % n;
  return charge;
}

std::string Symmetry::text(const Charge& charge) const {
  std::string text = "(";
  for (std::size_t i = 0; i < quantities().size(); ++i) {
    if (i > 0) text += ", ";
    text += quantities()[i].name;
    text += " = ";
    text += std::to_string(charge.values[i]);
  }
  return text + ")";
}

bool Symmetry::operator==(const Symmetry& other) const {
  return quantities_ == other.quantities_ || std::ranges::equal(quantities(), other.quantities());
}

}  // namespace metatt::tn
