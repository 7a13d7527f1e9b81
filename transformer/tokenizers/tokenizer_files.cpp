#include <metatt/transformer/tokenizers/tokenizer_files.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/tokenizers/byte_level.hpp>
#include <metatt/transformer/tokenizers/sentence_piece_file.hpp>
#include <metatt/transformer/tokenizers/tokenizer_json.hpp>
#include <metatt/transformer/tokenizers/tokenizer_settings.hpp>
#include <metatt/transformer/tokenizers/wordpiece.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <system_error>

namespace metatt::transformer {

namespace {

using nlohmann::json;

/// merges.txt: two entries a line, perhaps under a line "#version: …".
std::vector<MergedEntries> read_merges(const std::filesystem::path& path) {
  std::vector<MergedEntries> merges;
  std::size_t number = 0;
  for (const std::string& line : tn::split_lines(tn::read_file(path))) {
    ++number;
    if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
    const std::size_t blank = line.find(' ');
    if (blank == std::string::npos || blank == 0 || blank + 1 == line.size() ||
        line.find(' ', blank + 1) != std::string::npos)
      tn::fail(path.string(), ": line ", number, ": expected two entries, found \"", line, "\"");
    merges.emplace_back(line.substr(0, blank), line.substr(blank + 1));
  }
  return merges;
}

Vocabulary read_vocabulary(const std::filesystem::path& path) {
  const std::string source = path.string();
  const json ids = parse_json(tn::read_file(path), source);
  if (!ids.is_object()) tn::fail(source, ": expected a JSON object of entries and ids");
  std::vector<std::string> entries(ids.size());
  for (const auto& [entry, id] : ids.items()) {
    const bool fits = id.is_number_integer() && id.get<std::int64_t>() >= 0 &&
                      id.get<std::int64_t>() < static_cast<std::int64_t>(entries.size());
    if (!fits || !entries[id.get<std::size_t>()].empty())
      tn::fail(source, ": \"", entry, "\": expected ids of 0 … ", entries.size() - 1,
               ", each once, found ", id.dump());
    entries[id.get<std::size_t>()] = entry;
  }
  return Vocabulary(std::move(entries), source);
}

/// GPT-2's files name no special tokens and RoBERTa's neither; their entries tell which it is.
std::unique_ptr<Tokenizer> read_older(const std::filesystem::path& folder) {
  using Source = TokenTemplate::Source;
  const TokenizerSettings settings(folder);
  TokenizerParts parts{read_vocabulary(folder / "vocab.json"), {}, {}};
  settings.add_tokens(parts);
  const Vocabulary& all = parts.vocabulary;
  if (const auto begin = all.find("<s>"), end = all.find("</s>"); begin && end) {
    for (const char* token : {"<s>", "<pad>", "</s>", "<unk>"})
      if (const auto id = all.find(token)) add_unless_there(parts.added, {token, *id});
    // RoBERTa's mask stands for a word with the blank before it.
    if (const auto id = all.find("<mask>"))
      add_unless_there(parts.added, {"<mask>", *id, true, true});
    parts.around.single = {{Source::token, *begin}, {Source::first}, {Source::token, *end}};
    parts.around.pair = parts.around.single;
    parts.around.pair.insert(parts.around.pair.end(),
                             {{Source::token, *end}, {Source::second}, {Source::token, *end}});
  } else if (const auto id = all.find("<|endoftext|>")) {
    add_unless_there(parts.added, {"<|endoftext|>", *id});
  }
  ByteLevelOptions options;
  options.add_prefix_space = settings.add_prefix_space();
  return std::make_unique<ByteLevelTokenizer>(std::move(parts), read_merges(folder / "merges.txt"),
                                              options);
}

}  // namespace

std::unique_ptr<Tokenizer> read_tokenizer(const std::filesystem::path& folder) {
  std::error_code ignored;
  const auto there = [&](const char* name) {
    return std::filesystem::exists(folder / name, ignored);
  };
  if (there("tokenizer.json")) return read_tokenizer_json(folder / "tokenizer.json");
  if (there("vocab.json")) return read_older(folder);
  if (there("vocab.txt"))
    return std::unique_ptr<Tokenizer>(new WordPiece(WordPiece::from_folder(folder)));
  if (there("tokenizer.model")) return read_sentence_piece_file(folder / "tokenizer.model");
  tn::fail(folder.string(),
           ": expected tokenizer.json, vocab.json, vocab.txt or tokenizer.model, found none");
}

std::optional<std::int64_t> read_model_max_length(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer_config.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  // Hugging Face writes 10^30 for "no limit".
  const double length = optional_or<double>(parse_json(tn::read_file(path), path.string()),
                                            "model_max_length", 1e30, path.string());
  if (!(length >= 1))
    tn::fail(path.string(), ": field \"model_max_length\": expected at least 1, found ", length);
  if (length >= 1 << 30) return std::nullopt;
  return static_cast<std::int64_t>(length);
}

namespace {

constexpr std::array tokenizer_file_names{"tokenizer.json",
                                          "vocab.json",
                                          "merges.txt",
                                          "vocab.txt",
                                          "tokenizer_config.json",
                                          "special_tokens_map.json",
                                          "added_tokens.json",
                                          "tokenizer.model"};

}  // namespace

void write_byte_tokenizer(const std::filesystem::path& folder) {
  for (const char* name : tokenizer_file_names) std::filesystem::remove(folder / name);
  const auto tokenizer = byte_tokenizer();
  json vocabulary = json::object();
  const auto& entries = tokenizer->vocabulary().entries();
  for (std::size_t id = 0; id < entries.size(); ++id) vocabulary[entries[id]] = id;
  const AddedToken& end = tokenizer->added_tokens().front();
  const json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  write_json(folder / "tokenizer.json", {{"version", "1.0"},
                                         {"truncation", nullptr},
                                         {"padding", nullptr},
                                         {"added_tokens",
                                          {{{"id", end.id},
                                            {"content", end.content},
                                            {"single_word", false},
                                            {"lstrip", false},
                                            {"rstrip", false},
                                            {"normalized", false},
                                            {"special", true}}}},
                                         {"normalizer", nullptr},
                                         {"pre_tokenizer", byte_level},
                                         {"post_processor", nullptr},
                                         {"decoder", byte_level},
                                         {"model",
                                          {{"type", "BPE"},
                                           {"dropout", nullptr},
                                           {"unk_token", nullptr},
                                           {"continuing_subword_prefix", nullptr},
                                           {"end_of_word_suffix", nullptr},
                                           {"fuse_unk", false},
                                           {"byte_fallback", false},
                                           {"vocab", vocabulary},
                                           {"merges", json::array()}}}});
}

void write_tokenizer_class(const std::filesystem::path& folder) {
  const auto there = [&](const char* name) { return std::filesystem::exists(folder / name); };
  const std::filesystem::path path = folder / "tokenizer_config.json";
  json settings = json::object();
  if (there("tokenizer_config.json")) settings = parse_json(tn::read_file(path), path.string());
  if (!settings.is_object() || settings.contains("tokenizer_class")) return;
  const bool roberta =
      there("vocab.json") && read_vocabulary(folder / "vocab.json").find("<s>").has_value();
  const bool changed_bert = settings.contains("do_lower_case") ||
                            settings.contains("tokenize_chinese_chars") ||
                            settings.contains("strip_accents");
  const bool model_alone = there("tokenizer.model") && !there("tokenizer.json") &&
                           !there("vocab.json") && !there("vocab.txt");
  settings["tokenizer_class"] = model_alone               ? "LlamaTokenizer"
                                : changed_bert            ? "BertTokenizer"
                                : there("tokenizer.json") ? "PreTrainedTokenizerFast"
                                : there("vocab.txt")      ? "BertTokenizer"
                                : roberta                 ? "RobertaTokenizer"
                                                          : "GPT2Tokenizer";
  write_json(path, settings);
}

void copy_tokenizer(const std::filesystem::path& from, const std::filesystem::path& to) {
  const auto there = [&](const char* name) { return std::filesystem::exists(from / name); };
  if (std::ranges::none_of(tokenizer_file_names, there))
    tn::fail(from.string(), ": expected a tokenizer's files to copy, found none");
  for (const char* name : tokenizer_file_names)
    if (there(name))
      tn::write_file_atomically(to / name, tn::read_file(from / name));
    else
      std::filesystem::remove(to / name);
}

}  // namespace metatt::transformer
