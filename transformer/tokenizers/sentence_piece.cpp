#include <metatt/transformer/tokenizers/sentence_piece.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/transformer/tokenizers/long_text.hpp>
#include <metatt/transformer/tokenizers/unicode.hpp>

namespace metatt::transformer {

namespace {

std::string byte_entry(int byte) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string entry = "<0x";
  entry += digits[static_cast<std::size_t>(byte / 16)];
  entry += digits[static_cast<std::size_t>(byte % 16)];
  return entry + ">";
}

/// Whether a mark stands behind another character somewhere.
bool has_inner_mark(std::string_view entry) {
  while (entry.starts_with(blank_mark)) entry.remove_prefix(blank_mark.size());
  return entry.find(blank_mark) != std::string_view::npos;
}

std::string with_marks(std::string_view text) {
  std::string marked;
  for (const char byte : text)
    if (byte == ' ')
      marked += blank_mark;
    else
      marked += byte;
  return marked;
}

std::string normalised(std::string_view text, const SentencePieceOptions& options) {
  std::string result = valid_utf8(text);
  if (options.prepend && !result.empty()) result.insert(0, blank_mark);
  return options.marks_normalised ? with_marks(result) : result;
}

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer(TokenizerParts parts,
                                               std::span<const MergedEntries> merges,
                                               const SentencePieceOptions& options)
    : Tokenizer(std::move(parts),
                [options](std::string_view text) { return normalised(text, options); }),
      options_(options),
      model_(merge_ids(vocabulary(), merges)),
      // Unknown characters before and behind a mark that has no entry may be one.
      words_apart_(options.byte_fallback || vocabulary().find(blank_mark)) {
  for (int byte = 0; options_.byte_fallback && byte < 256; ++byte) {
    const TokenId id = vocabulary().required(byte_entry(byte));
    byte_ids_[static_cast<std::size_t>(byte)] = id;
    byte_of_.emplace(id, static_cast<char>(byte));
  }
  for (const auto& [left, right] : merges)
    if (has_inner_mark(left + right)) words_apart_ = false;
}

void SentencePieceTokenizer::append_symbols(std::string_view text,
                                            std::vector<TokenId>& symbols) const {
  bool unknown_before = false;
  while (!text.empty()) {
    const std::size_t length = first_character(text).bytes;
    const std::string_view character = text.substr(0, length);
    text.remove_prefix(length);
    const auto id = vocabulary().find(character);
    const bool unknown = !id && !options_.byte_fallback;
    if (id) {
      symbols.push_back(*id);
    } else if (options_.byte_fallback) {
      for (const char byte : character)
        symbols.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
    } else if (!options_.unknown) {
      tn::fail(vocabulary().source_name(), ": no entry for \"", character,
               "\" and none for what is unknown");
    } else if (!unknown_before || !options_.fuse_unknown) {
      symbols.push_back(*options_.unknown);
    }
    unknown_before = unknown;
  }
}

void SentencePieceTokenizer::append(std::string_view text, bool begins,
                                    std::vector<TokenId>& ids) const {
  using Prefix = SentencePieceOptions::Prefix;
  std::string marked = options_.marks_normalised ? std::string(text) : with_marks(text);
  const bool prefixed =
      options_.prefix == Prefix::always || (options_.prefix == Prefix::first && begins);
  if (prefixed && !marked.starts_with(blank_mark)) marked.insert(0, blank_mark);
  append_long_text(
      marked,
      [&](std::string_view all, std::size_t place) {  // at the first mark behind another character
        return words_apart_ && all.substr(place).starts_with(blank_mark) &&
               !all.substr(0, place).ends_with(blank_mark);
      },
      [&](std::string_view piece, std::vector<TokenId>& found) { append_words(piece, found); },
      ids);
}

void SentencePieceTokenizer::append_words(std::string_view rest, std::vector<TokenId>& ids) const {
  std::vector<TokenId> symbols;
  while (!rest.empty()) {
    std::size_t end = rest.size();
    if (words_apart_) {  // up to the first mark behind another character
      std::size_t word = 0;
      while (rest.substr(word).starts_with(blank_mark)) word += blank_mark.size();
      end = std::min(end, rest.find(blank_mark, word));
    }
    symbols.clear();
    append_symbols(rest.substr(0, end), symbols);
    model_.join(symbols);
    ids.insert(ids.end(), symbols.begin(), symbols.end());
    rest.remove_prefix(end);
  }
}

std::string SentencePieceTokenizer::text_of(std::span<const TokenId> ids) const {
  std::string marked;
  for (const TokenId id : ids) {
    const auto byte = byte_of_.find(id);
    if (byte != byte_of_.end())
      marked += byte->second;
    else
      marked += vocabulary().entry(id);
  }
  std::string text;
  for (std::size_t at = 0; at < marked.size();) {
    if (marked.compare(at, blank_mark.size(), blank_mark) == 0) {
      text += ' ';
      at += blank_mark.size();
    } else {
      text += marked[at++];
    }
  }
  const bool prefixed = options_.prepend || options_.prefix != SentencePieceOptions::Prefix::never;
  if (prefixed && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

}  // namespace metatt::transformer
