#pragma once
/// Texts to fine-tune a decoder on.

#include <metatt/transformer/model_config.hpp>
#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <filesystem>
#include <vector>

namespace metatt::transformer {

/// The bytes of a file. Throws Error naming file, line and byte where they are no UTF-8.
std::string read_utf8(const std::filesystem::path& file);

/// Tokens of a text, of which the first ones are given and not predicted.
struct TokenText {
  std::vector<TokenId> ids;
  std::int64_t given = 1;  ///< at least the first one: nothing stands before it
  bool cut = false;        ///< it lost its end to the maximum length
};

/// Reads FILE.jsonl, where each line is an object with "text", or with "prompt" and "completion" (a
/// prompt's tokens are given); any other file is one stream of text that is cut into pieces. The
/// tokens around a text are the tokenizer's, and behind it stands the model's end token, if it has
/// one. At most `max_length` tokens each. Throws Error naming file and line: no JSON object, other
/// fields, an empty line, an empty text, bytes that are no UTF-8, a prompt that leaves no room for
/// a token of its completion.
std::vector<TokenText> read_texts(const std::filesystem::path& file, const Tokenizer& tokenizer,
                                  const ModelConfig& config, std::int64_t max_length);

}  // namespace metatt::transformer
