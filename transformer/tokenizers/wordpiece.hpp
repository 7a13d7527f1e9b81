#pragma once
/// The tokenizer of the BERT family: WordPiece (Wu and others, arXiv:1609.08144, as in BERT).

#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <filesystem>

namespace metatt::transformer {

/// The settings of Hugging Face's tokenizer_config.json that change ids.
struct WordPieceOptions {
  bool do_lower_case = true;
  std::optional<bool> strip_accents;  ///< as do_lower_case if absent
  bool tokenize_chinese_chars = true;
};

/// What the folder's tokenizer_config.json says, if there is one; `otherwise` for what it does not
/// say. Throws tn::Error naming file and field on another type or special tokens that are not
/// BERT's.
WordPieceOptions read_word_piece_options(const std::filesystem::path& folder,
                                         const WordPieceOptions& otherwise);

/// Gives the ids of Hugging Face's fast BERT tokenizer: drops control characters, U+FFFD and bytes
/// that are no UTF-8; sets CJK characters apart; strips accents (NFD without Mn) and lower-cases;
/// splits at white space and around punctuation; takes the longest matching pieces from the left,
/// or [UNK] for a word that has no such cover or more than 100 characters. Character classes are
/// those of utf8proc's Unicode version: marks, punctuation and control characters that are
/// younger than Unicode 8, whose tables Hugging Face's tokenizer still has, or have changed their
/// class since, count as such here. The template is [CLS] a [SEP] or [CLS] a
/// [SEP] b [SEP], b of type 1.
class WordPiece : public Tokenizer {
 public:
  /// Entry i has id i; entries that continue a word begin with "##". Throws tn::Error on an empty
  /// vocabulary, an empty or repeated entry, or if [UNK], [CLS], [SEP] or [PAD] is missing.
  /// `source_name` (a file name) begins every error.
  WordPiece(std::vector<std::string> vocabulary, WordPieceOptions options,
            const std::string& source_name);

  /// Reads a vocabulary of one entry a line.
  static WordPiece from_file(const std::filesystem::path& vocabulary,
                             const WordPieceOptions& options);
  /// Reads vocab.txt and, if it is there, tokenizer_config.json.
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
  void append_word(std::u32string_view word, std::vector<TokenId>& ids) const;

  WordPieceOptions options_;
  TokenId unknown_id_ = 0;
};

}  // namespace metatt::transformer
