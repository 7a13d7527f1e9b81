#include <metatt/transformer/tokenizers/wordpiece.hpp>

#include <utf8proc.h>
#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/tokenizers/tokenizer_settings.hpp>
#include <metatt/transformer/tokenizers/unicode.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

namespace metatt::transformer {

namespace {

/// What BERT's clean-up drops.
bool is_dropped(char32_t character) {
  if (character == '\t' || character == '\n' || character == '\r') return false;
  return character == replacement_character || is_control(character);
}

bool is_chinese(char32_t character) {
  static constexpr std::array<std::pair<char32_t, char32_t>, 8> blocks = {{
      {0x4E00, 0x9FFF},
      {0x3400, 0x4DBF},
      {0x20000, 0x2A6DF},
      {0x2A700, 0x2B73F},
      {0x2B740, 0x2B81F},
      {0x2B920, 0x2CEAF},
      {0xF900, 0xFAFF},
      {0x2F800, 0x2FA1F},
  }};
  return std::any_of(blocks.begin(), blocks.end(), [&](const auto& block) {
    return character >= block.first && character <= block.second;
  });
}

/// In ASCII also what Unicode calls symbols.
bool stands_alone(char32_t character) {
  if (character < 0x80)
    return (character >= 33 && character <= 47) || (character >= 58 && character <= 64) ||
           (character >= 91 && character <= 96) || (character >= 123 && character <= 126);
  return is_punctuation(character);
}

/// Canonical decomposition (NFD) without nonspacing marks.
std::u32string without_accents(const std::u32string& text) {
  std::u32string result;
  std::array<utf8proc_int32_t, 32> parts;
  for (const char32_t character : text) {
    int boundary = 0;
    const utf8proc_ssize_t count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(character), parts.data(),
                                parts.size(), UTF8PROC_DECOMPOSE, &boundary);
    // The order of marks within a cluster, which NFD also fixes, matters only for those that stay.
    for (utf8proc_ssize_t i = 0; i < count; ++i) {
      const auto part = static_cast<char32_t>(parts[static_cast<std::size_t>(i)]);
      if (!is_nonspacing_mark(part)) result.push_back(part);
    }
  }
  return result;
}

std::u32string lower_case(const std::u32string& text) {
  std::u32string result;
  for (const char32_t character : text) {
    result.push_back(
        static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(character))));
    // The one character whose lower case is two: İ becomes i and a dot above.
    if (character == 0x130) result.push_back(0x307);
  }
  return result;
}

std::string normalised(std::string_view text, const WordPieceOptions& options) {
  std::u32string result;
  for (const char32_t character : decode_utf8(text)) {
    if (is_dropped(character)) continue;
    if (is_white_space(character)) {
      result.push_back(' ');
    } else if (options.tokenize_chinese_chars && is_chinese(character)) {
      result.append({' ', character, ' '});
    } else {
      result.push_back(character);
    }
  }
  if (options.strip_accents.value_or(options.do_lower_case)) result = without_accents(result);
  if (options.do_lower_case) result = lower_case(result);
  std::string bytes;
  for (const char32_t character : result) append_utf8(character, bytes);
  return bytes;
}

/// Words of normalised text; each punctuation mark is one of its own.
std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t begin = 0;
  const auto end_word = [&](std::size_t end) {
    if (end > begin) words.push_back(text.substr(begin, end - begin));
  };
  for (std::size_t i = 0; i < text.size();) {
    const DecodedCharacter next = first_character(text.substr(i));
    const std::size_t at = std::exchange(i, i + next.bytes);
    const bool punctuation = stands_alone(next.character);
    if (!punctuation && !is_white_space(next.character)) continue;
    end_word(at);
    if (punctuation) words.push_back(text.substr(at, next.bytes));
    begin = i;
  }
  end_word(text.size());
  return words;
}

/// A special token may be given as its text or as an object with field "content".
void check_special_token(const nlohmann::json& fields, const std::string& field,
                         const std::string& expected, const std::string& source_name) {
  if (!fields.contains(field) || fields[field].is_null()) return;
  const std::string found = fields[field].is_object()
                                ? required<std::string>(fields[field], "content", source_name)
                                : required<std::string>(fields, field, source_name);
  if (found != expected) {
    tn::fail(source_name, ": field \"", field, "\": expected \"", expected, "\", found \"", found,
             "\"");
  }
}

WordPieceOptions changed_options(const std::filesystem::path& path, WordPieceOptions options) {
  const std::string source = path.string();
  const nlohmann::json fields = parse_json(tn::read_file(path), source);
  const auto change = [&](const char* field, auto& option) {
    if (fields.contains(field) && !fields[field].is_null())
      option = required<bool>(fields, field, source);
  };
  // transformers' general class takes these from tokenizer.json alone.
  if (optional_or<std::string>(fields, "tokenizer_class", {}, source) !=
      "PreTrainedTokenizerFast") {
    change("do_lower_case", options.do_lower_case);
    change("tokenize_chinese_chars", options.tokenize_chinese_chars);
    change("strip_accents", options.strip_accents);
  }
  check_special_token(fields, "unk_token", "[UNK]", source);
  check_special_token(fields, "cls_token", "[CLS]", source);
  check_special_token(fields, "sep_token", "[SEP]", source);
  check_special_token(fields, "pad_token", "[PAD]", source);
  check_special_token(fields, "mask_token", "[MASK]", source);
  return options;
}

