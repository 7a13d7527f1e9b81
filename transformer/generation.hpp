#pragma once
/// Text from a causal language model, token by token.

#include <metatt/transformer/causal_language_model.hpp>

#include <functional>
#include <span>
#include <vector>

namespace metatt::transformer {

struct SamplingSettings {
  Index max_new_tokens = 128;  ///< at most; the model's positions may end it sooner
  double temperature = 1;      ///< divides the logits; 0: always the likeliest token
  Index top_k = 0;             ///< only the k likeliest; 0: all
  double top_p = 1;            ///< only the likeliest that together have this probability
  Index vocabulary = 0;        ///< only ids below, which the tokenizer has; 0: all
  std::uint64_t seed = 42;
};

/// Throws Error naming the setting.
void check_sampling(const SamplingSettings& settings);

/// One token from its logits. The choice is a function of (seed, step) and the logits alone. Ties
/// go to the lower number. Throws Error if a logit is not a number.
std::int32_t sample_token(std::span<const float> logits, const SamplingSettings& settings,
                          std::uint64_t step);

/// Why a text ended.
enum class GenerationEnd { end_token, max_new_tokens, positions, stopped };

/// Continues the prompt (at least one token) until a token of `ends` comes, which is not handed on,
/// and calls `token` with each new one until it returns false. `adapter` may be null; `task` is one
/// of its tasks. Throws Error on an empty prompt, one longer than the model's positions, and a
/// token that the model does not know.
GenerationEnd generate(const CausalLanguageModel<float>& model, const Adapter<float>* adapter,
                       std::span<const std::int32_t> prompt, std::span<const std::int32_t> ends,
                       const SamplingSettings& settings,
                       const std::function<bool(std::int32_t)>& token, Index task = 0);

}  // namespace metatt::transformer
