#include <metatt/transformer/backbone_files.hpp>
#include <metatt/transformer/masked_objective.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::transformer {

namespace {

/// Steps of a run stay below.
constexpr std::uint64_t validation_stream = std::uint64_t{1} << 60;

/// One line of a corpus: a text, or two with a tab between them.
EncodedText encode_line(const Tokenizer& tokenizer, std::string_view line, Index max_length) {
  const std::size_t tab = line.find('\t');
  if (tab == std::string_view::npos) return tokenizer.encode_pair(line, std::nullopt, max_length);
  return tokenizer.encode_pair(line.substr(0, tab), line.substr(tab + 1), max_length);
}

}  // namespace

MaskedObjective::MaskedObjective(const MaskedLanguageModel<float>& model,
                                 const Tokenizer& tokenizer, std::span<const std::string> lines,
                                 std::span<const std::string> validation,
                                 const TrainSettings& settings, double mask_share,
                                 Index max_seq_length)
    : model_(model),
      tokenizer_(tokenizer),
      lines_(lines),
      validation_(validation),
      masker_(tokenizer, mask_share, settings.seed),
      rates_(settings.dropout ? DropoutRates::of(model.backbone().config()) : DropoutRates{}),
      label_smoothing_(settings.label_smoothing),
      max_seq_length_(max_seq_length),
      examples_per_step_(settings.examples_per_step()),
      eval_batch_size_(settings.eval_batch_size),
      order_(static_cast<Index>(lines.size()), settings.seed) {
  if (lines.empty()) tn::fail("pretrain: the corpus has no line");
  train_all(weights(), {model.backbone().ids(), model.head_ids()});
}

std::vector<Index> MaskedObjective::batch(Index step) const {
  std::vector<Index> examples;
  for (Index i = 0; i < examples_per_step_; ++i)
    examples.push_back(order_.at(step * examples_per_step_ + i));
  return examples;
}

MaskedBatch MaskedObjective::masked(std::span<const std::string* const> lines,
                                    std::uint64_t stream) const {
  std::vector<EncodedText> texts;
  for (const std::string* line : lines)
    texts.push_back(encode_line(tokenizer_, *line, max_seq_length_));
  std::vector<const EncodedText*> pointers;
  for (const auto& text : texts) pointers.push_back(&text);
  return masker_.mask(pointers, stream);
}

BatchLoss<float> MaskedObjective::loss(autodiff::Tape<float>& tape, std::span<const Index> examples,
                                       std::uint64_t pass) const {
  std::vector<const std::string*> lines;
  for (const Index line : examples) lines.push_back(&lines_[static_cast<std::size_t>(line)]);
  const MaskedBatch batch = masked(lines, pass);
  return {model_.loss(tape, batch.batch, batch.rows, batch.labels, rates_, label_smoothing_),
          batch.rows.size(), batch.batch.sequences.tokens()};
}

std::string MaskedObjective::described(std::span<const Index> examples) const {
  return "lines " + counted_from_one(examples);
}

std::vector<std::string> MaskedObjective::metrics() const {
  if (validation_.empty()) return {};
  return {"loss", "perplexity"};
}

std::optional<Evaluation> MaskedObjective::evaluate() const {
  if (validation_.empty()) return std::nullopt;
  double sum = 0, targets = 0;
  const std::size_t step = static_cast<std::size_t>(eval_batch_size_);
  for (std::size_t first = 0; first < validation_.size(); first += step) {
    std::vector<const std::string*> lines;
    for (std::size_t i = first; i < std::min(first + step, validation_.size()); ++i)
      lines.push_back(&validation_[i]);
    const MaskedBatch batch = masked(lines, validation_stream + first);
    autodiff::Tape<float> tape;
    const auto loss = model_.loss(tape, batch.batch, batch.rows, batch.labels, {});
    const auto count = static_cast<double>(batch.rows.size());
    sum += count * static_cast<double>(loss.value.item());
    targets += count;
  }
  const double loss = sum / targets;
  return Evaluation{loss, {{"perplexity", std::exp(loss)}}, {}};
}

std::vector<std::string> read_corpus(const std::filesystem::path& file) {
  const std::string text = tn::read_file(file);
  if (const auto place = text.find('\0'); place != std::string::npos)
    tn::fail(file.string(), ": expected text, found a zero at byte ", place);
  std::vector<std::string> lines = tn::split_lines(text);
  std::erase_if(lines, [](const std::string& line) {
    return line.find_first_not_of(" \t\v\f") == std::string::npos;
  });
  if (lines.empty()) tn::fail(file.string(), ": expected lines of text, found none");
  return lines;
}

void write_masked_model(const tn::OutputFolder& folder, const MaskedLanguageModel<float>& model) {
  write_model(folder, model.backbone(), model.head_ids(),
              model.backbone().config().family().masked.architecture);
}

}  // namespace metatt::transformer
