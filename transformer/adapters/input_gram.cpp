#include <metatt/transformer/adapters/input_gram.hpp>

#include <metatt/tn/contract.hpp>
#include <metatt/tn/decompositions.hpp>

namespace metatt::transformer {

using tn::Index;
using tn::Tensor;

template <class T>
void InputGram<T>::add(const Tensor<T>& x) {
  const Index width = sum_.extent(0), d = x.extent(1);
  if (d > width) tn::fail("InputGram: expected at most ", width, " inputs, found ", d);
  const auto rows = tn::converted<double>(x);
  const auto product = tn::matrix_product(tn::adjoint(rows), rows);
  auto& queue = tn::backend::queue();
  for (Index row = 0; row < d; ++row)
    tn::backend::add_scaled(queue, d, 1.0, product.data() + row * d,
                            sum_.mutable_data() + row * width);
  rows_ += x.extent(0);
}

template <class T>
Tensor<double> InputGram<T>::mean() const {
  if (rows_ == 0) tn::fail("InputGram: expected inputs, found none");
  Tensor<double> mean = sum_;
  tn::backend::scale(tn::backend::queue(), mean.size(), 1 / static_cast<double>(rows_),
                     mean.mutable_data());
  return mean;
}

template class InputGram<float>;
template class InputGram<double>;

}  // namespace metatt::transformer
