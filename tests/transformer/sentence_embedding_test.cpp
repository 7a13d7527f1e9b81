/// Sentence embeddings against sentence-transformers, which wrote fixtures/sentences (README.md
/// there), and what of its folders is refused.

#include "../fixture_testing.hpp"
#include "model_testing.hpp"

#include <metatt/transformer/sentence_embedding.hpp>

#include <tuple>

using namespace metatt;
using namespace metatt::testing;
using boost::unit_test::precondition;

namespace {

using Types = std::tuple<float, double>;
constexpr std::array names{"bert_tanh", "roberta", "distilbert"};

/// A folder of fixtures/sentences with its encoder.
struct SentenceFolder : FixtureFolder {
  explicit SentenceFolder(const std::string& name)
      : FixtureFolder("sentences", name, name == "roberta" ? "0_Transformer" : "."),
        texts(golden["texts"].get<std::vector<std::string>>()) {}
  /// The golden embeddings, one after the other.
  template <class T>
  std::vector<T> embeddings() const {
    std::vector<T> all;
    for (const auto& row : golden["embeddings"].get<std::vector<std::vector<T>>>())
      all.insert(all.end(), row.begin(), row.end());
    return all;
  }
  /// Changes fields of a JSON file; null removes one.
  void change(const std::string& file, const nlohmann::json& changes) const {
    auto fields = read_json(path() / file);
    for (const auto& [field, value] : changes.items())
      value.is_null() ? static_cast<void>(fields.erase(field))
                      : static_cast<void>(fields[field] = value);
    write_json(path() / file, fields);
  }
  /// With such changes the folder is refused, and the error has the fragments.
  void refuse(const std::string& file, const nlohmann::json& changes,
              const std::vector<std::string_view>& fragments) const {
    const std::string before = tn::read_file(path() / file);
    change(file, changes);
    check_error([&] { SentenceEncoder<float> encoder(path()); }, fragments);
    write(file, before);
  }

