#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/transformer/tokenizers/unicode.hpp>

#include <algorithm>
#include <utility>

namespace metatt::transformer {

namespace {

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

void Tokenizer::Written::add(std::string text, const AddedToken& token) {
  auto& tokens = by_first_byte_[text.front()];
  const auto place = std::ranges::find_if(
      tokens, [&](const auto& other) { return other.first.size() < text.size(); });
  tokens.emplace(place, std::move(text), &token);
}

std::optional<Tokenizer::Written::Found> Tokenizer::Written::find(std::string_view text,
                                                                  std::size_t from) const {
  if (by_first_byte_.empty()) return std::nullopt;
  for (std::size_t i = from; i < text.size(); ++i) {
    const auto candidates = by_first_byte_.find(text[i]);
    if (candidates == by_first_byte_.end()) continue;
    for (const auto& [written, token] : candidates->second)
      if (text.substr(i, written.size()) == written) {
        const std::size_t end = i + written.size();
        return Found{token->strip_left ? white_space_before(text, from, i) : i,
                     token->strip_right ? white_space_behind(text, end) : end, token};
      }
  }
  return std::nullopt;
}

void Tokenizer::Written::divide(std::string_view text, std::vector<TokenId>& ids,
                                const std::function<void(std::string_view, bool)>& between) const {
  for (std::size_t from = 0; from < text.size();) {
    const std::optional<Found> next = find(text, from);
    const std::size_t end = next ? next->begin : text.size();
    if (end > from) between(text.substr(from, end - from), from == 0);
    if (!next) return;
    ids.push_back(next->token->id);
    from = next->end;
  }
}

Tokenizer::Tokenizer(TokenizerParts parts, Normaliser normalise)
    : parts_(std::move(parts)), normalise_(std::move(normalise)) {
  for (const AddedToken& token : parts_.added) {
    const std::string& source = vocabulary().source_name();
    if (token.content.empty() || vocabulary().find(token.content) != token.id)
      tn::fail(source, ": added token \"", token.content, "\": expected the entry of its id ",
               token.id);
    if (!added_ids_.emplace(token.id, &token).second)
      tn::fail(source, ": added token \"", token.content, "\": is there twice");
    std::string written = token.normalised ? normalise_(token.content) : token.content;
    if (written.empty())
      tn::fail(source, ": added token \"", token.content,
               "\": the normaliser leaves nothing of it");
    (token.normalised ? in_normalised_ : in_text_).add(std::move(written), token);
  }
  for (const auto* pieces : {&parts_.around.single, &parts_.around.pair})
    for (const TokenTemplate::Piece& piece : *pieces)
      if (piece.source == TokenTemplate::Source::token) vocabulary().entry(piece.id);
}

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  std::vector<TokenId> ids;
  in_text_.divide(text, ids, [&](std::string_view piece, bool text_begins) {
    in_normalised_.divide(normalise_(piece), ids, [&](std::string_view words, bool begins) {
      append(words, text_begins && begins, ids);
    });
  });
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool special_tokens) const {
  std::vector<TokenId> shown;
  for (const TokenId id : ids) {
    vocabulary().entry(id);  // throws on an id that is none
    const auto added = added_ids_.find(id);
    if (special_tokens || added == added_ids_.end() || !added->second->special) shown.push_back(id);
  }
  return valid_utf8(text_of(shown));
}

std::vector<TokenId> Tokenizer::template_ids(bool pair) const {
  std::vector<TokenId> ids;
  for (const TokenTemplate::Piece& piece : pair ? parts_.around.pair : parts_.around.single)
    if (piece.source == TokenTemplate::Source::token) ids.push_back(piece.id);
  return ids;
}

EncodedText Tokenizer::encode_pair(std::string_view a, const std::optional<std::string_view>& b,
                                   std::int64_t max_length) const {
  const auto& pieces = b ? parts_.around.pair : parts_.around.single;
  const auto tokens = static_cast<std::int64_t>(template_ids(b.has_value()).size());
  if (max_length < tokens)
    tn::fail("encode_pair: expected a max_length of at least ", tokens,
             " for the special tokens, found ", max_length);
  std::vector<TokenId> first = encode(a), second = b ? encode(*b) : std::vector<TokenId>();
  const auto [first_length, second_length] =
      kept_lengths(first.size(), second.size(), static_cast<std::size_t>(max_length - tokens));
  EncodedText encoded = surrounded(pieces, std::span(first).first(first_length),
                                   std::span(second).first(second_length));
  encoded.cut = first_length < first.size() || second_length < second.size();
  return encoded;
}

std::vector<EncodedText> Tokenizer::encode_pieces(std::string_view text,
                                                  std::int64_t max_length) const {
  const auto tokens = static_cast<std::int64_t>(template_ids(false).size());
  if (max_length <= tokens)
    tn::fail("encode_pieces: expected a max_length above ", tokens,
             ", the number of special tokens, found ", max_length);
  const std::vector<TokenId> ids = encode(text);
  const auto length = static_cast<std::size_t>(max_length - tokens);
  std::vector<EncodedText> pieces;
  for (std::size_t begin = 0; begin == 0 || begin < ids.size(); begin += length) {
    const auto part = std::span(ids).subspan(begin, std::min(length, ids.size() - begin));
    pieces.push_back(surrounded(parts_.around.single, part, {}));
  }
  return pieces;
}

EncodedText Tokenizer::surrounded(const std::vector<TokenTemplate::Piece>& pieces,
                                  std::span<const TokenId> first,
                                  std::span<const TokenId> second) const {
  using Source = TokenTemplate::Source;
  EncodedText encoded;
  for (const TokenTemplate::Piece& piece : pieces) {
    const std::span<const TokenId> text = piece.source == Source::first ? first : second;
    if (piece.source == Source::token)
      encoded.ids.push_back(piece.id);
    else
      encoded.ids.insert(encoded.ids.end(), text.begin(), text.end());
    encoded.type_ids.resize(encoded.ids.size(), piece.type);
  }
  return encoded;
}

}  // namespace metatt::transformer
