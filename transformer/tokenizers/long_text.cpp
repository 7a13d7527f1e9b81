#include <metatt/transformer/tokenizers/long_text.hpp>

#include <metatt/transformer/parallel.hpp>

#include <algorithm>

namespace metatt::transformer {

namespace {

constexpr std::size_t piece_bytes = 1 << 14;

std::vector<std::string_view> pieces_of(std::string_view text, const WordsEnd& words_end) {
  std::vector<std::string_view> pieces;
  while (!text.empty()) {
    std::size_t end = std::min(piece_bytes, text.size());
    while (end < text.size() && !words_end(text, end)) ++end;
    pieces.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return pieces;
}

}  // namespace

void append_long_text(
    std::string_view text, const WordsEnd& words_end,
    const std::function<void(std::string_view piece, std::vector<TokenId>& ids)>& encode,
    std::vector<TokenId>& ids) {
  if (text.size() <= piece_bytes) return encode(text, ids);
  const std::vector<std::string_view> pieces = pieces_of(text, words_end);
  std::vector<std::vector<TokenId>> found(pieces.size());
  for_each_in_parallel(pieces.size(), [&](std::size_t i) { encode(pieces[i], found[i]); });
  for (const auto& part : found) ids.insert(ids.end(), part.begin(), part.end());
}

}  // namespace metatt::transformer
