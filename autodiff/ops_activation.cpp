#include <metatt/autodiff/ops_activation.hpp>

namespace metatt::autodiff {

template <class T>
Variable<T> bias_gelu(Tape<T>& tape, const Variable<T>& x, const Variable<T>& bias, Gelu kind) {
  if (x.value.order() != 2 ||
      (!bias.empty() && (bias.value.order() != 1 || bias.value.extent(0) != x.value.extent(1))))
    tn::fail("bias_gelu: expected x (n × width) and bias (width), found ",
             tn::shape_text(x.value.shape()), " and ", tn::shape_text(bias.value.shape()));
  const Index n = x.value.extent(0), width = x.value.extent(1);
  Tensor<T> y(x.value.shape());
  backend::bias_gelu_forward(tn::backend::queue(), kind, n, width, x.value.data(),
                             bias.value.data(), y.mutable_data());
  if (x.tracked() || bias.tracked()) tape.save(x.value);
  return tape.record(
      "bias_gelu", std::move(y), {&x, &bias},
      [x, bias, kind, n, width](Gradients<T>& gradients, Tensor<T>& dy) {
        auto& queue = tn::backend::queue();
        T* d = dy.mutable_data();
        backend::bias_gelu_backward(queue, kind, n, width, x.value.data(), bias.value.data(), d, d);
        gradients.into(bias,
                       [&](T* db, T beta) { backend::column_sums(queue, n, width, d, beta, db); });
        gradients.give(x, std::move(dy));
      });
}

template <class T>
Variable<T> swiglu(Tape<T>& tape, const Variable<T>& x) {
  if (x.value.order() != 2 || x.value.extent(1) % 2 != 0)
    tn::fail("swiglu: expected x (n × 2·width), found ", tn::shape_text(x.value.shape()));
  const Index n = x.value.extent(0), width = x.value.extent(1) / 2;
  Tensor<T> y({n, width});
  backend::swiglu_forward(tn::backend::queue(), n, width, x.value.data(), y.mutable_data());
  if (x.tracked()) tape.save(x.value);
  return tape.record("swiglu", std::move(y), {&x},
                     [x, n, width](Gradients<T>& gradients, Tensor<T>& dy) {
                       Tensor<T> dx({n, 2 * width});
                       backend::swiglu_backward(tn::backend::queue(), n, width, x.value.data(),
                                                dy.data(), dx.mutable_data());
                       gradients.give(x, std::move(dx));
                     });
}

namespace {

/// An element-wise operation whose derivative follows from its result, which it saves.
template <class T, class Forward, class Backward>
Variable<T> saving_result(Tape<T>& tape, const char* name, const Variable<T>& x, Forward forward,
                          Backward backward) {
  Tensor<T> y(x.value.shape());
  forward(tn::backend::queue(), x.value.size(), x.value.data(), y.mutable_data());
  const Tensor<T> saved = x.tracked() ? tape.save(y) : Tensor<T>();
  const Variable<T> source{{}, x.node};
  return tape.record(name, std::move(y), {&x},
                     [source, saved, backward](Gradients<T>& gradients, Tensor<T>& dy) {
                       T* d = dy.mutable_data();
                       backward(tn::backend::queue(), saved.size(), saved.data(), d, d);
                       gradients.give(source, std::move(dy));
                     });
}

}  // namespace

template <class T>
Variable<T> tanh(Tape<T>& tape, const Variable<T>& x) {
  return saving_result(tape, "tanh", x, backend::tanh_forward<T>, backend::tanh_backward<T>);
}

template <class T>
Variable<T> relu(Tape<T>& tape, const Variable<T>& x) {
  return saving_result(tape, "relu", x, backend::relu_forward<T>, backend::relu_backward<T>);
}

template <class T>
Variable<T> dropout(Tape<T>& tape, const Variable<T>& x, double probability) {
  const Dropout mask = tape.dropout(probability);
  if (!mask.active()) return x;
  Tensor<T> y(x.value.shape());
  const Index size = x.value.size();
  backend::dropout(tn::backend::queue(), size, mask, x.value.data(), T(0), y.mutable_data());
  const Variable<T> source{{}, x.node};
  return tape.record("dropout", std::move(y), {&x},
                     [source, mask, size](Gradients<T>& gradients, Tensor<T>& dy) {
                       T* d = dy.mutable_data();
                       backend::dropout(tn::backend::queue(), size, mask, d, T(0), d);
                       gradients.give(source, std::move(dy));
                     });
}

#define METATT_INSTANTIATE(T)                                                             \
  template Variable<T> bias_gelu(Tape<T>&, const Variable<T>&, const Variable<T>&, Gelu); \
  template Variable<T> swiglu(Tape<T>&, const Variable<T>&);                              \
  template Variable<T> tanh(Tape<T>&, const Variable<T>&);                                \
  template Variable<T> relu(Tape<T>&, const Variable<T>&);                                \
  template Variable<T> dropout(Tape<T>&, const Variable<T>&, double);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff
