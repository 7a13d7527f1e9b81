#pragma once
/// Byte-level byte-pair encoding: GPT-2, RoBERTa, Llama 3, Qwen2, SmolLM.

#include <metatt/transformer/tokenizers/byte_pair_model.hpp>
#include <metatt/transformer/tokenizers/split_patterns.hpp>
#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <array>
#include <memory>

namespace metatt::transformer {

struct ByteLevelOptions {
  SplitPattern pattern = SplitPattern::gpt2;
  bool add_prefix_space = false;   ///< a text that does not begin with white space gets a blank
  bool compose = false;            ///< Unicode's canonical composition (NFC) first
  bool whole_words_first = false;  ///< a word that is an entry is not put together from merges
};

/// Every byte of a word is a symbol, written as a printable character in the vocabulary (Radford
/// and others 2019, encoder.py of GPT-2); symbols are joined by BytePairModel. Every text has ids,
/// and decode() gives it back.
class ByteLevelTokenizer : public Tokenizer {
 public:
  /// Throws tn::Error if an entry for a
  /// byte, a part of a merge or what it makes is missing.
  ByteLevelTokenizer(TokenizerParts parts, std::span<const MergedEntries> merges,
                     const ByteLevelOptions& options);

 private:
  void append(std::string_view text, bool begins, std::vector<TokenId>& ids) const override;
  std::string text_of(std::span<const TokenId> ids) const override;
  void append_word(std::string_view word, std::vector<TokenId>& ids) const;

  ByteLevelOptions options_;
  BytePairModel model_;
  std::array<TokenId, 256> byte_ids_{};
  std::vector<std::string> bytes_;  ///< of each entry
  /// Words that are one id, most of a text, which then need no merges. They point into bytes_.
  std::unordered_map<std::string_view, TokenId> whole_words_;
};

/// 256 entries, one for each byte, and <|endoftext|>: what a model that reads characters needs. No
/// merges.
std::unique_ptr<ByteLevelTokenizer> byte_tokenizer();

}  // namespace metatt::transformer
