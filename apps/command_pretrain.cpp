/// metatt pretrain: trains a small model from scratch, an encoder by masked tokens or a decoder by
/// next tokens.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/transformer/causal_model_files.hpp>
#include <metatt/transformer/causal_pretraining.hpp>
#include <metatt/transformer/pretraining.hpp>
#include <metatt/transformer/tokenizers/byte_level.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>
#include <metatt/transformer/tokenizers/unicode.hpp>

#include <algorithm>
#include <cmath>
#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

struct PretrainOptions {
  std::string objective = "masked", corpus, vocabulary, tokenizer, output, schedule = "linear";
  ModelConfig config;
  PretrainSettings settings;
  double validation_percentage = 10;
  Index eval_steps = 250;
  bool overwrite = false;
};

InitialWeight<float> initial_weights(const PretrainOptions& o) {
  return [seed = o.settings.seed](const std::string& name, const Shape& shape) {
    return initial_weight<float>(name, shape, seed);
  };
}

void print_model(const char* kind, const ModelConfig& config, const Weights<float>& weights) {
  std::cout << kind << ": " << config.num_hidden_layers << " layers, width " << config.hidden_size
            << ", " << config.vocab_size << " tokens, " << weights.total_count() << " parameters; ";
}

/// Shows the progress of a run and counts its tokens.
class Meter {
 public:
  explicit Meter(Index steps) : progress_(steps) {}
  void show(const PretrainStep& step) {
    tokens_ += step.tokens;
    seconds_ = step.seconds;
    progress_.update(step.step, "loss " + fixed(step.loss, 4) + "  " +
                                    fixed(static_cast<double>(tokens_) / seconds_, 0) +
                                    " tokens/s");
  }
  void clear() { progress_.clear(); }
  double seconds() const { return seconds_; }

 private:
  Progress progress_;
  Index tokens_ = 0;
  double seconds_ = 0;
};

void run_masked(PretrainOptions o) {
  const auto lines = read_corpus(o.corpus);
  const WordPiece tokenizer = WordPiece::from_file(o.vocabulary, {});
  tokenizer.mask_id();  // a vocabulary without it is noticed before anything is written
  o.config.vocab_size = static_cast<Index>(tokenizer.vocabulary().size());
  o.config.max_position_embeddings = o.settings.max_seq_length;
  check_model_config(o.config, "pretrain");
  Weights<float> weights;
  const auto initial = initial_weights(o);
  const Backbone<float> backbone(o.config, weights, initial);
  MaskedLanguageModel<float> model(backbone, initial);
  print_backend();
  const auto folder = tn::prepare_output_folder(o.output, o.overwrite);
  print_model("encoder", o.config, weights);
  std::cout << "corpus: " << lines.size() << " lines" << std::endl;
  Meter meter(o.settings.steps);
  double loss = 0;
  try {
    loss = pretrain(model, tokenizer, lines, o.settings,
                    [&](const PretrainStep& step) { meter.show(step); });
  } catch (const Diverged& error) {
    meter.clear();
    write_pretrained(folder, model, tokenizer);
    tn::fail(error.what(), "; the last good state is in ", folder.path.string());
  }
  meter.clear();
  write_pretrained(folder, model, tokenizer);
  std::cout << "result: masked-token loss " << fixed(loss, 4) << ", " << fixed(meter.seconds(), 1)
            << " s, output " << folder.path.string() << std::endl;
}

/// Tokens to train on, and those behind them to validate on.
struct Stream {
  std::vector<TokenId> tokens;
  std::size_t training = 0;
  std::span<const TokenId> train() const { return std::span(tokens).first(training); }
  std::span<const TokenId> validation() const { return std::span(tokens).subspan(training); }
};