/// The parts of a BERT tokenizer from the lines of vocab.txt.
TokenizerParts bert_parts(std::vector<std::string> lines, const std::string& source_name) {
  for (std::size_t i = 0; i < lines.size(); ++i)
    if (lines[i].empty())
      tn::fail(source_name, ": expected an entry in line ", i + 1, ", found nothing");
  TokenizerParts parts{Vocabulary(std::move(lines), source_name), {}, {}};
  using Source = TokenTemplate::Source;
  const TokenId begin = parts.vocabulary.required("[CLS]"),
                end = parts.vocabulary.required("[SEP]");
  parts.around.single = {{Source::token, begin}, {Source::first}, {Source::token, end}};
  parts.around.pair = parts.around.single;
  parts.around.pair.insert(parts.around.pair.end(),
                           {{Source::second, 0, 1}, {Source::token, end, 1}});
  parts.vocabulary.required("[PAD]");
  return parts;
}

TokenizerParts with_special_tokens(TokenizerParts parts) {
  for (const char* token : {"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"})
    if (const auto id = parts.vocabulary.find(token)) add_unless_there(parts.added, {token, *id});
  return parts;
}

/// The blanks that Hugging Face's transformers take out of a text of pieces.
void close_up(std::string& text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 11> changes = {
      {{" .", "."},
       {" ?", "?"},
       {" !", "!"},
       {" ,", ","},
       {" ' ", "'"},
       {" n't", "n't"},
       {" 'm", "'m"},
       {" do not", " don't"},
       {" 's", "'s"},
       {" 've", "'ve"},
       {" 're", "'re"}}};
  for (const auto& [from, to] : changes)
    for (std::size_t at = text.find(from); at != std::string::npos;
         at = text.find(from, at + to.size()))
      text.replace(at, from.size(), to);
}

}  // namespace

WordPiece::WordPiece(TokenizerParts parts, WordPieceOptions options)
    : Tokenizer(std::move(parts),
                [options](std::string_view text) { return normalised(text, options); }),
      options_(std::move(options)),
      unknown_id_(vocabulary().required("[UNK]")) {}

WordPiece::WordPiece(std::vector<std::string> vocabulary, WordPieceOptions options,
                     const std::string& source_name)
    : WordPiece(with_special_tokens(bert_parts(std::move(vocabulary), source_name)),
                std::move(options)) {}

WordPiece WordPiece::from_folder(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "vocab.txt";
  TokenizerParts parts = bert_parts(tn::split_lines(tn::read_file(file)), file.string());
  TokenizerSettings(folder).add_tokens(parts);
  return WordPiece(with_special_tokens(std::move(parts)), read_word_piece_options(folder, {}));
}

WordPieceOptions read_word_piece_options(const std::filesystem::path& folder,
                                         const WordPieceOptions& otherwise) {
  const std::filesystem::path settings = folder / "tokenizer_config.json";
  std::error_code ignored;
  return std::filesystem::exists(settings, ignored) ? changed_options(settings, otherwise)
                                                    : otherwise;
}

void WordPiece::append_word(std::string_view word, std::vector<TokenId>& ids) const {
  std::vector<std::size_t> ends = {0};  // of each character
  while (ends.back() < word.size())
    ends.push_back(ends.back() + first_character(word.substr(ends.back())).bytes);
  const std::size_t characters = ends.size() - 1;
  if (static_cast<std::int64_t>(characters) > options_.max_input_chars_per_word) {
    ids.push_back(unknown_id_);
    return;
  }
  const std::size_t first_piece = ids.size();
  std::string piece;
  for (std::size_t begin = 0; begin < characters;) {
    std::optional<TokenId> id;
    std::size_t end = characters + 1;
    while (!id && --end > begin) {
      piece = begin > 0 ? options_.continuing_subword_prefix : "";
      piece += word.substr(ends[begin], ends[end] - ends[begin]);
      id = vocabulary().find(piece);
    }
    if (!id) {
      ids.resize(first_piece);
      ids.push_back(unknown_id_);
      return;
    }
    ids.push_back(*id);
    begin = end;
  }
}

void WordPiece::append(std::string_view text, bool, std::vector<TokenId>& ids) const {
  for (const std::string_view word : split_words(text)) append_word(word, ids);
}

std::string WordPiece::text_of(std::span<const TokenId> ids) const {
  const std::string& prefix = options_.continuing_subword_prefix;
  std::string text;
  for (const TokenId id : ids) {
    const std::string_view entry = vocabulary().entry(id);
    if (entry.starts_with(prefix) && !text.empty())
      text += entry.substr(prefix.size());
    else
      text.append(text.empty() ? "" : " ").append(entry);
  }
  close_up(text);
  return text;
}

}  // namespace metatt::transformer
