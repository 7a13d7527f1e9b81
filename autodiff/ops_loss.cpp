#include <metatt/autodiff/ops_loss.hpp>

#include <algorithm>

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

namespace {

/// Rows whose logits are there at once: few enough for memory, enough for a fast product.
constexpr Index logit_rows = 256;

template <class T>
void check_head(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias,
                Index labels) {
  if (x.value.order() != 2 || weight.value.order() != 2 ||
      weight.value.extent(1) != x.value.extent(1) || x.value.extent(0) != labels || labels == 0 ||
      (!bias.empty() && bias.value.shape() != Shape{weight.value.extent(0)}))
    tn::fail(
        "linear_cross_entropy: expected x (rows × width), weight (classes × width), bias "
        "(classes) and a label a row, found ",
        tn::shape_text(x.value.shape()), ", ", tn::shape_text(weight.value.shape()), ", ",
        tn::shape_text(bias.value.shape()), " and ", labels, " labels");
}

}  // namespace

template <class T>
Variable<T> linear_cross_entropy(Tape<T>& tape, const Variable<T>& x, const Variable<T>& weight,
                                 const Variable<T>& bias, const Tensor<std::int32_t>& labels) {
  check_head(x, weight, bias, labels.size());
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
    if (!bias.empty())
      backend::broadcast_bias(queue, count, classes, bias.value.data(), z, classes);
    tn::backend::gemm(queue, Transpose::no, Transpose::yes, count, classes, width, T(1), in, width,
                      weight.value.data(), width, bias.empty() ? T(0) : T(1), z, classes);
    backend::softmax_cross_entropy(queue, count, classes, z, labels.data() + first,
                                   part.mutable_data(), tracked ? z : nullptr);
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
                                             const Tensor<std::int32_t>&);                    \
  template Variable<T> linear_cross_entropy(Tape<T>&, const Variable<T>&, const Variable<T>&, \
                                            const Variable<T>&, const Tensor<std::int32_t>&); \
  template Variable<T> mean_squared_error(Tape<T>&, const Variable<T>&, const Tensor<T>&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff
