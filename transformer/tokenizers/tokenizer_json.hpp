#pragma once
/// tokenizer.json, the format of Hugging Face's tokenizers.

#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <filesystem>
#include <memory>

namespace metatt::transformer {

/// What read_tokenizer() says of such a file, with the settings beside it. Throws tn::Error naming
/// file and field.
std::unique_ptr<Tokenizer> read_tokenizer_json(const std::filesystem::path& path);

}  // namespace metatt::transformer
