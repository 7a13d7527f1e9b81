#include <boost/test/unit_test.hpp>

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/tokenizers/byte_level.hpp>
#include <metatt/transformer/tokenizers/byte_pair_model.hpp>
#include <metatt/transformer/tokenizers/split_patterns.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>
#include <metatt/transformer/tokenizers/unicode.hpp>

#include <nlohmann/json.hpp>

#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "../file_testing.hpp"

namespace {

using namespace metatt::transformer;
using boost::unit_test::precondition;
using metatt::testing::check_error;
using metatt::testing::has_shared_data;
using metatt::testing::shared_data;
using metatt::testing::TemporaryFolder;
using metatt::tn::write_file_atomically;
using nlohmann::json;

BOOST_AUTO_TEST_SUITE(tokenizers)

BOOST_AUTO_TEST_CASE(broken_utf8_is_replaced_as_python_does) {
  // Python 3.11: bytes.decode("utf-8", errors="replace").
  const std::string mark = "\xEF\xBF\xBD";
  const std::map<std::string, std::string> cases = {
      {"a\xFFz", "a" + mark + "z"},
      {"\xC3", mark},
      {"\xE2\x82", mark},
      {"\xE2\x82z", mark + "z"},
      {"\xF0\x9F\x98", mark},
      {"\xF0\x9F\x98\xE2\x82\xAC", mark + "\xE2\x82\xAC"},
      {"\xED\xA0\x80", mark + mark + mark},  // half of a surrogate pair
      {"\xC0\xAF", mark + mark},             // longer than it need be
      {"\xF4\x90\x80\x80", mark + mark + mark + mark},
      {"\xF0\x80\x80\x80", mark + mark + mark + mark},
      {"\xE2\x82\xAC", "\xE2\x82\xAC"},
      {mark, mark}};
  for (const auto& [bytes, expected] : cases) {
    BOOST_TEST(valid_utf8(bytes) == expected);
    BOOST_TEST(is_valid_utf8(bytes) == (bytes == expected));
  }
}

std::string joined(const std::vector<std::string_view>& pieces) {
  std::string text;
  for (const std::string_view piece : pieces) text.append(text.empty() ? "" : "|").append(piece);
  return text;
}

BOOST_AUTO_TEST_CASE(patterns_cut_texts_as_their_regular_expressions) {
  // By Python's regex module with the expressions that split_patterns.hpp shows.
  const std::string text = "I'm it's HE'LL 'twas  two   words\n\n  x1234y \tend!? a_b \r\n";
  BOOST_TEST(
      joined(split(SplitPattern::gpt2, text)) ==
      "I|'m| it|'s| HE|'|LL| '|twas| | two|  | words|\n\n | x|1234|y| |\t|end|!?| a|_|b| \r\n");
  BOOST_TEST(
      joined(split(SplitPattern::llama3, text)) ==
      "I|'m| it|'s| HE|'LL| '|twas| | two|  | words|\n\n| | x|123|4|y| |\tend|!?| a|_b| \r\n");
  BOOST_TEST(joined(split(SplitPattern::qwen2, "a12 3")) == "a|1|2| |3");
  BOOST_TEST(joined(split(SplitPattern::gpt2_digits, "ab 12 c  3")) == "ab| |1|2| c|  |3");
  BOOST_TEST(joined(split(SplitPattern::none, "a b")) == "a b");
  for (const SplitPattern pattern : {SplitPattern::gpt2, SplitPattern::llama3})
    BOOST_TEST(split(pattern, "").empty());
}

BOOST_AUTO_TEST_CASE(merges_of_long_words_are_those_of_short_ones) {
  // Symbols 0 to 3 and everything that random merges make of them.
  std::mt19937_64 chance(5);
  for (int round = 0; round < 50; ++round) {
    std::vector<BytePairModel::Merge> merges;
    TokenId next = 4;
    for (int k = 0; k < 12; ++k) {
      const auto any = [&] { return static_cast<TokenId>(chance() % static_cast<unsigned>(next)); };
      const TokenId left = any(), right = any();
      merges.push_back({left, right, next++});
    }
    const BytePairModel model(merges);
    std::vector<TokenId> symbols;
    for (int k = 0; k < 40; ++k) symbols.push_back(static_cast<TokenId>(chance() % 4));
    std::vector<TokenId> expected = symbols;
    while (true) {  // the definition: the first rule that fits, at its leftmost place
      std::size_t rank = merges.size(), place = 0;
      for (std::size_t i = expected.size() - 1; i-- > 0;)
        for (std::size_t r = 0; r < merges.size(); ++r) {
          const bool last =
              std::none_of(merges.begin() + static_cast<std::ptrdiff_t>(r) + 1, merges.end(),
                           [&](const auto& later) {
                             return later.left == merges[r].left && later.right == merges[r].right;
                           });
          if (last && r <= rank && merges[r].left == expected[i] &&
              merges[r].right == expected[i + 1]) {
            rank = r;
            place = i;
          }
        }
      if (rank == merges.size()) break;
      expected[place] = merges[rank].result;
      expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(place) + 1);
    }
    std::vector<TokenId> found = symbols;
    model.join(found);
    BOOST_TEST(found == expected, boost::test_tools::per_element());
  }
}

