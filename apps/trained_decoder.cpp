#include <metatt/apps/trained_decoder.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/apps/vocabulary_warning.hpp>
#include <metatt/transformer/adapter_files.hpp>

namespace metatt::apps {

void add_decoder_options(CLI::App& command, DecoderOptions& o) {
  command
      .add_option("--model", o.model,
                  "A folder with config.json, the weights and the tokenizer of a decoder")
      ->check(not_empty("a folder"));
  CLI::Option* adapter =
      command
          .add_option(
              "--adapter", o.adapter,
              "Folder that finetune wrote; --model is then by default the one in its record")
          ->check(not_empty("a folder"));
  command.add_option("--task", o.task, "Of an adapter for several tasks: the one to take")
      ->check(not_empty("a task"))
      ->needs(adapter);
}

std::unique_ptr<transformer::CausalModelFolder<float>> read_trained_decoder(
    const DecoderOptions& o) {
  if (o.model.empty() && o.adapter.empty())
    tn::fail("expected --model or --adapter, found neither");
  auto decoder = transformer::read_decoder<float>(o.model, o.adapter, o.task);
  warn_of_vocabulary(*decoder);
  return decoder;
}

}  // namespace metatt::apps
