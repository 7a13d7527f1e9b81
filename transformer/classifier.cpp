#include <metatt/transformer/classifier.hpp>

#include <metatt/autodiff/ops_activation.hpp>
#include <metatt/autodiff/ops_loss.hpp>

#include <algorithm>

namespace metatt::transformer {

namespace {

template <class T>
std::vector<typename Weights<T>::Id> given_ids(const typename Backbone<T>::Linear& linear) {
  std::vector<typename Weights<T>::Id> ids;
  for (const auto id : {linear.weight, linear.bias})
    if (id != Backbone<T>::none) ids.push_back(id);
  return ids;
}

}  // namespace

template <class T>
Classifier<T>::Classifier(const Backbone<T>& backbone, Index outputs,
                          const InitialWeight<T>& initial, const std::string& prefix)
    : backbone_(backbone), head_(backbone.config().family().classifier), outputs_(outputs) {
  const Index d = backbone.config().hidden_size;
  const auto add = [&](const std::string& module, Index out, bool bias, bool shared = false) {
    const auto weight = [&](const std::string& name, const Shape& shape) {
      Weights<T>& weights = backbone.weights();
      if (shared && weights.contains(name)) return weights.find(name);
      return weights.add(name, initial(name, shape));
    };
    Linear linear;
    linear.weight = weight(module + ".weight", {out, d});
    if (bias) linear.bias = weight(module + ".bias", {out});
    return linear;
  };
  const bool pooler = head_.dense_is_pooler;
  if (head_.dense) dense_ = add((pooler ? "" : prefix) + head_.dense, d, true, pooler);
  output_ = add(prefix + head_.output, outputs, head_.output_bias);
}

template <class T>
std::vector<typename Weights<T>::Id> Classifier<T>::pooler_ids() const {
  return head_.dense_is_pooler ? given_ids<T>(dense_) : std::vector<Id>();
}

template <class T>
std::vector<typename Weights<T>::Id> Classifier<T>::head_ids() const {
  std::vector<Id> ids = head_.dense_is_pooler ? std::vector<Id>() : given_ids<T>(dense_);
  for (const Id id : given_ids<T>(output_)) ids.push_back(id);
  return ids;
}

template <class T>
Variable<T> Classifier<T>::product(autodiff::Tape<T>& tape, const Variable<T>& x,
                                   const Linear& linear) const {
  const auto& weights = backbone_.weights();
  return autodiff::linear<T>(
      tape, x, weights.use(tape, linear.weight),
      linear.bias == Backbone<T>::none ? Variable<T>{} : weights.use(tape, linear.bias));
}

template <class T>
Variable<T> Classifier<T>::logits(autodiff::Tape<T>& tape, const Batch& batch,
                                  const Adapter<T>* adapter, const DropoutRates& dropout) const {
  const bool last = backbone_.config().family().causal;
  Variable<T> x =
      backbone_.forward(tape, batch, adapter, dropout,
                        last ? batch.sequences.last_rows() : batch.sequences.first_rows());
  if (head_.dense) {
    if (head_.dropout_before_dense) x = autodiff::dropout(tape, x, dropout.classifier);
    x = product(tape, x, dense_);
    x = head_.activation == ClassifierHead::Activation::relu ? autodiff::relu(tape, x)
                                                             : autodiff::tanh(tape, x);
    x = autodiff::dropout(tape, x, dropout.classifier);
  }
  return product(tape, x, output_);
}

template <class T>
Variable<T> Classifier<T>::loss(autodiff::Tape<T>& tape, const Variable<T>& logits,
                                std::span<const double> labels, double smoothing) const {
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
      tape, logits, Tensor<std::int32_t>::from(shape, std::span<const std::int32_t>(classes)),
      smoothing);
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