/// The test vectors of llama.cpp, without special tokens.
void check_recorded(const std::string& folder, const std::string& name) {
  const auto root = shared_data() / "tokenizers";
  const auto tokenizer = read_tokenizer(root / folder);
  const std::string mark = "\n__ggml_vocab_test__\n";
  std::string texts = metatt::tn::read_file(root / "vectors/texts.inp");
  std::istringstream lines(metatt::tn::read_file(root / "vectors" / (name + ".out")));
  std::vector<std::string> all;
  std::string expected;
  while (std::getline(lines, expected)) {
    const std::size_t end = texts.find(mark);
    BOOST_REQUIRE(end != std::string::npos);
    all.push_back(texts.substr(0, end));
    texts.erase(0, end + mark.size());
    std::string found;
    for (const TokenId id : tokenizer->encode(all.back())) found += " " + std::to_string(id);
    BOOST_TEST_CONTEXT(folder << ", text " << all.size())
    BOOST_TEST(found == expected);
  }
  BOOST_TEST(all.size() == 46U);
  BOOST_TEST(texts == "");
  if (folder != "bert-base-uncased")
    for (const std::string& text : all)
      BOOST_TEST(tokenizer->decode(tokenizer->encode(text)) == valid_utf8(text));
}

/// Lines of words, some of them odd.
std::string many_lines(std::size_t bytes) {
  const char* words[] = {"the",      "Train", "don't", "31415", "!?",      "größer", "張量",
                         "\xC2\xA0", "x_y",   "",      "\t",    "(\"a\")", "😀"};
  std::minstd_rand random(3);
  std::string text;
  while (text.size() < bytes) {
    text += words[random() % std::size(words)];
    text += random() % 5 == 0 ? (random() % 4 == 0 ? " \n\n" : "\n") : " ";
  }
  return text;
}

