#pragma once
/// A number that tells data apart.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>

namespace metatt::transformer {

/// FNV-1a over all that is added, eight bytes at a time. Not against those who want two data sets
/// to look alike.
class Fingerprint {
 public:
  template <class T>
  void add(std::span<T> values) {
    const auto bytes = std::as_bytes(values);
    for (std::size_t begin = 0; begin < bytes.size(); begin += sizeof state_) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + begin, std::min(sizeof word, bytes.size() - begin));
      add_word(word);
    }
    add_word(values.size());
  }
  /// In hexadecimal.
  std::string text() const {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(state_));
    return digits;
  }

 private:
  /// The multiplication carries upwards only; the shift brings the upper half back down.
  void add_word(std::uint64_t word) {
    state_ = (state_ ^ word) * 1099511628211ULL;
    state_ ^= state_ >> 32;
  }

  std::uint64_t state_ = 14695981039346656037ULL;
};

}  // namespace metatt::transformer
