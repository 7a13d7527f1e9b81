#pragma once
/// tokenizer.model, the format of SentencePiece, in which Llama 2, TinyLlama and Mistral came
/// first.

#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <filesystem>
#include <memory>

namespace metatt::transformer {

/// The tokenizer that transformers' LlamaTokenizerFast makes of such a file and the settings beside
/// it: of two pieces that make a third one those with the highest score are joined first, control
/// pieces are special tokens, and pieces that the user defined are found before a text is cut (the
/// last two as in versions from 5 on; 4.41 takes the first three pieces alone). Throws tn::Error
/// naming file and field on a damaged file, a model that is not byte-pair encoding, a normaliser
/// other than Llama's, pieces that are empty, there twice or longer than 4096 bytes, and on none or
/// several for what is unknown.
std::unique_ptr<Tokenizer> read_sentence_piece_file(const std::filesystem::path& path);

}  // namespace metatt::transformer
