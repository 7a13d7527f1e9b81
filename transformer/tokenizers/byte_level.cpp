#include <metatt/transformer/tokenizers/byte_level.hpp>

#include <utf8proc.h>
#include <metatt/transformer/tokenizers/long_text.hpp>
#include <metatt/transformer/tokenizers/unicode.hpp>

#include <cstdlib>
#include <memory>
#include <new>

namespace metatt::transformer {

namespace {

/// The character that stands for each byte: itself where it is printable in Latin-1, else one from
/// U+0100 on.
std::array<char32_t, 256> byte_characters() {
  std::array<char32_t, 256> characters{};
  char32_t next = 0x100;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    characters[byte] = printable ? static_cast<char32_t>(byte) : next++;
  }
  return characters;
}

/// Of an entry in such characters; nothing if it has others, as added tokens do.
std::optional<std::string> bytes_of(std::string_view entry,
                                    const std::map<char32_t, char>& byte_of) {
  std::string bytes;
  for (const char32_t character : decode_utf8(entry)) {
    const auto place = byte_of.find(character);
    if (place == byte_of.end()) return std::nullopt;
    bytes += place->second;
  }
  return bytes;
}

std::string composed(std::string_view text) {
  const std::string valid = valid_utf8(text);
  utf8proc_uint8_t* result = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()),
                   static_cast<utf8proc_ssize_t>(valid.size()), &result,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(result, &std::free);
  if (length < 0) throw std::bad_alloc();
  return {reinterpret_cast<const char*>(result), static_cast<std::size_t>(length)};
}

/// Whether a line of printable ASCII characters begins at a place, behind another one: no word of
/// any pattern but `none` reaches from one to the next.
bool line_begins(std::string_view text, std::size_t place) {
  const auto printable = [&](char byte) { return byte > ' ' && byte < '\x7F'; };
  return place >= 2 && printable(text[place - 2]) && text[place - 1] == '\n' &&
         printable(text[place]);
}

}  // namespace

ByteLevelTokenizer::ByteLevelTokenizer(TokenizerParts parts, std::span<const MergedEntries> merges,
                                       const ByteLevelOptions& options)
    : Tokenizer(std::move(parts), options.compose ? composed : valid_utf8),
      options_(options),
      model_(merge_ids(vocabulary(), merges)) {
  const std::array<char32_t, 256> characters = byte_characters();
  std::map<char32_t, char> byte_of;
  std::vector<bool> word;  // whether an entry is made of bytes
  for (std::size_t byte = 0; byte < 256; ++byte) {
    std::string entry;
    append_utf8(characters[byte], entry);
    byte_ids_[byte] = vocabulary().required(entry);
    byte_of.emplace(characters[byte], static_cast<char>(byte));
  }
  for (TokenId id = 0; id < vocabulary().size(); ++id) {
    const std::string& entry = vocabulary().entry(id);
    const auto bytes = bytes_of(entry, byte_of);
    bytes_.push_back(bytes.value_or(entry));
    word.push_back(bytes && !bytes->empty());
  }
  std::vector<TokenId> symbols;
  for (TokenId id = 0; id < vocabulary().size(); ++id) {
    if (!word[static_cast<std::size_t>(id)]) continue;
    symbols.clear();
    append_word(bytes_[static_cast<std::size_t>(id)], symbols);
    if (options_.whole_words_first || (symbols.size() == 1 && symbols[0] == id))
      whole_words_.emplace(bytes_[static_cast<std::size_t>(id)], id);
  }
}

void ByteLevelTokenizer::append_word(std::string_view word, std::vector<TokenId>& ids) const {
  if (const auto whole = whole_words_.find(word); whole != whole_words_.end()) {
    ids.push_back(whole->second);
    return;
  }
  std::vector<TokenId> symbols;
  for (const char byte : word) symbols.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
  model_.join(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

void ByteLevelTokenizer::append(std::string_view text, bool, std::vector<TokenId>& ids) const {
  std::string prefixed;
  if (options_.add_prefix_space && text.front() != ' ') text = prefixed.append(" ").append(text);
  append_long_text(
      text,
      [&](std::string_view all, std::size_t place) {
        return options_.pattern != SplitPattern::none && line_begins(all, place);
      },
      [&](std::string_view piece, std::vector<TokenId>& found) {
        for (const std::string_view word : split(options_.pattern, piece)) append_word(word, found);
      },
      ids);
}

std::string ByteLevelTokenizer::text_of(std::span<const TokenId> ids) const {
  std::string text;
  for (const TokenId id : ids) text += bytes_[static_cast<std::size_t>(id)];
  return text;
}

std::unique_ptr<ByteLevelTokenizer> byte_tokenizer() {
  std::vector<std::string> entries;
  for (const char32_t character : byte_characters()) {
    entries.emplace_back();
    append_utf8(character, entries.back());
  }
  entries.emplace_back("<|endoftext|>");
  TokenizerParts parts{Vocabulary(std::move(entries), "byte_tokenizer"),
                       {{.content = "<|endoftext|>", .id = 256}},
                       {}};
  return std::make_unique<ByteLevelTokenizer>(std::move(parts), std::span<const MergedEntries>(),
                                              ByteLevelOptions());
}

}  // namespace metatt::transformer
