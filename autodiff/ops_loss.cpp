#include <metatt/autodiff/ops_loss.hpp>

namespace metatt::autodiff {

namespace {

/// Ends both losses: the gradient is there already and only meets the chain rule's factor.
template <class T>
Variable<T> record_loss(Tape<T>& tape, const char* name, Tensor<T> loss,
                        const Variable<T>& prediction, Tensor<T> gradient) {
  if (prediction.tracked()) tape.save(gradient);
  const Variable<T> source{{}, prediction.node};
  return tape.record(name, std::move(loss), {&prediction},
                     [source, gradient](Gradients<T>& gradients, Tensor<T>& dloss) {
                       Tensor<T> result = gradient;
                       backend::scale_by(tn::backend::queue(), result.size(), dloss.data(),
                                         result.mutable_data());
                       gradients.give(source, std::move(result));
                     });
}

}  // namespace

template <class T>
Variable<T> softmax_cross_entropy(Tape<T>& tape, const Variable<T>& logits,
                                  const Tensor<std::int32_t>& labels) {
  if (logits.value.order() != 2 || logits.value.extent(0) != labels.size() || labels.size() == 0)
    tn::fail("softmax_cross_entropy: expected logits (rows × classes) and a label a row, found ",
             tn::shape_text(logits.value.shape()), " and ", labels.size(), " labels");
  const Index rows = logits.value.extent(0), classes = logits.value.extent(1);
  Tensor<T> loss(Shape{});
  Tensor<T> gradient = logits.tracked() ? Tensor<T>(logits.value.shape()) : Tensor<T>();
  backend::softmax_cross_entropy(tn::backend::queue(), rows, classes, logits.value.data(),
                                 labels.data(), loss.mutable_data(),
                                 logits.tracked() ? gradient.mutable_data() : nullptr);
  return record_loss(tape, "softmax_cross_entropy", std::move(loss), logits, std::move(gradient));
}

template <class T>
Variable<T> mean_squared_error(Tape<T>& tape, const Variable<T>& prediction,
                               const Tensor<T>& target) {
  if (prediction.value.size() != target.size() || target.size() == 0)
    tn::fail("mean_squared_error: ", prediction.value.size(), " predictions for ", target.size(),
             " targets");
  Tensor<T> loss(Shape{});
  Tensor<T> gradient = prediction.tracked() ? Tensor<T>(prediction.value.shape()) : Tensor<T>();
  backend::mean_squared_error(tn::backend::queue(), target.size(), prediction.value.data(),
                              target.data(), loss.mutable_data(),
                              prediction.tracked() ? gradient.mutable_data() : nullptr);
  return record_loss(tape, "mean_squared_error", std::move(loss), prediction, std::move(gradient));
}

#define METATT_INSTANTIATE(T)                                              \
  template Variable<T> softmax_cross_entropy(Tape<T>&, const Variable<T>&, \
                                             const Tensor<std::int32_t>&); \
  template Variable<T> mean_squared_error(Tape<T>&, const Variable<T>&, const Tensor<T>&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff
