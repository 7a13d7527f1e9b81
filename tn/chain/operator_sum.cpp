#include <metatt/tn/chain/operator_sum.hpp>
#include <metatt/tn/error.hpp>

#include <algorithm>
#include <sstream>

namespace metatt::tn {

OperatorProduct op(std::string name, Index site) {
  return {1, {{std::move(name), site}}};
}

OperatorProduct operator*(OperatorProduct a, const OperatorProduct& b) {
  a.coefficient *= b.coefficient;
  a.factors.insert(a.factors.end(), b.factors.begin(), b.factors.end());
  return a;
}

OperatorProduct operator*(std::complex<double> number, OperatorProduct product) {
  product.coefficient *= number;
  return product;
}

OperatorProduct operator*(double number, OperatorProduct product) {
  return std::complex<double>(number) * std::move(product);
}

OperatorProduct operator-(OperatorProduct product) {
  return -1.0 * std::move(product);
}

std::string to_string(const OperatorProduct& product) {
  std::ostringstream text;
  if (product.coefficient.imag() == 0)
    text << product.coefficient.real();
  else
    text << product.coefficient;
  for (const auto& factor : product.factors)
    text << " " << factor.name << "(" << factor.site << ")";
  return text.str();
}

OperatorSum& OperatorSum::operator+=(const OperatorSum& other) {
  const auto terms = other.terms_;  // `other` may be this
  terms_.insert(terms_.end(), terms.begin(), terms.end());
  return *this;
}

OperatorSum& OperatorSum::operator-=(const OperatorSum& other) {
  return *this += -1.0 * other;
}

OperatorSum operator+(OperatorSum a, const OperatorSum& b) {
  a += b;
  return a;
}

OperatorSum operator-(OperatorSum a, const OperatorSum& b) {
  a -= b;
  return a;
}

OperatorSum operator*(std::complex<double> number, const OperatorSum& sum) {
  OperatorSum result;
  for (const auto& term : sum.terms()) result += number * term;
  return result;
}

namespace {

struct Placed {
  Index site;
  LocalOperator matrix;
};

/// Sorted by site, operators of one site in the order written. True if the fermionic ones changed
/// places an odd number of times.
bool sort_by_site(std::vector<Placed>& factors) {
  bool odd = false;
  for (std::size_t i = 1; i < factors.size(); ++i)
    for (std::size_t j = i; j > 0 && factors[j - 1].site > factors[j].site; --j) {
      odd ^= factors[j - 1].matrix.fermionic && factors[j].matrix.fermionic;
      std::swap(factors[j - 1], factors[j]);
    }
  return odd;
}

}  // namespace

LocalProduct local_product(const OperatorProduct& product, const Sites& sites) {
  std::vector<Placed> factors;
  for (const auto& [name, site] : product.factors) {
    if (site < 0 || site >= static_cast<Index>(sites.size()))
      fail("term ", to_string(product), ": expected a site of 0 … ", sites.size() - 1, ", found ",
           site);
    try {
      factors.push_back({site, sites[static_cast<std::size_t>(site)].find_operator(name)});
    } catch (const Error& error) {
      fail("term ", to_string(product), ": ", error.what());
    }
  }
  const bool odd_permutation = sort_by_site(factors);
  LocalProduct result{odd_permutation ? -product.coefficient : product.coefficient, {}};
  Index fermions = std::count_if(factors.begin(), factors.end(),
                                 [](const Placed& f) { return f.matrix.fermionic; });
  Index next = 0;  // first site that is not done
  const auto add_strings = [&](Index end) {
    for (; next < end; ++next)
      if (fermions % 2 != 0)
        result.factors.emplace_back(next, sites[static_cast<std::size_t>(next)].find_operator("F"));
  };
  for (std::size_t i = 0; i < factors.size();) {
    const Index site = factors[i].site;
    add_strings(site);
    LocalOperator matrix = LocalOperator::identity(factors[i].matrix.dimension);
    for (; i < factors.size() && factors[i].site == site; ++i) {
      fermions -= factors[i].matrix.fermionic;
      matrix = matrix * factors[i].matrix;
    }
    // Every fermionic operator further right has its parity operator here, to the right of ours.
    if (fermions % 2 != 0)
      matrix = matrix * sites[static_cast<std::size_t>(site)].find_operator("F");
    result.factors.emplace_back(site, std::move(matrix));
    next = site + 1;
  }
  return result;
}

bool is_real(const OperatorSum& sum, const Sites& sites) {
  const auto real = [](const std::complex<double>& number) { return number.imag() == 0; };
  return std::ranges::all_of(sum.terms(), [&](const OperatorProduct& term) {
    const LocalProduct product = local_product(term, sites);
    return real(product.coefficient) &&
           std::ranges::all_of(product.factors, [&](const auto& factor) {
             return std::ranges::all_of(factor.second.elements, real);
           });
  });
}

}  // namespace metatt::tn
