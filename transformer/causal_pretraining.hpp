#pragma once
/// Training a decoder from scratch on a stream of tokens.

#include <metatt/transformer/causal_language_model.hpp>
#include <metatt/transformer/optimiser.hpp>
#include <metatt/transformer/pretraining.hpp>

#include <functional>

namespace metatt::transformer {

struct CausalPretrainSettings {
  Index steps = 2000;
  Index batch_size = 12;
  Index block_size = 64;  ///< tokens of a sequence
  LearningRateSchedule schedule;
  AdamWSettings optimiser;
  std::uint64_t seed = 42;
};

/// Mean cross-entropy of every token but the first of each block of `block_size` + 1, block after
/// block (a last one that is shorter is left out), dropout off. Throws Error if the tokens make no
/// block or the model does not know one.
double causal_loss(const CausalLanguageModel<float>& model, std::span<const std::int32_t> tokens,
                   Index block_size, Index batch_size);

/// Trains all weights of the model to predict the next token, each step on blocks that begin at
/// random places of the stream. What is drawn follows from (seed, step) alone. Calls `observer`
/// behind every step. Writes nothing. Throws Diverged as pretrain().
void pretrain_causal(CausalLanguageModel<float>& model, std::span<const std::int32_t> tokens,
                     const CausalPretrainSettings& settings,
                     const std::function<void(const PretrainStep&)>& observer);

}  // namespace metatt::transformer
