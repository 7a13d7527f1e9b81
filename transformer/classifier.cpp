#include <metatt/transformer/classifier.hpp>

#include <metatt/autodiff/ops_activation.hpp>
#include <metatt/autodiff/ops_loss.hpp>

#include <algorithm>

namespace metatt::transformer {

template <class T>
Variable<T> Classifier<T>::logits(autodiff::Tape<T>& tape, const Batch& batch,
                                  const Adapter<T>* adapter, const DropoutRates& dropout) const {
  const auto& weights = backbone_.weights();
  const auto use = [&](Id id) { return weights.use(tape, id); };
  const Variable<T> hidden = backbone_.forward(tape, batch, adapter, dropout);
  const Variable<T> first = autodiff::gather_rows(tape, hidden, batch.sequences.first_rows());
  const Variable<T> pooled = autodiff::tanh(
      tape, autodiff::linear<T>(tape, first, use(pooler_weight_), use(pooler_bias_)));
  return autodiff::linear<T>(tape, autodiff::dropout(tape, pooled, dropout.classifier),
                             use(head_weight_), use(head_bias_));
}

template <class T>
Variable<T> Classifier<T>::loss(autodiff::Tape<T>& tape, const Variable<T>& logits,
                                std::span<const double> labels) const {
  const Shape shape{static_cast<Index>(labels.size())};
  if (outputs_ == 1) {
    const std::vector<T> targets(labels.begin(), labels.end());
    return autodiff::mean_squared_error(tape, logits,
                                        Tensor<T>::from(shape, std::span<const T>(targets)));
  }
  std::vector<std::int32_t> classes;
  for (const double label : labels) {
    if (label < 0 || label >= static_cast<double>(outputs_))
      tn::fail("Classifier: label ", label, " with ", outputs_, " classes");
    classes.push_back(static_cast<std::int32_t>(label));
  }
  return autodiff::softmax_cross_entropy(
      tape, logits, Tensor<std::int32_t>::from(shape, std::span<const std::int32_t>(classes)));
}

template <class T>
std::vector<double> predictions(const Tensor<T>& logits) {
  const auto values = logits.to_vector();
  const auto outputs = static_cast<std::size_t>(logits.extent(1));
  std::vector<double> result;
  for (std::size_t row = 0; row < values.size() / outputs; ++row) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * outputs);
    const auto end = begin + static_cast<std::ptrdiff_t>(outputs);
    result.push_back(outputs == 1 ? static_cast<double>(*begin)
                                  : static_cast<double>(std::max_element(begin, end) - begin));
  }
  return result;
}

#define METATT_INSTANTIATE(T)   \
  template class Classifier<T>; \
  template std::vector<double> predictions(const Tensor<T>&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::transformer
