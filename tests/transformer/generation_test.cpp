/// Sampling, decoders from scratch and their texts.

#include "model_testing.hpp"

#include <metatt/transformer/causal_model_files.hpp>
#include <metatt/transformer/generation.hpp>
#include <metatt/transformer/stream_objective.hpp>
#include <metatt/transformer/tokenizers/byte_level.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>

#include <map>

using namespace metatt;
using namespace metatt::testing;

namespace {

/// A decoder of two layers and width 16 with 257 tokens, its weights fresh.
struct SmallDecoder {
  explicit SmallDecoder(const char* family = "gpt2") {
    config = family_defaults(find_family(family, "test"));
    config.hidden_size = 16;
    config.num_hidden_layers = config.num_attention_heads = 2;
    config.intermediate_size = 32;
    config.max_position_embeddings = 16;
    config.vocab_size = 257;
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0;
    config.embedding_dropout = 0;
    config.tie_word_embeddings = true;
    check_model_config(config, "test");
    const InitialWeight<float> initial = [](const std::string& name, const Shape& shape) {
      return initial_weight<float>(name, shape, 3);
    };
    backbone.emplace(config, weights, initial);
    model.emplace(*backbone, initial);
  }
  ModelConfig config;
  Weights<float> weights;
  std::optional<Backbone<float>> backbone;
  std::optional<CausalLanguageModel<float>> model;
};

/// "abcd" over and over, in bytes.
std::vector<std::int32_t> abcd(std::size_t count) {
  std::vector<std::int32_t> tokens;
  for (std::size_t i = 0; i < count; ++i) tokens.push_back('a' + static_cast<int>(i % 4));
  return tokens;
}

TrainSettings four_blocks_a_step(Index steps) {
  TrainSettings settings;
  settings.max_steps = steps;
  settings.batch_size = 4;
  settings.seed = 7;
  return settings;
}

BOOST_AUTO_TEST_SUITE(generation)

BOOST_AUTO_TEST_CASE(tokens_come_as_often_as_their_probabilities_say) {
  const std::vector<float> logits{std::log(0.5f), std::log(0.3f), std::log(0.15f), std::log(0.05f)};
  const auto shares = [&](const SamplingSettings& settings) {
    std::vector<double> result(4);
    for (std::uint64_t step = 0; step < 20000; ++step)
      result[static_cast<std::size_t>(sample_token(logits, settings, step))] += 1 / 20000.0;
    return result;
  };
  const auto check = [&](const SamplingSettings& settings, const std::vector<double>& expected) {
    const auto found = shares(settings);
    for (std::size_t i = 0; i < 4; ++i) BOOST_TEST(std::abs(found[i] - expected[i]) < 0.015);
  };
  check({}, {0.5, 0.3, 0.15, 0.05});
  check({.temperature = 0.5}, {0.25 / 0.365, 0.09 / 0.365, 0.0225 / 0.365, 0.0025 / 0.365});
  check({.top_k = 2}, {0.625, 0.375, 0, 0});
  check({.top_p = 0.75}, {0.625, 0.375, 0, 0});  // the likeliest that reach it together
  check({.top_p = 0.5}, {1, 0, 0, 0});
  check({.temperature = 0}, {1, 0, 0, 0});
  check({.vocabulary = 2}, {0.625, 0.375, 0, 0});
  check({.vocabulary = 9}, {0.5, 0.3, 0.15, 0.05});
  BOOST_TEST(sample_token(logits, {.seed = 1}, 5) == sample_token(logits, {.seed = 1}, 5));
  BOOST_TEST((shares({.seed = 1}) != shares({.seed = 2})));
}

BOOST_AUTO_TEST_CASE(ties_go_to_the_lower_number_and_logits_that_are_none_are_refused) {
  const std::vector<float> ties{1, 2, 2, 2};
  BOOST_TEST(sample_token(ties, {.temperature = 0}, 0) == 1);
  BOOST_TEST(sample_token(ties, {.top_k = 1}, 0) == 1);
  BOOST_TEST(sample_token(ties, {.temperature = 0, .vocabulary = 1}, 0) == 0);
  const std::vector<float> broken{1, std::nanf(""), 0};
  check_error([&] { sample_token(broken, {}, 0); }, {"token 1", "nan"});
  check_error([] { check_sampling({.max_new_tokens = 0}); }, {"max_new_tokens"});
  check_error([] { check_sampling({.temperature = -1}); }, {"temperature", "-1"});
  check_error([] { check_sampling({.top_k = -1}); }, {"top_k"});
  check_error([] { check_sampling({.top_p = 0}); }, {"top_p"});
  check_error([] { check_sampling({.vocabulary = -1}); }, {"vocabulary", "-1"});
}

BOOST_AUTO_TEST_CASE(a_decoder_learns_a_pattern_and_goes_on_with_it) {
  for (const char* family : {"gpt2", "llama"}) BOOST_TEST_CONTEXT(family) {
      SmallDecoder decoder(family);
      const auto tokens = abcd(400);
      const double before = causal_loss(*decoder.model, tokens, 8, 4);
      BOOST_TEST(std::abs(before - std::log(257.0)) < 0.2);
      TrainSettings settings = four_blocks_a_step(200);
      settings.warmup_ratio = 0.1;
      settings.schedule = ScheduleShape::cosine;
      settings.optimiser.learning_rate = 1e-2;
      const StreamObjective objective(*decoder.model, tokens, {}, settings, 8);
      Index steps = 0;
      TrainObserver observer;
      observer.step = [&](const StepReport& step) {
        BOOST_TEST(step.step == ++steps);
        BOOST_TEST(step.tokens == 32);
      };
      Trainer<float>(objective, settings, observer).run();
      BOOST_TEST(steps == 200);
      BOOST_TEST(causal_loss(*decoder.model, tokens, 8, 4) < 0.1);
      std::string text;
      const std::vector<std::int32_t> prompt{'a', 'b'};
      const auto end = generate(*decoder.model, nullptr, prompt, {}, {.temperature = 0},
                                [&](std::int32_t token) {
                                  text += static_cast<char>(token);
                                  return true;
                                });
      BOOST_TEST(text == "cdabcdabcdabcda");  // up to the 17th position, which is none
      BOOST_TEST((end == GenerationEnd::positions));
    }
}

BOOST_AUTO_TEST_CASE(the_same_seed_gives_the_same_bits) {
  const auto trained = [] {
    SmallDecoder decoder;
    const TrainSettings settings = four_blocks_a_step(5);
    const auto tokens = abcd(100);
    Trainer<float>(StreamObjective(*decoder.model, tokens, {}, settings, 8), settings).run();
    return decoder.weights.value(decoder.backbone->word_embeddings()).to_vector();
  };
  BOOST_TEST((trained() == trained()));
}

BOOST_AUTO_TEST_CASE(a_text_ends_at_an_end_token_or_when_it_is_told_to) {
  SmallDecoder decoder;
  const std::vector<std::int32_t> prompt{'a'};
  const auto run = [&](std::vector<std::int32_t> ends, const SamplingSettings& settings, int stop) {
    int count = 0;
    return std::pair(generate(*decoder.model, nullptr, prompt, ends, settings,
                              [&](std::int32_t) { return ++count != stop; }),
                     count);
  };
  std::vector<std::int32_t> every(257);
  for (std::int32_t i = 0; i < 257; ++i) every[static_cast<std::size_t>(i)] = i;
  BOOST_TEST((run(every, {}, 0) == std::pair(GenerationEnd::end_token, 0)));
  BOOST_TEST((run({}, {.max_new_tokens = 4}, 0) == std::pair(GenerationEnd::max_new_tokens, 4)));
  BOOST_TEST((run({}, {}, 2) == std::pair(GenerationEnd::stopped, 2)));
  BOOST_TEST((run({}, {}, 0) == std::pair(GenerationEnd::positions, 16)));
  check_error([&] { generate(*decoder.model, nullptr, {}, {}, {}, {}); }, {"no token"});
  check_error([&] { generate(*decoder.model, nullptr, abcd(17), {}, {}, {}); },
              {"17 tokens", "16"});
  int last = 0;  // a token needs a position only for the one behind it
  const auto end = generate(*decoder.model, nullptr, abcd(16), {},
                            {.max_new_tokens = std::numeric_limits<Index>::max()},
                            [&](std::int32_t) { return ++last > 0; });
  BOOST_TEST((end == GenerationEnd::positions));
  BOOST_TEST(last == 1);
  check_error(
      [&] {
        const auto tokens = abcd(8);
        const StreamObjective objective(*decoder.model, tokens, {}, four_blocks_a_step(5), 8);
      },
      {"at least 9 tokens", "found 8"});
  check_error([&] { causal_loss(*decoder.model, std::vector<std::int32_t>(20, 257), 8, 4); },
              {"token 257", "257 tokens"});
  check_error([&] { causal_loss(*decoder.model, abcd(20), 8, 0); }, {"batch_size"});
}

BOOST_AUTO_TEST_CASE(a_written_decoder_reads_back_with_its_tokenizer) {
  SmallDecoder decoder;
  const TemporaryFolder folder;
  const auto output = tn::prepare_output_folder((folder / "model").string(), false);
  write_causal_model(output, *decoder.model);
  write_byte_tokenizer(output.path);
  const CausalModelFolder<float> again(output.path);
  BOOST_TEST((again.config() == decoder.config));
  BOOST_TEST(causal_loss(again.model(), abcd(33), 8, 4) ==
             causal_loss(*decoder.model, abcd(33), 8, 4));
  const std::string text = "a\n é \xF0\x9F\x98\x80<|endoftext|>b";
  const auto ids = again.tokenizer().encode(text);
  BOOST_TEST(ids.size() == 12U);
  BOOST_TEST(ids == byte_tokenizer()->encode(text), boost::test_tools::per_element());
  BOOST_TEST(again.tokenizer().decode(ids, true) == text);

  ModelConfig fewer = decoder.config;
  fewer.vocab_size = 256;
  check_error([&] { check_vocabulary(again.tokenizer(), fewer, "a config"); },
              {(output / "tokenizer.json").string(), "257", "a config", "256"});
  const auto warning = [&](Index vocab_size) {
    ModelConfig more = decoder.config;
    more.vocab_size = vocab_size;
    return vocabulary_warning(again.tokenizer(), more, "a config");
  };
  const std::string file = (output / "tokenizer.json").string();
  BOOST_TEST(warning(257) == "");
  BOOST_TEST(warning(257 + 127) == file + ": 257 entries, but a config says vocab_size 384");
  BOOST_TEST(warning(257 + 128) ==
             file +
                 ": 257 entries, but a config says vocab_size 385: is it the model's tokenizer?");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
