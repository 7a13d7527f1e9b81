#pragma once
/// What goes into adapted matrices, for errors that are measured in what comes out of them.

#include <metatt/tn/tensor.hpp>

namespace metatt::transformer {

/// Σ xᵀ·x over the inputs x of the adapted matrices, in double precision. A matrix with fewer
/// inputs than others has the leading ones, as trains have it.
template <class T>
class InputGram {
 public:
  explicit InputGram(tn::Index width) : sum_(tn::Tensor<double>::zeros({width, width})) {}

  /// Adds the inputs (n × d, d at most the width) of one matrix. Cost of order n · d².
  void add(const tn::Tensor<T>& x);
  tn::Index rows() const { return rows_; }
  /// The mean over all rows (width × width). Throws Error before the first one.
  tn::Tensor<double> mean() const;

 private:
  tn::Tensor<double> sum_;
  tn::Index rows_ = 0;
};

}  // namespace metatt::transformer
