#pragma once
/// UTF-8 and the classes of characters that tokenizers ask for, by the tables of utf8proc.

#include <cstddef>
#include <string>
#include <string_view>

namespace metatt::transformer {

inline constexpr char32_t replacement_character = 0xFFFD;

/// The first character of a text that is not empty, and its bytes. Bytes that are no UTF-8 are
/// U+FFFD: one for each byte that begins no character, one for a character that breaks off (as
/// Python's errors="replace" and the Unicode standard, section 3.9, have it).
struct DecodedCharacter {
  char32_t character;
  std::size_t bytes;
};
DecodedCharacter first_character(std::string_view text);

std::u32string decode_utf8(std::string_view text);
void append_utf8(char32_t character, std::string& text);
bool is_valid_utf8(std::string_view text);
/// The text with U+FFFD for what is no UTF-8.
std::string valid_utf8(std::string_view text);

bool is_letter(char32_t character);       ///< general category L
bool is_number(char32_t character);       ///< general category N
bool is_white_space(char32_t character);  ///< the property White_Space
bool is_nonspacing_mark(char32_t character);
/// General categories Cc, Cf, Cs and Co.
bool is_control(char32_t character);
/// General category P.
bool is_punctuation(char32_t character);

/// Where white space that ends at `end` begins, not before `from`.
std::size_t white_space_before(std::string_view text, std::size_t from, std::size_t end);
/// Where white space that begins at `begin` ends.
std::size_t white_space_behind(std::string_view text, std::size_t begin);
/// The text without white space at both ends.
std::string_view trimmed(std::string_view text);

}  // namespace metatt::transformer