BOOST_AUTO_TEST_CASE(long_texts_have_the_ids_of_their_words) {
  const std::string text = many_lines(100'000);
  const auto bytes = byte_tokenizer();
  for (const SplitPattern pattern :
       {SplitPattern::gpt2, SplitPattern::gpt2_digits, SplitPattern::llama3, SplitPattern::qwen2}) {
    // Every word an entry: ids tell where the text was cut.
    std::vector<std::string> entries = bytes->vocabulary().entries();
    const ByteLevelTokenizer plain({bytes->vocabulary(), {}, {}}, {}, {.pattern = pattern});
    std::vector<MergedEntries> merges;
    std::set<std::string> known(entries.begin(), entries.end());
    for (const std::string_view word : split(pattern, text)) {
      std::string joined;
      for (const TokenId id : plain.encode(word)) {
        const std::string& next = bytes->vocabulary().entry(id);
        if (!joined.empty() && known.insert(joined + next).second) {
          merges.emplace_back(joined, next);
          entries.push_back(joined + next);
        }
        joined += next;
      }
    }
    const ByteLevelTokenizer tokenizer({Vocabulary(entries, "test"), {}, {}}, merges,
                                       {.pattern = pattern, .whole_words_first = true});
    std::vector<TokenId> expected;
    for (const std::string_view word : split(pattern, text)) {
      const auto ids = tokenizer.encode(word);
      BOOST_REQUIRE(ids.size() == 1u);
      expected.push_back(ids.front());
    }
    BOOST_TEST((tokenizer.encode(text) == expected));
  }
}

BOOST_AUTO_TEST_CASE(recorded_texts_give_recorded_ids, *precondition(has_shared_data)) {
  check_recorded("bert-base-uncased", "bert-bge");
  check_recorded("gpt2", "gpt-2");
  check_recorded("roberta-base", "roberta-base");
}

BOOST_AUTO_TEST_CASE(special_tokens_are_found_and_put_around_texts,
                     *precondition(has_shared_data)) {
  const auto root = shared_data() / "tokenizers";
  const auto gpt2 = read_tokenizer(root / "gpt2"), roberta = read_tokenizer(root / "roberta-base");
  BOOST_TEST(gpt2->encode("a<|endoftext|>b") == (std::vector<TokenId>{64, 50256, 65}),
             boost::test_tools::per_element());
  BOOST_TEST(gpt2->decode(gpt2->encode("a<|endoftext|>b")) == "ab");
  // <mask> takes the blank before it: Hugging Face's RobertaTokenizerFast.
  BOOST_TEST(roberta->encode("Hello <mask>!") == (std::vector<TokenId>{31414, 50264, 328}),
             boost::test_tools::per_element());
  const auto pair = roberta->encode_pair("Hello", " world", 16);
  BOOST_TEST(pair.ids == (std::vector<TokenId>{0, 31414, 2, 2, 232, 2}),
             boost::test_tools::per_element());
  BOOST_TEST(roberta->encode_pair("Hello world world", " world", 6).ids ==
                 (std::vector<TokenId>{0, 31414, 2, 2, 232, 2}),
             boost::test_tools::per_element());
  check_error([&] { roberta->encode_pair("Hello", " world", 3); }, {"at least 4", "found 3"});
  check_error([&] { gpt2->decode(std::vector<TokenId>{50257}); }, {"vocab.json", "50257"});
}

BOOST_AUTO_TEST_CASE(every_text_comes_back, *precondition(has_shared_data)) {
  const auto root = shared_data() / "tokenizers";
  const auto gpt2 = read_tokenizer(root / "gpt2");
  const auto llama = read_tokenizer(shared_data() / "../models/stories260K");
  std::mt19937_64 chance(8);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (std::uint64_t length = chance() % 60; length > 0; --length)
      append_utf8(
          static_cast<char32_t>(chance() % 3 == 0 ? 1 + chance() % 0xD7FF : 32 + chance() % 95),
          text);
    BOOST_TEST(gpt2->decode(gpt2->encode(text)) == text);
    if (text.find("\xE2\x96\x81") == std::string::npos)
      BOOST_TEST(llama->decode(llama->encode(text)) == text);
  }
}

BOOST_AUTO_TEST_CASE(a_llama_tokenizer_gives_the_recorded_ids, *precondition(has_shared_data)) {
  const auto folder = shared_data() / "../models/stories260K";
  const json golden = json::parse(metatt::tn::read_file(folder / "golden.json"));
  const auto tokenizer = read_tokenizer(folder);
  const auto encoded = tokenizer->encode_pair(golden["text"].get<std::string>(), {}, 512);
  BOOST_TEST(encoded.ids == golden["ids"].get<std::vector<TokenId>>(),
             boost::test_tools::per_element());
  BOOST_TEST(tokenizer->decode(encoded.ids) == golden["text"].get<std::string>());
}

