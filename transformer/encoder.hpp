#pragma once
/// The encoder of the BERT family: embeddings and post-layer-norm blocks.

#include <metatt/autodiff/ops_normalisation.hpp>
#include <metatt/transformer/adapter.hpp>
#include <metatt/transformer/batch.hpp>

#include <string>
#include <vector>

namespace metatt::transformer {

/// Probabilities of the three dropouts. (Off outside training in any case.)
struct DropoutRates {
  double hidden = 0;
  double attention = 0;
  double classifier = 0;
  static DropoutRates of(const ModelConfig& config) {
    return {config.hidden_dropout_prob, config.attention_probs_dropout_prob,
            config.classifier_dropout.value_or(config.hidden_dropout_prob)};
  }
};

/// Queries, keys and values of a layer are one matrix here (3·width × width, in this order), which
/// makes one product of three; files have them apart (see encoder_files.hpp).
template <class T>
class Encoder {
 public:
  using Id = typename Weights<T>::Id;
  struct Norm {
    Id gamma, beta;
  };
  struct Layer {
    Id qkv_weight, qkv_bias;
    Id attention_output_weight, attention_output_bias;
    Norm attention_norm;
    Id up_weight, up_bias;
    Id down_weight, down_bias;
    Norm output_norm;
  };

  /// Adds all weights to `weights`, each value made by `initial(name, shape)`; names are those of
  /// Hugging Face's BertModel, with "attention.self.qkv" for the joined matrix.
  template <class Initial>
  Encoder(const ModelConfig& config, Weights<T>& weights, Initial&& initial);

  const ModelConfig& config() const { return config_; }
  Weights<T>& weights() const { return weights_; }
  const std::vector<Layer>& layers() const { return layers_; }
  Id word_embeddings() const { return word_embeddings_; }
  /// All weights of the encoder.
  std::vector<Id> ids() const;

  /// Hidden states of the last layer, tokens × width. `adapter` may be null. Throws Error on a
  /// token, type or position that the tables do not have.
  Variable<T> forward(autodiff::Tape<T>& tape, const Batch& batch, const Adapter<T>* adapter,
                      const DropoutRates& dropout) const;

 private:
  Variable<T> embed(autodiff::Tape<T>& tape, const Batch& batch, double dropout) const;
  Variable<T> block(autodiff::Tape<T>& tape, Index index, const Variable<T>& x, const Batch& batch,
                    const UpdateTable<T>& updates, const DropoutRates& dropout) const;
  autodiff::LayerNormParameters<T> norm(autodiff::Tape<T>& tape, const Norm& ids) const;

  ModelConfig config_;
  Weights<T>& weights_;
  Id word_embeddings_, position_embeddings_, type_embeddings_;
  Norm embedding_norm_;
  std::vector<Layer> layers_;
};

template <class T>
template <class Initial>
Encoder<T>::Encoder(const ModelConfig& config, Weights<T>& weights, Initial&& initial)
    : config_(config), weights_(weights) {
  const Index d = config.hidden_size, f = config.intermediate_size;
  const auto add = [&](const std::string& name, Shape shape) {
    return weights.add(name, initial(name, shape));
  };
  const auto add_norm = [&](const std::string& name) {
    const Id gamma = add(name + ".weight", {d});
    return Norm{gamma, add(name + ".bias", {d})};
  };
  word_embeddings_ = add("embeddings.word_embeddings.weight", {config.vocab_size, d});
  position_embeddings_ =
      add("embeddings.position_embeddings.weight", {config.max_position_embeddings, d});
  type_embeddings_ = add("embeddings.token_type_embeddings.weight", {config.type_vocab_size, d});
  embedding_norm_ = add_norm("embeddings.LayerNorm");
  for (Index l = 0; l < config.num_hidden_layers; ++l) {
    const std::string layer = "encoder.layer." + std::to_string(l) + ".";
    Layer ids{};
    ids.qkv_weight = add(layer + "attention.self.qkv.weight", {3 * d, d});
    ids.qkv_bias = add(layer + "attention.self.qkv.bias", {3 * d});
    ids.attention_output_weight = add(layer + "attention.output.dense.weight", {d, d});
    ids.attention_output_bias = add(layer + "attention.output.dense.bias", {d});
    ids.attention_norm = add_norm(layer + "attention.output.LayerNorm");
    ids.up_weight = add(layer + "intermediate.dense.weight", {f, d});
    ids.up_bias = add(layer + "intermediate.dense.bias", {f});
    ids.down_weight = add(layer + "output.dense.weight", {d, f});
    ids.down_bias = add(layer + "output.dense.bias", {d});
    ids.output_norm = add_norm(layer + "output.LayerNorm");
    layers_.push_back(ids);
  }
}

/// Normal with deviation 0.02, zero biases, layer norms one and zero: the start of BERT's own
/// pretraining. Each weight has a stream of its own, derived from its name.
template <class T>
Tensor<T> initial_weight(const std::string& name, const Shape& shape, std::uint64_t seed);

}  // namespace metatt::transformer
