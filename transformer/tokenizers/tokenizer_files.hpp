#pragma once
/// Tokenizers from the files of a folder in Hugging Face layout.

#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <filesystem>
#include <memory>

namespace metatt::transformer {

/// Reads tokenizer.json or, where there is none, vocab.json with merges.txt (GPT-2, RoBERTa) or
/// vocab.txt (BERT). A tokenizer.json may hold WordPiece with BERT's normaliser, byte-level
/// byte-pair encoding with one of the patterns of SplitPattern, or SentencePiece-like byte-pair
/// encoding. Throws tn::Error naming file and field on anything else, on a file that is missing or
/// damaged, and on ids that are there twice.
std::unique_ptr<Tokenizer> read_tokenizer(const std::filesystem::path& folder);

/// The tokenizer.json of byte_tokenizer(), which Hugging Face's tokenizers read too. Files of
/// another tokenizer in the folder are removed.
void write_byte_tokenizer(const std::filesystem::path& folder);

/// Copies the files of a folder that read_tokenizer() reads, and tokenizer_config.json if there is
/// one. Files of another tokenizer in `to` are removed.
void copy_tokenizer(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace metatt::transformer
