#pragma once
/// What every tokenizer does: texts to ids and back.

#include <metatt/transformer/tokenizers/vocabulary.hpp>

#include <functional>
#include <map>
#include <span>

namespace metatt::transformer {

/// What a model reads of one text or pair of texts.
struct EncodedText {
  std::vector<TokenId> ids;
  std::vector<TokenId> type_ids;  ///< of each id, as the template of the tokenizer says
  bool cut = false;               ///< it lost tokens to a maximum length
};

/// A token that is found in a text before that is cut into words.
struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = true;       ///< decode() leaves it out
  bool strip_left = false;   ///< takes the white space before it
  bool strip_right = false;  ///< and behind it
  /// Found in what the normaliser leaves of the text between the others, by what it leaves of
  /// `content`; otherwise in the text as it stands, before the normaliser.
  bool normalised = false;
};

/// Tokens around a text, or around two.
struct TokenTemplate {
  enum class Source { token, first, second };
  struct Piece {
    Source source = Source::token;
    TokenId id = 0;  ///< of a token
    TokenId type = 0;
  };
  std::vector<Piece> single{{Source::first}};
  std::vector<Piece> pair{{Source::first}, {Source::second, 0, 1}};
};

/// What each kind of tokenizer has beside its own rules.
struct TokenizerParts {
  Vocabulary vocabulary;  ///< of all ids, added ones too
  std::vector<AddedToken> added;
  TokenTemplate around;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  const Vocabulary& vocabulary() const { return parts_.vocabulary; }
  const std::vector<AddedToken>& added_tokens() const { return parts_.added; }

  /// Ids of a text without the tokens of the template. Bytes that are no UTF-8 count as U+FFFD.
  std::vector<TokenId> encode(std::string_view text) const;
  /// The text of ids, without special tokens unless they are wanted; bytes that make no UTF-8
  /// become U+FFFD. Throws tn::Error on an id that is none.
  std::string decode(std::span<const TokenId> ids, bool special_tokens = false) const;

  /// The tokens of the template around one text, or around two.
  std::vector<TokenId> template_ids(bool pair) const;
  /// Tokens of the template around one text or two, at most `max_length` ids: tokens are cut from
  /// the ends, first of the longer text until both have the same length, then of both, as Hugging
  /// Face's longest_first does. Throws tn::Error if not even the tokens of the template fit.
  EncodedText encode_pair(std::string_view a, const std::optional<std::string_view>& b,
                          std::int64_t max_length) const;
  /// A text in pieces of at most `max_length` ids, each with the tokens of the template around it;
  /// all but the last are as long as they may be. Throws tn::Error if the template leaves no room.
  std::vector<EncodedText> encode_pieces(std::string_view text, std::int64_t max_length) const;

 protected:
  /// What is done with a text before it is cut into words; leaves UTF-8.
  using Normaliser = std::function<std::string(std::string_view)>;

  /// Throws tn::Error if two added tokens are the same, one or a token of the template has no
  /// entry, or the normaliser leaves nothing of one.
  Tokenizer(TokenizerParts parts, Normaliser normalise);

 private:
  /// The tokens of a template with those of one text or two in their places.
  EncodedText surrounded(const std::vector<TokenTemplate::Piece>& pieces,
                         std::span<const TokenId> first, std::span<const TokenId> second) const;
  /// Appends the ids of normalised text, not empty and without added tokens; `begins`: nothing
  /// stands before it.
  virtual void append(std::string_view text, bool begins, std::vector<TokenId>& ids) const = 0;
  virtual std::string text_of(std::span<const TokenId> ids) const = 0;

  /// Added tokens by how they are written.
  class Written {
   public:
    void add(std::string text, const AddedToken& token);
    /// Appends the ids of tokens in a text, and calls `between` for what stands between them and
    /// whether nothing stands before it.
    void divide(std::string_view text, std::vector<TokenId>& ids,
                const std::function<void(std::string_view, bool)>& between) const;

   private:
    struct Found {
      std::size_t begin, end;
      const AddedToken* token;
    };
    std::optional<Found> find(std::string_view text, std::size_t from) const;

    /// By their first byte, longer ones first.
    std::map<char, std::vector<std::pair<std::string, const AddedToken*>>> by_first_byte_;
  };

  TokenizerParts parts_;
  Normaliser normalise_;
  std::map<TokenId, const AddedToken*> added_ids_;
  Written in_text_, in_normalised_;
};

}  // namespace metatt::transformer
