/// tokenizer.model. The model and the ids of its texts are those of SentencePiece and transformers
/// (fixtures/make_sentence_piece_fixtures.py).

#include <boost/test/unit_test.hpp>

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "../file_testing.hpp"

namespace {

using namespace metatt::transformer;
using metatt::testing::check_error;
using metatt::testing::TemporaryFolder;
using metatt::tn::read_file;
using nlohmann::json;
using Ids = std::vector<TokenId>;

const std::filesystem::path fixture = METATT_FIXTURES "/sentence_piece";

/// The model of the fixture with `more` behind it: in a protocol buffer a later field replaces an
/// earlier one.
std::unique_ptr<Tokenizer> tokenizer(const json& settings = json::object(),
                                     const std::string& more = "") {
  const TemporaryFolder folder;
  folder.write("tokenizer.model", read_file(fixture / "tokenizer.model") + more);
  folder.write("tokenizer_config.json", settings.dump());
  return read_tokenizer(folder.path());
}

json golden() {
  return json::parse(read_file(fixture / "fixture.json"));
}

void check_ids(const Tokenizer& tokenizer, const std::string& text, const Ids& expected) {
  BOOST_TEST_CONTEXT("\"" << text << "\"")
  BOOST_TEST(tokenizer.encode(text) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE(sentence_piece_file)

BOOST_AUTO_TEST_CASE(the_pieces_are_the_vocabulary) {
  BOOST_TEST(
      tokenizer()->vocabulary().entries() == golden()["pieces"].get<std::vector<std::string>>(),
      boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(texts_have_the_ids_of_sentencepiece) {
  const json values = golden();
  const auto found = tokenizer();
  for (std::size_t i = 0; i < values["texts"].size(); ++i)
    // SentencePiece looks for no control pieces, and puts a blank before a user-defined one.
    if (const std::string text = values["texts"][i]; text.find('<') == std::string::npos)
      check_ids(*found, text, values["sentencepiece"][i]);
}

BOOST_AUTO_TEST_CASE(texts_have_the_ids_of_transformers_whatever_the_settings) {
  const json values = golden();
  const std::pair<const char*, json> cases[] = {
      {"default", json::object()},
      {"default", {{"tokenizer_class", "LlamaTokenizerFast"}, {"legacy", nullptr}}},
      {"not_legacy", {{"legacy", false}}},
      {"no_prefix", {{"add_prefix_space", false}}},
      {"no_prefix_not_legacy", {{"add_prefix_space", false}, {"legacy", false}}}};
  for (const auto& [name, settings] : cases) {
    const auto found = tokenizer(settings);
    BOOST_TEST_CONTEXT(name)
    for (std::size_t i = 0; i < values["texts"].size(); ++i)
      check_ids(*found, values["texts"][i], values[name][i]);
  }
}

BOOST_AUTO_TEST_CASE(long_texts_have_the_ids_of_their_words) {
  const auto found = tokenizer({{"add_prefix_space", false}});
  std::string text;
  Ids expected;
  for (const char* word : {" the", " tensor", "  trains", " größer\n", " 31415", " 張量"})
    for (int count = 0; count < 3000; ++count) {
      text += word;
      const Ids ids = found->encode(word);
      expected.insert(expected.end(), ids.begin(), ids.end());
    }
  BOOST_TEST((found->encode(text) == expected));
}

/// One more piece behind those of the fixture.
std::string piece(const std::string& text, const std::string& more) {
  const std::string fields = "\x0a" + std::string(1, static_cast<char>(text.size())) + text + more;
  return "\x0a" + std::string(1, static_cast<char>(fields.size())) + fields;
}
const std::string user_defined = "\x18\x04", unknown = "\x18\x02";

BOOST_AUTO_TEST_CASE(a_piece_with_blanks_inside_is_found) {
  const json values = golden();
  const std::string blanks = "\xE2\x96\x81the\xE2\x96\x81rank";
  const auto found = tokenizer(json::object(), piece(blanks, user_defined));
  std::ptrdiff_t times = 0;
  for (std::size_t i = 0; i < values["texts"].size(); ++i) {
    // Written with its marks it is found before, as in versions from 5 on.
    if (values["texts"][i].get<std::string>().find(blanks) != std::string::npos) continue;
    const Ids expected = values["blanks_inside"][i];
    check_ids(*found, values["texts"][i], expected);
    times += std::ranges::count(expected, 600);
  }
  BOOST_TEST(times > 0);
}

BOOST_AUTO_TEST_CASE(the_settings_say_which_pieces_are_special) {
  const TokenId entry = *tokenizer()->vocabulary().find("rank");
  for (const json& settings :
       {json{{"pad_token", "rank"}}, json{{"additional_special_tokens", {"<sep>", "rank"}}},
        json{{"mask_token", {{"content", "rank"}, {"lstrip", false}}}}}) {
    const auto found = tokenizer(settings);
    check_ids(*found, "rankrank", {entry, entry});
    BOOST_TEST(found->decode(Ids{entry}) == "");
  }
  // What they say of a piece goes before its type.
  const json stripped = {{"added_tokens_decoder",
                          {{"4", {{"content", "<sep>"}, {"lstrip", true}, {"special", true}}}}}};
  check_ids(*tokenizer(stripped), "the   <sep>", {tokenizer()->encode("the").front(), 4});
  BOOST_TEST(tokenizer(stripped)->decode(Ids{4}) == "");
}

BOOST_AUTO_TEST_CASE(the_first_token_may_stand_in_the_map_of_special_tokens) {
  const TemporaryFolder folder;
  folder.write("tokenizer.model", read_file(fixture / "tokenizer.model"));
  folder.write("special_tokens_map.json", R"({"bos_token": "<sep>"})");
  BOOST_TEST(read_tokenizer(folder.path())->encode_pair("", {}, 8).ids == Ids{4},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(texts_begin_with_the_first_token_unless_the_settings_say_otherwise) {
  const Ids plain = tokenizer()->encode("the rank");
  Ids begun = plain, ended = plain;
  begun.insert(begun.begin(), 1);
  ended.push_back(2);
  const auto around = [](const json& settings) {
    return tokenizer(settings)->encode_pair("the rank", {}, 64).ids;
  };
  BOOST_TEST(around(json::object()) == begun, boost::test_tools::per_element());
  BOOST_TEST(around({{"add_bos_token", false}, {"add_eos_token", true}}) == ended,
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(ids_become_the_text_again) {
  const auto found = tokenizer();
  for (const char* text : {"the tensor  trains", "größer 張量 😀", " leading"})
    BOOST_TEST(found->decode(found->encode(text)) == text);
  BOOST_TEST(found->decode(Ids{1, 3}) == "");
  BOOST_TEST(found->decode(Ids{4}) == "<sep>");
}

BOOST_AUTO_TEST_CASE(without_byte_fallback_characters_in_a_row_are_one_unknown_piece) {
  const std::string no_byte_fallback("\x12\x03\x98\x02\x00", 5);  // trainer_spec, field 35
  const auto found = tokenizer(json::object(), no_byte_fallback);
  Ids expected = found->encode("the ");
  expected.push_back(0);
  check_ids(*found, "the 😀😀", expected);
}

BOOST_AUTO_TEST_CASE(what_is_no_llama_model_is_refused_by_name) {
  const auto refused = [](const std::string& more, const std::vector<std::string_view>& words) {
    check_error([&] { tokenizer(json::object(), more); }, words);
  };
  refused("\x12\x02\x18\x01",
          {"tokenizer.model", "trainer_spec.model_type", "BPE", "UNIGRAM", "save_pretrained"});
  refused("\x12\x03\xC0\x01\x01", {"trainer_spec.treat_whitespace_as_suffix", "found true"});
  refused(std::string("\x1a\x02\x18\x00", 4), {"normalizer_spec.add_dummy_prefix", "found false"});
  refused("\x1a\x02\x20\x01", {"normalizer_spec.remove_extra_whitespaces", "found true"});
  refused(std::string("\x1a\x02\x28\x00", 4),
          {"normalizer_spec.escape_whitespaces", "found false"});
  refused("\x1a\x03\x12\x01x", {"normalizer_spec.precompiled_charsmap", "1 bytes"});
  refused(
      "\x0a\x04\x0a\x02"
      "en",
      {"tokenizer.model", "each entry once", "263 and 600"});
  refused(piece("", ""), {"pieces[600].piece", "expected 1 … 4096 bytes", "found 0"});
  refused(piece("q1", std::string("\x15\x00\x00\xC0\x7F", 5)),
          {"pieces[600].score", "expected a finite number", "nan"});
  refused(piece("q1", unknown), {"\"pieces\"", "one of type UNKNOWN", "found 2"});
  check_error(
      [] {
        tokenizer({{"tokenizer_class", "GemmaTokenizer"}});
      },
      {"tokenizer_config.json", "tokenizer_class", "LlamaTokenizer", "GemmaTokenizer",
       "save_pretrained"});
}

BOOST_AUTO_TEST_CASE(a_damaged_file_is_refused) {
  const std::string whole = read_file(fixture / "tokenizer.model");
  TemporaryFolder folder;
  for (const std::string& bytes :
       {std::string(), std::string("x"), whole.substr(0, whole.size() / 2),
        std::string("version https://git-lfs.github.com/spec/v1\n")}) {
    folder.write("tokenizer.model", bytes);
    check_error([&] { read_tokenizer(folder.path()); },
                {"tokenizer.model", "expected a SentencePiece model"});
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
