#include <metatt/transformer/text_objective.hpp>

#include <algorithm>
#include <array>
#include <numeric>

namespace metatt::transformer {

namespace {

using autodiff::Tape;

/// Texts without their last tokens, and the tokens to predict behind some rows.
struct Predicted {
  Batch batch;
  autodiff::Indices rows, labels;
};

Predicted pack(std::span<const TokenText> texts, std::span<const Index> picked) {
  std::vector<EncodedText> inputs;
  std::vector<std::int32_t> rows, labels;
  std::int32_t first_row = 0;
  for (const Index i : picked) {
    const TokenText& text = texts[static_cast<std::size_t>(i)];
    inputs.push_back({{text.ids.begin(), text.ids.end() - 1},
                      std::vector<std::int32_t>(text.ids.size() - 1, 0)});
    for (auto k = static_cast<std::size_t>(text.given); k < text.ids.size(); ++k) {
      rows.push_back(first_row + static_cast<std::int32_t>(k) - 1);
      labels.push_back(text.ids[k]);
    }
    first_row += static_cast<std::int32_t>(text.ids.size()) - 1;
  }
  return {Batch::pack(inputs), to_indices(rows), to_indices(labels)};
}

}  // namespace

template <class T>
Evaluation evaluate(const CausalModelFolder<T>& model, std::span<const TokenText> texts,
                    Index batch_size) {
  double sum = 0;
  Index predicted = 0;
  const auto count = static_cast<Index>(texts.size());
  for (Index begin = 0; begin < count; begin += batch_size) {
    std::vector<Index> picked(static_cast<std::size_t>(std::min(batch_size, count - begin)));
    std::iota(picked.begin(), picked.end(), begin);
    Predicted part = pack(texts, picked);
    part.batch.task = model.task();
    Tape<T> tape;
    const auto loss =
        model.model().loss(tape, part.batch, part.rows, part.labels, model.adapter(), {});
    sum += static_cast<double>(loss.value.item()) * static_cast<double>(part.labels.size());
    predicted += part.labels.size();
  }
  return language_evaluation(sum / static_cast<double>(predicted));
}

template <class T>
TextObjective<T>::TextObjective(CausalModelFolder<T>& model, const TrainSettings& settings,
                                std::span<const TokenText> train,
                                std::span<const TokenText> development)
    : EpochObjective<T>(model, settings, std::array{static_cast<Index>(train.size())}),
      model_(model),
      train_(train),
      development_(development) {}

template <class T>
BatchLoss<T> TextObjective<T>::loss(Tape<T>& tape, std::span<const Index> examples,
                                    std::uint64_t /*pass*/) const {
  const Predicted part = pack(train_, examples);
  return {model_.model().loss(tape, part.batch, part.rows, part.labels, model_.adapter(),
                              this->pass_.rates, this->pass_.label_smoothing),
          part.labels.size(), part.batch.sequences.tokens()};
}

template <class T>
std::string TextObjective<T>::described(std::span<const Index> examples) const {
  return "texts " + counted_from_one(examples);
}

template <class T>
std::vector<std::string> TextObjective<T>::metrics() const {
  return development_.empty() ? std::vector<std::string>{} : language_metrics();
}

template <class T>
std::optional<Evaluation> TextObjective<T>::evaluate() const {
  if (development_.empty()) return std::nullopt;
  return transformer::evaluate(model_, development_, this->pass_.eval_batch_size);
}

template <class T>
double TextObjective<T>::probe_loss() const {
  const auto probe = train_.first(std::min<std::size_t>(train_.size(), 64));
  return transformer::evaluate(model_, probe, this->pass_.eval_batch_size).loss;
}

#define METATT_INSTANTIATE(T)                                                                   \
  template Evaluation evaluate(const CausalModelFolder<T>&, std::span<const TokenText>, Index); \
  template class TextObjective<T>;
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::transformer
