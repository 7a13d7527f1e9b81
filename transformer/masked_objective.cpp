#include <metatt/transformer/masked_objective.hpp>

#include <metatt/transformer/backbone_files.hpp>
#include <metatt/transformer/parallel.hpp>
#include <metatt/transformer/text_data.hpp>

#include <algorithm>

namespace metatt::transformer {

namespace {

/// Places of a run stay below.
constexpr std::uint64_t validation_stream = std::uint64_t{1} << 60;

/// One text in as many pieces as it needs, or two as one.
std::vector<EncodedText> encode_line(const Tokenizer& tokenizer, std::string_view line,
                                     Index max_length) {
  const std::size_t tab = line.find('\t');
  if (tab == std::string_view::npos) return tokenizer.encode_pieces(line, max_length);
  return {tokenizer.encode_pair(line.substr(0, tab), line.substr(tab + 1), max_length)};
}

void check_line(const CorpusLine& line, const TokenMasker& masker, const ModelConfig& config) {
  if (!masker.can_predict(line.text))
    tn::fail("masked tokens: line ", line.place + 1,
             " of the corpus: expected a token to predict, found special ones only");
  const TokenId type = *std::ranges::max_element(line.text.type_ids);
  if (config.type_vocab_size > 0 && type >= config.type_vocab_size)
    tn::fail("masked tokens: line ", line.place + 1, " of the corpus: a token of type ", type,
             ", but config.json says type_vocab_size ", config.type_vocab_size);
}

}  // namespace

Corpus read_corpus(const std::filesystem::path& file, const Tokenizer& tokenizer,
                   Index max_seq_length) {
  const std::string text = read_utf8(file);
  if (const auto place = text.find('\0'); place != std::string::npos)
    tn::fail(file.string(), ": expected text, found a zero at byte ", place);
  const std::vector<std::string> all = tn::split_lines(text);
  std::vector<std::size_t> places;
  for (std::size_t place = 0; place < all.size(); ++place)
    if (all[place].find_first_not_of(" \t\v\f") != std::string::npos) places.push_back(place);
  if (places.empty()) tn::fail(file.string(), ": expected lines of text, found none");
  std::vector<std::vector<EncodedText>> encoded(places.size());
  for_each_in_parallel(places.size(), [&](std::size_t i) {
    encoded[i] = encode_line(tokenizer, all[places[i]], max_seq_length);
  });
  Corpus corpus;
  corpus.blank = static_cast<Index>(all.size() - places.size());
  for (std::size_t i = 0; i < places.size(); ++i)
    for (EncodedText& text : encoded[i])
      corpus.lines.push_back({std::move(text), static_cast<Index>(places[i])});
  return corpus;
}

Evaluation evaluate(const MaskedLanguageModel<float>& model, const TokenMasker& masker,
                    std::span<const CorpusLine> lines, Index batch_size) {
  for (const CorpusLine& line : lines) check_line(line, masker, model.backbone().config());
  double sum = 0, targets = 0;
  const auto step = static_cast<std::size_t>(batch_size);
  for (std::size_t first = 0; first < lines.size(); first += step) {
    std::vector<const EncodedText*> texts;
    for (std::size_t i = first; i < std::min(first + step, lines.size()); ++i)
      texts.push_back(&lines[i].text);
    const MaskedBatch batch = masker.mask(texts, 0, validation_stream + first);
    autodiff::Tape<float> tape;
    const auto loss = model.loss(tape, batch.batch, batch.rows, batch.labels, {});
    const auto count = static_cast<double>(batch.rows.size());
    sum += count * static_cast<double>(loss.value.item());
    targets += count;
  }
  return language_evaluation(sum / targets);
}

MaskedObjective::MaskedObjective(const MaskedLanguageModel<float>& model, const TokenMasker& masker,
                                 std::span<const CorpusLine> lines,
                                 std::span<const CorpusLine> validation,
                                 const TrainSettings& settings)
    : model_(model),
      masker_(masker),
      lines_(lines),
      validation_(validation),
      pass_(settings, model.backbone().config()),
      order_(static_cast<Index>(lines.size()), settings.seed) {
  if (lines.empty()) tn::fail("pretrain: the corpus has no line");
  if (pass_.eval_batch_size < 1)
    tn::fail("pretrain: eval_batch_size: expected at least 1, found ", pass_.eval_batch_size);
  for (const auto& part : {lines, validation})
    for (const CorpusLine& line : part) check_line(line, masker, model.backbone().config());
  train_all(weights(), {model.backbone().ids(), model.head_ids()});
}

std::vector<Index> MaskedObjective::batch(Index step) const {
  std::vector<Index> examples;
  for (Index i = 0; i < pass_.examples_per_step; ++i)
    examples.push_back(order_.at(step * pass_.examples_per_step + i));
  return examples;
}

BatchLoss<float> MaskedObjective::loss(autodiff::Tape<float>& tape, std::span<const Index> examples,
                                       std::uint64_t pass) const {
  std::vector<const EncodedText*> texts;
  for (const Index line : examples) texts.push_back(&lines_[static_cast<std::size_t>(line)].text);
  // By the place in the run, so that passes hide what the large batch would.
  const MaskedBatch batch =
      masker_.mask(texts, pass_.seed, pass * static_cast<std::uint64_t>(pass_.batch_size));
  return {
      model_.loss(tape, batch.batch, batch.rows, batch.labels, pass_.rates, pass_.label_smoothing),
      batch.rows.size(), batch.batch.sequences.tokens()};
}

std::string MaskedObjective::described(std::span<const Index> examples) const {
  std::vector<Index> places;
  for (const Index line : examples) places.push_back(lines_[static_cast<std::size_t>(line)].place);
  return "lines " + counted_from_one(places);
}

std::vector<std::string> MaskedObjective::metrics() const {
  return validation_.empty() ? std::vector<std::string>{} : language_metrics();
}

std::optional<Evaluation> MaskedObjective::evaluate() const {
  if (validation_.empty()) return std::nullopt;
  return transformer::evaluate(model_, masker_, validation_, pass_.eval_batch_size);
}

void write_masked_model(const tn::OutputFolder& folder, const MaskedLanguageModel<float>& model) {
  write_model(folder, model.backbone(), model.head_ids(),
              model.backbone().config().family().masked.architecture);
}

}  // namespace metatt::transformer
