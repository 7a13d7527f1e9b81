#pragma once
/// Sums of products of named operators, written as on the blackboard:
///
///   OperatorSum H;
///   for (Index i = 0; i + 1 < n; ++i) {
///     H += 0.5 * op("S+", i) * op("S-", i + 1) + 0.5 * op("S-", i) * op("S+", i + 1);
///     H += J * op("Sz", i) * op("Sz", i + 1);
///   }

#include <metatt/tn/chain/site.hpp>

namespace metatt::tn {

/// coefficient · O_1 · O_2 · …, in the order written; the order of fermionic operators matters.
struct OperatorProduct {
  struct Factor {
    std::string name;
    Index site = 0;  ///< from 0
  };
  std::complex<double> coefficient = 1;
  std::vector<Factor> factors;
};

/// One named operator on a site.
OperatorProduct op(std::string name, Index site);

OperatorProduct operator*(OperatorProduct a, const OperatorProduct& b);
OperatorProduct operator*(std::complex<double> number, OperatorProduct product);
OperatorProduct operator*(double number, OperatorProduct product);
OperatorProduct operator-(OperatorProduct product);

/// "0.5 S+(0) S-(1)", for messages.
std::string to_string(const OperatorProduct& product);

class OperatorSum {
 public:
  OperatorSum() = default;
  OperatorSum(OperatorProduct product) : terms_{std::move(product)} {}

  OperatorSum& operator+=(const OperatorSum& other);
  OperatorSum& operator-=(const OperatorSum& other);
  const std::vector<OperatorProduct>& terms() const { return terms_; }

 private:
  std::vector<OperatorProduct> terms_;
};

OperatorSum operator+(OperatorSum a, const OperatorSum& b);
OperatorSum operator-(OperatorSum a, const OperatorSum& b);
OperatorSum operator*(std::complex<double> number, const OperatorSum& sum);

/// A product as one matrix for each site that it touches, sites rising, with the signs and the
/// parity operators of the Jordan–Wigner transformation: c_j becomes F_0 · … · F_{j−1} · a_j. So an
/// odd product touches all sites left of it. Throws Error on a site outside the chain and on an
/// operator that the site does not have, naming the term.
struct LocalProduct {
  std::complex<double> coefficient = 1;
  std::vector<std::pair<Index, LocalOperator>> factors;
};
LocalProduct local_product(const OperatorProduct& product, const Sites& sites);

/// Whether all coefficients and operators are real, so that real tensors can hold the sum. (Sy is
/// not, though Sy·Sy is: write it as S+ and S-.) Throws Error as local_product.
bool is_real(const OperatorSum& sum, const Sites& sites);

}  // namespace metatt::tn
