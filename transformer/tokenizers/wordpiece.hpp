#pragma once
/// The tokenizer of the BERT family: WordPiece (Wu and others, arXiv:1609.08144, as in BERT).

#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <filesystem>

namespace metatt::transformer {

struct WordPieceOptions {
  bool do_lower_case = true;
  std::optional<bool> strip_accents;  ///< as do_lower_case if absent
  bool tokenize_chinese_chars = true;
  std::int64_t max_input_chars_per_word = 100;  ///< a longer word is unknown
  std::string continuing_subword_prefix = "##";
};

/// What the folder's tokenizer_config.json says, if there is one; `otherwise` for what it does not
/// say. Throws tn::Error naming file and field on another type or special tokens that are not
/// BERT's.
WordPieceOptions read_word_piece_options(const std::filesystem::path& folder,
                                         const WordPieceOptions& otherwise);

/// Gives the ids of Hugging Face's fast BERT tokenizer: drops control characters, U+FFFD and bytes
/// that are no UTF-8; sets CJK characters apart; strips accents (NFD without Mn) and lower-cases;
/// splits at white space and around punctuation; takes the longest matching pieces from the left,
/// or [UNK] for a word that has no such cover or too many characters. Character classes are
/// those of utf8proc's Unicode version: marks, punctuation and control characters that are
/// younger than Unicode 8, whose tables Hugging Face's tokenizer still has, or have changed their
/// class since, count as such here.
class WordPiece : public Tokenizer {
 public:
  /// Throws tn::Error if there is no entry [UNK].
  WordPiece(TokenizerParts parts, WordPieceOptions options);
  /// BERT's special tokens and template, [CLS] a [SEP] or [CLS] a [SEP] b [SEP] with b of type 1.
  /// Entry i has id i. Throws tn::Error on an empty vocabulary, an empty or repeated entry, or if
  /// [UNK], [CLS], [SEP] or [PAD] is missing. `source_name` (a file name) begins every error.
  WordPiece(std::vector<std::string> vocabulary, WordPieceOptions options,
            const std::string& source_name);

  /// Reads vocab.txt, an entry a line, and the files beside it that are there
  /// (TokenizerSettings).
  static WordPiece from_folder(const std::filesystem::path& folder);

  const WordPieceOptions& options() const { return options_; }
  TokenId pad_id() const { return vocabulary().required("[PAD]"); }
  TokenId unknown_id() const { return unknown_id_; }
  TokenId classification_id() const { return vocabulary().required("[CLS]"); }
  TokenId separator_id() const { return vocabulary().required("[SEP]"); }
  /// Throws tn::Error if the vocabulary has no [MASK].
  TokenId mask_id() const { return vocabulary().required("[MASK]"); }

 private:
  void append(std::string_view text, bool begins, std::vector<TokenId>& ids) const override;
  std::string text_of(std::span<const TokenId> ids) const override;
  void append_word(std::string_view word, std::vector<TokenId>& ids) const;

  WordPieceOptions options_;
  TokenId unknown_id_ = 0;
};

}  // namespace metatt::transformer
