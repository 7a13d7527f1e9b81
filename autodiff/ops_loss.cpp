#include <metatt/autodiff/ops_loss.hpp>

#include <algorithm>

namespace metatt::autodiff {

namespace {

void check_smoothing(const char* operation, double smoothing) {
  if (!(smoothing >= 0 && smoothing <= 1))
    tn::fail(operation, ": expected a smoothing of 0 … 1, found ", smoothing);
}

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
                                  const Tensor<std::int32_t>& labels, double smoothing) {
  check_smoothing("softmax_cross_entropy", smoothing);
  if (logits.value.order() != 2 || logits.value.extent(0) != labels.size() || labels.size() == 0)
    tn::fail("softmax_cross_entropy: expected logits (rows × classes) and a label a row, found ",
             tn::shape_text(logits.value.shape()), " and ", labels.size(), " labels");
  const Index rows = logits.value.extent(0), classes = logits.value.extent(1);
  Tensor<T> loss(Shape{});
  Tensor<T> gradient = logits.tracked() ? Tensor<T>(logits.value.shape()) : Tensor<T>();
  backend::softmax_cross_entropy(tn::backend::queue(), rows, classes, logits.value.data(),
                                 labels.data(), static_cast<T>(smoothing), loss.mutable_data(),
                                 logits.tracked() ? gradient.mutable_data() : nullptr);
  return record_loss(tape, "softmax_cross_entropy", std::move(loss), logits, std::move(gradient));
}

namespace {

/// Rows whose logits are there at once: few enough for memory, enough for a fast product.
constexpr Index logit_rows = 256;

template <class T>
void check_head(const char* function, const Tensor<T>& x, const Tensor<T>& weight,
                const Tensor<T>& bias, Index labels) {
  if (x.order() != 2 || weight.order() != 2 || weight.extent(1) != x.extent(1) ||
      x.extent(0) != labels || labels == 0 ||
      (!bias.empty() && bias.shape() != Shape{weight.extent(0)}))
    tn::fail(function,
             ": expected x (rows × width), weight (classes × width), bias (classes) and a label a "
             "row, found ",
             tn::shape_text(x.shape()), ", ", tn::shape_text(weight.shape()), ", ",
             tn::shape_text(bias.shape()), " and ", labels, " labels");
}

/// The logits of rows first … first + count - 1 of x.
template <class T>
void head_logits(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias, Index first,
                 Index count, T* logits) {
  using tn::Transpose;
  auto& queue = tn::backend::queue();
  const Index width = x.extent(1), classes = weight.extent(0);
  if (!bias.empty()) backend::broadcast_bias(queue, count, classes, bias.data(), logits, classes);
  tn::backend::gemm(queue, Transpose::no, Transpose::yes, count, classes, width, T(1),
                    x.data() + first * width, width, weight.data(), width,
                    bias.empty() ? T(0) : T(1), logits, classes);
}

}  // namespace

template <class T>
Variable<T> linear_cross_entropy(Tape<T>& tape, const Variable<T>& x, const Variable<T>& weight,
                                 const Variable<T>& bias, const Tensor<std::int32_t>& labels,
                                 double smoothing) {
  check_smoothing("linear_cross_entropy", smoothing);
  check_head("linear_cross_entropy", x.value, weight.value, bias.value, labels.size());
  using tn::Transpose;
  auto& queue = tn::backend::queue();
  const Index rows = x.value.extent(0), width = x.value.extent(1), classes = weight.value.extent(0);
  const auto wanted = [&](const Variable<T>& variable) {
    return variable.tracked() ? tape.save(Tensor<T>(variable.value.shape())) : Tensor<T>();
  };
  Tensor<T> dx = wanted(x), dweight = wanted(weight), dbias = wanted(bias);
  const bool tracked = x.tracked() || weight.tracked() || bias.tracked();
  Tensor<T> logits({std::min(rows, logit_rows), classes}), loss(Shape{}), part(Shape{});
  tn::backend::fill(queue, 1, T(0), loss.mutable_data());
  for (Index first = 0; first < rows; first += logit_rows) {
    const Index count = std::min(logit_rows, rows - first);
    const T share = static_cast<T>(static_cast<double>(count) / static_cast<double>(rows));
    const T* in = x.value.data() + first * width;
    T* z = logits.mutable_data();
    head_logits(x.value, weight.value, bias.value, first, count, z);
    backend::softmax_cross_entropy(queue, count, classes, z, labels.data() + first,
                                   static_cast<T>(smoothing), part.mutable_data(),
                                   tracked ? z : nullptr);
    tn::backend::add_scaled(queue, 1, share, part.data(), loss.mutable_data());
    const T beta = first == 0 ? T(0) : T(1);
    if (x.tracked())
      tn::backend::gemm(queue, Transpose::no, Transpose::no, count, width, classes, share, z,
                        classes, weight.value.data(), width, T(0),
                        dx.mutable_data() + first * width, width);
    if (weight.tracked())
      tn::backend::gemm(queue, Transpose::yes, Transpose::no, classes, width, count, share, z,
                        classes, in, width, beta, dweight.mutable_data(), width);
    if (bias.tracked()) {
      tn::backend::scale(queue, count * classes, share, z);
      backend::column_sums(queue, count, classes, z, beta, dbias.mutable_data());
    }
  }
  const Variable<T> from_x{{}, x.node}, from_weight{{}, weight.node}, from_bias{{}, bias.node};
  return tape.record("linear_cross_entropy", std::move(loss), {&x, &weight, &bias},
                     [=](Gradients<T>& gradients, Tensor<T>& dloss) mutable {
                       const auto give = [&](const Variable<T>& to, Tensor<T> gradient) {
                         if (!to.tracked()) return;
                         backend::scale_by(tn::backend::queue(), gradient.size(), dloss.data(),
                                           gradient.mutable_data());
                         gradients.give(to, std::move(gradient));
                       };
                       give(from_x, std::move(dx));
                       give(from_weight, std::move(dweight));
                       give(from_bias, std::move(dbias));
                     });
}

template <class T>
Tensor<T> linear_log_probabilities(const Tensor<T>& x, const Tensor<T>& weight,
                                   const Tensor<std::int32_t>& labels) {
  check_head("linear_log_probabilities", x, weight, Tensor<T>(), labels.size());
  auto& queue = tn::backend::queue();
  const Index rows = x.extent(0), classes = weight.extent(0);
  Tensor<T> logits({std::min(rows, logit_rows), classes}), result({rows});
  T* losses = result.mutable_data();
  for (Index first = 0; first < rows; first += logit_rows) {
    const Index count = std::min(logit_rows, rows - first);
    head_logits(x, weight, Tensor<T>(), first, count, logits.mutable_data());
    for (Index row = 0; row < count; ++row)
      backend::softmax_cross_entropy<T>(queue, 1, classes, logits.data() + row * classes,
                                        labels.data() + first + row, T(0), losses + first + row,
                                        nullptr);
  }
  tn::backend::scale(queue, rows, T(-1), losses);
  return result;
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

#define METATT_INSTANTIATE(T)                                                                 \
  template Variable<T> softmax_cross_entropy(Tape<T>&, const Variable<T>&,                    \
                                             const Tensor<std::int32_t>&, double);            \
  template Variable<T> linear_cross_entropy(Tape<T>&, const Variable<T>&, const Variable<T>&, \
                                            const Variable<T>&, const Tensor<std::int32_t>&,  \
                                            double);                                          \
  template Tensor<T> linear_log_probabilities(const Tensor<T>&, const Tensor<T>&,             \
                                              const Tensor<std::int32_t>&);                   \
  template Variable<T> mean_squared_error(Tape<T>&, const Variable<T>&, const Tensor<T>&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff
