/// What the fields of a tokenizer's files mean. The ids are those of Hugging Face's tokenizers
/// 0.19.1 for a file alone, of transformers 4.41.2's AutoTokenizer for folders.

#include <boost/test/unit_test.hpp>

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>
#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

#include "../file_testing.hpp"

namespace {

using namespace metatt::transformer;
using metatt::testing::check_error;
using metatt::testing::TemporaryFolder;
using nlohmann::json;
using Ids = std::vector<TokenId>;

BOOST_AUTO_TEST_SUITE(tokenizer_settings)

/// Files of a folder, and the tokenizer that they make.
struct Files {
  TemporaryFolder folder;

  Files& with(const char* name, const json& contents) {
    folder.write(name, contents.is_string() ? contents.get<std::string>() : contents.dump());
    return *this;
  }
  std::unique_ptr<Tokenizer> tokenizer() const { return read_tokenizer(folder.path()); }
};

void check(const Tokenizer& tokenizer, const std::string& text, const Ids& expected) {
  BOOST_TEST_CONTEXT("\"" << text << "\"")
  BOOST_TEST(tokenizer.encode(text) == expected, boost::test_tools::per_element());
}

/// With the tokens around the text, or around two.
void check_around(const Files& files, const Ids& one, const Ids& two) {
  const auto tokenizer = files.tokenizer();
  BOOST_TEST(tokenizer->encode_pair("ab", {}, 16).ids == one, boost::test_tools::per_element());
  BOOST_TEST(tokenizer->encode_pair("a", "b", 16).ids == two, boost::test_tools::per_element());
}

json added(TokenId id, const char* content, bool special, bool normalised = false) {
  return {{"id", id}, {"content", content}, {"special", special}, {"normalized", normalised}};
}

const std::string mark = "\xE2\x96\x81";

json sentence_piece() {
  return {{"model",
           {{"type", "BPE"},
            {"vocab", {{"<unk>", 0}, {mark, 1}, {"a", 2}, {"b", 3}, {"ab", 4}, {mark + "ab", 5}}},
            {"merges", {"a b", mark + " ab"}},
            {"unk_token", "<unk>"}}},
          {"pre_tokenizer",
           {{"type", "Metaspace"},
            {"replacement", mark},
            {"prepend_scheme", "first"},
            {"split", false}}},
          {"added_tokens", {added(6, "<s>", true), added(7, "</s>", true)}}};
}

json prepending() {
  json file = sentence_piece();
  file["pre_tokenizer"] = nullptr;
  file["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers",
       {{{"type", "Prepend"}, {"prepend", mark}},
        {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", mark}}}}};
  return file;
}

const std::vector<std::string> marked_texts{"ab",       " ab",   mark + "ab", "  ab",
                                            "ab<s> ab", "<s>ab", "ab<s>ab"};

void check_marked(const json& file, const std::vector<Ids>& expected) {
  Files files;
  const auto tokenizer = files.with("tokenizer.json", file).tokenizer();
  for (std::size_t i = 0; i < marked_texts.size(); ++i)
    check(*tokenizer, marked_texts[i], expected[i]);
}

BOOST_AUTO_TEST_CASE(metaspace_puts_no_mark_before_a_text_that_begins_with_a_blank) {
  json file = sentence_piece();
  check_marked(file, {{5}, {5}, {5}, {1, 5}, {5, 6, 5}, {6, 4}, {5, 6, 4}});
  json& step = file["pre_tokenizer"];
  step["prepend_scheme"] = "never";
  check_marked(file, {{4}, {5}, {5}, {1, 5}, {4, 6, 5}, {6, 4}, {4, 6, 4}});
  step["prepend_scheme"] = "always";
  const std::vector<Ids> always{{5}, {5}, {5}, {1, 5}, {5, 6, 5}, {6, 5}, {5, 6, 5}};
  check_marked(file, always);
  step.erase("prepend_scheme");
  check_marked(file, always);
  step["add_prefix_space"] = true;
  check_marked(file, always);
  step["add_prefix_space"] = false;  // Hugging Face's tokenizers refuse it too
  check_error([&] { check_marked(file, always); }, {"pre_tokenizer", "add_prefix_space"});
}

BOOST_AUTO_TEST_CASE(a_normaliser_puts_a_mark_before_every_text) {
  check_marked(prepending(), {{5}, {1, 5}, {1, 5}, {1, 1, 5}, {5, 6, 1, 5}, {6, 5}, {5, 6, 5}});
}

BOOST_AUTO_TEST_CASE(a_normalised_token_is_found_in_normalised_text) {
  json file = prepending();  // the token is then "▁<s>"
  file["added_tokens"][0]["normalized"] = true;
  check_marked(file, {{5}, {1, 5}, {1, 5}, {1, 1, 5}, {5, 0, 0, 0, 5}, {6, 4}, {5, 0, 0, 0, 4}});
}

BOOST_AUTO_TEST_CASE(unknown_characters_are_one_token_only_if_the_file_says_so) {
  json file = sentence_piece();
  const std::string text = "a\xC3\xA9\xE4\xB8\xAD b??ab";
  Files files;
  check(*files.with("tokenizer.json", file).tokenizer(), text, {1, 2, 0, 0, 1, 3, 0, 0, 4});
  file["model"]["fuse_unk"] = true;
  check(*files.with("tokenizer.json", file).tokenizer(), text, {1, 2, 0, 1, 3, 0, 4});
  // An entry of its own, even if that is the unknown one; and the mark of a blank may be unknown.
  file["model"]["vocab"] = {{"<unk>", 0}, {"?", 1}, {"a", 2}, {"b", 3}, {"ab", 4}, {"c", 5}};
  file["model"]["merges"] = {"a b"};
  file["model"]["unk_token"] = "?";
  check(*files.with("tokenizer.json", file).tokenizer(), "? \xC3\xA9?\xC3\xA9 \xE4\xB8\xAD",
        {1, 1, 1, 1, 1});
}

const std::vector<std::string> pieces{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a",  "b",
                                      "##b",   "n",     "##t",   "[",     "]",      "ent"};

json word_piece() {
  json vocabulary;
  for (const std::string& piece : pieces) vocabulary[piece] = vocabulary.size();
  return {{"model", {{"type", "WordPiece"}, {"unk_token", "[UNK]"}, {"vocab", vocabulary}}},
          {"normalizer", {{"type", "BertNormalizer"}, {"lowercase", true}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"added_tokens",
           {added(13, "[Ent]", false), added(14, "A B", false, true), added(3, "[SEP]", true)}}};
}

BOOST_AUTO_TEST_CASE(word_pieces_have_added_tokens_as_other_tokenizers_do) {
  Files files;
  const auto tokenizer = files.with("tokenizer.json", word_piece()).tokenizer();
  check(*tokenizer, "a [Ent]b", {5, 13, 6});
  check(*tokenizer, "a [ENT] [SEP]b", {5, 10, 12, 11, 3, 6});
  check(*tokenizer, "xa bx", {1, 14, 1});
  check(*tokenizer, "\xC3\x81 B[Ent]", {14, 13});
  BOOST_TEST(tokenizer->decode(Ids{5, 13, 3}) == "a [Ent]");
}

BOOST_AUTO_TEST_CASE(around_word_pieces_stands_what_the_file_says) {
  Files files;
  json file = word_piece();
  check_around(files.with("tokenizer.json", file), {5, 7}, {5, 6});
  file["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {{{"SpecialToken", {{"id", "[CLS]"}}}}, {{"Sequence", {{"id", "A"}}}}}},
      {"pair", {{{"Sequence", {{"id", "A"}}}}, {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}}},
      {"special_tokens", {{"[CLS]", {{"ids", {2}}}}}}};
  check_around(files.with("tokenizer.json", file), {2, 5, 7}, {5, 6});
}

BOOST_AUTO_TEST_CASE(settings_of_word_pieces_are_read_or_refused_by_field) {
  Files files;
  json file = word_piece();
  file["model"]["max_input_chars_per_word"] = 2;
  check(*files.with("tokenizer.json", file).tokenizer(), "ab", {5, 7});
  check(*files.tokenizer(), "abb", {1});
  file = word_piece();
  file["model"]["continuing_subword_prefix"] = "[";
  check(*files.with("tokenizer.json", file).tokenizer(), "a]", {5, 11});
  file["model"]["unk_token"] = "[PAD]";
  check_error([&] { files.with("tokenizer.json", file).tokenizer(); },
              {"tokenizer.json", "model.unk_token", "[PAD]"});
  file = word_piece();
  file["added_tokens"][0]["single_word"] = true;
  check_error([&] { files.with("tokenizer.json", file).tokenizer(); },
              {"tokenizer.json", "[Ent]", "single_word"});
}

std::string lines(const std::vector<std::string>& entries) {
  std::string text;
  for (const std::string& entry : entries) text += entry + "\n";
  return text;
}

BOOST_AUTO_TEST_CASE(tokens_are_added_to_a_vocabulary_of_word_pieces) {
  Files files;
  files.with("vocab.txt", lines(pieces)).with("added_tokens.json", {{"[Ent]", 13}, {"[X]", 14}});
  files.with("special_tokens_map.json", {{"additional_special_tokens", {"[X]"}}});
  check(*files.tokenizer(), "a [Ent]b", {5, 13, 6});
  // One that is not special is normalised.
  check(*files.tokenizer(), "a [ENT] [X] [x]", {5, 13, 14, 10, 1, 11});
  BOOST_TEST(files.tokenizer()->decode(Ids{5, 13, 14}) == "a [Ent]");
  files.with(
      "tokenizer_config.json",
      {{"added_tokens_decoder",
        {{"13",
          {{"content", "[Ent]"}, {"lstrip", true}, {"normalized", false}, {"special", true}}}}}});
  check(*files.tokenizer(), "a [Ent]b", {5, 13, 6});
  check(*files.tokenizer(), "a [ENT]", {5, 10, 12, 11});
  BOOST_TEST(files.tokenizer()->vocabulary().size() == 14);
}

/// The 256 bytes and <|endoftext|>, as tokenizer.json has them.
json bytes_file() {
  const TemporaryFolder folder;
  write_byte_tokenizer(folder.path());
  return json::parse(metatt::tn::read_file(folder / "tokenizer.json"));
}

BOOST_AUTO_TEST_CASE(tokens_are_added_to_a_vocabulary_of_byte_pairs) {
  Files files;
  files.with("vocab.json", bytes_file()["model"]["vocab"]).with("merges.txt", "#version: 0.2\n");
  files.with("added_tokens.json", {{"<pad>", 257}, {"user", 258}});
  check(*files.tokenizer(), "a<pad>b user", {97, 257, 98, 32, 258});
  const auto refused = [&](const json& tokens, const std::vector<std::string_view>& fragments) {
    files.with("added_tokens.json", tokens);
    check_error([&] { files.tokenizer(); }, fragments);
  };
  refused({{"<pad>", 300}}, {"added_tokens.json", "<pad>", "257", "300"});
  refused({{"a", 257}}, {"added_tokens.json", "\"a\"", "97", "257"});
  refused({{"<pad>", -1}}, {"added_tokens.json", "<pad>", "-1"});
  refused({{"<pad>", "x"}}, {"added_tokens.json", "<pad>", "\"x\""});
  refused("[]", {"added_tokens.json", "object"});
  files.with("tokenizer_config.json", {{"added_tokens_decoder", {{"x", json::object()}}}});
  refused("{}", {"tokenizer_config.json", "added_tokens_decoder", "\"x\""});
}

BOOST_AUTO_TEST_CASE(a_file_gets_the_tokens_that_it_lacks) {
  Files files;
  files.with("tokenizer.json", sentence_piece());
  files.with("tokenizer_config.json",
             {{"added_tokens_decoder",
               {{"6", {{"content", "<s>"}}}, {"8", {{"content", "<x>"}, {"special", true}}}}}});
  check(*files.tokenizer(), "ab<x>ab", {5, 8, 4});
  BOOST_TEST(files.tokenizer()->decode(Ids{5, 6}) == "ab");  // <s> stays special
}

BOOST_AUTO_TEST_CASE(classes_that_rebuild_their_first_step_take_the_setting_for_blanks) {
  Files files;
  json file = bytes_file();
  const auto with = [&](const json& settings) -> Files& {
    return files.with("tokenizer.json", file).with("tokenizer_config.json", settings);
  };
  const std::string text = "a<|endoftext|>b";
  const Ids plain{97, 256, 98}, prefixed{32, 97, 256, 32, 98};
  for (const char* name : {"GPT2Tokenizer", "RobertaTokenizerFast"})
    check(*with({{"tokenizer_class", name}, {"add_prefix_space", true}}).tokenizer(), text,
          prefixed);
  check(*with({{"tokenizer_class", "PreTrainedTokenizerFast"}, {"add_prefix_space", true}})
             .tokenizer(),
        text, plain);
  check_error(
      [&] {
        with({{"add_prefix_space", true}}).tokenizer();
      },
      {"tokenizer_config.json", "add_prefix_space", "expected", "false", "found true"});
  check(*with({{"add_prefix_space", false}}).tokenizer(), text, plain);
  file["pre_tokenizer"]["add_prefix_space"] = true;
  check(*with({{"tokenizer_class", "GPT2Tokenizer"}}).tokenizer(), text, plain);
  check(*with({{"tokenizer_class", "PreTrainedTokenizerFast"}}).tokenizer(), text, prefixed);
  file = bytes_file();
  file["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Digits"}, {"individual_digits", true}}, file["pre_tokenizer"]}}};
  check(*with({{"tokenizer_class", "GPT2Tokenizer"}, {"add_prefix_space", true}}).tokenizer(), text,
        plain);
  file = sentence_piece();
  check_error(
      [&] {
        with({{"tokenizer_class", "LlamaTokenizer"}, {"add_prefix_space", false}}).tokenizer();
      },
      {"tokenizer_config.json", "add_prefix_space", "true", "found false"});
}

BOOST_AUTO_TEST_CASE(a_llama_tokenizer_has_the_template_of_its_settings) {
  Files files;
  files.with("tokenizer.json", sentence_piece());
  const auto with = [&](json settings, const char* name = "LlamaTokenizerFast") -> Files& {
    settings["tokenizer_class"] = name;
    return files.with("tokenizer_config.json", settings);
  };
  check_around(with(json::object()), {6, 5}, {6, 1, 2, 6, 1, 3});
  check_around(with({{"add_eos_token", true}}, "LlamaTokenizer"), {6, 5, 7},
               {6, 1, 2, 7, 6, 1, 3, 7});
  check_around(with({{"add_bos_token", false}, {"add_eos_token", true}}), {5, 7},
               {1, 2, 7, 1, 3, 7});
  check_around(with({{"bos_token", {{"content", "</s>"}}}}), {7, 5}, {7, 1, 2, 7, 1, 3});
  check_around(with({{"add_eos_token", true}}, "PreTrainedTokenizerFast"), {5}, {1, 2, 1, 3});
  check_error(
      [&] {
        with({{"bos_token", "<none>"}}).tokenizer();
      },
      {"tokenizer_config.json", "bos_token", "<none>"});
  check_error(
      [&] {
        with({{"add_eos_token", 1}}).tokenizer();
      },
      {"tokenizer_config.json", "add_eos_token", "1"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
