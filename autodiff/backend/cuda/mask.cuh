#pragma once
/// Dropout masks on the device (types.hpp defines them).

#include <metatt/autodiff/backend/backend.hpp>
#include <metatt/tn/backend/philox.hpp>

namespace metatt::autodiff::backend {

inline constexpr int kMaskWords = 8;  ///< mask elements of one Philox block

struct Mask {
  explicit Mask(const Dropout& dropout)
      : seed(dropout.seed),
        stream(dropout.stream),
        keep_scale(dropout.keep_scale()),
        threshold(dropout.threshold()) {}

  /// Bit k is set if element 8·block + k is kept.
  __device__ unsigned kept_of_block(std::uint64_t block) const {
    const std::array<std::uint32_t, 4> words = tn::philox4x32<7>(block, stream, seed);
    unsigned kept = 0;
    for (int word = 0; word < kMaskWords / 2; ++word) {
      kept |= ((words[word] & 0xffffU) >= threshold ? 1U : 0U) << (2 * word);
      kept |= ((words[word] >> 16) >= threshold ? 2U : 0U) << (2 * word);
    }
    return kept;
  }

  /// What element `index` is multiplied by: 0, keep_scale or, with the dropout off, 1.
  template <class T>
  __device__ T factor(Index index) const {
    if (threshold == 0) return T(1);
    const unsigned kept = kept_of_block(static_cast<std::uint64_t>(index) / kMaskWords);
    return (kept >> (index % kMaskWords) & 1U) != 0 ? static_cast<T>(keep_scale) : T(0);
  }

  std::uint64_t seed;
  std::uint64_t stream;
  double keep_scale;
  std::uint32_t threshold;
};

/// beta · old + contribution; with beta = 0 `old` is not read.
template <class T>
__device__ void accumulate_into(T& old, T beta, T contribution) {
  old = beta == T(0) ? contribution : beta * old + contribution;
}

}  // namespace metatt::autodiff::backend
