#include <metatt/transformer/backbone.hpp>

#include <metatt/autodiff/ops_activation.hpp>

namespace metatt::transformer {

using autodiff::LowRankUpdate;
using autodiff::Tape;

namespace {

/// Adds the weights of modules that a family has.
template <class T>
class ModuleBuilder {
 public:
  using Id = typename Weights<T>::Id;
  ModuleBuilder(const Family& family, Weights<T>& weights, const InitialWeight<T>& initial)
      : family_(family), weights_(weights), initial_(initial) {}

  Id add(const std::string& name, const Shape& shape) const {
    return weights_.add(name, initial_(name, shape));
  }
  Id table(const char* module, Index rows, Index width) const {
    return module ? add(std::string(module) + ".weight", {rows, width}) : Backbone<T>::none;
  }
  typename Backbone<T>::Linear linear(const std::string& module, Index out, Index in,
                                      bool bias) const {
    typename Backbone<T>::Linear ids;
    ids.weight = add(module + ".weight", {out, in});
    if (bias) ids.bias = add(module + ".bias", {out});
    return ids;
  }
  typename Backbone<T>::Norm norm(const std::string& module, Index width) const {
    typename Backbone<T>::Norm ids;
    ids.gamma = add(module + ".weight", {width});
    if (!family_.rms_norm) ids.beta = add(module + ".bias", {width});
    return ids;
  }

