/// metatt pretrain: trains a small model from scratch, an encoder by masked tokens or a decoder by
/// next tokens.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/fingerprint.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/training_run.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/transformer/causal_model_files.hpp>
#include <metatt/transformer/masked_objective.hpp>
#include <metatt/transformer/stream_objective.hpp>
#include <metatt/transformer/text_data.hpp>
#include <metatt/transformer/tokenizers/byte_level.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

struct PretrainOptions {
  std::string objective = "masked", corpus, vocabulary, tokenizer;
  ModelConfig config;
  Index max_seq_length = 64;
  double mask_share = 0.4;  // what a small encoder needs (docs/language-suite.md)
  double validation_percentage = 10;
  TrainingOptions training;
};

InitialWeight<float> initial_weights(const PretrainOptions& o) {
  return [seed = o.training.train.seed](const std::string& name, const Shape& shape) {
    return initial_weight<float>(name, shape, seed);
  };
}

void print_model(const char* kind, const ModelConfig& config, const Weights<float>& weights) {
  std::cout << kind << ": " << config.num_hidden_layers << " layers, width " << config.hidden_size
            << ", " << config.vocab_size << " tokens, " << weights.total_count() << " parameters; ";
}

/// What decides the result.
nlohmann::json run_settings(const PretrainOptions& o, const TrainSettings& train,
                            const Fingerprint& data) {
  nlohmann::json settings = settings_json(train);
  settings["fingerprint_of_data"] = data.text();
  settings["objective"] = o.objective;
  settings["corpus"] = o.corpus;
  settings["vocab"] = o.vocabulary;
  settings["tokenizer"] = o.tokenizer;
  settings["mlm_probability"] = o.mask_share;
  settings["max_seq_length"] = o.max_seq_length;
  settings["validation_split_percentage"] = o.validation_percentage;
  settings["config"] = model_config_json(o.config);
  return settings;
}

void print_result(const char* loss, const TrainResult& result, const TrainingOptions& o) {
  std::cout << "result: " << loss << " loss " << fixed(result.state.last_loss, 4);
  if (!result.evaluation.metrics.empty())
    std::cout << ", validation loss " << fixed(result.evaluation.loss, 4);
  std::cout << ", " << fixed(result.state.seconds, 1) << " s, output " << o.output << std::endl;
}

void run_masked(PretrainOptions o) {
  const auto lines = read_corpus(o.corpus);
  const WordPiece tokenizer = WordPiece::from_file(o.vocabulary, {});
  tokenizer.mask_id();  // a vocabulary without it is noticed before anything is written
  o.config.vocab_size = static_cast<Index>(tokenizer.vocabulary().size());
  o.config.max_position_embeddings = o.max_seq_length;
  check_model_config(o.config, "pretrain");
  Weights<float> weights;
  const auto initial = initial_weights(o);
  const Backbone<float> backbone(o.config, weights, initial);
  MaskedLanguageModel<float> model(backbone, initial);
  print_backend();
  print_model("encoder", o.config, weights);
  std::cout << "corpus: " << lines.size() << " lines" << std::endl;
  const TrainSettings train = shared_settings(o.training);
  Fingerprint data;
  for (const std::string& line : lines) data.add(std::span(line));
  for (const std::string& entry : tokenizer.vocabulary().entries()) data.add(std::span(entry));
  const MaskedObjective objective(model, tokenizer, lines, train, o.mask_share, o.max_seq_length);
  const TrainResult result = run_training(
      objective, train, o.training, run_settings(o, train, data),
      [&](const tn::OutputFolder& folder) { write_pretrained(folder, model, tokenizer); });
  print_result("masked-token", result, o.training);
}

/// Tokens to train on, and those behind them to validate on.
struct Stream {
  std::vector<TokenId> tokens;
  std::size_t training = 0;
  std::span<const TokenId> train() const { return std::span(tokens).first(training); }
  std::span<const TokenId> validation() const { return std::span(tokens).subspan(training); }
};

