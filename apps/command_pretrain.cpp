/// metatt pretrain: trains all of a model, new or from a folder, an encoder by masked tokens or a
/// decoder by next tokens.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/interrupt.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/training_run.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/transformer/backbone_files.hpp>
#include <metatt/transformer/causal_model_files.hpp>
#include <metatt/transformer/fingerprint.hpp>
#include <metatt/transformer/masked_objective.hpp>
#include <metatt/transformer/stream_objective.hpp>
#include <metatt/transformer/text_data.hpp>
#include <metatt/transformer/tokenizers/byte_level.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <optional>

namespace metatt::apps {

namespace {

using namespace transformer;

struct PretrainOptions {
  std::string objective = "masked", corpus, model, tokenizer, config_file;
  std::string model_type;  // empty: bert or gpt2, as the objective needs
  ModelConfig shape;
  std::optional<Index> max_seq_length;
  double mask_share = 0.4;  // what a small encoder needs (docs/language-suite.md)
  std::optional<double> validation_percentage;
  TrainingOptions training;

  bool causal() const { return objective == "causal"; }
  const std::string& tokenizer_folder() const { return tokenizer.empty() ? model : tokenizer; }
  double validated() const { return validation_percentage.value_or(causal() ? 10 : 0); }
  /// How many lines or tokens of so many are trained on.
  std::size_t training_part(std::size_t count) const {
    return static_cast<std::size_t>(
        std::floor(static_cast<double>(count) * (100 - validated()) / 100));
  }
};

/// Where the weights of a backbone and of the head on it come from: random numbers, or a folder. A
/// head that the folder lacks is new.
struct WeightSource {
  explicit WeightSource(const PretrainOptions& o, const ModelConfig& config)
      : seed(o.training.train.seed) {
    if (!o.model.empty()) reader.emplace(o.model, config);
  }
  /// Throws Error on tensors of layers that are none of the model's.
  void check_layers(const Backbone<float>& backbone) const {
    if (reader) reader->check_layers(backbone);
  }
  Tensor<float> backbone(const std::string& name, const Shape& shape) const {
    return reader ? (*reader)(name, shape) : initial_weight<float>(name, shape, seed);
  }
  Tensor<float> head(const std::string& name, const Shape& shape) const {
    if (reader && reader->contains(name)) return (*reader)(name, shape);
    if (reader) std::cout << name << " is not in the model and starts anew" << std::endl;
    return initial_weight<float>(name, shape, seed);
  }

