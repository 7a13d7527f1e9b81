#pragma once
/// Tokenizers from the files of a folder in Hugging Face layout.

#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <filesystem>
#include <memory>

namespace metatt::transformer {

/// Reads tokenizer.json or, where there is none, vocab.json with merges.txt (GPT-2, RoBERTa),
/// vocab.txt (BERT) or tokenizer.model (Llama 2), and beside each of them TokenizerSettings. A
/// tokenizer.json may hold WordPiece with BERT's normaliser, whose settings in a
/// tokenizer_config.json go before those in it, as in Hugging Face's transformers; byte-level
/// byte-pair encoding with one of the patterns of SplitPattern, or SentencePiece-like byte-pair
/// encoding. Throws tn::Error naming file and field on anything else, on a file that is missing or
/// damaged, and on ids that are there twice.
std::unique_ptr<Tokenizer> read_tokenizer(const std::filesystem::path& folder);

/// The length at which users of the folder's tokenizer cut texts: model_max_length of its
/// tokenizer_config.json; nothing where there is no such file or no limit. Throws tn::Error on one
/// below 1.
std::optional<std::int64_t> read_model_max_length(const std::filesystem::path& folder);

/// The tokenizer.json of byte_tokenizer(), which Hugging Face's tokenizers read too. Files of
/// another tokenizer in the folder are removed.
void write_byte_tokenizer(const std::filesystem::path& folder);

/// Puts the name of the tokenizer's class into tokenizer_config.json, if it has none: transformers
/// otherwise takes the class that the model's family usually has.
void write_tokenizer_class(const std::filesystem::path& folder);

/// Copies the files of a folder that read_tokenizer() reads. Files of another tokenizer in `to` are
/// removed.
void copy_tokenizer(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace metatt::transformer
