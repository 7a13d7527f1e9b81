#include <metatt/transformer/causal_language_model.hpp>

#include <metatt/autodiff/ops_loss.hpp>

namespace metatt::transformer {

template <class T>
CausalLanguageModel<T>::CausalLanguageModel(const Backbone<T>& backbone,
                                            const InitialWeight<T>& initial)
    : backbone_(backbone), head_(backbone.word_embeddings()) {
  const ModelConfig& config = backbone.config();
  if (!config.family().causal)
    tn::fail("CausalLanguageModel: the family \"", config.model_type,
             "\" does not predict next tokens; its tokens see those behind them");
  if (config.tie_word_embeddings) return;
  const Shape shape{config.vocab_size, config.hidden_size};
  head_ = backbone.weights().add("lm_head.weight", initial("lm_head.weight", shape));
}

template <class T>
std::vector<typename Weights<T>::Id> CausalLanguageModel<T>::head_ids() const {
  if (head_ == backbone_.word_embeddings()) return {};
  return {head_};
}

template <class T>
Variable<T> CausalLanguageModel<T>::logits(autodiff::Tape<T>& tape,
                                           const Variable<T>& hidden) const {
  return autodiff::linear<T>(tape, hidden, backbone_.weights().use(tape, head_), {});
}

template <class T>
Variable<T> CausalLanguageModel<T>::loss(autodiff::Tape<T>& tape, const Batch& batch,
                                         const autodiff::Indices& rows,
                                         const autodiff::Indices& labels, const Adapter<T>* adapter,
                                         const DropoutRates& dropout, double smoothing) const {
  const Variable<T> hidden = backbone_.forward(tape, batch, adapter, dropout, rows);
  return autodiff::linear_cross_entropy<T>(tape, hidden, backbone_.weights().use(tape, head_), {},
                                           labels, smoothing);
}

template <class T>
Tensor<T> CausalLanguageModel<T>::log_probabilities(const Batch& batch,
                                                    const autodiff::Indices& rows,
                                                    const autodiff::Indices& labels,
                                                    const Adapter<T>* adapter) const {
  autodiff::Tape<T> tape;
  const Variable<T> hidden = backbone_.forward(tape, batch, adapter, {}, rows);
  return autodiff::linear_log_probabilities(hidden.value, backbone_.weights().value(head_), labels);
}

template class CausalLanguageModel<float>;
template class CausalLanguageModel<double>;

}  // namespace metatt::transformer
