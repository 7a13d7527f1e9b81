#include <metatt/transformer/stream_objective.hpp>

#include <metatt/tn/backend/philox.hpp>

#include <algorithm>

namespace metatt::transformer {

namespace {

using autodiff::Tape;

/// Blocks of a stream as a batch, and the token behind each of their tokens.
struct Blocks {
  Batch batch;
  autodiff::Indices labels;
};

Blocks blocks_at(std::span<const std::int32_t> tokens, std::span<const Index> starts, Index block) {
  std::vector<EncodedText> texts;
  std::vector<std::int32_t> labels;
  for (const Index start : starts) {
    const auto begin = tokens.begin() + start;
    const auto end = begin + block;
    texts.push_back({{begin, end}, std::vector<std::int32_t>(static_cast<std::size_t>(block), 0)});
    labels.insert(labels.end(), begin + 1, end + 1);
  }
  return {Batch::pack(texts), to_indices(labels)};
}

void check_stream(const char* function, const CausalLanguageModel<float>& model,
                  std::span<const std::int32_t> stream, Index block_size, Index batch_size) {
  const std::size_t tokens = stream.size();
  if (batch_size < 1) tn::fail(function, ": batch_size: expected at least 1, found ", batch_size);
  if (block_size < 1) tn::fail(function, ": block_size: expected at least 1, found ", block_size);
  if (static_cast<Index>(tokens) < block_size + 1)
    tn::fail(function, ": expected at least ", block_size + 1,
             " tokens (a block and one more), found ", tokens);
  const std::int64_t vocabulary = model.backbone().config().vocab_size;
  for (const std::int32_t token : stream)
    if (token < 0 || token >= vocabulary)
      tn::fail(function, ": token ", token, ", but the model knows ", vocabulary, " tokens");
}

}  // namespace

double causal_loss(const CausalLanguageModel<float>& model, std::span<const std::int32_t> tokens,
                   Index block_size, Index batch_size) {
  check_stream("causal_loss", model, tokens, block_size, batch_size);
  const Index count = (static_cast<Index>(tokens.size()) - 1) / block_size;
  double sum = 0;
  for (Index first = 0; first < count; first += batch_size) {
    std::vector<Index> starts;
    for (Index i = first; i < std::min(count, first + batch_size); ++i)
      starts.push_back(i * block_size);
    const Blocks blocks = blocks_at(tokens, starts, block_size);
    Tape<float> tape;
    const auto loss = model.loss(tape, blocks.batch, {}, blocks.labels, nullptr, {});
    sum += static_cast<double>(loss.value.item()) * static_cast<double>(starts.size());
  }
  return sum / static_cast<double>(count);
}

StreamObjective::StreamObjective(const CausalLanguageModel<float>& model,
                                 std::span<const std::int32_t> train,
                                 std::span<const std::int32_t> validation,
                                 const TrainSettings& settings, Index block_size)
    : model_(model),
      train_(train),
      validation_(validation),
      pass_(settings, model.backbone().config()),
      block_size_(block_size) {
  check_stream("pretrain", model, train, block_size, settings.batch_size);
  if (!validation.empty())
    check_stream("pretrain", model, validation, block_size, settings.eval_batch_size);
  train_all(weights(), {model.backbone().ids(), model.head_ids()});
}

std::vector<Index> StreamObjective::batch(Index step) const {
  const std::uint64_t places = train_.size() - static_cast<std::size_t>(block_size_);
  std::vector<Index> starts;
  for (Index b = 0; b < pass_.examples_per_step; ++b) {
    // A stream of numbers that neither dropout, masks, epochs nor sampling use.
    const auto words =
        tn::philox4x32<10>(static_cast<std::uint64_t>(b),
                           (std::uint64_t{7} << 61) + static_cast<std::uint64_t>(step), pass_.seed);
    starts.push_back(static_cast<Index>(((std::uint64_t{words[0]} << 32) + words[1]) % places));
  }
  return starts;
}

BatchLoss<float> StreamObjective::loss(Tape<float>& tape, std::span<const Index> examples,
                                       std::uint64_t /*pass*/) const {
  const Blocks blocks = blocks_at(train_, examples, block_size_);
  return {model_.loss(tape, blocks.batch, {}, blocks.labels, nullptr, pass_.rates,
                      pass_.label_smoothing),
          blocks.labels.size(), blocks.batch.sequences.tokens()};
}

std::string StreamObjective::described(std::span<const Index> examples) const {
  return "the blocks of " + std::to_string(block_size_) + " tokens from tokens " +
         counted_from_one(examples);
}

std::vector<std::string> StreamObjective::metrics() const {
  return validation_.empty() ? std::vector<std::string>{} : language_metrics();
}

std::optional<Evaluation> StreamObjective::evaluate() const {
  if (validation_.empty()) return std::nullopt;
  return language_evaluation(causal_loss(model_, validation_, block_size_, pass_.eval_batch_size));
}

}  // namespace metatt::transformer
