#pragma once
/// SentencePiece-like byte-pair encoding with byte fallback: Llama 2, TinyLlama, Mistral.

#include <metatt/transformer/tokenizers/byte_pair_model.hpp>
#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <array>

namespace metatt::transformer {

/// Stands for a blank in the vocabulary: U+2581.
inline constexpr std::string_view blank_mark = "\xE2\x96\x81";

struct SentencePieceOptions {
  /// Which texts get the mark of a blank in front: none, those that no added token stands before,
  /// or all; but none that has one already (Metaspace).
  enum class Prefix { never, first, always } prefix = Prefix::always;
  /// The normaliser puts one before every text (Prepend), whatever it begins with.
  bool prepend = false;
  bool marks_normalised = false;   ///< the normaliser writes the marks of blanks (Replace)
  bool byte_fallback = true;       ///< a character without an entry becomes its bytes
  std::optional<TokenId> unknown;  ///< where it does not
  bool fuse_unknown = false;       ///< several in a row are one
};

/// Blanks become U+2581, the whole text is one word whose characters are symbols, and symbols are
/// joined by BytePairModel (Kudo and Richardson, arXiv:1808.06226, as Hugging Face's Llama
/// tokenizers have it).
class SentencePieceTokenizer : public Tokenizer {
 public:
  /// Throws tn::Error on a merge that lacks an entry, and with byte_fallback if an entry <0x00> to
  /// <0xFF> is missing.
  SentencePieceTokenizer(TokenizerParts parts, std::span<const MergedEntries> merges,
                         const SentencePieceOptions& options);

 private:
  void append(std::string_view text, bool begins, std::vector<TokenId>& ids) const override;
  std::string text_of(std::span<const TokenId> ids) const override;
  void append_words(std::string_view marked, std::vector<TokenId>& ids) const;
  void append_symbols(std::string_view text, std::vector<TokenId>& symbols) const;

  SentencePieceOptions options_;
  BytePairModel model_;
  std::array<TokenId, 256> byte_ids_{};
  std::map<TokenId, char> byte_of_;
  /// Whether no entry has a mark behind another character: then words can be encoded one by one.
  bool words_apart_;
};

}  // namespace metatt::transformer