  std::uint64_t seed;
  std::optional<BackboneReader<float>> reader;
};

InitialWeight<float> backbone_weights(const WeightSource& source) {
  return [&source](const auto& name, const auto& shape) { return source.backbone(name, shape); };
}
InitialWeight<float> head_weights(const WeightSource& source) {
  return [&source](const auto& name, const auto& shape) { return source.head(name, shape); };
}

void print_model(const char* kind, const ModelConfig& config, const Weights<float>& weights) {
  std::cout << kind << ": " << config.num_hidden_layers << " layers, width " << config.hidden_size
            << ", " << config.vocab_size << " tokens, " << weights.total_count() << " parameters; ";
}

/// What decides the result.
nlohmann::json run_settings(const PretrainOptions& o, const ModelConfig& config, Index length,
                            const TrainSettings& train, const Fingerprint& data) {
  nlohmann::json settings = settings_json(train);
  settings["fingerprint_of_data"] = data.text();
  settings["objective"] = o.objective;
  settings["corpus"] = o.corpus;
  if (!o.model.empty()) settings["model"] = o.model;
  settings["tokenizer"] = o.tokenizer_folder();
  settings["mlm_probability"] = o.mask_share;
  settings["max_seq_length"] = length;
  settings["validation_split_percentage"] = o.validated();
  settings["model_type"] = config.model_type;
  settings["hidden_size"] = config.hidden_size;
  settings["num_hidden_layers"] = config.num_hidden_layers;
  settings["config"] = model_config_json(config);
  return settings;
}

void print_result(const char* loss, const TrainResult& result, const TrainingOptions& o) {
  std::cout << "result: " << loss << " loss " << fixed(result.state.last_loss, 4);
  if (!result.evaluation.metrics.empty())
    std::cout << ", validation loss " << fixed(result.evaluation.loss, 4);
  std::cout << ", " << fixed(result.state.seconds, 1) << " s, output " << o.output << std::endl;
}

/// The id of the first of these entries that there is.
std::optional<std::int64_t> first_entry(const Tokenizer& tokenizer,
                                        std::initializer_list<const char*> entries) {
  for (const char* entry : entries)
    if (const auto id = tokenizer.vocabulary().find(entry)) return *id;
  return std::nullopt;
}

/// Throws Error naming `flag` if the family has not the objective.
void check_objective(const PretrainOptions& o, const Family& family, const char* flag) {
  if (family.causal != o.causal())
    tn::fail(flag, ": expected ", o.causal() ? "a decoder" : "an encoder", " for --objective ",
             o.objective, ", found \"", family.model_type, "\"");
}

/// Those of the tokenizer, as far as its entries tell.
void set_special_tokens(const PretrainOptions& o, const Tokenizer& tokenizer, ModelConfig& config) {
  config.bos_token_id = first_entry(tokenizer, {"<s>", "<|begin_of_text|>", "<|endoftext|>"});
  config.eos_token_id.clear();
  if (const auto end = first_entry(tokenizer, {"</s>", "<|end_of_text|>", "<|endoftext|>"}))
    config.eos_token_id = {*end};
  if (o.causal()) return config.pad_token_id.reset();
  config.pad_token_id = first_entry(tokenizer, {"[PAD]", "<pad>"});
  if (!config.pad_token_id)
    tn::fail(o.tokenizer, ": expected an entry [PAD] or <pad>, found neither");
}

void check_length(const PretrainOptions& o, const ModelConfig& config, const std::string& file) {
  const Index longest = config.longest_sequence();
  if (o.max_seq_length.value_or(1) > longest)
    tn::fail("--max_seq_length: ", file, " has ", longest, " positions, found ", *o.max_seq_length);
}

ModelConfig config_from_file(const PretrainOptions& o, const Tokenizer& tokenizer) {
  ModelConfig config = read_model_config(o.config_file);
  check_objective(o, config.family(), o.config_file.c_str());
  check_vocabulary(tokenizer, config, o.config_file);
  print_warning(vocabulary_warning(tokenizer, config, o.config_file));
  set_special_tokens(o, tokenizer, config);
  check_model_config(config, o.config_file);
  check_length(o, config, o.config_file);
  return config;
}

ModelConfig config_of_model(const PretrainOptions& o, const Tokenizer& tokenizer) {
  const std::string file = (std::filesystem::path(o.model) / "config.json").string();
  ModelConfig config = read_model_config(file);
  check_objective(o, config.family(), file.c_str());
  check_vocabulary(tokenizer, config, file);
  print_warning(vocabulary_warning(tokenizer, config, file));
  check_length(o, config, file);
  return config;
}

/// The extents that were asked for, the rest as the family has it.
ModelConfig config_from_flags(const PretrainOptions& o, const Tokenizer& tokenizer) {
  const std::string usual = o.causal() ? "gpt2" : "bert";
  const Family& family = find_family(o.model_type.empty() ? usual : o.model_type, "--model_type");
  check_objective(o, family, "--model_type");
  const auto needs = [&](const char* flag, bool given, const char* field) {
    if (given && !field)
      tn::fail(flag, ": the family \"", family.model_type, "\" has no such setting");
  };
  needs("--dropout", o.shape.hidden_dropout_prob > 0, family.fields.hidden_dropout);
  needs("--num_key_value_heads", o.shape.num_key_value_heads.has_value(),
        family.fields.num_key_value_heads);
  ModelConfig config = family_defaults(family);
  config.vocab_size = tokenizer.vocabulary().size();
  config.hidden_size = o.shape.hidden_size;
  config.num_hidden_layers = o.shape.num_hidden_layers;
  config.num_attention_heads = o.shape.num_attention_heads;
  config.num_key_value_heads = o.shape.num_key_value_heads;
  config.intermediate_size = o.shape.intermediate_size;
  config.hidden_dropout_prob = o.shape.hidden_dropout_prob;
  config.attention_probs_dropout_prob = o.shape.attention_probs_dropout_prob;
  config.tie_word_embeddings = true;  // a matrix of its own is much of a small model
  set_special_tokens(o, tokenizer, config);
  config.max_position_embeddings = o.max_seq_length.value_or(64) + config.first_position();
  check_model_config(config, "pretrain");
  return config;
}

ModelConfig config_for(const PretrainOptions& o, const Tokenizer& tokenizer) {
  if (!o.model.empty()) return config_of_model(o, tokenizer);
  return o.config_file.empty() ? config_from_flags(o, tokenizer) : config_from_file(o, tokenizer);
}

/// The model's shape and tokenizer, and the tokens of one of its sequences.
struct ModelPlan {
  explicit ModelPlan(const PretrainOptions& o)
      : tokenizer(o.tokenizer == "bytes" ? std::unique_ptr<Tokenizer>(byte_tokenizer())
                                         : read_tokenizer(o.tokenizer_folder())),
        config(config_for(o, *tokenizer)),
        length(o.max_seq_length.value_or(config.longest_sequence())),
        tokenizer_folder(o.tokenizer_folder()) {}

