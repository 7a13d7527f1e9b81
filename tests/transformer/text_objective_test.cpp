/// Decoders that are fine-tuned on texts.

#include "decoder_testing.hpp"

#include <metatt/transformer/text_objective.hpp>

using namespace metatt;
using namespace metatt::testing;

namespace {

/// A small GPT-2.
struct ByteDecoder {
  ByteDecoder() { write_byte_decoder(folder.path()); }
  template <class T = float>
  std::unique_ptr<CausalModelFolder<T>> model(const std::string& method) const {
    return std::make_unique<CausalModelFolder<T>>(folder.path(), small_adapter(method));
  }
  std::vector<TokenText> read(const std::string& name, const std::string& contents,
                              Index length = 16) const {
    const CausalModelFolder<float> model(folder.path());
    return read_texts(folder.write(name, contents), model.tokenizer(), model.config(), length);
  }
  TemporaryFolder folder;
};

BOOST_AUTO_TEST_SUITE(text_objective)

BOOST_AUTO_TEST_CASE(lines_of_json_are_texts_and_prompts_are_given) {
  const ByteDecoder decoder;
  const std::vector<TokenText> data = decoder.read(
      "a.jsonl", "{\"text\": \"abc\"}\r\n{\"prompt\": \"ab\", \"completion\": \"cdé\"}\n");
  BOOST_TEST(std::ranges::count_if(data, &TokenText::cut) == 0);
  BOOST_TEST_REQUIRE(data.size() == 2U);
  BOOST_TEST(data[0].ids == (std::vector<TokenId>{'a', 'b', 'c', 256}),
             boost::test_tools::per_element());
  BOOST_TEST(data[0].given == 1);
  BOOST_TEST(data[1].ids == (std::vector<TokenId>{'a', 'b', 'c', 'd', 0xc3, 0xa9, 256}),
             boost::test_tools::per_element());
  BOOST_TEST(data[1].given == 2);
  const std::vector<TokenText> cut = decoder.read("b.jsonl", "{\"text\": \"abcdefgh\"}\n", 5);
  BOOST_TEST(cut[0].cut);
  BOOST_TEST(cut[0].ids == (std::vector<TokenId>{'a', 'b', 'c', 'd', 'e'}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_token_that_prompt_and_completion_share_is_predicted) {
  // "de" is one token: behind "bbd" comes not "d" but the token that reaches into the completion.
  TemporaryFolder folder;
  const ByteDecoder decoder;
  nlohmann::json tokenizer =
      parse_json(tn::read_file(decoder.folder / "tokenizer.json"), "tokenizer.json");
  auto& model = tokenizer["model"];
  model["vocab"]["de"] = 257;
  model["merges"].push_back("d e");
  write_json(folder / "tokenizer.json", tokenizer);
  const auto merging = read_tokenizer(folder.path());
  ModelConfig config = family_defaults(find_family("gpt2", "test"));
  config.eos_token_id = {256};
  const auto file = folder.write("a.jsonl",
                                 "{\"prompt\": \"bbd\", \"completion\": \"e\"}\n"
                                 "{\"prompt\": \"bb\", \"completion\": \"de\"}\n");
  const std::vector<TokenText> data = read_texts(file, *merging, config, 16);
  for (const TokenText& text : data) {
    BOOST_TEST(text.ids == (std::vector<TokenId>{'b', 'b', 257, 256}),
               boost::test_tools::per_element());
    BOOST_TEST(text.given == 2);
  }
}

BOOST_AUTO_TEST_CASE(another_file_is_one_stream_every_token_of_which_but_the_first_is_predicted) {
  const ByteDecoder decoder;
  const std::vector<TokenText> data = decoder.read("a.txt", "abcdefgh", 4);
  std::vector<std::string> pieces;
  for (const TokenText& text : data) {
    BOOST_TEST(text.given == 1);
    pieces.emplace_back(text.ids.begin(), text.ids.end());
  }
  BOOST_TEST(pieces == (std::vector<std::string>{"abcd", "defg", "gh"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_is_no_text_is_refused_by_file_and_line) {
  const ByteDecoder decoder;
  const auto refuse = [&](const std::string& contents,
                          const std::vector<std::string_view>& fragments) {
    check_error([&] { decoder.read("x.jsonl", contents); }, fragments);
  };
  const std::string good = "{\"text\": \"abc\"}\n";
  refuse("", {"x.jsonl", "no line"});
  refuse(good + "\n" + good, {"x.jsonl:2", "an empty line"});
  refuse(good + "[1]\n", {"x.jsonl:2", "\"completion\""});
  refuse(good + "{\"txt\": \"a\"}\n", {"x.jsonl:2", "expected an object with \"text\""});
  refuse("{\"text\": \"a\", \"label\": 1}\n", {"x.jsonl:1", "\"text\""});
  refuse("{\"text\": 7}\n", {"x.jsonl:1", "\"text\""});
  refuse("{\"text\": \"\"}\n", {"x.jsonl:1", "\"text\": expected a text"});
  refuse("{\"prompt\": \"a\", \"completion\": \"\"}\n", {"x.jsonl:1", "completion"});
  refuse("{\"prompt\": \"abcdefghijklmnop\", \"completion\": \"q\"}\n",
         {"x.jsonl:1", "16 tokens", "no room"});
  refuse("{\"text\": \"a\n", {"x.jsonl:1"});
  refuse(std::string("{\"text\": \"") + "\xff\"}\n", {"x.jsonl", "UTF-8", "byte 10"});
  check_error([&] { decoder.read("x.txt", "a"); }, {"x.txt", "two tokens"});
  check_error([&] { decoder.read("x.txt", "abc", 1); }, {"max_seq_length"});
}

BOOST_AUTO_TEST_CASE(the_loss_is_that_of_the_tokens_that_are_not_given) {
  const ByteDecoder decoder;
  const auto model = decoder.model<double>("full");
  const std::vector<TokenText> data = decoder.read(
      "a.jsonl", "{\"text\": \"abc\"}\n{\"prompt\": \"ab\", \"completion\": \"cd\"}\n");
  // Each token by itself, from the logits of the whole text.
  double sum = 0;
  for (const TokenText& text : data) {
    const EncodedText whole{text.ids, std::vector<TokenId>(text.ids.size(), 0)};
    const std::array<const EncodedText*, 1> one{&whole};
    Tape<double> tape;
    const auto logits =
        model->model().logits(tape, model->backbone().forward(tape, Batch::pack(one), nullptr, {}));
    for (auto k = static_cast<std::size_t>(text.given); k < text.ids.size(); ++k) {
      const auto row =
          logits.value.slice(static_cast<Index>(k) - 1, static_cast<Index>(k)).to_vector();
      double total = 0;
      for (const double logit : row) total += std::exp(logit);
      sum += std::log(total) - row[static_cast<std::size_t>(text.ids[k])];
    }
  }
  for (const Index batch_size : {1, 2}) {
    const Evaluation found = evaluate<double>(*model, data, batch_size);
    BOOST_TEST(found.loss == sum / 6, boost::test_tools::tolerance(1e-12));
    BOOST_TEST(found.metrics.front().second == std::exp(sum / 6),
               boost::test_tools::tolerance(1e-12));
  }
}

BOOST_AUTO_TEST_CASE(a_decoder_learns_completions_and_an_adapter_leaves_the_base_alone) {
  const ByteDecoder decoder;
  const std::vector<TokenText> data =
      decoder.read("a.jsonl",
                   "{\"prompt\": \"one\", \"completion\": \"1\"}\n"
                   "{\"prompt\": \"two\", \"completion\": \"2\"}\n");
  TrainSettings settings;
  settings.epochs = 150;
  settings.batch_size = 2;
  settings.dropout = false;
  settings.optimiser.learning_rate = settings.optimiser.head_learning_rate = 2e-2;
  for (const char* method : {"full", "lora", "metatt4d"}) BOOST_TEST_CONTEXT(method) {
      const auto model = decoder.model(method);
      const auto before = model->weights().value(model->backbone().word_embeddings()).to_vector();
      const TextObjective<float> objective(*model, settings, data, data);
      const double untrained = evaluate<float>(*model, data, 2).loss;
      const TrainResult result = Trainer<float>(objective, settings).run();
      BOOST_TEST(result.evaluation.loss < (std::string(method) == "full" ? 0.1 : 0.98 * untrained));
      const auto after = model->weights().value(model->backbone().word_embeddings()).to_vector();
      BOOST_TEST((before == after) == (std::string(method) != "full"));
    }
}

BOOST_AUTO_TEST_CASE(an_adapter_of_a_decoder_reads_back_and_merges) {
  const ByteDecoder decoder;
  const std::vector<TokenText> data = decoder.read("a.jsonl", "{\"text\": \"abcdefgh\"}\n");
  for (const char* method : {"lora", "metatt4d"}) BOOST_TEST_CONTEXT(method) {
      const auto model = decoder.model(method);
      randomise_adapter(*model->adapter(), model->weights());
      const double loss = evaluate<float>(*model, data, 1).loss;
      const TemporaryFolder output, merged;
      AdapterRecord record = record_of(causal_task, 16);
      record.base_model = decoder.folder.path().string();
      record.method = model->method();
      write_adapter({output.path()}, *model, record);
      const auto again = read_decoder<float>({}, output.path());
      BOOST_TEST(evaluate<float>(*again, data, 1).loss == loss);
      write_merged_model({merged.path()}, *model, record);
      const auto whole = read_decoder<float>(merged.path(), {});
      BOOST_TEST(evaluate<float>(*whole, data, 1).loss == loss, boost::test_tools::tolerance(1e-5));
    }
  check_error([&] { decoder.model("none"); }, {"no new head to train", "none"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
