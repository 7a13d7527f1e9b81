#include <metatt/transformer/tokenizers/split_patterns.hpp>
#include <metatt/transformer/tokenizers/unicode.hpp>

#include <array>
#include <cstddef>

namespace metatt::transformer {

namespace {

enum class Kind : unsigned char { letter, number, space, line_end, other };

Kind kind_of(char32_t character) {
  if (character == '\r' || character == '\n') return Kind::line_end;
  if (is_letter(character)) return Kind::letter;
  if (is_number(character)) return Kind::number;
  if (is_white_space(character)) return Kind::space;
  return Kind::other;
}

/// A text as characters of a kind, and where each begins.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {
    for (std::size_t at = 0; at < text.size();) {
      const DecodedCharacter next = first_character(text.substr(at));
      kinds_.push_back(kind_of(next.character));
      starts_.push_back(at);
      at += next.bytes;
    }
    starts_.push_back(text.size());
  }

  std::size_t size() const { return kinds_.size(); }
  Kind kind(std::size_t i) const { return kinds_[i]; }
  bool is(std::size_t i, Kind kind) const { return i < size() && kinds_[i] == kind; }
  bool white(std::size_t i) const { return is(i, Kind::space) || is(i, Kind::line_end); }
  bool blank(std::size_t i) const { return i < size() && text_[starts_[i]] == ' '; }
  std::string_view piece(std::size_t begin, std::size_t end) const {
    return text_.substr(starts_[begin], starts_[end] - starts_[begin]);
  }
  /// Behind the run of this kind that begins at i.
  std::size_t behind(std::size_t i, Kind kind) const {
    while (is(i, kind)) ++i;
    return i;
  }
  std::size_t behind_white(std::size_t i) const {
    while (white(i)) ++i;
    return i;
  }

  /// Behind 's, 't, 're, 've, 'm, 'll or 'd at i; i if there is none.
  std::size_t behind_contraction(std::size_t i, bool any_case) const {
    const std::string_view rest = text_.substr(starts_[i]);
    if (rest.empty() || rest[0] != '\'') return i;
    static constexpr std::array<std::string_view, 7> endings = {"s", "t",  "re", "ve",
                                                                "m", "ll", "d"};
    for (const std::string_view ending : endings) {
      bool same = rest.size() > ending.size();
      for (std::size_t k = 0; same && k < ending.size(); ++k) {
        const char c = rest[k + 1];
        same = c == ending[k] || (any_case && c >= 'A' && c <= 'Z' && c + 32 == ending[k]);
      }
      if (same) return i + 1 + ending.size();
    }
    return i;
  }

  /// \s+(?!\S)|\s+: white space, but the last one of several before a word.
  std::size_t behind_gap(std::size_t i) const {
    const std::size_t end = behind_white(i);
    return end < size() && end - i > 1 ? end - 1 : end;
  }

 private:
  std::string_view text_;
  std::vector<Kind> kinds_;
  std::vector<std::size_t> starts_;
};

std::size_t next_gpt2(const Scanner& text, std::size_t i) {
  if (const std::size_t end = text.behind_contraction(i, false); end > i) return end;
  const std::size_t word = text.blank(i) && i + 1 < text.size() && !text.white(i + 1) ? i + 1 : i;
  if (!text.white(word)) return text.behind(word, text.kind(word));
  return text.behind_gap(i);
}

std::size_t next_llama3(const Scanner& text, std::size_t i, std::size_t most_digits) {
  if (const std::size_t end = text.behind_contraction(i, true); end > i) return end;
  const Kind kind = text.kind(i);
  if (kind == Kind::letter) return text.behind(i, Kind::letter);
  if (kind == Kind::number) {
    std::size_t end = i + 1;
    while (end - i < most_digits && text.is(end, Kind::number)) ++end;
    return end;
  }
  if (kind != Kind::line_end && text.is(i + 1, Kind::letter))
    return text.behind(i + 1, Kind::letter);
  const std::size_t mark = text.blank(i) && text.is(i + 1, Kind::other) ? i + 1 : i;
  if (text.is(mark, Kind::other))
    return text.behind(text.behind(mark, Kind::other), Kind::line_end);
  // White space: up to its last end of line, if it has one.
  for (std::size_t end = text.behind_white(i); end > i; --end)
    if (text.is(end - 1, Kind::line_end)) return end;
  return text.behind_gap(i);
}

void append_pieces(SplitPattern pattern, std::string_view text,
                   std::vector<std::string_view>& pieces) {
  const Scanner scanner(text);
  for (std::size_t i = 0; i < scanner.size();) {
    const std::size_t end = pattern == SplitPattern::llama3  ? next_llama3(scanner, i, 3)
                            : pattern == SplitPattern::qwen2 ? next_llama3(scanner, i, 1)
                                                             : next_gpt2(scanner, i);
    pieces.push_back(scanner.piece(i, end));
    i = end;
  }
}

}  // namespace

std::vector<std::string_view> split(SplitPattern pattern, std::string_view text) {
  std::vector<std::string_view> pieces;
  if (text.empty()) return pieces;
  if (pattern == SplitPattern::none) return {text};
  if (pattern != SplitPattern::gpt2_digits) {
    append_pieces(pattern, text, pieces);
    return pieces;
  }
  const Scanner scanner(text);
  for (std::size_t i = 0; i < scanner.size();) {
    std::size_t end = i;
    while (end < scanner.size() && !scanner.is(end, Kind::number)) ++end;
    if (end > i) append_pieces(SplitPattern::gpt2, scanner.piece(i, end), pieces);
    if (end < scanner.size()) pieces.push_back(scanner.piece(end, end + 1));
    i = end + 1;
  }
  return pieces;
}

}  // namespace metatt::transformer
