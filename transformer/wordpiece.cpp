#include <utf8proc.h>
#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/wordpiece.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <system_error>
#include <utility>

namespace metatt::transformer {

namespace {

constexpr std::size_t max_word_characters = 100;
constexpr char32_t replacement_character = 0xFFFD;

utf8proc_category_t category(char32_t character) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(character));
}

/// Unicode's White_Space property.
bool is_white_space(char32_t character) {
  switch (category(character)) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return true;
    default:
      return (character >= 0x09 && character <= 0x0D) || character == 0x85;
  }
}

/// What BERT's clean-up drops.
bool is_dropped(char32_t character) {
  if (character == '\t' || character == '\n' || character == '\r') return false;
  if (character == replacement_character) return true;
  switch (category(character)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
      return true;
    default:
      return false;
  }
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

bool is_punctuation(char32_t character) {
  if (character < 0x80) {
    return (character >= 33 && character <= 47) || (character >= 58 && character <= 64) ||
           (character >= 91 && character <= 96) || (character >= 123 && character <= 126);
  }
  switch (category(character)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return true;
    default:
      return false;
  }
}

/// Bytes that are no UTF-8 become U+FFFD.
std::u32string decode(std::string_view text) {
  std::u32string characters;
  while (!text.empty()) {
    utf8proc_int32_t character = 0;
    const utf8proc_ssize_t length =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                         static_cast<utf8proc_ssize_t>(text.size()), &character);
    characters.push_back(length > 0 ? static_cast<char32_t>(character) : replacement_character);
    text.remove_prefix(length > 0 ? static_cast<std::size_t>(length) : 1);
  }
  return characters;
}