  std::vector<std::string> texts;
};

template <class T>
std::vector<T> embed(const SentenceEncoder<T>& encoder, const std::vector<std::string>& texts) {
  std::vector<EncodedText> encoded;
  for (const std::string& text : texts) encoded.push_back(encoder.encode(text).tokens);
  std::vector<const EncodedText*> batch;
  for (const EncodedText& text : encoded) batch.push_back(&text);
  return encoder.embed(batch).to_vector();
}

BOOST_AUTO_TEST_SUITE(sentence_embedding)

BOOST_AUTO_TEST_CASE_TEMPLATE(embeddings_are_those_of_sentence_transformers, T, Types) {
  for (const char* name : names) BOOST_TEST_CONTEXT(name) {
      const SentenceFolder folder(name);
      const SentenceEncoder<T> encoder(folder.path());
      BOOST_TEST(encoder.max_length() == folder.golden["max_length"].get<Index>());
      BOOST_TEST(encoder.width() == 8);
      BOOST_TEST(largest_difference(folder.embeddings<T>(), embed(encoder, folder.texts)) <
                 (sizeof(T) == 4 ? 1e-5 : 1e-10));
    }
}

BOOST_AUTO_TEST_CASE(a_text_gets_the_same_alone_and_in_company) {
  for (const char* name : names) BOOST_TEST_CONTEXT(name) {
      const SentenceFolder folder(name);
      const SentenceEncoder<double> encoder(folder.path());
      std::vector<double> alone;
      for (const std::string& text : folder.texts) {
        const auto row = embed(encoder, {text});
        alone.insert(alone.end(), row.begin(), row.end());
      }
      BOOST_TEST(largest_difference(alone, embed(encoder, folder.texts)) < 1e-13);
    }
}

BOOST_AUTO_TEST_CASE(a_long_text_is_cut_to_the_length_that_the_folder_says) {
  const SentenceFolder folder("bert_tanh");
  const SentenceEncoder<double> encoder(folder.path());
  const auto long_text = encoder.encode("a b c d e f a b"), fits = encoder.encode("a b c d e f");
  BOOST_TEST(long_text.cut);
  BOOST_TEST(!fits.cut);
  BOOST_TEST(fits.tokens.ids.size() == 8U);
  BOOST_TEST(long_text.tokens.ids == fits.tokens.ids, boost::test_tools::per_element());
  folder.change("sentence_bert_config.json", {{"max_seq_length", nullptr}});
  BOOST_TEST(SentenceEncoder<double>(folder.path()).max_length() == 20);  // positions of the model
}

BOOST_AUTO_TEST_CASE(modules_that_would_give_other_embeddings_are_refused_by_name) {
  const SentenceFolder folder("bert_tanh");
  const std::string pooling = "1_Pooling/config.json";
  folder.refuse(pooling, {{"pooling_mode_max_tokens", true}}, {pooling, "pooling_mode_max_tokens"});
  folder.refuse(pooling, {{"pooling_mode_lasttoken", true}}, {pooling, "pooling_mode_lasttoken"});
  folder.refuse(pooling, {{"pooling_mode_cls_token", true}}, {pooling, "found both"});
  folder.refuse(pooling, {{"pooling_mode_mean_tokens", false}}, {pooling, "found neither"});
  folder.refuse(pooling, {{"pooling_mode_mean_tokens", nullptr}},
                {pooling, "pooling_mode_mean_tokens"});
  folder.refuse(pooling, {{"word_embedding_dimension", 9}},
                {"word_embedding_dimension is 9", "8 numbers"});
  const std::string modules = "modules.json";
  const auto entry = [](const char* type) {
    return nlohmann::json{{"path", ""},
                          {"type", std::string("sentence_transformers.models.") + type}};
  };
  const auto refuse_modules = [&](const nlohmann::json& entries, std::string_view fragment) {
    const std::string before = tn::read_file(folder / modules);
    write_json(folder / modules, entries);
    check_error([&] { SentenceEncoder<float> encoder(folder.path()); }, {modules, fragment});
    folder.write(modules, before);
  };
  refuse_modules({entry("Transformer"), entry("Dense")}, "\"Dense\" as module 1");
  refuse_modules(nlohmann::json::array({entry("Transformer")}), "1 modules");
  refuse_modules({entry("Transformer"), entry("Pooling"), entry("Normalize"), entry("Normalize")},
                 "\"Normalize\" as module 3");
  refuse_modules("Transformer", "an array");
  for (const char* elsewhere : {"../elsewhere", "/elsewhere"}) {
    auto module = entry("Transformer");
    module["path"] = elsewhere;
    refuse_modules({module, entry("Pooling")}, elsewhere);
  }
  const std::string length = "sentence_bert_config.json";
  folder.refuse(length, {{"max_seq_length", 21}}, {length, "3 ", "… 20", "found 21"});
  folder.refuse(length, {{"max_seq_length", 2}}, {length, "found 2"});
  folder.refuse(length, {{"do_lower_case", true}}, {length, "do_lower_case"});
  folder.write("config_sentence_transformers.json", R"({"default_prompt_name": "query"})");
  check_error([&] { SentenceEncoder<float> encoder(folder.path()); },
              {"config_sentence_transformers.json", "default_prompt_name", "query"});
  folder.write("config_sentence_transformers.json", R"({"default_prompt_name": null})");
  BOOST_TEST(SentenceEncoder<float>(folder.path()).settings().normalise);
}

BOOST_AUTO_TEST_CASE(decoders_and_batches_without_tokens_are_refused) {
  check_error([] { SentenceEncoder<float> encoder(fixtures / "families/llama"); },
              {"config.json", "model_type", "expected an encoder", "llama"});
  const SentenceFolder folder("distilbert");
  const SentenceEncoder<float> encoder(folder.path());
  check_error([&] { encoder.embed({}); }, {"at least one text"});
  const EncodedText empty;
  check_error([&] { encoder.embed(std::array{&empty}); }, {"with tokens"});
}

BOOST_AUTO_TEST_CASE(the_distilled_encoder_gives_its_first_hidden_state,
                     *precondition(has_shared_data)) {
  const auto model = std::filesystem::absolute(shared_data() / "../models/bert-mini-use-distilled");
  const SentenceFolder folder("bert_tanh");
  std::filesystem::create_directory_symlink(model, folder / "encoder");
  auto modules = read_json(folder / "modules.json");
  modules.erase(2);
  modules[0]["path"] = "encoder";
  write_json(folder / "modules.json", modules);
  folder.change("1_Pooling/config.json", {{"pooling_mode_cls_token", true},
                                          {"pooling_mode_mean_tokens", false},
                                          {"word_embedding_dimension", 256}});
  const SentenceEncoder<float> encoder(folder.path());
  const auto golden = read_json(model / "golden.json");
  for (const auto& c : golden["cases"]) {
    if (!c["text_b"].is_null()) continue;
    const auto text = c["text_a"].get<std::string>();
    BOOST_TEST(encoder.encode(text).tokens.ids == c["input_ids"].get<std::vector<std::int32_t>>(),
               boost::test_tools::per_element());
    auto embedding = embed(encoder, {text});
    embedding.resize(4);
    BOOST_TEST(largest_difference(c["hidden_cls_first4"].back().get<std::vector<float>>(),
                                  embedding) < 1e-5);
  }
}

boost::test_tools::assertion_result has_minilm(boost::unit_test::test_unit_id id) {
  return is_given(id, "METATT_MINILM", "all-MiniLM-L6-v2");
}

BOOST_AUTO_TEST_CASE(all_minilm_l6_v2_has_its_embeddings, *precondition(has_minilm)) {
  const auto golden = read_json(fixtures / "sentences/all-MiniLM-L6-v2/fixture.json");
  const SentenceEncoder<float> encoder(folder_of("METATT_MINILM"));
  BOOST_TEST(encoder.max_length() == golden["max_length"].get<Index>());
  const auto texts = golden["texts"].get<std::vector<std::string>>();
  const auto all = embed(encoder, texts);
  const auto row = [&](std::size_t i) { return std::span(all).subspan(384 * i, 384); };
  for (std::size_t i = 0; i < texts.size(); ++i) {
    BOOST_TEST(largest_difference(golden["first_numbers"][i].get<std::vector<float>>(),
                                  {row(i).begin(), row(i).begin() + 8}) < 1e-5);
    for (std::size_t j = 0; j <= i; ++j) {
      double product = 0;
      for (std::size_t k = 0; k < 384; ++k) product += static_cast<double>(row(i)[k]) * row(j)[k];
      BOOST_TEST(std::abs(product - golden["products"][i][j].get<double>()) < 1e-5);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
