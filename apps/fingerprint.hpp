#pragma once
/// A number that tells data apart.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>

namespace metatt::apps {

/// FNV-1a over all that is added. Not against those who want two data sets to look alike.
class Fingerprint {
 public:
  template <class T>
  void add(std::span<T> values) {
    for (const std::byte byte : std::as_bytes(values))
      state_ = (state_ ^ static_cast<std::uint64_t>(byte)) * 1099511628211ULL;
    state_ = (state_ ^ values.size()) * 1099511628211ULL;
  }
  /// In hexadecimal.
  std::string text() const {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(state_));
    return digits;
  }

 private:
  std::uint64_t state_ = 14695981039346656037ULL;
};

}  // namespace metatt::apps
