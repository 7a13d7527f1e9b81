#include <metatt/transformer/tokenizers/byte_pair_model.hpp>

#include <metatt/tn/error.hpp>

#include <algorithm>
#include <limits>
#include <queue>
#include <tuple>

namespace metatt::transformer {

BytePairModel::BytePairModel(std::span<const Merge> merges) {
  targets_.reserve(merges.size());
  TokenId rank = 0;
  for (const Merge& merge : merges)
    targets_.insert_or_assign(key(merge.left, merge.right), Target{rank++, merge.result});
}

const BytePairModel::Target* BytePairModel::find(TokenId left, TokenId right) const {
  const auto place = targets_.find(key(left, right));
  return place == targets_.end() ? nullptr : &place->second;
}

std::vector<BytePairModel::Merge> merge_ids(const Vocabulary& vocabulary,
                                            std::span<const MergedEntries> merges) {
  std::vector<BytePairModel::Merge> ids;
  ids.reserve(merges.size());
  for (const auto& [left, right] : merges) {
    const auto first = vocabulary.find(left), second = vocabulary.find(right),
               both = vocabulary.find(left + right);
    if (!first || !second || !both)
      tn::fail(vocabulary.source_name(), ": merge \"", left, " ", right, "\": expected entries \"",
               left, "\", \"", right, "\" and \"", left, right, "\"");
    ids.push_back({*first, *second, *both});
  }
  return ids;
}

void BytePairModel::join(std::vector<TokenId>& symbols) const {
  // Most words are short, and looking at all their pairs again and again is faster than a queue.
  if (symbols.size() <= 12)
    join_short(symbols);
  else
    join_long(symbols);
}

void BytePairModel::join_short(std::vector<TokenId>& symbols) const {
  while (symbols.size() > 1) {
    const Target* best = nullptr;
    std::size_t place = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i)
      if (const Target* target = find(symbols[i], symbols[i + 1]);
          target != nullptr && (best == nullptr || target->rank < best->rank)) {
        best = target;
        place = i;
      }
    if (best == nullptr) return;
    symbols[place] = best->result;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

void BytePairModel::join_long(std::vector<TokenId>& symbols) const {
  constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  struct Candidate {
    TokenId rank;
    std::size_t place;
    TokenId left, right, result;
    bool operator<(const Candidate& other) const {  // the largest comes first out of a queue
      return std::pair(rank, place) > std::pair(other.rank, other.place);
    }
  };
  const std::size_t n = symbols.size();
  std::vector<std::size_t> before(n), after(n);
  for (std::size_t i = 0; i < n; ++i) {
    before[i] = i == 0 ? none : i - 1;
    after[i] = i + 1 == n ? none : i + 1;
  }
  constexpr TokenId joined = -1;  // into the symbol on its left
  std::priority_queue<Candidate> queue;
  const auto offer = [&](std::size_t i) {
    if (i == none || after[i] == none) return;
    const TokenId left = symbols[i], right = symbols[after[i]];
    if (const Target* target = find(left, right))
      queue.push({target->rank, i, left, right, target->result});
  };
  for (std::size_t i = 0; i < n; ++i) offer(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    const std::size_t i = best.place, j = after[i];
    // One of the two may have been joined with another one since.
    if (symbols[i] != best.left || j == none || symbols[j] != best.right) continue;
    symbols[i] = best.result;
    symbols[j] = joined;
    after[i] = after[j];
    if (after[i] != none) before[after[i]] = i;
    offer(before[i]);
    offer(i);
  }
  std::erase(symbols, joined);
}

}  // namespace metatt::transformer
