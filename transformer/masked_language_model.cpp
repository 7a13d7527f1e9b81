#include <metatt/transformer/masked_language_model.hpp>

#include <metatt/autodiff/ops_activation.hpp>
#include <metatt/autodiff/ops_loss.hpp>
#include <metatt/tn/backend/philox.hpp>

#include <algorithm>

namespace metatt::transformer {

namespace {

using autodiff::Tape;

/// Random words for one purpose: a Philox block for each index, in streams that neither dropout nor
/// epoch_order use.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream)
      : seed_(seed), stream_((std::uint64_t{3} << 61) + stream) {}
  std::array<std::uint32_t, 4> operator()(std::size_t index) const {
    return tn::philox4x32<10>(static_cast<std::uint64_t>(index), stream_, seed_);
  }

 private:
  std::uint64_t seed_, stream_;
};

/// BERT's name for it or RoBERTa's.
TokenId find_mask(const Vocabulary& vocabulary) {
  for (const char* entry : {"[MASK]", "<mask>"})
    if (const auto id = vocabulary.find(entry)) return *id;
  tn::fail(vocabulary.source_name(), ": expected an entry [MASK] or <mask>, found neither");
}

}  // namespace

template <class T>
MaskedLanguageModel<T>::MaskedLanguageModel(const Backbone<T>& backbone,
                                            const InitialWeight<T>& initial)
    : backbone_(backbone) {
  const ModelConfig& config = backbone.config();
  const MaskedHead& head = config.family().masked;
  if (!head.architecture)
    tn::fail("MaskedLanguageModel: expected a family that predicts hidden tokens, found \"",
             config.model_type, "\"");
  if (!config.tie_word_embeddings)
    tn::fail("MaskedLanguageModel: field \"tie_word_embeddings\": expected true, found false");
  const auto add = [&](const std::string& name, const Shape& shape) {
    return backbone.weights().add(name, initial(name, shape));
  };
  const Index d = config.hidden_size;
  const std::string dense = head.dense, norm = head.norm;
  dense_weight_ = add(dense + ".weight", {d, d});
  dense_bias_ = add(dense + ".bias", {d});
  norm_gamma_ = add(norm + ".weight", {d});
  norm_beta_ = add(norm + ".bias", {d});
  output_bias_ = add(head.output_bias, {config.vocab_size});
}

template <class T>
std::vector<typename Weights<T>::Id> MaskedLanguageModel<T>::head_ids() const {
  return {dense_weight_, dense_bias_, norm_gamma_, norm_beta_, output_bias_};
}

template <class T>
Variable<T> MaskedLanguageModel<T>::loss(Tape<T>& tape, const Batch& batch,
                                         const autodiff::Indices& rows,
                                         const autodiff::Indices& labels,
                                         const DropoutRates& dropout, double smoothing) const {
  const ModelConfig& config = backbone_.config();
  const char* own = config.family().masked.activation;
  const auto use = [&](Id id) { return backbone_.weights().use(tape, id); };
  const Variable<T> hidden = backbone_.forward(tape, batch, nullptr, dropout, rows);
  const Variable<T> dense =
      autodiff::bias_gelu(tape, autodiff::linear<T>(tape, hidden, use(dense_weight_), {}),
                          use(dense_bias_), gelu_of(own ? own : config.hidden_act));
  const Variable<T> transformed = autodiff::residual_layer_norm(
      tape, dense, {}, {}, {use(norm_gamma_), use(norm_beta_), config.layer_norm_eps}, 0.0);
  return autodiff::linear_cross_entropy<T>(tape, transformed, use(backbone_.word_embeddings()),
                                           use(output_bias_), labels, smoothing);
}

TokenMasker::TokenMasker(const Tokenizer& tokenizer, double share)
    : mask_id_(find_mask(tokenizer.vocabulary())),
      vocabulary_(static_cast<std::uint32_t>(tokenizer.vocabulary().size())),
      share_(share) {
  if (!(share > 0 && share < 1))
    tn::fail("mlm_probability: expected between 0 and 1, found ", share);
  special_.insert(mask_id_);
  for (const TokenId id : tokenizer.template_ids(true)) special_.insert(id);
  for (const AddedToken& token : tokenizer.added_tokens())
    if (token.special) special_.insert(token.id);
}

bool TokenMasker::can_predict(const EncodedText& text) const {
  return std::ranges::any_of(text.ids, [&](TokenId id) { return !special(id); });
}

MaskedBatch TokenMasker::mask(std::span<const EncodedText* const> texts, std::uint64_t seed,
                              std::uint64_t first_stream) const {
  std::vector<EncodedText> masked;
  std::vector<std::int32_t> rows, labels;
  std::size_t first_row = 0;
  for (const EncodedText* text : texts) {
    const Random random(seed, first_stream + masked.size());
    std::vector<std::size_t> candidates, picked;
    for (std::size_t i = 0; i < text->ids.size(); ++i)
      if (!special(text->ids[i])) candidates.push_back(i);
    for (std::size_t k = 0; k < candidates.size(); ++k)
      if (random(k)[0] < static_cast<std::uint32_t>(share_ * 4294967296.0)) picked.push_back(k);
    if (picked.empty() && !candidates.empty())
      picked.push_back(random(candidates.size())[0] % candidates.size());
    masked.push_back(*text);
    for (const std::size_t k : picked) {
      auto& id = masked.back().ids[candidates[k]];
      rows.push_back(static_cast<std::int32_t>(first_row + candidates[k]));
      labels.push_back(id);
      const auto words = random(k);
      const double fate = words[1] / 4294967296.0;
      if (fate < 0.8)
        id = mask_id_;
      else if (fate < 0.9)
        id = static_cast<std::int32_t>(words[2] % vocabulary_);
    }
    first_row += text->ids.size();
  }
  if (rows.empty()) tn::fail("TokenMasker: the batch has no token to predict");
  return {Batch::pack(masked), to_indices(rows), to_indices(labels)};
}

template class MaskedLanguageModel<float>;
template class MaskedLanguageModel<double>;

}  // namespace metatt::transformer
