#include <metatt/transformer/masked_objective.hpp>

#include <metatt/transformer/backbone_files.hpp>
#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

namespace metatt::transformer {

namespace {

/// One line of a corpus: a text, or two with a tab between them.
EncodedText encode_line(const WordPiece& tokenizer, std::string_view line, Index max_length) {
  const std::size_t tab = line.find('\t');
  if (tab == std::string_view::npos) return tokenizer.encode_pair(line, std::nullopt, max_length);
  return tokenizer.encode_pair(line.substr(0, tab), line.substr(tab + 1), max_length);
}

}  // namespace

MaskedObjective::MaskedObjective(const MaskedLanguageModel<float>& model,
                                 const WordPiece& tokenizer, std::span<const std::string> lines,
                                 const TrainSettings& settings, double mask_share,
                                 Index max_seq_length)
    : model_(model),
      tokenizer_(tokenizer),
      lines_(lines),
      rates_(settings.dropout ? DropoutRates::of(model.backbone().config()) : DropoutRates{}),
      label_smoothing_(settings.label_smoothing),
      mask_share_(mask_share),
      max_seq_length_(max_seq_length),
      examples_per_step_(settings.examples_per_step()),
      seed_(settings.seed),
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

BatchLoss<float> MaskedObjective::loss(autodiff::Tape<float>& tape, std::span<const Index> examples,
                                       std::uint64_t pass) const {
  std::vector<EncodedText> texts;
  for (const Index line : examples)
    texts.push_back(
        encode_line(tokenizer_, lines_[static_cast<std::size_t>(line)], max_seq_length_));
  std::vector<const EncodedText*> pointers;
  for (const auto& text : texts) pointers.push_back(&text);
  const MaskedBatch masked = mask_tokens(tokenizer_, pointers, mask_share_, seed_, pass);
  return {model_.loss(tape, masked.batch, masked.rows, masked.labels, rates_, label_smoothing_),
          masked.rows.size(), masked.batch.sequences.tokens()};
}

std::string MaskedObjective::described(std::span<const Index> examples) const {
  return "lines " + counted_from_one(examples);
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

void write_pretrained(const tn::OutputFolder& folder, const MaskedLanguageModel<float>& model,
                      const WordPiece& tokenizer) {
  auto tensors = backbone_tensors(model.backbone());
  const auto& weights = model.backbone().weights();
  for (const auto id : model.head_ids()) tensors.push_back({weights.name(id), weights.value(id)});
  write_safetensors<float>(folder / "model.safetensors", tensors, {{"format", "pt"}});
  nlohmann::json json = model_config_json(model.backbone().config());
  json["architectures"] = {"BertForMaskedLM"};
  write_json(folder / "config.json", json);
  std::string vocabulary;
  for (const auto& entry : tokenizer.vocabulary().entries()) vocabulary += entry + "\n";
  tn::write_file_atomically(folder / "vocab.txt", vocabulary);
  write_json(folder / "tokenizer_config.json",
             {{"do_lower_case", true},
              {"model_max_length", model.backbone().config().max_position_embeddings}});
}

}  // namespace metatt::transformer
