#pragma once
/// Byte-pair encoding: symbols of a word are joined two at a time.

#include <metatt/transformer/tokenizers/vocabulary.hpp>

#include <span>
#include <utility>

namespace metatt::transformer {

/// Of the neighbouring pairs that a list of merges has, the first one of the list is joined, the
/// leftmost of equals, until none is left (Sennrich, Haddow and Birch, arXiv:1508.07909). Cost of
/// order n·log n for n symbols.
class BytePairModel {
 public:
  struct Merge {
    TokenId left, right, result;
  };
  /// In the order of their ranks; of a pair that is there twice the later one counts.
  explicit BytePairModel(std::span<const Merge> merges);

  void join(std::vector<TokenId>& symbols) const;

 private:
  struct Target {
    TokenId rank, result;
  };
  struct Mixed {
    std::size_t operator()(std::uint64_t pair) const {
      return static_cast<std::size_t>((pair ^ (pair >> 29)) * 0x9E3779B97F4A7C15ULL >> 16);
    }
  };

  static std::uint64_t key(TokenId left, TokenId right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }
  const Target* find(TokenId left, TokenId right) const;
  void join_short(std::vector<TokenId>& symbols) const;
  void join_long(std::vector<TokenId>& symbols) const;

  std::unordered_map<std::uint64_t, Target, Mixed> targets_;
};

/// The two entries that a merge joins; lists of them stand in the order of their ranks.
using MergedEntries = std::pair<std::string, std::string>;

/// The ids of merges. Throws tn::Error naming the merge of which an entry, or what both make
/// together, is missing.
std::vector<BytePairModel::Merge> merge_ids(const Vocabulary& vocabulary,
                                            std::span<const MergedEntries> merges);

}  // namespace metatt::transformer
