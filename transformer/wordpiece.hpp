#pragma once
/// The tokenizer of the BERT family: WordPiece (Wu and others, arXiv:1609.08144, as in BERT).

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace metatt::transformer {

/// The settings of Hugging Face's tokenizer_config.json that change ids, and the length at which
/// the model's user cuts texts.
struct WordPieceOptions {
  bool do_lower_case = true;
  std::optional<bool> strip_accents;  ///< as do_lower_case if absent
  bool tokenize_chinese_chars = true;
  std::optional<std::int64_t> model_max_length;  ///< absent, or at least 5
};

/// What an encoder reads of one text or pair of texts.
struct EncodedText {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> type_ids;  ///< 0 up to and with the first [SEP], then 1
};

/// Gives the ids of Hugging Face's fast BERT tokenizer: drops control characters, U+FFFD and bytes
/// that are no UTF-8; sets CJK characters apart; strips accents (NFD without Mn) and lower-cases;
/// splits at white space and around punctuation; takes the longest matching pieces from the left,
/// or [UNK] for a word that has no such cover or more than 100 characters. One difference: "[SEP]"
/// inside a text is text, never the special token. Character classes are those of utf8proc's
/// Unicode version: marks and punctuation younger than Unicode 8, whose tables Hugging Face's
/// tokenizer still has, count as such here.
class WordPiece {
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

  /// Ids of a text without special tokens.
  std::vector<std::int32_t> encode(std::string_view text) const;

  /// [CLS] a [SEP], or [CLS] a [SEP] b [SEP], with at most `max_length` ids: tokens are cut from
  /// the ends, first of the longer text until both have the same length, then of both, as Hugging
  /// Face's longest_first does. Throws tn::Error if not even the special tokens fit.
  EncodedText encode_pair(std::string_view a, const std::optional<std::string_view>& b,
                          std::int64_t max_length) const;

  std::span<const std::string> vocabulary() const { return vocabulary_; }
  const WordPieceOptions& options() const { return options_; }
  /// Nothing if the vocabulary has no such entry.
  std::optional<std::int32_t> find(std::string_view entry) const;
  std::int32_t pad_id() const { return pad_id_; }
  std::int32_t unknown_id() const { return unknown_id_; }
  std::int32_t classification_id() const { return classification_id_; }
  std::int32_t separator_id() const { return separator_id_; }
  /// Throws tn::Error if the vocabulary has no [MASK].
  std::int32_t mask_id() const;

 private:
  /// Lets a std::string_view be looked up without a copy.
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };

  std::int32_t required_id(std::string_view entry) const;
  void append_word(std::u32string_view word, std::vector<std::int32_t>& ids) const;

  std::vector<std::string> vocabulary_;
  WordPieceOptions options_;
  std::string source_name_;
  std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>> ids_;
  std::int32_t pad_id_ = 0, unknown_id_ = 0, classification_id_ = 0, separator_id_ = 0;
};

}  // namespace metatt::transformer