void append_utf8(char32_t character, std::string& text) {
  std::array<utf8proc_uint8_t, 4> bytes;
  const utf8proc_ssize_t length =
      utf8proc_encode_char(static_cast<utf8proc_int32_t>(character), bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(length));
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
      if (category(part) != UTF8PROC_CATEGORY_MN) result.push_back(part);
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

std::u32string normalise(std::string_view text, const WordPieceOptions& options) {
  std::u32string result;
  for (const char32_t character : decode(text)) {
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
  return result;
}

/// Words of normalised text; each punctuation mark is one of its own.
std::vector<std::u32string_view> split_words(std::u32string_view text) {
  std::vector<std::u32string_view> words;
  std::size_t begin = 0;
  const auto end_word = [&](std::size_t end) {
    if (end > begin) words.push_back(text.substr(begin, end - begin));
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool punctuation = is_punctuation(text[i]);
    if (!punctuation && !is_white_space(text[i])) continue;
    end_word(i);
    if (punctuation) words.push_back(text.substr(i, 1));
    begin = i + 1;
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

WordPieceOptions read_options(const std::filesystem::path& path) {
  const std::string source = path.string();
  const nlohmann::json fields = parse_json(tn::read_file(path), source);
  WordPieceOptions options;
  options.do_lower_case = optional_or<bool>(fields, "do_lower_case", true, source);
  options.tokenize_chinese_chars =
      optional_or<bool>(fields, "tokenize_chinese_chars", true, source);
  if (fields.contains("strip_accents") && !fields["strip_accents"].is_null()) {
    options.strip_accents = required<bool>(fields, "strip_accents", source);
  }
  // Hugging Face writes 10^30 for "no limit".
  const double length = optional_or<double>(fields, "model_max_length", 1e30, source);
  if (length < 5)
    tn::fail(source, ": field \"model_max_length\": expected at least 5, found ", length);
  if (length < 1 << 30) options.model_max_length = static_cast<std::int64_t>(length);
  check_special_token(fields, "unk_token", "[UNK]", source);
  check_special_token(fields, "cls_token", "[CLS]", source);
  check_special_token(fields, "sep_token", "[SEP]", source);
  check_special_token(fields, "pad_token", "[PAD]", source);
  check_special_token(fields, "mask_token", "[MASK]", source);
  return options;
}

/// How many tokens of a and b are kept so that both together have at most `room`: the longest_first
/// of Hugging Face's tokenizers. An odd token goes to the longer text, to b if they are equally
/// long.
std::pair<std::size_t, std::size_t> kept_lengths(std::size_t a, std::size_t b, std::size_t room) {
  if (a + b <= room) return {a, b};
  const std::size_t shorter = std::min(a, b);
  const std::size_t kept_of_shorter = std::min(shorter, room / 2);
  const std::size_t kept_of_longer = room - kept_of_shorter;
  return a > b ? std::pair(kept_of_longer, kept_of_shorter)
               : std::pair(kept_of_shorter, kept_of_longer);
}

}  // namespace

WordPiece::WordPiece(std::vector<std::string> vocabulary, WordPieceOptions options,
                     const std::string& source_name)
    : vocabulary_(std::move(vocabulary)), options_(options), source_name_(source_name) {
  if (vocabulary_.empty()) tn::fail(source_name_, ": expected a vocabulary, found no entry");
  if (vocabulary_.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    tn::fail(source_name_, ": expected ids of 32 bits, found ", vocabulary_.size(), " entries");
  }
  for (std::size_t i = 0; i < vocabulary_.size(); ++i) {
    if (vocabulary_[i].empty()) {
      tn::fail(source_name_, ": expected an entry in line ", i + 1, ", found nothing");
    }
    const auto [place, inserted] = ids_.emplace(vocabulary_[i], static_cast<std::int32_t>(i));
    if (!inserted) {
      tn::fail(source_name_, ": expected each entry once, found \"", vocabulary_[i], "\" in lines ",
               place->second + 1, " and ", i + 1);
    }
  }
  unknown_id_ = required_id("[UNK]");
  classification_id_ = required_id("[CLS]");
  separator_id_ = required_id("[SEP]");
  pad_id_ = required_id("[PAD]");
}

WordPiece WordPiece::from_file(const std::filesystem::path& vocabulary,
                               const WordPieceOptions& options) {
  return WordPiece(tn::split_lines(tn::read_file(vocabulary)), options, vocabulary.string());
}

WordPiece WordPiece::from_folder(const std::filesystem::path& folder) {
  WordPieceOptions options;
  const std::filesystem::path settings = folder / "tokenizer_config.json";
  std::error_code ignored;
  if (std::filesystem::exists(settings, ignored)) options = read_options(settings);
  return from_file(folder / "vocab.txt", options);
}

std::optional<std::int32_t> WordPiece::find(std::string_view entry) const {
  const auto place = ids_.find(entry);
  if (place == ids_.end()) return std::nullopt;
  return place->second;
}

std::int32_t WordPiece::required_id(std::string_view entry) const {
  const std::optional<std::int32_t> id = find(entry);
  if (!id) tn::fail(source_name_, ": expected the entry ", entry, ", found none");
  return *id;
}

std::int32_t WordPiece::mask_id() const {
  return required_id("[MASK]");
}

void WordPiece::append_word(std::u32string_view word, std::vector<std::int32_t>& ids) const {
  if (word.size() > max_word_characters) {
    ids.push_back(unknown_id_);
    return;
  }
  std::string bytes;
  std::vector<std::size_t> ends = {0};  // of each character in bytes
  for (const char32_t character : word) {
    append_utf8(character, bytes);
    ends.push_back(bytes.size());
  }
  const std::size_t first_piece = ids.size();
  std::string piece;
  for (std::size_t begin = 0; begin < word.size();) {
    std::optional<std::int32_t> id;
    std::size_t end = word.size() + 1;
    while (!id && --end > begin) {
      piece = begin > 0 ? "##" : "";
      piece.append(bytes, ends[begin], ends[end] - ends[begin]);
      id = find(piece);
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

std::vector<std::int32_t> WordPiece::encode(std::string_view text) const {
  const std::u32string normalised = normalise(text, options_);
  std::vector<std::int32_t> ids;
  for (const std::u32string_view word : split_words(normalised)) append_word(word, ids);
  return ids;
}

EncodedText WordPiece::encode_pair(std::string_view a, const std::optional<std::string_view>& b,
                                   std::int64_t max_length) const {
  const std::int64_t special_tokens = b ? 3 : 2;
  if (max_length < special_tokens) {
    tn::fail("encode_pair: expected a max_length of at least ", special_tokens,
             " for the special tokens, found ", max_length);
  }
  const std::vector<std::int32_t> first = encode(a);
  const std::vector<std::int32_t> second = b ? encode(*b) : std::vector<std::int32_t>();
  const auto room = static_cast<std::size_t>(max_length - special_tokens);
  const auto [first_length, second_length] =
      b ? kept_lengths(first.size(), second.size(), room)
        : std::pair(std::min(first.size(), room), std::size_t{0});

  EncodedText encoded;
  const auto append = [&](std::span<const std::int32_t> ids, std::int32_t type) {
    encoded.ids.insert(encoded.ids.end(), ids.begin(), ids.end());
    encoded.ids.push_back(separator_id_);
    encoded.type_ids.resize(encoded.ids.size(), type);
  };
  encoded.ids.push_back(classification_id_);
  append(std::span(first).first(first_length), 0);
  if (b) append(std::span(second).first(second_length), 1);
  return encoded;
}

}  // namespace metatt::transformer
