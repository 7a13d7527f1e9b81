#pragma once
/// tokenizer.model, the format of SentencePiece, in which Llama 2, TinyLlama and Mistral came
/// first.

#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <filesystem>
#include <memory>

namespace metatt::transformer {

/// The tokenizer that transformers' LlamaTokenizerFast makes of such a file and the settings beside
/// it: of two pieces that make a third one those with the highest score are joined first, control
/// pieces are special tokens, and pieces that the user defined are found before a text is cut.
/// Throws tn::Error naming file and field on a damaged file, a model that is not byte-pair encoding
/// and a normaliser other than Llama's.
std::unique_ptr<Tokenizer> read_sentence_piece_file(const std::filesystem::path& path);

}  // namespace metatt::transformer
