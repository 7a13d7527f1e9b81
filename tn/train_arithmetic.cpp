#include <metatt/tn/train_arithmetic.hpp>

#include <metatt/tn/contract.hpp>

namespace metatt::tn {

template <class T>
TensorTrain<T> hadamard(const TensorTrain<T>& a, const TensorTrain<T>& b) {
  if (a.modes() != b.modes())
    fail("hadamard: the modes ", shape_text(a.modes()), " and ", shape_text(b.modes()), " differ");
  std::vector<Tensor<T>> cores;
  for (Index k = 0; k < a.length(); ++k) {
    if (!a.core(k).leg(1).symmetry().trivial() || !b.core(k).leg(1).symmetry().trivial())
      fail("hadamard: core ", k, " conserves charges, of which a product has twice as many");
    const Tensor<T> x = a.dense_core(k), y = b.dense_core(k);
    cores.push_back(
        contract("asb,csd->acsbd", x, y)
            .reshaped({x.extent(0) * y.extent(0), x.extent(1), x.extent(2) * y.extent(2)}));
  }
  return TensorTrain<T>(std::move(cores));
}

template TensorTrain<float> hadamard(const TensorTrain<float>&, const TensorTrain<float>&);
template TensorTrain<double> hadamard(const TensorTrain<double>&, const TensorTrain<double>&);
template TensorTrain<std::complex<float>> hadamard(const TensorTrain<std::complex<float>>&,
                                                   const TensorTrain<std::complex<float>>&);
template TensorTrain<std::complex<double>> hadamard(const TensorTrain<std::complex<double>>&,
                                                    const TensorTrain<std::complex<double>>&);

}  // namespace metatt::tn