BOOST_AUTO_TEST_CASE(pairs_are_joined_as_transformers_joins_them, *precondition(has_shared_data)) {
  // BertTokenizerFast, GPT2TokenizerFast, RobertaTokenizerFast and LlamaTokenizerFast of
  // transformers 4.41.2, with truncation="longest_first".
  using Ids = std::vector<TokenId>;
  const auto check = [&](const char* folder, const Ids& whole, std::int64_t length,
                         const Ids& cut) {
    BOOST_TEST_CONTEXT(folder) {
      const auto tokenizer = read_tokenizer(shared_data() / folder);
      BOOST_TEST(tokenizer->encode_pair("The cat sat.", "Did it?", 64).ids == whole,
                 boost::test_tools::per_element());
      BOOST_TEST(tokenizer->encode_pair("The cat sat.", "Did it?", length).ids == cut,
                 boost::test_tools::per_element());
    }
  };
  check("tokenizers/bert-base-uncased", {101, 1996, 4937, 2938, 1012, 102, 2106, 2009, 1029, 102},
        7, {101, 1996, 4937, 102, 2106, 2009, 102});
  check("tokenizers/gpt2", {464, 3797, 3332, 13, 11633, 340, 30}, 5, {464, 3797, 3332, 11633, 340});
  check("tokenizers/roberta-base", {0, 133, 4758, 4005, 4, 2, 2, 20328, 24, 116, 2}, 7,
        {0, 133, 4758, 2, 2, 20328, 2});
  check("../models/stories260K", {1, 291, 280, 294, 262, 294, 426, 1, 410, 455, 292, 312, 450}, 9,
        {1, 291, 280, 294, 262, 1, 410, 455, 292});
}

/// A small tokenizer.json that is right, for changes that are not.
json small_file() {
  json vocab;
  std::vector<std::string> entries{"<unk>",
                                   "\xE2\x96\x81",
                                   "a",
                                   "b",
                                   "ab",
                                   "\xE2\x96\x81"
                                   "ab"};
  for (std::size_t i = 0; i < entries.size(); ++i) vocab[entries[i]] = i;
  return {{"model",
           {{"type", "BPE"},
            {"vocab", vocab},
            {"merges", {"a b", "\xE2\x96\x81 ab"}},
            {"unk_token", "<unk>"}}},
          {"pre_tokenizer",
           {{"type", "Metaspace"},
            {"replacement", "\xE2\x96\x81"},
            {"prepend_scheme", "first"},
            {"split", false}}},
          {"added_tokens", {{{"id", 6}, {"content", "<s>"}, {"special", true}}}}};
}

BOOST_AUTO_TEST_CASE(a_tokenizer_file_is_read_or_refused_by_field) {
  const TemporaryFolder folder;
  const auto with = [&](const json& file) {
    write_file_atomically(folder / "tokenizer.json", file.dump());
    return read_tokenizer(folder.path());
  };
  const auto right = with(small_file());
  BOOST_TEST(right->encode("ab ab<s>ab?!") == (std::vector<TokenId>{5, 5, 6, 4, 0, 0}),
             boost::test_tools::per_element());
  BOOST_TEST(right->vocabulary().size() == 7);
  const auto refused = [&](const char* pointer, const json& value,
                           const std::vector<std::string_view>& fragments) {
    json file = small_file();
    file[json::json_pointer(pointer)] = value;
    check_error([&] { with(file); }, fragments);
  };
  refused("/model/type", "Unigram", {"tokenizer.json", "model.type", "Unigram"});
  refused("/model/merges/0", "a", {"model.merges", "\"a\""});
  refused("/model/merges/0", "a a", {"merge \"a a\"", "expected entries"});
  refused("/model/dropout", 0.1, {"model.dropout"});
  refused("/model/vocab/x", -1, {"\"x\"", "-1"});
  refused("/model/vocab/x", 3, {"id 3"});
  refused("/model/vocab/x", 1 << 20, {"ids near 0 … 7", "1048576"});
  refused("/post_processor",
          {{"type", "BertProcessing"}, {"cls", {"<s>", 6}}, {"sep", {"</s>", 9}}}, {"0 … 6", "9"});
  refused("/pre_tokenizer/type", "Whitespace", {"pre_tokenizer", "Whitespace"});
  refused("/normalizer", {{"type", "NFKC"}}, {"normalizer", "NFKC"});
  refused("/post_processor", {{"type", "Other"}}, {"post_processor", "Other"});
  refused("/decoder", {{"type", "Metaspaces"}}, {"decoder", "Metaspaces"});
  refused("/added_tokens/0/lstrip", 5, {"tokenizer.json"});
  refused("/model/unk_token", "<none>", {"<none>"});
  write_file_atomically(folder / "tokenizer.json", "{");
  check_error([&] { read_tokenizer(folder.path()); }, {"tokenizer.json"});
  check_error([&] { read_tokenizer(folder / "absent"); },
              {"tokenizer.json, vocab.json, vocab.txt or tokenizer.model"});
}

