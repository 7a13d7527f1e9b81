#include <metatt/transformer/tokenizers/vocabulary.hpp>

#include <metatt/tn/error.hpp>

#include <limits>
#include <utility>

namespace metatt::transformer {

Vocabulary::Vocabulary(std::vector<std::string> entries, const std::string& source_name)
    : entries_(std::move(entries)), source_name_(source_name) {
  if (entries_.empty()) tn::fail(source_name_, ": expected a vocabulary, found no entry");
  if (entries_.size() > static_cast<std::size_t>(std::numeric_limits<TokenId>::max()))
    tn::fail(source_name_, ": expected ids of 32 bits, found ", entries_.size(), " entries");
  ids_.reserve(entries_.size());
  for (TokenId id = 0; id < size(); ++id) {
    const std::string& text = entries_[static_cast<std::size_t>(id)];
    if (text.empty()) continue;
    const auto [place, is_new] = ids_.emplace(text, id);
    if (!is_new)
      tn::fail(source_name_, ": expected each entry once, found \"", text, "\" with the ids ",
               place->second, " and ", id);
  }
}

const std::string& Vocabulary::entry(TokenId id) const {
  if (id < 0 || id >= size())
    tn::fail(source_name_, ": expected an id of 0 … ", size() - 1, ", found ", id);
  return entries_[static_cast<std::size_t>(id)];
}

std::optional<TokenId> Vocabulary::find(std::string_view entry) const {
  const auto place = ids_.find(entry);
  if (place == ids_.end()) return std::nullopt;
  return place->second;
}

TokenId Vocabulary::required(std::string_view entry) const {
  const std::optional<TokenId> id = find(entry);
  if (!id) tn::fail(source_name_, ": expected the entry ", entry, ", found none");
  return *id;
}

}  // namespace metatt::transformer
