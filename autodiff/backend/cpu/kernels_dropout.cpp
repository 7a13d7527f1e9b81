/// The dropout generator, a register of counters at a time, and dropout itself.

#include <metatt/autodiff/backend/cpu/vector.hpp>

#include <immintrin.h>

namespace metatt::autodiff::backend::METATT_VECTOR_SET {

namespace {

/// 64-bit lanes of one register. Each holds a 32-bit word of the generator in its low half; the
/// high half is left over from earlier products and never read.
typedef std::uint64_t Words __attribute__((vector_size(vector_bytes)));
constexpr int word_lanes = vector_bytes / 8;

/// Low half times low half in every lane. Written as intrinsics: from the plain product of 64-bit
/// numbers the compiler makes three instructions and more. (The form with
/// a full mask is the plain one, spared a false warning of GCC 12.)
inline Words multiply_low(Words a, std::uint32_t b) {
  const Words factor = Words{} + b;
#if defined(__AVX512F__)
  return reinterpret_cast<Words>(_mm512_maskz_mul_epu32(0xFF, reinterpret_cast<__m512i>(a),
                                                        reinterpret_cast<__m512i>(factor)));
#elif defined(__AVX2__)
  return reinterpret_cast<Words>(
      _mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(factor)));
#else
  return reinterpret_cast<Words>(
      _mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(factor)));
#endif
}

/// Philox4x32-7 (Salmon et al., SC11) of counters block, block + 1, …, one in each lane: the four
/// words of each counter one after the other, as two 64-bit numbers. tn/backend/philox.hpp has the
/// plain form.
inline void philox_blocks(std::uint64_t seed, std::uint64_t stream, std::uint64_t block,
                          std::uint64_t* words) {
  Words counter;
  for (int i = 0; i < word_lanes; ++i) counter[i] = block + static_cast<std::uint64_t>(i);
  Words c0 = counter, c1 = counter >> 32;
  Words c2 = Words{} + stream, c3 = Words{} + (stream >> 32);
  std::uint32_t key0 = static_cast<std::uint32_t>(seed);
  std::uint32_t key1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 7; ++round) {
    const Words p0 = multiply_low(c0, 0xD2511F53), p1 = multiply_low(c2, 0xCD9E8D57);
    c0 = (p1 >> 32) ^ c1 ^ (Words{} + key0);
    c2 = (p0 >> 32) ^ c3 ^ (Words{} + key1);
    c1 = p1;
    c3 = p0;
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  const Words first = (c0 & 0xFFFFFFFF) | (c1 << 32), second = (c2 & 0xFFFFFFFF) | (c3 << 32);
  for (int i = 0; i < word_lanes; ++i) {
    words[2 * i] = first[i];
    words[2 * i + 1] = second[i];
  }
}

}  // namespace

void dropout_words(const Dropout& dropout, std::uint64_t begin, Index count, std::uint16_t* words) {
  constexpr Index step = 8 * word_lanes;
  for (Index done = 0; done < count; done += step) {
    std::uint64_t blocks[2 * word_lanes];
    philox_blocks(dropout.seed, dropout.stream, begin / 8 + static_cast<std::uint64_t>(done / 8),
                  blocks);
    __builtin_memcpy(words + done, blocks, sizeof blocks);  // little-endian: low half first
  }
}

template <class T>
void dropout(Queue&, Index count, const Dropout& dropout, const T* x, T beta, T* y) {
  const std::uint32_t threshold = dropout.threshold();
  const T keep = static_cast<T>(dropout.keep_scale());
  constexpr Index run = 1024;
  const Index runs = (count + run - 1) / run;
#pragma omp parallel for schedule(static) if (count > parallel_threshold)
  for (Index r = 0; r < runs; ++r) {
    std::uint16_t words[run];
    const Index first = r * run, size = smaller(run, count - first);
    dropout_words(dropout, static_cast<std::uint64_t>(first), size, words);
    for (Index i = 0; i < size; ++i) {
      const T kept = words[i] < threshold ? T(0) : keep * x[first + i];
      y[first + i] = beta == 0 ? kept : beta * y[first + i] + kept;
    }
  }
}

template void dropout(Queue&, Index, const Dropout&, const float*, float, float*);
template void dropout(Queue&, Index, const Dropout&, const double*, double, double*);

}  // namespace metatt::autodiff::backend::METATT_VECTOR_SET
