#pragma once
/// Long texts, a corpus for instance, encoded by several threads.

#include <metatt/transformer/tokenizers/vocabulary.hpp>

namespace metatt::transformer {

/// Whether a tokenizer's words end before a place of a text, whatever stands around the place.
using WordsEnd = std::function<bool(std::string_view text, std::size_t place)>;

/// Appends the ids of a text, which `encode` appends for pieces of it. A long text is cut where
/// words end, and its pieces are shared out to threads.
void append_long_text(
    std::string_view text, const WordsEnd& words_end,
    const std::function<void(std::string_view piece, std::vector<TokenId>& ids)>& encode,
    std::vector<TokenId>& ids);

}  // namespace metatt::transformer
