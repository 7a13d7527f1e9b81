#include <boost/test/unit_test.hpp>

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/tokenizers/wordpiece.hpp>

#include <string>
#include <vector>

#include "../file_testing.hpp"

namespace {

using namespace metatt::transformer;
using metatt::testing::check_error;
using metatt::testing::TemporaryFolder;

BOOST_AUTO_TEST_SUITE(wordpiece)

const std::vector<std::string> vocabulary = {
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "##ed",   "the",  "cafe",
    "!",     "don",   "'",     "t",     "中",     "文",   "un",    "##play", "Play", "café"};

WordPiece tokenizer(WordPieceOptions options = {}) {
  return WordPiece(vocabulary, options, "vocab.txt");
}

/// The pieces of a text, joined by spaces.
std::string pieces(const WordPiece& tokenizer, std::string_view text) {
  std::string result;
  for (const std::int32_t id : tokenizer.encode(text)) {
    result += (result.empty() ? "" : " ") + vocabulary.at(static_cast<std::size_t>(id));
  }
  return result;
}

std::string ids_text(const std::vector<std::int32_t>& ids) {
  std::string result;
  for (const std::int32_t id : ids) {
    if (!result.empty()) result += ' ';
    result += std::to_string(id);
  }
  return result;
}

BOOST_AUTO_TEST_CASE(words_are_covered_by_the_longest_pieces_or_unknown) {
  BOOST_TEST(pieces(tokenizer(), "playing the unplayed") == "play ##ing the un ##play ##ed");
  BOOST_TEST(pieces(tokenizer(), "played playful") == "play ##ed [UNK]");
  BOOST_TEST(pieces(tokenizer(), "play" + std::string(97, 'x')) == "[UNK]");
  BOOST_TEST(pieces(tokenizer(), "") == "");
}

BOOST_AUTO_TEST_CASE(special_tokens_of_a_text_are_themselves_and_ids_become_text) {
  BOOST_TEST(pieces(tokenizer(), "play[SEP]the [MASK]!") == "play [SEP] the [MASK] !");
  const auto encoded = tokenizer().encode_pair("unplayed!", "the cafe", 20);
  BOOST_TEST(tokenizer().decode(encoded.ids) == "unplayed! the cafe");
  BOOST_TEST(tokenizer().decode(encoded.ids, true) == "[CLS] unplayed! [SEP] the cafe [SEP]");
}

BOOST_AUTO_TEST_CASE(a_word_of_more_than_a_hundred_characters_is_unknown) {
  const WordPiece letters({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "é", "##é"}, {false, false, true},
                          "vocab.txt");
  std::string word;
  for (int i = 0; i < 100; ++i) word += "é";
  BOOST_TEST(letters.encode(word).size() == 100u);
  BOOST_TEST(ids_text(letters.encode(word + "é")) == "1");
}

BOOST_AUTO_TEST_CASE(punctuation_and_chinese_characters_stand_alone) {
  BOOST_TEST(pieces(tokenizer(), "don't!!") == "don ' t ! !");
  BOOST_TEST(pieces(tokenizer(), "the中文the") == "the 中 文 the");
  BOOST_TEST(pieces(tokenizer({true, std::nullopt, false}), "the中文the") == "[UNK]");
}

BOOST_AUTO_TEST_CASE(case_and_accents_follow_the_options) {
  BOOST_TEST(pieces(tokenizer(), "PLAY Café cafe\xCC\x81") == "play cafe cafe");
  BOOST_TEST(pieces(tokenizer({false, std::nullopt, true}), "Play café") == "Play café");
  BOOST_TEST(pieces(tokenizer({true, false, true}), "PLAY CAFÉ") == "play café");
  BOOST_TEST(pieces(tokenizer({false, true, true}), "Play café") == "Play cafe");
}

BOOST_AUTO_TEST_CASE(control_characters_and_broken_bytes_are_dropped) {
  BOOST_TEST(pieces(tokenizer(), std::string("pl\0ay", 5)) == "play");
  BOOST_TEST(pieces(tokenizer(),
                    "pl\xEF\xBF\xBD"
                    "ay") == "play");  // U+FFFD
  BOOST_TEST(pieces(tokenizer(),
                    "pl\xFF\xC3"
                    "ay\xE4\xB8") == "play");
  BOOST_TEST(pieces(tokenizer(),
                    "pl\xED\xA0\x80"
                    "ay") == "play");  // a surrogate
  BOOST_TEST(pieces(tokenizer(),
                    "pl\xE2\x80\x8B"
                    "ay") == "play");  // U+200B, a format character
  BOOST_TEST(pieces(tokenizer(), "the\xC2\xA0the\tthe\r\nthe") == "the the the the");
}

BOOST_AUTO_TEST_CASE(a_pair_has_its_special_tokens_and_types) {
  const EncodedText pair = tokenizer().encode_pair("the play", "don't", 16);
  BOOST_TEST(ids_text(pair.ids) == "2 8 5 3 11 12 13 3");
  BOOST_TEST(ids_text(pair.type_ids) == "0 0 0 0 1 1 1 1");
  const EncodedText single = tokenizer().encode_pair("the play", std::nullopt, 16);
  BOOST_TEST(ids_text(single.ids) == "2 8 5 3");
  BOOST_TEST(ids_text(single.type_ids) == "0 0 0 0");
  BOOST_TEST(ids_text(tokenizer().encode_pair("", "", 3).ids) == "2 3 3");
}

// Golden values: Hugging Face tokenizers 0.23.3, truncation "longest_first", same vocabulary.
BOOST_AUTO_TEST_CASE(the_longer_text_is_cut_first) {
  const std::string five = "the the the the the", two = "play play";
  const auto cut = [&](const std::string& a, const std::string& b, std::int64_t length) {
    return ids_text(tokenizer().encode_pair(a, b, length).ids);
  };
  BOOST_TEST(cut(five, two, 9) == "2 8 8 8 8 3 5 5 3");
  BOOST_TEST(cut(two, five, 8) == "2 5 5 3 8 8 8 3");
  BOOST_TEST(cut(five, two, 6) == "2 8 8 3 5 3");
  BOOST_TEST(cut(two, five, 6) == "2 5 3 8 8 3");
  BOOST_TEST(cut(two, two, 6) == "2 5 3 5 5 3");
  BOOST_TEST(cut(five, two, 4) == "2 8 3 3");
  BOOST_TEST(ids_text(tokenizer().encode_pair(five, std::nullopt, 4).ids) == "2 8 8 3");
  check_error([&] { cut(five, two, 2); }, {"encode_pair", "at least 3", "found 2"});
}

BOOST_AUTO_TEST_CASE(a_folder_is_read_with_its_options) {
  const TemporaryFolder folder;
  std::string text;
  for (const std::string& entry : vocabulary) text += entry + "\r\n";
  folder.write("vocab.txt", text);
  BOOST_TEST(ids_text(WordPiece::from_folder(folder.path()).encode("Play café")) == "5 9");
  folder.write("tokenizer_config.json",
               R"({"do_lower_case": false, "unk_token": {"content": "[UNK]"}})");
  BOOST_TEST(ids_text(WordPiece::from_folder(folder.path()).encode("Play café")) == "18 19");
  folder.write("tokenizer_config.json", R"({"do_lower_case": "no"})");
  check_error([&] { WordPiece::from_folder(folder.path()); },
              {"tokenizer_config.json", "do_lower_case", "true or false", "\"no\""});
  folder.write("tokenizer_config.json", R"({"unk_token": "<unk>"})");
  check_error([&] { WordPiece::from_folder(folder.path()); },
              {"tokenizer_config.json", "unk_token", "[UNK]", "<unk>"});
}

BOOST_AUTO_TEST_CASE(broken_vocabularies_are_refused) {
  const TemporaryFolder folder;
  const auto check = [&](const char* text, std::initializer_list<std::string_view> fragments) {
    const auto path = folder.write("vocab.txt", text);
    check_error([&] { WordPiece::from_folder(folder.path()); }, {path.string()});
    check_error([&] { WordPiece::from_folder(folder.path()); }, fragments);
  };
  check("", {"no entry"});
  check("[PAD]\n[UNK]\n[CLS]\n", {"[SEP]"});
  check("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n[UNK]\n", {"\"[UNK]\" with the ids 1 and 5"});
  check("[PAD]\n[UNK]\n\n[CLS]\n[SEP]\n", {"line 3"});
  check_error([&] { WordPiece::from_folder(folder / "absent"); }, {"absent/vocab.txt"});
  check_error(
      [&] {
        WordPiece({"[PAD]", "[UNK]", "[CLS]", "[SEP]"}, {}, "vocab.txt").mask_id();
      },
      {"vocab.txt", "[MASK]"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