  void write_tokenizer(const tn::OutputFolder& folder) const {
    tokenizer_folder == "bytes" ? write_byte_tokenizer(folder.path)
                                : copy_tokenizer(tokenizer_folder, folder.path);
    write_tokenizer_class(folder.path);
  }

  std::unique_ptr<Tokenizer> tokenizer;
  ModelConfig config;
  Index length;
  std::string tokenizer_folder;
};

void run_masked(const PretrainOptions& o) {
  const ModelPlan made(o);
  const TokenMasker masker(*made.tokenizer, o.mask_share);
  const auto [lines, blank] = read_corpus(o.corpus, *made.tokenizer, made.length);
  auto training = o.training_part(lines.size());
  // Pieces of one line stay together.
  while (training > 0 && training < lines.size() &&
         lines[training].place == lines[training - 1].place)
    --training;
  if (o.validated() > 0 && (training == 0 || training == lines.size()))
    tn::fail(o.corpus, ": expected lines to train on and lines to validate on, found ", training,
             " and ", lines.size() - training);
  const std::span train_lines = std::span(lines).first(training),
                  validation = std::span(lines).subspan(training);
  Weights<float> weights;
  const WeightSource source(o, made.config);
  const Backbone<float> backbone(made.config, weights, backbone_weights(source));
  source.check_layers(backbone);
  MaskedLanguageModel<float> model(backbone, head_weights(source));
  const TrainSettings train = shared_settings(o.training);
  const MaskedObjective objective(model, masker, train_lines, validation, train);
  print_backend();
  print_model("encoder", made.config, weights);
  std::cout << "corpus: " << train_lines.size() << " lines, " << validation.size()
            << " to validate, " << padding_text << std::endl;
  print_blank(blank);
  print_cut(std::ranges::count_if(lines, [](const CorpusLine& line) { return line.text.cut; }),
            made.length);
  Fingerprint data;  // of ids, which tell of the tokenizer too
  for (const CorpusLine& line : lines) data.add(std::span(line.text.ids));
  const TrainResult result = run_training(objective, train, o.training,
                                          run_settings(o, made.config, made.length, train, data),
                                          [&](const tn::OutputFolder& folder) {
                                            write_masked_model(folder, model);
                                            made.write_tokenizer(folder);
                                          });
  print_result("masked-token", result, o.training);
}

/// Tokens to train on, and those behind them to validate on.
struct Stream {
  std::vector<TokenId> tokens;
  std::size_t training = 0;
  std::span<const TokenId> train() const { return std::span(tokens).first(training); }
  std::span<const TokenId> validation() const { return std::span(tokens).subspan(training); }
};

Stream read_stream(const PretrainOptions& o, const Tokenizer& tokenizer, Index length) {
  const std::string text = read_utf8(o.corpus);
  Stream stream{tokenizer.encode(text)};
  stream.training = o.training_part(stream.tokens.size());
  const bool validated = o.validated() > 0;
  const auto needed = static_cast<std::size_t>(length) + 1;
  if (stream.training < needed || (validated && stream.tokens.size() - stream.training < needed))
    tn::fail(o.corpus, ": expected at least ", needed, " tokens (max_seq_length and one more) to ",
             "train on", validated ? ", and as many to validate on" : "", ", found ",
             stream.training, " and ", stream.tokens.size() - stream.training);
  return stream;
}

void run_causal(const PretrainOptions& o) {
  const ModelPlan made(o);
  const Stream stream = read_stream(o, *made.tokenizer, made.length);
  Weights<float> weights;
  const WeightSource source(o, made.config);
  const Backbone<float> backbone(made.config, weights, backbone_weights(source));
  source.check_layers(backbone);
  CausalLanguageModel<float> model(backbone, head_weights(source));
  print_backend();
  print_model("decoder", made.config, weights);
  std::cout << "corpus: " << stream.training << " tokens, " << stream.validation().size()
            << " to validate, " << padding_text << std::endl;
  const TrainSettings train = shared_settings(o.training);
  Fingerprint data;
  data.add(std::span(stream.tokens));
  const StreamObjective objective(model, stream.train(), stream.validation(), train, made.length);
  const TrainResult result = run_training(objective, train, o.training,
                                          run_settings(o, made.config, made.length, train, data),
                                          [&](const tn::OutputFolder& folder) {
                                            write_causal_model(folder, model);
                                            made.write_tokenizer(folder);
                                          });
  print_result("next-token", result, o.training);
}

/// Flags that the run has no use for are mistakes.
void check_flags(const CLI::App& command, const PretrainOptions& o) {
  const auto refuse = [&](const char* flag, const std::string& reason) {
    if (command.get_option(flag)->count() > 0) tn::fail(flag, ": has no meaning ", reason);
  };
  if (o.causal())
    refuse("--mlm_probability", "for --objective causal");
  else if (o.tokenizer == "bytes")
    tn::fail("--tokenizer: bytes have no mask, which --objective masked needs");
  if (o.model.empty() && o.tokenizer.empty())
    tn::fail("pretrain: expected --tokenizer for a new model, or --model, found neither");
  if (o.validated() > 0) return;
  for (const char* flag :
       {"--eval_steps", "--per_device_eval_batch_size", "--metric_for_best_model",
        "--load_best_model_at_end", "--early_stopping_patience"})
    refuse(flag, "without --validation_split_percentage");
}

void run_pretrain(const PretrainOptions& o) {
  const OutsideTraining signals;
  std::vector<std::filesystem::path> inputs;
  for (const std::string& input : {o.corpus, o.model, o.tokenizer, o.config_file})
    if (!input.empty() && input != "bytes") inputs.emplace_back(input);
  check_results_folder(o.training.output, Results::model, inputs);
  check_output(o.training);
  o.causal() ? run_causal(o) : run_masked(o);
}

/// What --config_name or --model have instead.
void add_shape_options(CLI::App& command, PretrainOptions& o, CLI::Option* model) {
  const std::string group = "Shape";
  CLI::Option* config_file =
      command
          .add_option("--config_name", o.config_file,
                      "A config.json whose family and shape the model has, instead of flags")
          ->check(not_empty("a file"))
          ->excludes(model)
          ->group(group);
  const auto add = [&](const char* flag, auto& value, const char* what) {
    return command.add_option(flag, value, what)
        ->excludes(config_file)
        ->excludes(model)
        ->group(group);
  };
  add("--model_type", o.model_type,
      "The family: an encoder for masked (default: bert), a decoder for causal (default: gpt2)")
      ->check(one_of(family_names()));
  add("--hidden_size", o.shape.hidden_size, "Width")->transform(whole_number(1));
  add("--num_hidden_layers", o.shape.num_hidden_layers, "Layers")->transform(whole_number(1));
  add("--num_attention_heads", o.shape.num_attention_heads, "Heads")->transform(whole_number(1));
  add("--num_key_value_heads", o.shape.num_key_value_heads,
      "Heads of keys and values, where queries share them (default: all)")
      ->transform(whole_number(1));
  add("--intermediate_size", o.shape.intermediate_size, "Feed-forward width")
      ->transform(whole_number(1));
  add("--dropout", o.shape.hidden_dropout_prob,
      "Of hidden states (not llama, qwen2, mistral); also written to config.json")
      ->check(number_between(0, 0.99));
}

}  // namespace

void add_pretrain(CLI::App& program) {
  auto o = std::make_shared<PretrainOptions>();
  o->shape.hidden_size = 128;
  o->shape.num_hidden_layers = 4;
  o->shape.num_attention_heads = 4;
  o->shape.intermediate_size = 512;
  o->shape.hidden_dropout_prob = 0;
  o->shape.attention_probs_dropout_prob = 0;
  TrainSettings& train = o->training.train;
  train.max_steps = 4500;
  train.batch_size = 32;
  train.eval_steps = 250;
  train.optimiser.learning_rate = 1.5e-3;
  train.optimiser.weight_decay = 0.01;
  o->training.save_strategy = "steps";
  CLI::App* command =
      add_command(program, "pretrain",
                  "Pretrain a new model, or go on with an existing one: an encoder by masked "
                  "tokens, or a decoder by next tokens");
  command->add_option("--objective", o->objective, "masked (an encoder) or causal (a decoder)")
      ->check(one_of({"masked", "causal"}));
  command
      ->add_option("--corpus,--train_file", o->corpus,
                   "Text; masked: one sentence (or two with a tab between) a line; causal: one "
                   "stream")
      ->check(not_empty("a file"))
      ->required();
  CLI::Option* model =
      command
          ->add_option("--model,--model_name_or_path", o->model,
                       "A folder with a model to go on with; without it the model is new")
          ->check(not_empty("a folder"));
  command
      ->add_option("--tokenizer,--tokenizer_name", o->tokenizer,
                   "A folder with a tokenizer, or for causal \"bytes\": one token a byte "
                   "(default: that of --model)")
      ->check(not_empty("a folder"));
  add_output_options(*command, o->training, false);
  add_shape_options(*command, *o, model);
  command->add_option("--mlm_probability", o->mask_share, "masked: share of tokens to predict")
      ->check(number_between(0.01, 0.99));
  command
      ->add_option("--max_seq_length,--block_size", o->max_seq_length,
                   "Tokens of a line or a block (default: 64, which the model then has positions "
                   "for, or all positions of --config_name or --model)")
      ->transform(whole_number(5, 1 << 16));
  command->add_option("--max_steps", train.max_steps, "Steps")->transform(whole_number(1));
  add_optimiser_options(*command, o->training);
  add_best_options(*command, o->training);
  command
      ->add_option("--validation_split_percentage", o->validation_percentage,
                   "Share of the corpus, its end, that is validated on (default: causal 10, "
                   "masked 0)")
      ->check(number_between(0, 90));
  command->callback([o, command] {
    check_flags(*command, *o);
    run_pretrain(*o);
  });
}

}  // namespace metatt::apps