BOOST_AUTO_TEST_CASE(the_length_at_which_texts_are_cut_is_read) {
  const TemporaryFolder folder;
  BOOST_TEST(!read_model_max_length(folder.path()));
  folder.write("tokenizer_config.json", R"({"model_max_length": 1000000000000000019884624838656})");
  BOOST_TEST(!read_model_max_length(folder.path()));
  folder.write("tokenizer_config.json", R"({"model_max_length": 64})");
  BOOST_TEST(read_model_max_length(folder.path()).value() == 64);
  folder.write("tokenizer_config.json", R"({"model_max_length": 0})");
  check_error([&] { read_model_max_length(folder.path()); },
              {"tokenizer_config.json", "model_max_length", "at least 1", "0"});
}

/// WordPiece as tokenizer.json has it, lower case or not.
json word_piece_file(bool lower_case) {
  json vocabulary;
  for (const char* entry : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "A", "a"})
    vocabulary[entry] = vocabulary.size();
  return {
      {"model", {{"type", "WordPiece"}, {"vocab", vocabulary}}},
      {"normalizer", {{"type", "BertNormalizer"}, {"lowercase", lower_case}}},
      {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
  };
}

BOOST_AUTO_TEST_CASE(the_settings_beside_a_word_piece_file_go_before_those_in_it) {
  // As BertTokenizerFast of transformers 4.41 does.
  const TemporaryFolder folder;
  const auto id = [&] { return read_tokenizer(folder.path())->encode("A").at(0); };
  folder.write("tokenizer.json", word_piece_file(true).dump());
  BOOST_TEST(id() == 6);
  folder.write("tokenizer_config.json", R"({"do_lower_case": false})");
  BOOST_TEST(id() == 5);
  folder.write("tokenizer.json", word_piece_file(false).dump());
  folder.write("tokenizer_config.json", R"({"model_max_length": 16})");
  BOOST_TEST(id() == 5);
  folder.write("tokenizer_config.json", R"({"do_lower_case": true})");
  BOOST_TEST(id() == 6);
  folder.write("tokenizer_config.json", R"({"sep_token": "</s>"})");
  check_error([&] { id(); }, {"tokenizer_config.json", "sep_token", "[SEP]", "</s>"});
}

BOOST_AUTO_TEST_CASE(all_files_of_a_tokenizer_are_copied_and_those_of_another_removed) {
  const TemporaryFolder from, to;
  for (const char* name : {"tokenizer.json", "special_tokens_map.json", "tokenizer.model"})
    from.write(name, name);
  for (const char* name : {"vocab.txt", "merges.txt", "added_tokens.json", "config.json"})
    to.write(name, "old");
  copy_tokenizer(from.path(), to.path());
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(to.path()))
    found.push_back(entry.path().filename().string());
  std::sort(found.begin(), found.end());
  BOOST_TEST(found == (std::vector<std::string>{"config.json", "special_tokens_map.json",
                                                "tokenizer.json", "tokenizer.model"}),
             boost::test_tools::per_element());
  BOOST_TEST(metatt::tn::read_file(to / "tokenizer.model") == "tokenizer.model");
}

BOOST_AUTO_TEST_CASE(older_files_are_refused_by_line) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& vocabulary, const std::string& merges,
                           const std::vector<std::string_view>& fragments) {
    write_file_atomically(folder / "vocab.json", vocabulary);
    write_file_atomically(folder / "merges.txt", merges);
    check_error([&] { read_tokenizer(folder.path()); }, fragments);
  };
  refused("[]", "", {"vocab.json", "object"});
  refused(R"({"a": 0, "b": 2})", "", {"\"b\"", "0 … 1", "2"});
  refused(R"({"a": 0, "b": 0})", "", {"\"b\"", "each once"});
  refused(R"({"a": 0})", "#version: 0.2\na\n", {"merges.txt", "line 2"});
  refused(R"({"a": 0})", "#version: 0.2\n", {"vocab.json", "expected the entry"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
