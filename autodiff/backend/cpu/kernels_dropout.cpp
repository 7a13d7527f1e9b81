/// The dropout generator, sixteen counters at a time, and dropout itself.

#include <metatt/autodiff/backend/cpu/vector.hpp>

namespace metatt::autodiff::backend::METATT_VECTOR_SET {

namespace {

/// Philox4x32-7 (Salmon et al., SC11) of counters block … block+15: 16 × 4 words, block by block.
/// Written as loops over lanes so that the compiler makes vector code; tn/backend/philox.hpp has
/// the plain form.
inline void philox_blocks(std::uint64_t seed, std::uint64_t stream, std::uint64_t block,
                          std::uint32_t* words) {
  constexpr int n = 16;
  constexpr std::uint64_t multiplier0 = 0xD2511F53, multiplier1 = 0xCD9E8D57;
  std::uint32_t c0[n], c1[n], c2[n], c3[n];
  for (int i = 0; i < n; ++i) {
    const std::uint64_t counter = block + static_cast<std::uint64_t>(i);
    c0[i] = static_cast<std::uint32_t>(counter);
    c1[i] = static_cast<std::uint32_t>(counter >> 32);
    c2[i] = static_cast<std::uint32_t>(stream);
    c3[i] = static_cast<std::uint32_t>(stream >> 32);
  }
  std::uint32_t key0 = static_cast<std::uint32_t>(seed);
  std::uint32_t key1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 7; ++round) {
#pragma omp simd
    for (int i = 0; i < n; ++i) {
      const std::uint64_t p0 = multiplier0 * c0[i], p1 = multiplier1 * c2[i];
      c0[i] = static_cast<std::uint32_t>(p1 >> 32) ^ c1[i] ^ key0;
      c2[i] = static_cast<std::uint32_t>(p0 >> 32) ^ c3[i] ^ key1;
      c1[i] = static_cast<std::uint32_t>(p1);
      c3[i] = static_cast<std::uint32_t>(p0);
    }
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  for (int i = 0; i < n; ++i) {
    words[4 * i] = c0[i];
    words[4 * i + 1] = c1[i];
    words[4 * i + 2] = c2[i];
    words[4 * i + 3] = c3[i];
  }
}

}  // namespace

void dropout_words(const Dropout& dropout, std::uint64_t begin, Index count, std::uint16_t* words) {
  for (Index done = 0; done < count; done += 128) {
    std::uint32_t block[64];
    philox_blocks(dropout.seed, dropout.stream, begin / 8 + static_cast<std::uint64_t>(done / 8),
                  block);
    __builtin_memcpy(words + done, block, sizeof block);  // little-endian: low half first
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
