#include <metatt/tn/backend/philox.hpp>
#include <metatt/transformer/causal_pretraining.hpp>

#include <chrono>
#include <cmath>

namespace metatt::transformer {

namespace {

using autodiff::Tape;

/// Blocks of a stream as a batch, and the token behind each of their tokens.
struct Blocks {
  Batch batch;
  autodiff::Indices labels;
};

Blocks blocks_at(std::span<const std::int32_t> tokens, std::span<const std::size_t> starts,
                 std::size_t block) {
  std::vector<EncodedText> texts;
  std::vector<std::int32_t> labels;
  for (const std::size_t start : starts) {
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(start);
    const auto end = begin + static_cast<std::ptrdiff_t>(block);
    texts.push_back({{begin, end}, std::vector<std::int32_t>(block, 0)});
    labels.insert(labels.end(), begin + 1, end + 1);
  }
  std::vector<const EncodedText*> pointers;
  for (const auto& text : texts) pointers.push_back(&text);
  return {Batch::pack(pointers), to_indices(labels)};
}

/// Random places of the stream where a block and one more token fit.
std::vector<std::size_t> random_starts(std::size_t tokens, const CausalPretrainSettings& settings,
                                       Index step) {
  const std::uint64_t places = tokens - static_cast<std::size_t>(settings.block_size);
  std::vector<std::size_t> starts;
  for (Index b = 0; b < settings.batch_size; ++b) {
    // A stream of numbers that neither dropout, masks, epochs nor sampling use.
    const auto words = tn::philox4x32<10>(
        static_cast<std::uint64_t>(b), (std::uint64_t{7} << 61) + static_cast<std::uint64_t>(step),
        settings.seed);
    starts.push_back(((std::uint64_t{words[0]} << 32) + words[1]) % places);
  }
  return starts;
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

Weights<float>& with_arena(const CausalLanguageModel<float>& model) {
  auto& weights = model.backbone().weights();
  for (const auto& ids : {model.backbone().ids(), model.head_ids()})
    for (const auto id : ids) weights.train(id, backbone_group(weights.shape(id)));
  weights.build_arena();
  return weights;
}

}  // namespace

double causal_loss(const CausalLanguageModel<float>& model, std::span<const std::int32_t> tokens,
                   Index block_size, Index batch_size) {
  check_stream("causal_loss", model, tokens, block_size, batch_size);
  const auto block = static_cast<std::size_t>(block_size);
  const std::size_t count = (tokens.size() - 1) / block;
  double sum = 0;
  for (std::size_t first = 0; first < count; first += static_cast<std::size_t>(batch_size)) {
    std::vector<std::size_t> starts;
    for (std::size_t i = first; i < std::min(count, first + static_cast<std::size_t>(batch_size));
         ++i)
      starts.push_back(i * block);
    const Blocks blocks = blocks_at(tokens, starts, block);
    Tape<float> tape;
    const auto loss = model.loss(tape, blocks.batch, {}, blocks.labels, nullptr, {});
    sum += static_cast<double>(loss.value.item()) * static_cast<double>(starts.size());
  }
  return sum / static_cast<double>(count);
}

void pretrain_causal(CausalLanguageModel<float>& model, std::span<const std::int32_t> tokens,
                     const CausalPretrainSettings& settings,
                     const std::function<void(const PretrainStep&)>& observer) {
  check_stream("pretrain", model, tokens, settings.block_size, settings.batch_size);
  Weights<float>& weights = with_arena(model);
  AdamW<float> optimiser(weights, settings.optimiser, settings.schedule);
  const auto rates = DropoutRates::of(model.backbone().config());
  const auto begin = std::chrono::steady_clock::now();
  std::vector<NamedTensor<float>> good;
  const auto diverge = [&](Index step, const std::string& what) {
    weights.restore(good);
    throw Diverged("pretraining stopped at step " + std::to_string(step + 1) + ": " + what);
  };
  for (Index step = 0; step < settings.steps; ++step) {
    const Blocks blocks = blocks_at(tokens, random_starts(tokens.size(), settings, step),
                                    static_cast<std::size_t>(settings.block_size));
    Tape<float> tape(weights.arena(), settings.seed, static_cast<std::uint64_t>(step));
    const auto loss = model.loss(tape, blocks.batch, {}, blocks.labels, nullptr, rates);
    const double value = loss.value.item();
    if (!std::isfinite(value)) diverge(step, "the loss is " + std::to_string(value));
    constexpr Index steps_between_copies = 50;
    if (step % steps_between_copies == 0) good = weights.trainable_values();
    tape.backward(loss);
    try {
      optimiser.step();
    } catch (const tn::Error& error) {
      diverge(step, error.what());
    }
    if (step + 1 == settings.steps &&
        !tn::backend::all_finite(tn::backend::queue(), weights.arena().size(),
                                 weights.arena().values()))
      diverge(step, "the updated weights are not finite");
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (observer)
      observer({step + 1, settings.steps, value, blocks.batch.sequences.tokens(), seconds});
  }
}

}  // namespace metatt::transformer
