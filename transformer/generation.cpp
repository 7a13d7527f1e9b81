#include <metatt/transformer/generation.hpp>

#include <metatt/tn/backend/philox.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace metatt::transformer {

namespace {

/// In [0, 1), from a stream that neither dropout nor the order of an epoch uses.
double uniform(std::uint64_t seed, std::uint64_t step) {
  const auto words = tn::philox4x32<10>(step, std::uint64_t{5} << 61, seed);
  return (words[0] + words[1] / 4294967296.0) / 4294967296.0;
}

/// The tokens that may be chosen, likeliest first, with their probabilities up to a factor.
struct Candidates {
  std::vector<std::int32_t> tokens;
  std::vector<double> weights;
};

Candidates candidates(std::span<const float> logits, const SamplingSettings& settings) {
  Candidates result;
  result.tokens.resize(logits.size());
  std::iota(result.tokens.begin(), result.tokens.end(), 0);
  const auto likelier = [&](std::int32_t a, std::int32_t b) {
    const float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
  if (settings.top_k > 0 && settings.top_k < static_cast<Index>(logits.size())) {
    const auto end = result.tokens.begin() + static_cast<std::ptrdiff_t>(settings.top_k);
    std::partial_sort(result.tokens.begin(), end, result.tokens.end(), likelier);
    result.tokens.erase(end, result.tokens.end());
  } else {
    std::ranges::sort(result.tokens, likelier);
  }
  const double largest = logits[static_cast<std::size_t>(result.tokens.front())];
  for (const std::int32_t token : result.tokens)
    result.weights.push_back(
        std::exp((logits[static_cast<std::size_t>(token)] - largest) / settings.temperature));
  const double total = std::accumulate(result.weights.begin(), result.weights.end(), 0.0);
  double sum = 0;
  std::size_t kept = 0;
  while (kept < result.weights.size() && (kept == 0 || sum < settings.top_p * total))
    sum += result.weights[kept++];
  result.weights.resize(kept);
  result.tokens.resize(kept);
  return result;
}

}  // namespace

void check_sampling(const SamplingSettings& settings) {
  if (settings.max_new_tokens < 1)
    tn::fail("max_new_tokens: expected at least 1, found ", settings.max_new_tokens);
  if (!(settings.temperature >= 0 && settings.temperature <= 1e6))
    tn::fail("temperature: expected 0 … 1e6, found ", settings.temperature);
  if (settings.vocabulary < 0)
    tn::fail("vocabulary: expected at least 0, found ", settings.vocabulary);
  if (settings.top_k < 0) tn::fail("top_k: expected at least 0, found ", settings.top_k);
  if (!(settings.top_p > 0 && settings.top_p <= 1))
    tn::fail("top_p: expected above 0 and at most 1, found ", settings.top_p);
}

std::int32_t sample_token(std::span<const float> logits, const SamplingSettings& settings,
                          std::uint64_t step) {
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (!std::isfinite(logits[i]))
      tn::fail("sample_token: the logit of token ", i, " is ", logits[i]);
  if (settings.vocabulary > 0)
    logits = logits.first(std::min(logits.size(), static_cast<std::size_t>(settings.vocabulary)));
  if (settings.temperature == 0)
    return static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
  const Candidates all = candidates(logits, settings);
  const double total = std::accumulate(all.weights.begin(), all.weights.end(), 0.0);
  double rest = uniform(settings.seed, step) * total;
  for (std::size_t i = 0; i < all.weights.size(); ++i)
    if ((rest -= all.weights[i]) < 0) return all.tokens[i];
  return all.tokens.back();
}

GenerationEnd generate(const CausalLanguageModel<float>& model, const Adapter<float>* adapter,
                       std::span<const std::int32_t> prompt, std::span<const std::int32_t> ends,
                       const SamplingSettings& settings,
                       const std::function<bool(std::int32_t)>& token, Index task) {
  check_sampling(settings);
  const Backbone<float>& backbone = model.backbone();
  const auto length = static_cast<Index>(prompt.size());
  const Index positions = backbone.config().longest_sequence();
  if (length < 1) tn::fail("generate: the prompt has no token");
  if (length > positions)
    tn::fail("generate: a prompt of ", length, " tokens, but the model has only ", positions,
             " positions");
  KeyValueCache<float> cache =
      backbone.cache(length + std::min(positions - length, settings.max_new_tokens));
  cache.task = task;
  std::vector<std::int32_t> next(prompt.begin(), prompt.end());
  for (Index step = 0; step < settings.max_new_tokens; ++step) {
    if (cache.length + static_cast<Index>(next.size()) > positions) return GenerationEnd::positions;
    const Variable<float> hidden = backbone.forward_next(next, cache, adapter);
    const Index last = hidden.value.extent(0) - 1;
    autodiff::Tape<float> tape;
    const auto logits = model.logits(tape, autodiff::constant(hidden.value.slice(last, last + 1)))
                            .value.to_vector();
    const std::int32_t chosen = sample_token(logits, settings, static_cast<std::uint64_t>(step));
    if (std::ranges::find(ends, chosen) != ends.end()) return GenerationEnd::end_token;
    if (!token(chosen)) return GenerationEnd::stopped;
    next = {chosen};
  }
  return GenerationEnd::max_new_tokens;
}

}  // namespace metatt::transformer
