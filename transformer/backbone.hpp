#pragma once
/// The backbone of every family: embeddings and blocks of attention and feed-forward.

#include <metatt/autodiff/ops_embedding.hpp>
#include <metatt/autodiff/ops_normalisation.hpp>
#include <metatt/transformer/adapters/adapter.hpp>
#include <metatt/transformer/batch.hpp>

#include <functional>
#include <string>
#include <vector>

namespace metatt::transformer {

/// Probabilities of the dropouts. (Off outside training in any case.)
struct DropoutRates {
  double hidden = 0;
  double attention = 0;
  double classifier = 0;
  double embedding = 0;
  static DropoutRates of(const ModelConfig& config) {
    return {config.hidden_dropout_prob, config.attention_probs_dropout_prob,
            config.classifier_dropout.value_or(config.hidden_dropout_prob),
            config.embedding_dropout.value_or(config.hidden_dropout_prob)};
  }
};

/// Keys and values of the tokens so far, by layer, so that a next token costs no more than its own
/// row. For one sequence; made by Backbone::cache().
template <class T>
struct KeyValueCache {
  std::vector<Tensor<T>> keys, values;  ///< capacity × key-value width
  Index length = 0;                     ///< rows that hold tokens
  Index task = 0;                       ///< of an adapter for several: whose updates they have
};

/// A weight's value at the start, from its name and shape.
template <class T>
using InitialWeight = std::function<Tensor<T>(const std::string& name, const Shape& shape)>;

/// Queries, keys and values of a layer are one matrix here ((query + 2·key-value width) × width, in
/// this order), and so are gate and up of a gated feed-forward, which makes one product of several;
/// files may have them apart (see backbone_files.hpp). What a family does not have is `none`.
template <class T>
class Backbone {
 public:
  using Id = typename Weights<T>::Id;
  static constexpr Id none = -1;
  struct Linear {
    Id weight = none, bias = none;
  };
  struct Norm {
    Id gamma = none, beta = none;
  };
  struct Layer {
    Linear qkv, attention_output;
    Norm attention_norm;
    Linear up;  ///< gate above up where there is a gate
    Linear down;
    Norm feed_forward_norm;
  };

  /// Adds all weights to `weights`; names are the family's (family.hpp) without prefix.
  Backbone(const ModelConfig& config, Weights<T>& weights, const InitialWeight<T>& initial);

  const ModelConfig& config() const { return config_; }
  Weights<T>& weights() const { return weights_; }
  const std::vector<Layer>& layers() const { return layers_; }
  Id word_embeddings() const { return word_embeddings_; }
  /// All weights of the backbone.
  std::vector<Id> ids() const;

  /// Hidden states of the last layer, tokens × width, or of the tokens `rows` alone (count × width;
  /// none twice), which spares the last layer all of the others but their keys and values.
  /// `adapter` may be null. Throws Error on a token, type or position that the tables do not have.
  Variable<T> forward(autodiff::Tape<T>& tape, const Batch& batch, const Adapter<T>* adapter,
                      const DropoutRates& dropout, const autodiff::Indices& rows = {}) const;

  /// An empty cache for so many tokens. Throws Error if tokens see others behind them, or if the
  /// model has fewer positions.
  KeyValueCache<T> cache(Index capacity) const;
  /// Hidden states of the sequence's next tokens, of which there may be several in an empty cache
  /// and one later; the cache takes them up. Outside training.
  Variable<T> forward_next(std::span<const std::int32_t> ids, KeyValueCache<T>& cache,
                           const Adapter<T>* adapter) const;

 private:
  /// What a block needs besides its input.
  struct Pass {
    autodiff::Tape<T>& tape;
    const Batch& batch;
    const UpdateTable<T>& updates;
    const DropoutRates& dropout;
    const autodiff::Indices& rows;  ///< of the last layer's output; empty: all
    KeyValueCache<T>* cache = nullptr;
  };
  Variable<T> embed(autodiff::Tape<T>& tape, const Batch& batch, const DropoutRates& dropout) const;
  void check_batch(const Batch& batch) const;
  Variable<T> run(const Pass& pass) const;
  Variable<T> block(const Pass& pass, Index index, const Variable<T>& x) const;
  Variable<T> recomputed_block(const Pass& pass, Index index, const Variable<T>& x) const;
  /// The rows of x, a row for each token, that the second half of a block is computed for.
  Variable<T> needed(const Pass& pass, Index index, const Variable<T>& x) const;
  /// The first half of a block without its output's bias, and the second one.
  Variable<T> attention(const Pass& pass, Index index, const Variable<T>& x) const;
  Variable<T> context(const Pass& pass, Index index, const Variable<T>& qkv) const;
  Variable<T> feed_forward(const Pass& pass, Index index, const Variable<T>& x) const;
  Variable<T> product(const Pass& pass, const Variable<T>& x, const Linear& linear, bool with_bias,
                      Index layer, std::initializer_list<MatrixType> types) const;
  Variable<T> use(autodiff::Tape<T>& tape, Id id) const;
  /// norm(x), of either kind.
  Variable<T> norm(autodiff::Tape<T>& tape, const Norm& ids, const Variable<T>& x) const;
  autodiff::LayerNormParameters<T> parameters(autodiff::Tape<T>& tape, const Norm& ids) const;
  autodiff::AttentionShape attention_shape() const;

  ModelConfig config_;
  const Family& family_;
  Weights<T>& weights_;
  Id first_ = 0, end_ = 0;  ///< ids are handed out in order
  Id word_embeddings_ = none, position_embeddings_ = none, type_embeddings_ = none;
  Norm embedding_norm_, final_norm_;
  std::vector<Layer> layers_;
  Tensor<T> rotary_table_;
};

/// What ModelConfig::hidden_act stands for.
autodiff::Gelu gelu_of(const std::string& activation);

/// Normal with deviation 0.02, zero biases, norms one and zero: the start of BERT's and GPT-2's own
/// pretraining. Each weight has a stream of its own, derived from its name.
template <class T>
Tensor<T> initial_weight(const std::string& name, const Shape& shape, std::uint64_t seed);

}  // namespace metatt::transformer
