#pragma once
/// Sentence embeddings: one vector a text from the hidden states of an encoder (Reimers and
/// Gurevych, arXiv:1908.10084).

#include <metatt/transformer/backbone.hpp>
#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace metatt::transformer {

/// What becomes of the hidden states of a text: their mean over all tokens (those that the
/// tokenizer puts around a text too), or that of the first token, which is `[CLS]` or `<s>`.
enum class Pooling { mean, first_token };

/// How a folder makes embeddings.
struct SentenceSettings {
  std::filesystem::path encoder;  ///< folder of config.json, the weights and the tokenizer
  Pooling pooling = Pooling::mean;
  bool normalise = false;             ///< embeddings have length 1
  std::optional<std::int64_t> width;  ///< of an embedding, where the folder says it
};

/// Reads modules.json and what it names, in the layout of sentence-transformers: a Transformer, a
/// Pooling, perhaps a Normalize. A folder without modules.json is an encoder whose embeddings are
/// means. Throws tn::Error naming file and field on other modules, other or several kinds of
/// pooling, and a prompt that should stand before every text.
SentenceSettings read_sentence_settings(const std::filesystem::path& folder);

/// An encoder with its tokenizer and pooling. Owns everything that belongs together; not movable,
/// since the parts refer to each other.
template <class T>
class SentenceEncoder {
 public:
  /// Throws tn::Error naming file and field on anything missing, damaged or unsupported, and on a
  /// decoder, whose tokens do not see those behind them.
  explicit SentenceEncoder(const std::filesystem::path& folder);
  SentenceEncoder(const SentenceEncoder&) = delete;
  SentenceEncoder& operator=(const SentenceEncoder&) = delete;

  const SentenceSettings& settings() const { return settings_; }
  const ModelConfig& config() const { return config_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  /// Tokens of a text at most: max_seq_length of sentence_bert_config.json, or where there is none
  /// model_max_length of tokenizer_config.json, but not more than the positions of the model.
  Index max_length() const { return max_length_; }
  /// Numbers of an embedding.
  Index width() const { return config_.hidden_size; }

  /// What the model reads of a text, without the white space at its ends.
  struct Sentence {
    EncodedText tokens;
    bool cut = false;  ///< whether it had more than max_length() tokens
  };
  Sentence encode(std::string_view text) const;
  /// Texts × width, in the order of the texts, which make one batch without padding. Throws
  /// tn::Error if there is none or one has no token.
  Tensor<T> embed(std::span<const EncodedText* const> texts) const;

 private:
  SentenceSettings settings_;
  ModelConfig config_;
  std::unique_ptr<Tokenizer> tokenizer_;
  Weights<T> weights_;
  std::unique_ptr<Backbone<T>> backbone_;
  Index max_length_ = 0;
};

}  // namespace metatt::transformer
