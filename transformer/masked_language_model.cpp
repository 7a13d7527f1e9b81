#include <metatt/transformer/masked_language_model.hpp>

#include <metatt/autodiff/ops_activation.hpp>
#include <metatt/autodiff/ops_loss.hpp>
#include <metatt/tn/backend/philox.hpp>
#include <metatt/transformer/encoder_files.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>

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

autodiff::Indices indices(const std::vector<std::int32_t>& values) {
  return autodiff::Indices::from({static_cast<Index>(values.size())}, std::span(values));
}

/// One line of a corpus: a text, or two with a tab between them.
EncodedText encode_line(const WordPiece& tokenizer, std::string_view line, Index max_length) {
  const std::size_t tab = line.find('\t');
  if (tab == std::string_view::npos) return tokenizer.encode_pair(line, std::nullopt, max_length);
  return tokenizer.encode_pair(line.substr(0, tab), line.substr(tab + 1), max_length);
}

/// The texts of one step, in the random order of each epoch.
std::vector<EncodedText> pick_texts(const WordPiece& tokenizer, std::span<const std::string> lines,
                                    const PretrainSettings& settings, Index step) {
  const auto count = static_cast<Index>(lines.size());
  std::vector<EncodedText> texts;
  std::vector<Index> order;
  Index epoch = -1;
  for (Index b = 0; b < settings.batch_size; ++b) {
    const Index position = step * settings.batch_size + b;
    if (position / count != epoch) {
      epoch = position / count;
      order = epoch_order(count, settings.seed, static_cast<std::uint64_t>(epoch));
    }
    const auto line = static_cast<std::size_t>(order[static_cast<std::size_t>(position % count)]);
    texts.push_back(encode_line(tokenizer, lines[line], settings.max_seq_length));
  }
  return texts;
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
                                         const DropoutRates& dropout) const {
  const auto use = [&](Id id) { return encoder_.weights().use(tape, id); };
  const Variable<T> hidden = encoder_.forward(tape, batch, nullptr, dropout);
  const Variable<T> picked = autodiff::gather_rows(tape, hidden, rows);
  const Variable<T> dense = autodiff::bias_gelu(
      tape, autodiff::linear<T>(tape, picked, use(dense_weight_), {}), use(dense_bias_));
  const Variable<T> transformed = autodiff::residual_layer_norm(
      tape, dense, {}, {}, {use(norm_gamma_), use(norm_beta_), encoder_.config().layer_norm_eps},
      0.0);
  const Variable<T> logits =
      autodiff::linear<T>(tape, transformed, use(encoder_.word_embeddings()), use(output_bias_));
  return autodiff::softmax_cross_entropy(tape, logits, labels);
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
  result.rows = indices(rows);
  result.labels = indices(labels);
  return result;
}

double pretrain(MaskedLanguageModel<float>& model, const WordPiece& tokenizer,
                std::span<const std::string> lines, const PretrainSettings& settings,
                const std::function<void(const PretrainStep&)>& observer) {
  if (lines.empty()) tn::fail("pretrain: the corpus has no line");
  auto& weights = model.encoder().weights();
  for (const auto& ids : {model.encoder().ids(), model.head_ids()})
    for (const auto id : ids)
      weights.train(
          id, weights.shape(id).size() == 1 ? WeightGroup::not_decayed : WeightGroup::decayed);
  weights.build_arena();
  LinearSchedule schedule;
  schedule.total_steps = settings.steps;
  schedule.warmup_steps =
      static_cast<Index>(settings.warmup_ratio * static_cast<double>(settings.steps));
  AdamW<float> optimiser(weights, settings.optimiser, schedule);
  const auto start = std::chrono::steady_clock::now();
  const Index tail = std::max<Index>(1, settings.steps / 10);
  double tail_loss = 0;
  for (Index step = 0; step < settings.steps; ++step) {
    const auto texts = pick_texts(tokenizer, lines, settings, step);
    std::vector<const EncodedText*> pointers;
    for (const auto& text : texts) pointers.push_back(&text);
    const MaskedBatch masked = mask_tokens(tokenizer, pointers, settings.mask_share, settings.seed,
                                           static_cast<std::uint64_t>(step));
    Tape<float> tape(weights.arena(), settings.seed, static_cast<std::uint64_t>(step));
    const auto loss = model.loss(tape, masked.batch, masked.rows, masked.labels,
                                 DropoutRates::of(model.encoder().config()));
    const double value = loss.value.item();
    if (!std::isfinite(value)) tn::fail("pretrain: the loss is ", value, " at step ", step + 1);
    tape.backward(loss);
    optimiser.step();
    if (step >= settings.steps - tail) tail_loss += value / static_cast<double>(tail);
    if (observer)
      observer({step + 1, settings.steps, value, masked.batch.sequences.tokens(),
                std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()});
  }
  return tail_loss;
}

std::vector<std::string> read_lines(const std::filesystem::path& file) {
  const std::string text = read_file(file);
  std::vector<std::string> lines;
  std::size_t begin = 0;
  while (begin < text.size()) {
    std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) lines.push_back(std::move(line));
    begin = end + 1;
  }
  if (lines.empty()) tn::fail(file.string(), ": expected text, found no line");
  return lines;
}

void write_pretrained(const OutputFolder& folder, const MaskedLanguageModel<float>& model,
                      const WordPiece& tokenizer) {
  auto tensors = encoder_tensors(model.encoder());
  const auto& weights = model.encoder().weights();
  for (const auto id : model.head_ids()) tensors.push_back({weights.name(id), weights.value(id)});
  write_safetensors<float>(folder / "model.safetensors", tensors, {{"format", "pt"}});
  nlohmann::json json = model_config_json(model.encoder().config());
  json["architectures"] = {"BertForMaskedLM"};
  write_file_atomically(folder / "config.json", json.dump(2) + "\n");
  std::string vocabulary;
  for (const auto& entry : tokenizer.vocabulary()) vocabulary += entry + "\n";
  write_file_atomically(folder / "vocab.txt", vocabulary);
}

template class MaskedLanguageModel<float>;
template class MaskedLanguageModel<double>;

}  // namespace metatt::transformer