 private:
  const Family& family_;
  Weights<T>& weights_;
  const InitialWeight<T>& initial_;
};

}  // namespace

template <class T>
Backbone<T>::Backbone(const ModelConfig& config, Weights<T>& weights,
                      const InitialWeight<T>& initial)
    : config_(config), family_(config_.family()), weights_(weights), first_(weights.count()) {
  const ModuleNames& names = family_.names;
  const ModuleBuilder<T> make(family_, weights, initial);
  const Index d = config.hidden_size, f = config.intermediate_size, q = config.query_width();
  const bool attention_bias = family_.biases || config.attention_bias;
  word_embeddings_ = make.table(names.word_embeddings, config.vocab_size, d);
  position_embeddings_ = make.table(names.position_embeddings, config.max_position_embeddings, d);
  type_embeddings_ = make.table(names.type_embeddings, config.type_vocab_size, d);
  if (names.embedding_norm) embedding_norm_ = make.norm(names.embedding_norm, d);
  for (Index l = 0; l < config.num_hidden_layers; ++l) {
    const std::string layer = names.layers + std::to_string(l) + ".";
    Layer ids;
    ids.qkv = make.linear(layer + names.joined, q + 2 * config.key_value_width(), d,
                          attention_bias || family_.query_key_value_bias);
    ids.attention_output = make.linear(layer + names.attention_output, d, q, attention_bias);
    ids.attention_norm = make.norm(layer + names.attention_norm, d);
    ids.up = make.linear(layer + (family_.gated ? names.gate_and_up : names.up),
                         family_.gated ? 2 * f : f, d, family_.biases);
    ids.down = make.linear(layer + names.down, d, f, family_.biases);
    ids.feed_forward_norm = make.norm(layer + names.feed_forward_norm, d);
    layers_.push_back(ids);
  }
  if (names.final_norm) final_norm_ = make.norm(names.final_norm, d);
  end_ = weights.count();
  if (family_.rotary)
    rotary_table_ = autodiff::rotary_table<T>(config.max_position_embeddings, config.head_size(),
                                              config.rope_theta);
}

template <class T>
std::vector<typename Backbone<T>::Id> Backbone<T>::ids() const {
  std::vector<Id> all;
  for (Id id = first_; id < end_; ++id) all.push_back(id);
  return all;
}

template <class T>
Variable<T> Backbone<T>::use(Tape<T>& tape, Id id) const {
  return id == none ? Variable<T>{} : weights_.use(tape, id);
}

template <class T>
autodiff::LayerNormParameters<T> Backbone<T>::parameters(Tape<T>& tape, const Norm& ids) const {
  return {use(tape, ids.gamma), use(tape, ids.beta), config_.layer_norm_eps};
}

template <class T>
Variable<T> Backbone<T>::norm(Tape<T>& tape, const Norm& ids, const Variable<T>& x) const {
  if (family_.rms_norm)
    return autodiff::rms_norm(tape, x, use(tape, ids.gamma), config_.layer_norm_eps);
  return autodiff::residual_layer_norm(tape, x, {}, {}, parameters(tape, ids), 0.0);
}

template <class T>
autodiff::AttentionShape Backbone<T>::attention_shape() const {
  return {config_.num_attention_heads, config_.key_value_heads(), config_.head_size(),
          family_.causal};
}

template <class T>
void Backbone<T>::check_batch(const Batch& batch) const {
  if (batch.sequences.longest() > config_.longest_sequence())
    tn::fail("Backbone: a sequence of ", batch.sequences.longest(),
             " tokens, but the model has only ", config_.longest_sequence(), " positions");
  if (batch.smallest_id < 0 || batch.largest_id >= config_.vocab_size)
    tn::fail("Backbone: token ", batch.smallest_id < 0 ? batch.smallest_id : batch.largest_id,
             ", but the model knows ", config_.vocab_size, " tokens");
  // A family without token types has no use for those of a tokenizer.
  if (config_.type_vocab_size > 0 && batch.largest_type_id >= config_.type_vocab_size)
    tn::fail("Backbone: a token of type ", batch.largest_type_id, ", but the model knows ",
             config_.type_vocab_size, " types");
}

template <class T>
Variable<T> Backbone<T>::embed(Tape<T>& tape, const Batch& batch,
                               const DropoutRates& dropout) const {
  check_batch(batch);
  std::vector<autodiff::EmbeddingLookup<T>> lookups{{use(tape, word_embeddings_), batch.ids}};
  if (position_embeddings_ != none)
    lookups.push_back(
        {use(tape, position_embeddings_), shifted(batch.positions, config_.first_position())});
  if (type_embeddings_ != none) lookups.push_back({use(tape, type_embeddings_), batch.type_ids});
  const Variable<T> sum =
      autodiff::embedding<T>(tape, std::span<const autodiff::EmbeddingLookup<T>>(lookups));
  return autodiff::dropout(tape,
                           embedding_norm_.gamma == none ? sum : norm(tape, embedding_norm_, sum),
                           dropout.embedding);
}

template <class T>
Variable<T> Backbone<T>::product(const Pass& pass, const Variable<T>& x, const Linear& linear,
                                 bool with_bias, Index layer,
                                 std::initializer_list<MatrixType> types) const {
  std::vector<LowRankUpdate<T>> picked;
  std::vector<autodiff::ColumnGain<T>> gains;
  Index column = 0;
  for (const MatrixType type : types) {
    pass.updates.note_input(layer, type, x.value);
    if (const LowRankUpdate<T>* update = pass.updates.of(layer, type)) {
      picked.push_back(*update);
      picked.back().first_column += column;
    }
    if (auto gain = pass.updates.gain(layer, type); !gain.empty())
      gains.push_back({std::move(gain), column});
    column += matrix_extents(config_, type).d_out;
  }
  const Variable<T> weight = use(pass.tape, linear.weight);
  const Variable<T> bias = with_bias ? use(pass.tape, linear.bias) : Variable<T>{};
  if (gains.empty()) return autodiff::linear<T>(pass.tape, x, weight, bias, picked);
  return autodiff::scale_columns<T>(
      pass.tape, autodiff::linear<T>(pass.tape, x, weight, {}, picked), gains, bias);
}

template <class T>
Variable<T> Backbone<T>::attention(const Pass& pass, Index index, const Variable<T>& x) const {
  const Layer& layer = layers_[static_cast<std::size_t>(index)];
  Variable<T> qkv = product(pass, x, layer.qkv, true, index,
                            {MatrixType::query, MatrixType::key, MatrixType::value});
  if (family_.rotary)
    qkv = autodiff::rotary(pass.tape, qkv, pass.batch.positions, rotary_table_, attention_shape());
  // After attention no token sees another one.
  return product(pass, needed(pass, index, context(pass, index, qkv)), layer.attention_output,
                 family_.norm_first, index, {MatrixType::attention_output});
}

template <class T>
Variable<T> Backbone<T>::needed(const Pass& pass, Index index, const Variable<T>& x) const {
  const bool all = pass.rows.empty() || index + 1 < config_.num_hidden_layers;
  return all ? x : autodiff::gather_rows(pass.tape, x, pass.rows);
}

template <class T>
Variable<T> Backbone<T>::context(const Pass& pass, Index index, const Variable<T>& qkv) const {
  const autodiff::AttentionShape shape = attention_shape();
  if (pass.cache) {
    // The new rows of the cache are the last columns of qkv.
    auto& queue = tn::backend::queue();
    const Index rows = qkv.value.extent(0), width = config_.key_value_width();
    const Index begin = pass.cache->length;
    auto& keys = pass.cache->keys[static_cast<std::size_t>(index)];
    auto& values = pass.cache->values[static_cast<std::size_t>(index)];
    for (Index row = 0; row < rows; ++row) {
      const T* key = qkv.value.data() + row * shape.joined_width() + shape.width();
      tn::backend::copy(queue, width, key, keys.mutable_data() + (begin + row) * width);
      tn::backend::copy(queue, width, key + width, values.mutable_data() + (begin + row) * width);
    }
    if (begin > 0)
      return autodiff::constant(
          autodiff::attention_step(qkv.value, keys, values, begin + rows, shape));
  }
  return autodiff::attention(pass.tape, qkv, pass.batch.sequences, shape, pass.dropout.attention);
}

template <class T>
Variable<T> Backbone<T>::feed_forward(const Pass& pass, Index index, const Variable<T>& x) const {
  const Layer& layer = layers_[static_cast<std::size_t>(index)];
  if (family_.gated) {
    const Variable<T> joined =
        product(pass, x, layer.up, true, index,
                {MatrixType::feed_forward_gate, MatrixType::feed_forward_up});
    return product(pass, autodiff::swiglu(pass.tape, joined), layer.down, true, index,
                   {MatrixType::feed_forward_down});
  }
  const Variable<T> up = product(pass, x, layer.up, false, index, {MatrixType::feed_forward_up});
  const Variable<T> activated = autodiff::bias_gelu(pass.tape, up, use(pass.tape, layer.up.bias),
                                                    gelu_of(config_.hidden_act));
  return product(pass, activated, layer.down, family_.norm_first, index,
                 {MatrixType::feed_forward_down});
}

template <class T>
Variable<T> Backbone<T>::block(const Pass& pass, Index index, const Variable<T>& x) const {
  const Layer& layer = layers_[static_cast<std::size_t>(index)];
  Tape<T>& tape = pass.tape;
  if (family_.norm_first) {
    const Variable<T> attended =
        autodiff::residual_add(tape, attention(pass, index, norm(tape, layer.attention_norm, x)),
                               needed(pass, index, x), pass.dropout.hidden);
    return autodiff::residual_add(
        tape, feed_forward(pass, index, norm(tape, layer.feed_forward_norm, attended)), attended,
        pass.dropout.hidden);
  }
  // The biases of both outputs are added inside the norms that follow.
  const Variable<T> attended = autodiff::residual_layer_norm(
      tape, attention(pass, index, x), use(tape, layer.attention_output.bias),
      needed(pass, index, x), parameters(tape, layer.attention_norm),
      family_.attention_output_dropout ? pass.dropout.hidden : 0.0);
  return autodiff::residual_layer_norm(
      tape, feed_forward(pass, index, attended), use(tape, layer.down.bias), attended,
      parameters(tape, layer.feed_forward_norm), pass.dropout.hidden);
}

template <class T>
Variable<T> Backbone<T>::forward(Tape<T>& tape, const Batch& batch, const Adapter<T>* adapter,
                                 const DropoutRates& dropout, const autodiff::Indices& rows) const {
  UpdateTable<T> updates = adapter ? adapter->updates(tape, batch.task) : UpdateTable<T>();
  if (adapter && !tape.recording()) updates.set_input_gram(adapter->noted_inputs());
  return run({tape, batch, updates, dropout, rows});
}

template <class T>
Variable<T> Backbone<T>::run(const Pass& pass) const {
  Variable<T> x = embed(pass.tape, pass.batch, pass.dropout);
  for (Index l = 0; l < config_.num_hidden_layers; ++l)
    x = pass.tape.recomputes_layers() ? recomputed_block(pass, l, x) : block(pass, l, x);
  return final_norm_.gamma == none ? x : norm(pass.tape, final_norm_, x);
}

template <class T>
Variable<T> Backbone<T>::recomputed_block(const Pass& pass, Index index,
                                          const Variable<T>& x) const {
  std::vector<Variable<T>> inputs{x};
  pass.updates.append_factors(index, inputs);
  // Outlives this call, so it has copies; those of tensors share their numbers.
  return pass.tape.recompute(
      inputs, [this, index, batch = pass.batch, updates = pass.updates, dropout = pass.dropout,
               rows = pass.rows](Tape<T>& tape, std::span<const Variable<T>> in) {
        const UpdateTable<T> own = updates.with_factors(index, in.subspan(1));
        return block({tape, batch, own, dropout, rows}, index, in[0]);
      });
}

template <class T>
KeyValueCache<T> Backbone<T>::cache(Index capacity) const {
  if (!family_.causal)
    tn::fail("Backbone: the family \"", family_.model_type,
             "\" has no next token; its tokens see those behind them");
  if (capacity < 1 || capacity > config_.longest_sequence())
    tn::fail("Backbone: expected a cache for 1 … ", config_.longest_sequence(),
             " tokens (the positions of the model), found ", capacity);
  KeyValueCache<T> result;
  for (Index l = 0; l < config_.num_hidden_layers; ++l)
    for (auto* part : {&result.keys, &result.values})
      part->push_back(Tensor<T>({capacity, config_.key_value_width()}));
  return result;
}

template <class T>
Variable<T> Backbone<T>::forward_next(std::span<const std::int32_t> ids, KeyValueCache<T>& cache,
                                      const Adapter<T>* adapter) const {
  const auto count = static_cast<Index>(ids.size());
  if (count < 1 || (cache.length > 0 && count > 1))
    tn::fail("Backbone: expected one next token after ", cache.length, ", found ", count);
  if (cache.length + count > cache.keys.front().extent(0))
    tn::fail("Backbone: ", cache.length + count, " tokens in a cache for ",
             cache.keys.front().extent(0));
  const EncodedText text{{ids.begin(), ids.end()}, std::vector<std::int32_t>(ids.size(), 0)};
  Batch batch = Batch::pack(std::array{&text});
  batch.positions = shifted(batch.positions, cache.length);
  Tape<T> tape;
  const UpdateTable<T> updates = adapter ? adapter->updates(tape, cache.task) : UpdateTable<T>();
  const DropoutRates none_dropped;
  const autodiff::Indices all;
  const Variable<T> hidden = run({tape, batch, updates, none_dropped, all, &cache});
  cache.length += count;
  return hidden;
}

autodiff::Gelu gelu_of(const std::string& activation) {
  return activation == "gelu" ? autodiff::Gelu::exact : autodiff::Gelu::tanh;
}

template <class T>
Tensor<T> initial_weight(const std::string& name, const Shape& shape, std::uint64_t seed) {
  if (name.ends_with("bias")) return Tensor<T>::zeros(shape);
  if (shape.size() == 1) {
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

template class Backbone<float>;
template class Backbone<double>;
template Tensor<float> initial_weight(const std::string&, const Shape&, std::uint64_t);
template Tensor<double> initial_weight(const std::string&, const Shape&, std::uint64_t);

}  // namespace metatt::transformer
