#include <metatt/transformer/masked_language_model.hpp>

#include <metatt/autodiff/ops_activation.hpp>
#include <metatt/autodiff/ops_loss.hpp>
#include <metatt/tn/backend/philox.hpp>

#include <optional>
namespace metatt::transformer {

namespace {

using autodiff::Tape;

/// Random words for one purpose: a Philox block for each index, in streams that neither dropout nor
/// epoch_order use.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t step)
      : seed_(seed), stream_((std::uint64_t{3} << 61) + step) {}
  std::array<std::uint32_t, 4> operator()(std::size_t index) const {
    return tn::philox4x32<10>(static_cast<std::uint64_t>(index), stream_, seed_);
  }

 private:
  std::uint64_t seed_, stream_;
};

bool special(const WordPiece& tokenizer, std::int32_t id) {
  return id == tokenizer.classification_id() || id == tokenizer.separator_id() ||
         id == tokenizer.pad_id();
}

}  // namespace

template <class T>
std::vector<typename Weights<T>::Id> MaskedLanguageModel<T>::head_ids() const {
  return {dense_weight_, dense_bias_, norm_gamma_, norm_beta_, output_bias_};
}

template <class T>
Variable<T> MaskedLanguageModel<T>::loss(Tape<T>& tape, const Batch& batch,
                                         const autodiff::Indices& rows,
                                         const autodiff::Indices& labels,
                                         const DropoutRates& dropout, double smoothing) const {
  const auto use = [&](Id id) { return backbone_.weights().use(tape, id); };
  const Variable<T> hidden = backbone_.forward(tape, batch, nullptr, dropout);
  const Variable<T> picked = autodiff::gather_rows(tape, hidden, rows);
  const Variable<T> dense =
      autodiff::bias_gelu(tape, autodiff::linear<T>(tape, picked, use(dense_weight_), {}),
                          use(dense_bias_), gelu_of(backbone_.config()));
  const Variable<T> transformed = autodiff::residual_layer_norm(
      tape, dense, {}, {}, {use(norm_gamma_), use(norm_beta_), backbone_.config().layer_norm_eps},
      0.0);
  return autodiff::linear_cross_entropy<T>(tape, transformed, use(backbone_.word_embeddings()),
                                           use(output_bias_), labels, smoothing);
}

MaskedBatch mask_tokens(const WordPiece& tokenizer, std::span<const EncodedText* const> texts,
                        double share, std::uint64_t seed, std::uint64_t step) {
  if (!(share > 0 && share < 1))
    tn::fail("mlm_probability: expected between 0 and 1, found ", share);
  const Random random(seed, step);
  const auto vocabulary = static_cast<std::uint32_t>(tokenizer.vocabulary().size());
  std::vector<EncodedText> masked;
  std::vector<std::int32_t> rows, labels;
  std::size_t row = 0, candidate = 0;
  std::optional<std::size_t> fallback;  // so that no batch is left without a prediction
  for (const EncodedText* text : texts) {
    masked.push_back(*text);
    for (auto& id : masked.back().ids) {
      if (!special(tokenizer, id)) {
        const auto words = random(candidate++);
        if (!fallback) fallback = row;
        if (words[0] < static_cast<std::uint32_t>(share * 4294967296.0)) {
          rows.push_back(static_cast<std::int32_t>(row));
          labels.push_back(id);
          const double fate = words[1] / 4294967296.0;
          if (fate < 0.8)
            id = tokenizer.mask_id();
          else if (fate < 0.9)
            id = static_cast<std::int32_t>(words[2] % vocabulary);
        }
      }
      ++row;
    }
  }
  std::vector<const EncodedText*> pointers;
  for (const auto& text : masked) pointers.push_back(&text);
  MaskedBatch result{Batch::pack(pointers), {}, {}};
  if (rows.empty()) {
    if (!fallback) tn::fail("mask_tokens: the batch has no token to predict");
    rows.push_back(static_cast<std::int32_t>(*fallback));
    labels.push_back(result.batch.ids.to_vector()[*fallback]);
  }
  result.rows = to_indices(rows);
  result.labels = to_indices(labels);
  return result;
}

template class MaskedLanguageModel<float>;
template class MaskedLanguageModel<double>;

}  // namespace metatt::transformer
