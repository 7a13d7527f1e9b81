#include <metatt/transformer/tokenizers/unicode.hpp>

#include <utf8proc.h>

#include <array>
#include <cstdint>

namespace metatt::transformer {

namespace {

utf8proc_category_t category(char32_t character) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(character));
}

bool category_between(char32_t character, utf8proc_category_t first, utf8proc_category_t last) {
  const utf8proc_category_t found = category(character);
  return found >= first && found <= last;
}

/// How many bytes follow a first byte, and between which bounds the second one lies (table 3-7 of
/// the Unicode standard); -1 for a byte that begins no character.
struct Sequence {
  int following;
  unsigned char lowest, highest;
};

Sequence sequence_of(unsigned char first) {
  if (first >= 0xC2 && first <= 0xDF) return {1, 0x80, 0xBF};
  if (first == 0xE0) return {2, 0xA0, 0xBF};
  if (first == 0xED) return {2, 0x80, 0x9F};
  if (first >= 0xE1 && first <= 0xEF) return {2, 0x80, 0xBF};
  if (first == 0xF0) return {3, 0x90, 0xBF};
  if (first >= 0xF1 && first <= 0xF3) return {3, 0x80, 0xBF};
  if (first == 0xF4) return {3, 0x80, 0x8F};
  return {-1, 0, 0};
}

}  // namespace

DecodedCharacter first_character(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return {first, 1};
  const Sequence sequence = sequence_of(first);
  if (sequence.following < 0) return {replacement_character, 1};
  char32_t character = first & (0x3F >> sequence.following);
  for (int k = 1; k <= sequence.following; ++k) {
    const auto place = static_cast<std::size_t>(k);
    const auto byte = place < text.size() ? static_cast<unsigned char>(text[place]) : 0;
    const unsigned char lowest = k == 1 ? sequence.lowest : 0x80;
    const unsigned char highest = k == 1 ? sequence.highest : 0xBF;
    if (byte < lowest || byte > highest) return {replacement_character, place};
    character = character << 6 | (byte & 0x3F);
  }
  return {character, static_cast<std::size_t>(sequence.following) + 1};
}

std::u32string decode_utf8(std::string_view text) {
  std::u32string characters;
  while (!text.empty()) {
    const DecodedCharacter next = first_character(text);
    characters.push_back(next.character);
    text.remove_prefix(next.bytes);
  }
  return characters;
}

void append_utf8(char32_t character, std::string& text) {
  std::array<utf8proc_uint8_t, 4> bytes;
  const utf8proc_ssize_t length =
      utf8proc_encode_char(static_cast<utf8proc_int32_t>(character), bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(length));
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const DecodedCharacter next = first_character(text);
    if (next.character == replacement_character && text.substr(0, next.bytes) != "\xEF\xBF\xBD")
      return false;
    text.remove_prefix(next.bytes);
  }
  return true;
}

std::string valid_utf8(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const DecodedCharacter next = first_character(text);
    append_utf8(next.character, result);
    text.remove_prefix(next.bytes);
  }
  return result;
}

bool is_letter(char32_t character) {
  if (character < 0x80) return (character | 0x20) >= 'a' && (character | 0x20) <= 'z';
  return category_between(character, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LO);
}

bool is_number(char32_t character) {
  if (character < 0x80) return character >= '0' && character <= '9';
  return category_between(character, UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO);
}

bool is_white_space(char32_t character) {
  if (character < 0x80) return character == ' ' || (character >= 0x09 && character <= 0x0D);
  return character == 0x85 ||
         category_between(character, UTF8PROC_CATEGORY_ZS, UTF8PROC_CATEGORY_ZP);
}

bool is_nonspacing_mark(char32_t character) {
  return category(character) == UTF8PROC_CATEGORY_MN;
}

bool is_control(char32_t character) {
  return category_between(character, UTF8PROC_CATEGORY_CC, UTF8PROC_CATEGORY_CO);
}

bool is_punctuation(char32_t character) {
  return category_between(character, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO);
}

std::size_t white_space_before(std::string_view text, std::size_t from, std::size_t end) {
  while (end > from) {
    std::size_t begin = end - 1;
    while (begin > from && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
    const DecodedCharacter character = first_character(text.substr(begin, end - begin));
    if (character.bytes != end - begin || !is_white_space(character.character)) break;
    end = begin;
  }
  return end;
}

std::size_t white_space_behind(std::string_view text, std::size_t begin) {
  while (begin < text.size()) {
    const DecodedCharacter character = first_character(text.substr(begin));
    if (!is_white_space(character.character)) break;
    begin += character.bytes;
  }
  return begin;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = white_space_behind(text, 0);
  return text.substr(begin, white_space_before(text, begin, text.size()) - begin);
}

}  // namespace metatt::transformer
