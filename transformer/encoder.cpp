#include <metatt/transformer/encoder.hpp>

#include <metatt/autodiff/ops_activation.hpp>

namespace metatt::transformer {

using autodiff::LowRankUpdate;
using autodiff::Tape;

template <class T>
std::vector<typename Encoder<T>::Id> Encoder<T>::ids() const {
  // Ids are handed out in order and the encoder adds its weights in one go.
  std::vector<Id> all;
  for (Id id = word_embeddings_; id <= layers_.back().output_norm.beta; ++id) all.push_back(id);
  return all;
}

template <class T>
autodiff::LayerNormParameters<T> Encoder<T>::norm(Tape<T>& tape, const Norm& ids) const {
  return {weights_.use(tape, ids.gamma), weights_.use(tape, ids.beta), config_.layer_norm_eps};
}

template <class T>
Variable<T> Encoder<T>::embed(Tape<T>& tape, const Batch& batch, double dropout) const {
  if (batch.sequences.longest() > config_.max_position_embeddings)
    tn::fail("Encoder: a sequence of ", batch.sequences.longest(),
             " tokens, but the model has only ", config_.max_position_embeddings, " positions");
  if (batch.largest_id >= config_.vocab_size || batch.largest_type_id >= config_.type_vocab_size)
    tn::fail("Encoder: token ", batch.largest_id, " of type ", batch.largest_type_id,
             ", but the model knows ", config_.vocab_size, " tokens and ", config_.type_vocab_size,
             " types");
  const std::array<autodiff::EmbeddingLookup<T>, 3> lookups{{
      {weights_.use(tape, word_embeddings_), batch.ids},
      {weights_.use(tape, position_embeddings_), batch.positions},
      {weights_.use(tape, type_embeddings_), batch.type_ids},
  }};
  const Variable<T> sum = autodiff::embedding<T>(tape, lookups);
  const Variable<T> normalised =
      autodiff::residual_layer_norm(tape, sum, {}, {}, norm(tape, embedding_norm_), 0.0);
  return autodiff::dropout(tape, normalised, dropout);
}

template <class T>
Variable<T> Encoder<T>::block(Tape<T>& tape, Index index, const Variable<T>& x, const Batch& batch,
                              const UpdateTable<T>& updates, const DropoutRates& dropout) const {
  const Layer& layer = layers_[static_cast<std::size_t>(index)];
  const auto use = [&](Id id) { return weights_.use(tape, id); };
  const auto pick = [&](std::initializer_list<MatrixType> types) {
    std::vector<LowRankUpdate<T>> picked;
    Index column = 0;
    for (const MatrixType type : types) {
      if (const auto* update = updates.find(index, type)) {
        picked.push_back(*update);
        picked.back().first_column = column;
      }
      column += matrix_extents(config_, type).d_out;
    }
    return picked;
  };
  const Variable<T> qkv =
      autodiff::linear<T>(tape, x, use(layer.qkv_weight), use(layer.qkv_bias),
                          pick({MatrixType::query, MatrixType::key, MatrixType::value}));
  const Variable<T> context = autodiff::attention(
      tape, qkv, batch.sequences,
      {config_.num_attention_heads, config_.num_attention_heads, config_.head_size(), false},
      dropout.attention);
  // Biases of the next three products are added inside the operations that follow them.
  const Variable<T> projected = autodiff::linear<T>(
      tape, context, use(layer.attention_output_weight), {}, pick({MatrixType::attention_output}));
  const Variable<T> attended =
      autodiff::residual_layer_norm(tape, projected, use(layer.attention_output_bias), x,
                                    norm(tape, layer.attention_norm), dropout.hidden);
  const Variable<T> up = autodiff::linear<T>(tape, attended, use(layer.up_weight), {},
                                             pick({MatrixType::feed_forward_up}));
  const Variable<T> activated = autodiff::bias_gelu(tape, up, use(layer.up_bias));
  const Variable<T> down = autodiff::linear<T>(tape, activated, use(layer.down_weight), {},
                                               pick({MatrixType::feed_forward_down}));
  return autodiff::residual_layer_norm(tape, down, use(layer.down_bias), attended,
                                       norm(tape, layer.output_norm), dropout.hidden);
}

template <class T>
Variable<T> Encoder<T>::forward(Tape<T>& tape, const Batch& batch, const Adapter<T>* adapter,
                                const DropoutRates& dropout) const {
  const UpdateTable<T> updates = adapter ? adapter->updates(tape) : UpdateTable<T>();
  Variable<T> x = embed(tape, batch, dropout.hidden);
  for (Index l = 0; l < config_.num_hidden_layers; ++l)
    x = block(tape, l, x, batch, updates, dropout);
  return x;
}

template <class T>
Tensor<T> initial_weight(const std::string& name, const Shape& shape, std::uint64_t seed) {
  const auto ends_with = [&](std::string_view end) { return name.ends_with(end); };
  if (ends_with("bias")) return Tensor<T>::zeros(shape);
  if (ends_with("LayerNorm.weight")) {
    Tensor<T> ones(shape);
    tn::backend::fill(tn::backend::queue(), ones.size(), T(1), ones.mutable_data());
    return ones;
  }
  std::uint64_t stream = 14695981039346656037ULL;  // FNV-1a of the name
  for (const char c : name) stream = (stream ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  Tensor<T> normal = tn::random_normal<T>(shape, seed, stream);
  tn::backend::scale(tn::backend::queue(), normal.size(), T(0.02), normal.mutable_data());
  return normal;
}

template class Encoder<float>;
template class Encoder<double>;
template Tensor<float> initial_weight(const std::string&, const Shape&, std::uint64_t);
template Tensor<double> initial_weight(const std::string&, const Shape&, std::uint64_t);

}  // namespace metatt::transformer
