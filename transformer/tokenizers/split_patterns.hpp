#pragma once
/// How byte-level tokenizers cut a text into words before they encode them.

#include <string_view>
#include <vector>

namespace metatt::transformer {

/// The regular expressions of known tokenizers, worked through by hand; the comments show them.
enum class SplitPattern {
  none,
  // '(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  gpt2,
  // The same after every digit has been set apart.
  gpt2_digits,
  // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
  // \s*[\r\n]+|\s+(?!\S)|\s+
  llama3,
  // The same with \p{N} for \p{N}{1,3}.
  qwen2,
};

/// The pieces of a text, which together are the text.
std::vector<std::string_view> split(SplitPattern pattern, std::string_view text);

}  // namespace metatt::transformer
