#pragma once
/// The entries of a tokenizer and their ids.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace metatt::transformer {

using TokenId = std::int32_t;

class Vocabulary {
 public:
  /// Entry i has id i; an empty one is an id that no text has. Throws tn::Error naming
  /// `source_name` (a file) on an empty vocabulary and on an entry that is there twice.
  Vocabulary(std::vector<std::string> entries, const std::string& source_name);

  TokenId size() const { return static_cast<TokenId>(entries_.size()); }
  const std::vector<std::string>& entries() const { return entries_; }
  /// Throws tn::Error on an id that is none.
  const std::string& entry(TokenId id) const;
  std::optional<TokenId> find(std::string_view entry) const;
  /// Throws tn::Error naming the file and the entry.
  TokenId required(std::string_view entry) const;
  const std::string& source_name() const { return source_name_; }

 private:
  /// Lets a std::string_view be looked up without a copy.
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };

  std::vector<std::string> entries_;
  std::string source_name_;
  std::unordered_map<std::string, TokenId, Hash, std::equal_to<>> ids_;
};

}  // namespace metatt::transformer