Stream read_stream(const PretrainOptions& o, const Tokenizer& tokenizer) {
  const std::string text = read_utf8(o.corpus);
  Stream stream{tokenizer.encode(text)};
  const double share = o.validation_percentage / 100;
  stream.training =
      static_cast<std::size_t>(std::floor(static_cast<double>(stream.tokens.size()) * (1 - share)));
  const auto needed = static_cast<std::size_t>(o.max_seq_length) + 1;
  if (stream.training < needed || (share > 0 && stream.tokens.size() - stream.training < needed))
    tn::fail(o.corpus, ": expected at least ", needed, " tokens (max_seq_length and one more) to ",
             "train on", share > 0 ? ", and as many to validate on" : "", ", found ",
             stream.training, " and ", stream.tokens.size() - stream.training);
  return stream;
}

/// The id of the first of these entries that there is.
std::optional<std::int64_t> first_entry(const Tokenizer& tokenizer,
                                        std::initializer_list<const char*> entries) {
  for (const char* entry : entries)
    if (const auto id = tokenizer.vocabulary().find(entry)) return *id;
  return std::nullopt;
}

/// A decoder's config: the extents that were asked for, the rest as its family has it.
ModelConfig decoder_config(const PretrainOptions& o, const Tokenizer& tokenizer) {
  const Family& family = find_family(o.config.model_type, "--model_type");
  if (!family.fields.hidden_dropout && o.config.hidden_dropout_prob > 0)
    tn::fail("--dropout: the family \"", o.config.model_type, "\" has none of hidden states");
  ModelConfig config = family_defaults(family);
  config.vocab_size = tokenizer.vocabulary().size();
  config.hidden_size = o.config.hidden_size;
  config.num_hidden_layers = o.config.num_hidden_layers;
  config.num_attention_heads = o.config.num_attention_heads;
  config.num_key_value_heads = o.config.num_key_value_heads;
  config.intermediate_size = o.config.intermediate_size;
  config.hidden_dropout_prob = o.config.hidden_dropout_prob;
  config.attention_probs_dropout_prob = o.config.attention_probs_dropout_prob;
  config.max_position_embeddings = o.max_seq_length;
  config.tie_word_embeddings = true;  // a matrix of its own is much of a small model
  config.bos_token_id = first_entry(tokenizer, {"<s>", "<|begin_of_text|>", "<|endoftext|>"});
  if (const auto end = first_entry(tokenizer, {"</s>", "<|end_of_text|>", "<|endoftext|>"}))
    config.eos_token_id = {*end};
  check_model_config(config, "pretrain");
  return config;
}

void run_causal(PretrainOptions o) {
  const bool bytes = o.tokenizer == "bytes";
  const std::unique_ptr<Tokenizer> tokenizer =
      bytes ? std::unique_ptr<Tokenizer>(byte_tokenizer()) : read_tokenizer(o.tokenizer);
  o.config = decoder_config(o, *tokenizer);
  const Stream stream = read_stream(o, *tokenizer);
  Weights<float> weights;
  const auto initial = initial_weights(o);
  const Backbone<float> backbone(o.config, weights, initial);
  CausalLanguageModel<float> model(backbone, initial);
  print_backend();
  print_model("decoder", o.config, weights);
  std::cout << "corpus: " << stream.training << " tokens, " << stream.validation().size()
            << " to validate" << std::endl;
  const TrainSettings train = shared_settings(o.training);
  Fingerprint data;
  data.add(std::span(stream.tokens));
  const StreamObjective objective(model, stream.train(), stream.validation(), train,
                                  o.max_seq_length);
  const TrainResult result = run_training(
      objective, train, o.training, run_settings(o, train, data),
      [&](const tn::OutputFolder& folder) {
        write_causal_model(folder, model);
        bytes ? write_byte_tokenizer(folder.path) : copy_tokenizer(o.tokenizer, folder.path);
      });
  print_result("next-token", result, o.training);
}

/// Flags that the objective has no use for are mistakes.
void check_flags(const CLI::App& command, const PretrainOptions& o) {
  const bool masked = o.objective == "masked";
  if (masked && o.vocabulary.empty()) tn::fail("--vocab: needed for --objective masked");
  if (!masked && o.tokenizer.empty()) tn::fail("--tokenizer: needed for --objective causal");
  const std::vector<const char*> others =
      masked ? std::vector{"--tokenizer",           "--model_type",
                           "--num_key_value_heads", "--validation_split_percentage",
                           "--eval_steps",          "--per_device_eval_batch_size"}
             : std::vector{"--vocab", "--mlm_probability"};
  for (const char* flag : others)
    if (command.get_option(flag)->count() > 0)
      tn::fail(flag, ": has no meaning for --objective ", o.objective);
}

