/// metatt pretrain: trains a small encoder from scratch by masked-token prediction.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/results_folder.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/transformer/pretraining.hpp>

#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

struct PretrainOptions {
  std::string corpus, vocabulary, output;
  ModelConfig config;
  PretrainSettings settings;
  bool overwrite = false;
};

void run_pretrain(PretrainOptions o) {
  check_results_folder(o.output, Results::model, {});
  print_backend();
  const auto lines = read_corpus(o.corpus);
  const WordPiece tokenizer = WordPiece::from_file(o.vocabulary, {});
  tokenizer.mask_id();  // a vocabulary without it is noticed before anything is written
  o.config.vocab_size = static_cast<Index>(tokenizer.vocabulary().size());
  o.config.max_position_embeddings = o.settings.max_seq_length;
  check_model_config(o.config, "pretrain");
  Weights<float> weights;
  const auto initial = [&](const std::string& name, const Shape& shape) {
    return initial_weight<float>(name, shape, o.settings.seed);
  };
  const Backbone<float> backbone(o.config, weights, initial);
  MaskedLanguageModel<float> model(backbone, initial);
  const auto folder = tn::prepare_output_folder(o.output, o.overwrite);
  std::cout << "encoder: " << o.config.num_hidden_layers << " layers, width "
            << o.config.hidden_size << ", " << o.config.vocab_size << " tokens, "
            << weights.total_count() << " parameters; corpus: " << lines.size() << " lines"
            << std::endl;
  Progress progress(o.settings.steps);
  Index tokens = 0;
  double seconds = 0;
  const auto show = [&](const PretrainStep& step) {
    tokens += step.tokens;
    seconds = step.seconds;
    progress.update(step.step, "loss " + fixed(step.loss, 4) + "  " +
                                   fixed(static_cast<double>(tokens) / seconds, 0) + " tokens/s");
  };
  double loss = 0;
  try {
    loss = pretrain(model, tokenizer, lines, o.settings, show);
  } catch (const Diverged& error) {
    progress.clear();
    write_pretrained(folder, model, tokenizer);
    tn::fail(error.what(), "; the last good state is in ", folder.path.string());
  }
  progress.clear();
  write_pretrained(folder, model, tokenizer);
  std::cout << "result: masked-token loss " << fixed(loss, 4) << ", " << fixed(seconds, 1)
            << " s, output " << folder.path.string() << std::endl;
}

}  // namespace

void add_pretrain(CLI::App& program) {
  auto o = std::make_shared<PretrainOptions>();
  o->config.hidden_size = 128;
  o->config.num_hidden_layers = 4;
  o->config.num_attention_heads = 4;
  o->config.intermediate_size = 512;
  o->config.hidden_dropout_prob = 0;
  o->config.attention_probs_dropout_prob = 0;
  o->settings.optimiser.learning_rate = 1.5e-3;
  o->settings.optimiser.weight_decay = 0.01;
  CLI::App* command = add_command(program, "pretrain",
                                  "Train a small encoder from scratch by masked-token prediction");
  command
      ->add_option("--corpus", o->corpus, "Text, one sentence (or two with a tab between) a line")
      ->check(not_empty("a file"))
      ->required();
  command->add_option("--vocab", o->vocabulary, "vocab.txt, one WordPiece entry a line")
      ->check(not_empty("a file"))
      ->required();
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
  command->add_option("--intermediate_size", o->config.intermediate_size, "Feed-forward width")
      ->transform(whole_number(1));
  command
      ->add_option("--dropout", o->config.hidden_dropout_prob,
                   "Of hidden states; also written to config.json")
      ->check(number_between(0, 0.99));
  command->add_option("--mlm_probability", o->settings.mask_share, "Share of tokens to predict")
      ->check(number_between(0.01, 0.99));
  command->add_option("--max_seq_length", o->settings.max_seq_length, "Positions of the model")
      ->transform(whole_number(5, 1 << 16));
  command->add_option("--max_steps", o->settings.steps, "Steps")->transform(whole_number(1));
  command->add_option("--per_device_train_batch_size", o->settings.batch_size, "Lines a step")
      ->transform(whole_number(1));
  command->add_option("--learning_rate", o->settings.optimiser.learning_rate, "Peak learning rate")
      ->check(positive_number());
  command->add_option("--weight_decay", o->settings.optimiser.weight_decay, "AdamW's decay")
      ->check(non_negative_number());
  command
      ->add_option("--warmup_ratio", o->settings.warmup_ratio,
                   "Share of steps with rising learning rate")
      ->check(number_between(0, 1));
  command->add_option("--seed", o->settings.seed, "Of weights, order and masks")
      ->transform(seed_number());
  command->callback([o] { run_pretrain(*o); });
}

}  // namespace metatt::apps
