#include <metatt/transformer/pretraining.hpp>

#include <metatt/transformer/backbone_files.hpp>
#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>

namespace metatt::transformer {

namespace {

using autodiff::Tape;

/// One line of a corpus: a text, or two with a tab between them.
EncodedText encode_line(const WordPiece& tokenizer, std::string_view line, Index max_length) {
  const std::size_t tab = line.find('\t');
  if (tab == std::string_view::npos) return tokenizer.encode_pair(line, std::nullopt, max_length);
  return tokenizer.encode_pair(line.substr(0, tab), line.substr(tab + 1), max_length);
}

/// The lines of a corpus in a new random order every epoch, without end.
class LineOrder {
 public:
  LineOrder(std::size_t lines, std::uint64_t seed)
      : count_(static_cast<Index>(lines)), seed_(seed) {}

  Index next() {
    if (position_ % count_ == 0)
      order_ = epoch_order(count_, seed_, static_cast<std::uint64_t>(position_ / count_));
    return order_[static_cast<std::size_t>(position_++ % count_)];
  }

 private:
  Index count_;
  std::uint64_t seed_;
  Index position_ = 0;
  std::vector<Index> order_;
};

/// Texts with some of their tokens hidden, and where they stood in the corpus.
struct Lines {
  std::vector<Index> numbers;
  MaskedBatch masked;
};

/// The state of one call of pretrain().
class Pretraining {
 public:
  Pretraining(MaskedLanguageModel<float>& model, const WordPiece& tokenizer,
              std::span<const std::string> lines, const PretrainSettings& settings)
      : model_(model),
        tokenizer_(tokenizer),
        lines_(lines),
        settings_(settings),
        weights_(with_arena(model)),
        optimiser_(weights_, settings.optimiser,
                   LearningRateSchedule::with_warmup(settings.steps, settings.warmup_ratio)),
        order_(lines.size(), settings.seed) {}

  /// One update; `step` counts from 0.
  PretrainStep run_step(Index step) {
    const Lines texts = next_batch(step);
    Tape<float> tape(weights_.arena(), settings_.seed, static_cast<std::uint64_t>(step));
    const auto loss = model_.loss(tape, texts.masked.batch, texts.masked.rows, texts.masked.labels,
                                  DropoutRates::of(model_.backbone().config()));
    const double value = loss.value.item();
    if (!std::isfinite(value)) diverge(step, texts, "the loss is " + std::to_string(value));
    constexpr Index steps_between_copies = 50;
    if (step % steps_between_copies == 0) good_ = weights_.trainable_values();
    tape.backward(loss);
    try {
      optimiser_.step();
    } catch (const tn::Error& error) {
      diverge(step, texts, error.what());
    }
    if (step + 1 == settings_.steps && !weights_finite())
      diverge(step, texts, "the updated weights are not finite");
    return {step + 1, settings_.steps, value, texts.masked.batch.sequences.tokens(), 0};
  }

 private:
  static Weights<float>& with_arena(MaskedLanguageModel<float>& model) {
    auto& weights = model.backbone().weights();
    for (const auto& ids : {model.backbone().ids(), model.head_ids()})
      for (const auto id : ids) weights.train(id, backbone_group(weights.shape(id)));
    weights.build_arena();
    return weights;
  }

  bool weights_finite() const {
    auto& arena = weights_.arena();
    return tn::backend::all_finite(tn::backend::queue(), arena.size(), arena.values());
  }

  Lines next_batch(Index step) {
    Lines batch;
    std::vector<EncodedText> texts;
    for (Index b = 0; b < settings_.batch_size; ++b) {
      batch.numbers.push_back(order_.next());
      texts.push_back(encode_line(tokenizer_,
                                  lines_[static_cast<std::size_t>(batch.numbers.back())],
                                  settings_.max_seq_length));
    }
    std::vector<const EncodedText*> pointers;
    for (const auto& text : texts) pointers.push_back(&text);
    batch.masked = mask_tokens(tokenizer_, pointers, settings_.mask_share, settings_.seed,
                               static_cast<std::uint64_t>(step));
    return batch;
  }

  [[noreturn]] void diverge(Index step, const Lines& texts, const std::string& what) {
    weights_.restore(good_);
    throw Diverged("pretraining stopped at step " + std::to_string(step + 1) + ": " + what +
                   "; the batch holds lines " + counted_from_one(texts.numbers));
  }

  MaskedLanguageModel<float>& model_;
  const WordPiece& tokenizer_;
  std::span<const std::string> lines_;
  const PretrainSettings& settings_;
  Weights<float>& weights_;
  AdamW<float> optimiser_;
  LineOrder order_;
  std::vector<NamedTensor<float>> good_;
};

}  // namespace

double pretrain(MaskedLanguageModel<float>& model, const WordPiece& tokenizer,
                std::span<const std::string> lines, const PretrainSettings& settings,
                const std::function<void(const PretrainStep&)>& observer) {
  if (lines.empty()) tn::fail("pretrain: the corpus has no line");
  Pretraining training(model, tokenizer, lines, settings);
  const auto start = std::chrono::steady_clock::now();
  const Index tail = std::max<Index>(1, settings.steps / 10);
  double tail_loss = 0;
  for (Index step = 0; step < settings.steps; ++step) {
    PretrainStep report = training.run_step(step);
    report.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (step >= settings.steps - tail) tail_loss += report.loss / static_cast<double>(tail);
    if (observer) observer(report);
  }
  return tail_loss;
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
