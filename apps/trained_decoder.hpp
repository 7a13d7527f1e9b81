#pragma once
/// A decoder to generate, choose or evaluate with, as its flags say.

#include <metatt/apps/commands.hpp>
#include <metatt/transformer/causal_model_files.hpp>

#include <memory>
#include <string>

namespace metatt::apps {

struct DecoderOptions {
  std::string model, adapter, task;
};

/// --model, --adapter and --task.
void add_decoder_options(CLI::App& command, DecoderOptions& options);

/// A model, or an adapter on its base, set to the task. Throws Error if neither was given.
std::unique_ptr<transformer::CausalModelFolder<float>> read_trained_decoder(
    const DecoderOptions& options);

}  // namespace metatt::apps