void run_pretrain(PretrainOptions o) {
  std::vector<std::filesystem::path> inputs;
  for (const std::string& input : {o.corpus, o.vocabulary, o.tokenizer})
    if (!input.empty() && input != "bytes") inputs.emplace_back(input);
  check_results_folder(o.training.output, Results::model, inputs);
  check_output(o.training);
  if (o.objective == "masked") {
    o.config.model_type = "bert";
    run_masked(std::move(o));
  } else {
    run_causal(std::move(o));
  }
}

}  // namespace

void add_pretrain(CLI::App& program) {
  auto o = std::make_shared<PretrainOptions>();
  o->config.model_type = "gpt2";
  o->config.hidden_size = 128;
  o->config.num_hidden_layers = 4;
  o->config.num_attention_heads = 4;
  o->config.intermediate_size = 512;
  o->config.hidden_dropout_prob = 0;
  o->config.attention_probs_dropout_prob = 0;
  TrainSettings& train = o->training.train;
  train.max_steps = 4500;
  train.batch_size = 32;
  train.eval_steps = 250;
  train.optimiser.learning_rate = 1.5e-3;
  train.optimiser.weight_decay = 0.01;
  o->training.save_strategy = "steps";
  CLI::App* command =
      add_command(program, "pretrain",
                  "Train a small model from scratch: an encoder by masked tokens, or "
                  "a decoder by next tokens");
  command
      ->add_option("--objective", o->objective,
                   "masked (an encoder, BERT) or causal (a decoder, --model_type)")
      ->check(one_of({"masked", "causal"}));
  command
      ->add_option("--corpus", o->corpus,
                   "Text; masked: one sentence (or two with a tab between) a line; causal: one "
                   "stream")
      ->check(not_empty("a file"))
      ->required();
  command->add_option("--vocab", o->vocabulary, "masked: vocab.txt, one WordPiece entry a line")
      ->check(not_empty("a file"));
  command
      ->add_option("--tokenizer", o->tokenizer,
                   "causal: a folder with a tokenizer, or \"bytes\" for one token a byte")
      ->check(not_empty("a folder"));
  command->add_option("--model_type", o->config.model_type, "causal: the family of the decoder")
      ->check(one_of({"gpt2", "llama", "qwen2", "mistral"}));
  add_output_options(*command, o->training, false);
  command->add_option("--hidden_size", o->config.hidden_size, "Width")->transform(whole_number(1));
  command->add_option("--num_hidden_layers", o->config.num_hidden_layers, "Layers")
      ->transform(whole_number(1));
  command->add_option("--num_attention_heads", o->config.num_attention_heads, "Heads")
      ->transform(whole_number(1));
  command
      ->add_option("--num_key_value_heads", o->config.num_key_value_heads,
                   "causal: heads of keys and values, where queries share them (default: all)")
      ->transform(whole_number(1));
  command->add_option("--intermediate_size", o->config.intermediate_size, "Feed-forward width")
      ->transform(whole_number(1));
  command
      ->add_option("--dropout", o->config.hidden_dropout_prob,
                   "Of hidden states (not llama, qwen2, mistral); also written to config.json")
      ->check(number_between(0, 0.99));
  command->add_option("--mlm_probability", o->mask_share, "Share of tokens to predict")
      ->check(number_between(0.01, 0.99));
  command
      ->add_option("--max_seq_length", o->max_seq_length,
                   "Positions of the model, and tokens of a causal block")
      ->transform(whole_number(5, 1 << 16));
  command->add_option("--max_steps", train.max_steps, "Steps")->transform(whole_number(1));
  add_optimiser_options(*command, o->training);
  command
      ->add_option("--validation_split_percentage", o->validation_percentage,
                   "causal: share of the stream, its end, that is validated on")
      ->check(number_between(0, 90));
  command->callback([o, command] {
    check_flags(*command, *o);
    run_pretrain(*o);
  });
}

}  // namespace metatt::apps
