#include "../fixture_testing.hpp"
#include "model_testing.hpp"

#include <metatt/transformer/masked_objective.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>
#include <metatt/transformer/tokenizers/wordpiece.hpp>

#include <limits>
#include <numeric>
#include <set>

using namespace metatt;
using namespace metatt::testing;

namespace {

/// Five special tokens and 19 words "a" … "s", which the lines of a corpus are made of.
WordPiece letters() {
  std::vector<std::string> vocabulary{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  for (char letter = 'a'; letter <= 's'; ++letter) vocabulary.emplace_back(1, letter);
  return WordPiece(vocabulary, {}, "vocab.txt");
}

constexpr std::int32_t mask = 4, first_word = 5, words = 19;

/// [CLS], `length` words and [SEP].
EncodedText text(const WordPiece& tokenizer, Index length, std::int32_t step) {
  EncodedText result;
  result.ids.push_back(tokenizer.classification_id());
  for (Index i = 0; i < length; ++i)
    result.ids.push_back(first_word + (static_cast<std::int32_t>(i) * step) % words);
  result.ids.push_back(tokenizer.separator_id());
  result.type_ids.assign(result.ids.size(), 0);
  return result;
}

/// One batch of a thousand texts of twenty words.
struct ManyTexts {
  ManyTexts() {
    for (std::int32_t i = 0; i < 1000; ++i) texts.push_back(text(tokenizer, 20, 1 + i % 18));
    for (const auto& t : texts) pointers.push_back(&t);
  }
  MaskedBatch masked(double share, std::uint64_t step = 0, std::uint64_t seed = 42) const {
    return TokenMasker(tokenizer, share).mask(pointers, seed, 1000 * step);
  }
  std::vector<std::int32_t> ids() const { return Batch::pack(pointers).ids.to_vector(); }

  WordPiece tokenizer = letters();
  std::vector<EncodedText> texts;
  std::vector<const EncodedText*> pointers;
};

/// A model of the small shape that predicts tokens.
struct SmallPretraining {
  SmallPretraining() {
    corpus.write("corpus.txt", "a a a a\nb b b b\n\nc c c c\nd d d\td d d\n");
    lines = read_corpus(corpus / "corpus.txt", tokenizer, 16).lines;
    corpus.write("validation.txt", "a b c d e\nf\tg h\ni j k l m n o p\n");
    validation = read_corpus(corpus / "validation.txt", tokenizer, 16).lines;
    settings.max_steps = 120;
    settings.batch_size = 4;
    settings.optimiser.learning_rate = 1e-2;
  }
  static Tensor<float> initial(const std::string& name, const Shape& shape) {
    return initial_weight<float>(name, shape, 1);
  }
  MaskedObjective objective(std::span<const CorpusLine> validated) const {
    return MaskedObjective(model, masker, lines, validated, settings);
  }
  std::vector<double> losses() {
    std::vector<double> result;
    const MaskedObjective objective = this->objective({});
    TrainObserver observer;
    observer.step = [&](const StepReport& step) { result.push_back(step.loss); };
    Trainer<float>(objective, settings, observer).run();
    return result;
  }

  WordPiece tokenizer = letters();
  TokenMasker masker{tokenizer, 0.4};
  TemporaryFolder corpus;
  std::vector<CorpusLine> lines, validation;
  TrainSettings settings;
  Weights<float> weights;
  Backbone<float> backbone{small_config(), weights, initial};
  MaskedLanguageModel<float> model{backbone, initial};
};

BOOST_AUTO_TEST_SUITE(pretraining)

BOOST_AUTO_TEST_CASE(the_share_of_hidden_tokens_is_the_one_asked_for) {
  const ManyTexts many;
  for (const double share : {0.15, 0.4}) {
    // 20,000 words, and one of each text of which none was picked: five standard deviations of a
    // binomial number.
    const double expected = share * 20000 + 1000 * std::pow(1 - share, 20),
                 deviation = std::sqrt(20000 * share * (1 - share));
    const auto count = static_cast<double>(many.masked(share).rows.size());
    BOOST_TEST(std::abs(count - expected) < 5 * deviation);
  }
}

BOOST_AUTO_TEST_CASE(labels_are_what_stood_there_and_nothing_else_changes) {
  const ManyTexts many;
  const auto before = many.ids();
  const MaskedBatch masked = many.masked(0.4);
  const auto after = masked.batch.ids.to_vector();
  const auto rows = masked.rows.to_vector(), labels = masked.labels.to_vector();
  const std::set<std::int32_t> picked(rows.begin(), rows.end());
  BOOST_TEST(picked.size() == rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<std::size_t>(rows[i]);
    BOOST_REQUIRE(before[row] == labels[i]);
    BOOST_REQUIRE(labels[i] >= first_word);  // never a special token
  }
  for (std::size_t row = 0; row < before.size(); ++row)
    if (!picked.count(static_cast<std::int32_t>(row))) BOOST_REQUIRE(before[row] == after[row]);
}

BOOST_AUTO_TEST_CASE(of_the_picked_80_percent_are_hidden_and_10_percent_stay) {
  const ManyTexts many;
  const auto before = many.ids();
  const MaskedBatch masked = many.masked(0.4);
  const auto after = masked.batch.ids.to_vector();
  double hidden = 0, same = 0;
  for (const auto row : masked.rows.to_vector()) {
    const auto i = static_cast<std::size_t>(row);
    hidden += after[i] == mask;
    same += after[i] == before[i];
  }
  const auto count = static_cast<double>(masked.rows.size());
  // A random one of the 24 tokens is [MASK], or the right one, by chance.
  const double expected_hidden = 0.8 + 0.1 / 24, expected_same = 0.1 + 0.1 / 24;
  const auto deviation = [&](double p) { return 5 * std::sqrt(p * (1 - p) / count); };
  BOOST_TEST(std::abs(hidden / count - expected_hidden) < deviation(expected_hidden));
  BOOST_TEST(std::abs(same / count - expected_same) < deviation(expected_same));
}

BOOST_AUTO_TEST_CASE(hidden_tokens_follow_from_seed_and_place) {
  const ManyTexts many;
  BOOST_TEST(many.masked(0.15, 3).rows.to_vector() == many.masked(0.15, 3).rows.to_vector(),
             boost::test_tools::per_element());
  BOOST_TEST((many.masked(0.15, 3).rows.to_vector() != many.masked(0.15, 4).rows.to_vector()));
  BOOST_TEST((many.masked(0.15, 3, 1).rows.to_vector() != many.masked(0.15, 3).rows.to_vector()));
}

BOOST_AUTO_TEST_CASE(every_text_has_a_token_to_predict) {
  const WordPiece tokenizer = letters();
  const EncodedText one = text(tokenizer, 1, 1);
  const std::vector<const EncodedText*> texts{&one};
  for (std::uint64_t step = 0; step < 20; ++step) {
    const MaskedBatch masked = TokenMasker(tokenizer, 0.01).mask(texts, 1, step);
    BOOST_TEST(masked.rows.to_vector() == std::vector<std::int32_t>{1},
               boost::test_tools::per_element());
    BOOST_TEST(masked.labels.to_vector() == std::vector<std::int32_t>{one.ids[1]},
               boost::test_tools::per_element());
  }
  const EncodedText none = text(tokenizer, 0, 1);
  const std::vector<const EncodedText*> empty{&none};
  BOOST_TEST(TokenMasker(tokenizer, 0.15).can_predict(one));
  BOOST_TEST(!TokenMasker(tokenizer, 0.15).can_predict(none));
  check_error([&] { TokenMasker(tokenizer, 0.15).mask(empty, 1, 0); }, {"no token to predict"});
}

BOOST_AUTO_TEST_CASE(a_share_outside_0_to_1_is_refused) {
  const ManyTexts many;
  for (const double share : {0.0, 1.0, -0.1, std::numeric_limits<double>::quiet_NaN()})
    check_error([&] { many.masked(share); }, {"mlm_probability", "between 0 and 1"});
}

BOOST_AUTO_TEST_CASE(any_tokenizer_with_a_mask_will_do) {
  const TemporaryFolder folder;
  write_byte_tokenizer(folder.path());
  check_error([&] { TokenMasker(*read_tokenizer(folder.path()), 0.15); },
              {"tokenizer.json", "[MASK] or <mask>"});
  auto file = read_json(folder / "tokenizer.json");
  auto token = file["added_tokens"][0];
  token["content"] = "<mask>";
  token["id"] = 257;
  file["added_tokens"].push_back(token);
  write_json(folder / "tokenizer.json", file);
  const auto tokenizer = read_tokenizer(folder.path());
  const EncodedText one = tokenizer->encode_pair("aaaaaaaa<|endoftext|>", std::nullopt, 100);
  BOOST_TEST(one.ids.size() == 9u);
  const std::vector<const EncodedText*> texts{&one};
  int hidden = 0;
  for (std::uint64_t stream = 0; stream < 50; ++stream) {
    const MaskedBatch masked = TokenMasker(*tokenizer, 0.9).mask(texts, 1, stream);
    for (const auto row : masked.rows.to_vector()) BOOST_TEST(row < 8);  // not the special one
    for (const auto id : masked.batch.ids.to_vector()) hidden += id == 257;
  }
  BOOST_TEST(hidden > 200);  // of 8 × 50 tokens 0.9 × 0.8
}

BOOST_AUTO_TEST_CASE(a_model_without_an_opinion_has_the_vocabulary_as_perplexity) {
  SmallPretraining small;
  const auto& embeddings = small.backbone.word_embeddings();
  small.weights.set_value(embeddings, Tensor<float>::zeros(small.weights.shape(embeddings)));
  const MaskedObjective objective = small.objective(small.validation);
  BOOST_TEST(objective.metrics() == (std::vector<std::string>{"loss", "perplexity"}),
             boost::test_tools::per_element());
  const auto evaluation = objective.evaluate();
  BOOST_TEST(std::abs(evaluation->loss - std::log(24.0)) < 1e-6);
  BOOST_TEST(std::abs(evaluation->metrics[0].second - 24) < 1e-4);
  const SmallPretraining other;
  const MaskedObjective none = other.objective({});
  BOOST_TEST(!none.evaluate());
  BOOST_TEST(none.metrics().empty());
}

BOOST_AUTO_TEST_CASE(the_validation_loss_depends_on_neither_batch_nor_seed) {
  std::vector<double> losses;
  for (const Index batch : {1, 2, 3})
    for (const std::uint64_t seed : {1, 2}) {
      SmallPretraining small;
      small.settings.eval_batch_size = batch;
      small.settings.seed = seed;
      // Large, so that lines have different losses.
      const auto embeddings = small.backbone.word_embeddings();
      small.weights.set_value(embeddings,
                              random_weight<float>("words", small.weights.shape(embeddings)));
      losses.push_back(small.objective(small.validation).evaluate()->loss);
    }
  for (const double loss : losses) BOOST_TEST(std::abs(loss - losses[0]) < 1e-6 * losses[0]);
}

BOOST_AUTO_TEST_CASE(parts_of_a_batch_hide_what_the_batch_would) {
  const auto gradients = [](Index batch_size, Index parts) {
    SmallPretraining small;
    small.settings.batch_size = batch_size;
    small.settings.gradient_accumulation_steps = parts;
    small.settings.max_steps = 1;
    small.settings.dropout = false;
    double norm = 0;
    const MaskedObjective objective = small.objective({});
    TrainObserver observer;
    observer.step = [&](const StepReport& step) { norm = step.gradient_norm; };
    Trainer<float>(objective, small.settings, observer).run();
    return norm;
  };
  BOOST_TEST(std::abs(gradients(4, 1) - gradients(1, 4)) < 1e-5 * gradients(4, 1));
  BOOST_TEST(std::abs(gradients(4, 1) - gradients(2, 2)) < 1e-5 * gradients(4, 1));
}

BOOST_AUTO_TEST_CASE(lines_that_the_model_cannot_learn_from_are_named) {
  SmallPretraining small;
  const auto refuse = [&](const std::string& text, const std::vector<std::string_view>& fragments) {
    small.corpus.write("corpus.txt", text);
    check_error(
        [&] {
          const auto corpus = read_corpus(small.corpus / "corpus.txt", small.tokenizer, 16);
          MaskedObjective(small.model, small.masker, corpus.lines, {}, small.settings);
        },
        fragments);
  };
  refuse("a b\n\n\xC2\xA0\n", {"masked tokens", "line 3", "special ones only"});
  refuse("a b\n\xE9\n", {"corpus.txt", "expected UTF-8"});
  refuse("a b\n" + std::string(1, '\0'), {"corpus.txt", "a zero at byte 4"});
  refuse(" \n\t\n", {"corpus.txt", "expected lines"});
  auto lines = read_corpus(small.corpus.write("corpus.txt", "a\tb\n"), small.tokenizer, 16).lines;
  lines[0].text.type_ids.back() = 2;
  check_error([&] { MaskedObjective(small.model, small.masker, lines, {}, small.settings); },
              {"line 1", "type 2", "type_vocab_size 2"});
}

BOOST_AUTO_TEST_CASE(a_long_line_becomes_several_texts_and_loses_nothing) {
  SmallPretraining small;
  std::string line;
  for (int i = 0; i < 45; ++i) line += std::string(1, static_cast<char>('a' + i % 16)) + " ";
  const std::string pair = line + "\t" + line;
  const auto [lines, blank] =
      read_corpus(small.corpus.write("corpus.txt", "a b\n" + line + "\n\n" + pair + "\n \n"),
                  small.tokenizer, 16);
  BOOST_TEST(blank == 2);
  // 14 of the tokens have room between [CLS] and [SEP]: 14, 14, 14 and 3.
  BOOST_REQUIRE(lines.size() == 1u + 4 + 1);
  std::vector<TokenId> joined;
  for (std::size_t i = 1; i < 5; ++i) {
    const auto& ids = lines[i].text.ids;
    BOOST_TEST(ids.size() == (i < 4 ? 16u : 5u));
    BOOST_TEST(ids.front() == lines[0].text.ids.front());
    BOOST_TEST(ids.back() == lines[0].text.ids.back());
    BOOST_TEST(lines[i].place == 1);
    BOOST_TEST(!lines[i].text.cut);
    joined.insert(joined.end(), ids.begin() + 1, ids.end() - 1);
  }
  BOOST_TEST(joined == small.tokenizer.encode(line), boost::test_tools::per_element());
  BOOST_TEST(lines[5].text.cut);
  check_error([&] { small.tokenizer.encode_pieces("a", 2); }, {"encode_pieces", "above 2"});
}

BOOST_AUTO_TEST_CASE(pretraining_lowers_the_loss_and_repeats_bit_for_bit) {
  SmallPretraining first, second;
  const auto losses = first.losses();
  BOOST_TEST(losses.size() == 120u);
  const auto mean = [](auto begin, auto end) {
    return std::accumulate(begin, end, 0.0) / static_cast<double>(end - begin);
  };
  BOOST_TEST(mean(losses.end() - 20, losses.end()) <
             0.6 * mean(losses.begin(), losses.begin() + 20));
  BOOST_TEST(losses == second.losses(), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_exploding_run_names_step_and_lines_and_keeps_good_weights) {
  SmallPretraining small;
  small.settings.optimiser.learning_rate = 1e30;
  small.settings.warmup_ratio = 0;
  const auto stopped = [](const Diverged& error) {
    const std::string message = error.what();
    return message.find("training stopped at step ") != std::string::npos &&
           message.find("the batch holds lines ") != std::string::npos;
  };
  BOOST_CHECK_EXCEPTION(small.losses(), Diverged, stopped);
  // The first update alone would make them 1e30.
  for (const auto& kept : small.weights.trainable_values())
    for (const float value : kept.tensor.to_vector()) BOOST_REQUIRE(std::abs(value) < 10);
}

BOOST_AUTO_TEST_CASE(an_empty_corpus_is_refused) {
  SmallPretraining small;
  small.lines.clear();
  check_error([&] { small.losses(); }, {"pretrain", "no line"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