Stream read_stream(const PretrainOptions& o, const Tokenizer& tokenizer) {
  const std::string text = tn::read_file(o.corpus), valid = valid_utf8(text);
  if (valid != text)
    tn::fail(o.corpus, ": expected UTF-8, found something else at byte ",
             std::ranges::mismatch(valid, text).in2 - text.begin());
  Stream stream{tokenizer.encode(text)};
  const double share = o.validation_percentage / 100;
  stream.training =
      static_cast<std::size_t>(std::floor(static_cast<double>(stream.tokens.size()) * (1 - share)));
  const auto needed = static_cast<std::size_t>(o.settings.max_seq_length) + 1;
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

/// The rest of a decoder's config from its family.
void complete_config(ModelConfig& config, const Tokenizer& tokenizer, Index positions) {
  const Family& family = find_family(config.model_type, "--model_type");
  if (!family.causal)
    tn::fail("--model_type: expected a family that predicts next tokens (gpt2, llama, qwen2, ",
             "mistral), found \"", config.model_type, "\"");
  config.vocab_size = tokenizer.vocabulary().size();
  config.max_position_embeddings = positions;
  config.hidden_act = family.activations.front();
  config.layer_norm_eps = family.norm_epsilon;
  config.type_vocab_size = 0;
  config.pad_token_id.reset();
  config.query_key_value_bias = config.model_type == "qwen2";
  if (!family.fields.hidden_dropout && config.hidden_dropout_prob > 0)
    tn::fail("--dropout: the family \"", config.model_type, "\" has none of hidden states");
  config.bos_token_id = first_entry(tokenizer, {"<s>", "<|begin_of_text|>", "<|endoftext|>"});
  if (const auto end = first_entry(tokenizer, {"</s>", "<|end_of_text|>", "<|endoftext|>"}))
    config.eos_token_id = {*end};
  check_model_config(config, "pretrain");
}

ScheduleShape schedule_shape(const std::string& name) {
  if (name == "cosine") return ScheduleShape::cosine;
  return name == "constant" ? ScheduleShape::constant : ScheduleShape::linear;
}

void run_causal(PretrainOptions o) {
  const bool bytes = o.tokenizer == "bytes";
  const std::unique_ptr<Tokenizer> tokenizer =
      bytes ? std::unique_ptr<Tokenizer>(byte_tokenizer()) : read_tokenizer(o.tokenizer);
  complete_config(o.config, *tokenizer, o.settings.max_seq_length);
  const Stream stream = read_stream(o, *tokenizer);
  Weights<float> weights;
  const auto initial = initial_weights(o);
  const Backbone<float> backbone(o.config, weights, initial);
  CausalLanguageModel<float> model(backbone, initial);
  print_backend();
  const auto folder = tn::prepare_output_folder(o.output, o.overwrite);
  print_model("decoder", o.config, weights);
  std::cout << "corpus: " << stream.training << " tokens, " << stream.validation().size()
            << " to validate" << std::endl;
  const auto save = [&] {
    write_causal_model(folder, model);
    bytes ? write_byte_tokenizer(folder.path) : copy_tokenizer(o.tokenizer, folder.path);
  };
  const auto validation = [&] {
    return causal_loss(model, stream.validation(), o.settings.max_seq_length,
                       8 * o.settings.batch_size);
  };
  Meter meter(o.settings.steps);
  double tail = 0;
  const Index last = std::max<Index>(1, o.settings.steps / 10);
  try {
    pretrain_causal(model, stream.train(),
                    {o.settings.steps, o.settings.batch_size, o.settings.max_seq_length,
                     LearningRateSchedule::with_warmup(o.settings.steps, o.settings.warmup_ratio,
                                                       schedule_shape(o.schedule)),
                     o.settings.optimiser, o.settings.seed},
                    [&](const PretrainStep& step) {
                      meter.show(step);
                      if (step.step > o.settings.steps - last)
                        tail += step.loss / static_cast<double>(last);
                      if (stream.validation().empty() || step.step == o.settings.steps ||
                          step.step % o.eval_steps != 0)
                        return;
                      meter.clear();
                      std::cout << "step " << step.step << ": validation loss "
                                << fixed(validation(), 4) << std::endl;
                    });
  } catch (const Diverged& error) {
    meter.clear();
    save();
    tn::fail(error.what(), "; the last good state is in ", folder.path.string());
  }
  meter.clear();
  save();
  std::cout << "result: next-token loss " << fixed(tail, 4);
  if (!stream.validation().empty()) std::cout << ", validation loss " << fixed(validation(), 4);
  std::cout << ", " << fixed(meter.seconds(), 1) << " s, output " << folder.path.string()
            << std::endl;
}

/// Flags that the objective has no use for are mistakes.
void check_flags(const CLI::App& command, const PretrainOptions& o) {
  const bool masked = o.objective == "masked";
  if (masked && o.vocabulary.empty()) tn::fail("--vocab: needed for --objective masked");
  if (!masked && o.tokenizer.empty()) tn::fail("--tokenizer: needed for --objective causal");
  const std::vector<const char*> others = masked ? std::vector{"--tokenizer",
                                                               "--model_type",
                                                               "--num_key_value_heads",
                                                               "--lr_scheduler_type",
                                                               "--validation_split_percentage",
                                                               "--eval_steps"}
                                                 : std::vector{"--vocab", "--mlm_probability"};
  for (const char* flag : others)
    if (command.get_option(flag)->count() > 0)
      tn::fail(flag, ": has no meaning for --objective ", o.objective);
}

void run_pretrain(PretrainOptions o) {
  check_results_folder(o.output, Results::model, {});
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
  o->settings.optimiser.learning_rate = 1.5e-3;
  o->settings.optimiser.weight_decay = 0.01;
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
  command->add_option("--output_dir", o->output, "Where the model goes")
      ->check(not_empty("a folder"))
      ->required();
  command->add_flag("--overwrite_output_dir", o->overwrite, "Accept a folder that is not empty")
      ->check(true_or_false());
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
  command->add_option("--mlm_probability", o->settings.mask_share, "Share of tokens to predict")
      ->check(number_between(0.01, 0.99));
  command
      ->add_option("--max_seq_length", o->settings.max_seq_length,
                   "Positions of the model, and tokens of a causal block")
      ->transform(whole_number(5, 1 << 16));
  command->add_option("--max_steps", o->settings.steps, "Steps")->transform(whole_number(1));
  command
      ->add_option("--per_device_train_batch_size", o->settings.batch_size,
                   "Lines or blocks a step")
      ->transform(whole_number(1));
  command->add_option("--learning_rate", o->settings.optimiser.learning_rate, "Peak learning rate")
      ->check(positive_number());
  command->add_option("--weight_decay", o->settings.optimiser.weight_decay, "AdamW's decay")
      ->check(non_negative_number());
  command
      ->add_option("--warmup_ratio", o->settings.warmup_ratio,
                   "Share of steps with rising learning rate")
      ->check(number_between(0, 1));
  command
      ->add_option("--lr_scheduler_type", o->schedule,
                   "causal: how the learning rate falls behind the warm-up")
      ->check(one_of({"linear", "cosine", "constant"}));
  command
      ->add_option("--validation_split_percentage", o->validation_percentage,
                   "causal: share of the stream, its end, that is validated on")
      ->check(number_between(0, 90));
  command->add_option("--eval_steps", o->eval_steps, "causal: steps between validations")
      ->transform(whole_number(1));
  command->add_option("--seed", o->settings.seed, "Of weights, order and masks")
      ->transform(seed_number());
  command->callback([o, command] {
    check_flags(*command, *o);
    run_pretrain(*o);
  });
}

}  // namespace metatt::apps
