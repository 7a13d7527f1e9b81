#pragma once
/// The few types that the neural kernels of every backend share.

#include <metatt/tn/backend/backend.hpp>

#include <cstdint>

namespace metatt::autodiff {

using tn::Index;
using tn::Queue;

/// Which numbers a dropout draws: mask bit i is a pure function of (seed, stream, i), so nothing is
/// stored and a run can be repeated or resumed from these two numbers alone.
///
/// Element i is kept unless u16(i) < threshold, where u16(i) is the i-th 16-bit word, least
/// significant first, of the sequence of Philox4x32-7 blocks with key `seed` (low, high word) and
/// counter (low word of i/8, high word of i/8, low word of stream, high word of stream); threshold
/// = round(65536 · probability). What is kept is multiplied by 65536 / (65536 − threshold).
struct Dropout {
  double probability = 0;  ///< in [0, 1); 0 switches it off
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;

  // Always inlined, since the kernels of every vector set call these: see cpu/vector.hpp.
  [[gnu::always_inline]] std::uint32_t threshold() const {
    return static_cast<std::uint32_t>(probability * 65536.0 + 0.5);
  }
  [[gnu::always_inline]] double keep_scale() const { return 65536.0 / (65536.0 - threshold()); }
  bool active() const { return threshold() > 0; }
};

/// Sequences packed one after the other without padding: sequence s owns rows offsets[s] …
/// offsets[s+1]-1 of every token matrix.
struct Packing {
  Index sequences = 0;
  Index tokens = 0;                  ///< offsets[sequences]
  Index longest = 0;                 ///< rows of the longest sequence
  std::int64_t squared_lengths = 0;  ///< Σ length², for counting work without reading offsets
  const std::int32_t* offsets = nullptr;  ///< sequences + 1 numbers in backend memory
};

/// The heads of an attention. heads / key_value_heads queries share their keys and values (Ainslie
/// et al., arXiv:2305.13245).
struct AttentionShape {
  Index heads = 1;
  Index key_value_heads = 1;  ///< divides heads
  Index head_width = 1;
  bool causal = false;  ///< a token sees itself and those before it only

  [[gnu::always_inline]] Index width() const { return heads * head_width; }
  /// Columns of queries, keys and values together.
  [[gnu::always_inline]] Index joined_width() const {
    return (heads + 2 * key_value_heads) * head_width;
  }
  [[gnu::always_inline]] Index group() const { return heads / key_value_heads; }
  /// Pairs of tokens that see each other.
  [[gnu::always_inline]] std::int64_t seen(const Packing& packing) const {
    return causal ? (packing.squared_lengths + packing.tokens) / 2 : packing.squared_lengths;
  }
};

/// Which GELU: x·Φ(x), or the approximation of it by a tanh, which GPT-2 has.
enum class Gelu { exact, tanh };

/// AdamW (Loshchilov & Hutter, arXiv:1711.05101, algorithm 2 with decoupled decay).
struct AdamWStep {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  double gradient_scale = 1;  ///< the clip factor; multiplies every gradient
  std::int64_t step = 1;      ///< counts from 1, for the bias correction
};

}  // namespace metatt::autodiff
