#pragma once
/// Philox4x32, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as
/// 1, 2, 3" (SC'11): the numbers are a function of counter and key alone, so that every thread of
/// every backend computes its own. Plain C++ that also compiles for the device.

#include <array>
#include <cmath>
#include <cstdint>

namespace metatt::tn {

/// Four 32-bit words of the generator. Ten rounds are the authors' safe choice, seven the fewest
/// that pass the statistical tests of TestU01 (section 4.3 there).
template <int rounds>
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < rounds; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
  }
  return counter;
}

/// The same for 64-bit numbers, each split into low and high word: the counter is (index, stream).
template <int rounds>
constexpr std::array<std::uint32_t, 4> philox4x32(std::uint64_t index, std::uint64_t stream,
                                                  std::uint64_t seed) {
  return philox4x32<rounds>(
      {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
       static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)},
      {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
}

/// Real numbers 2·pair and 2·pair + 1 of a stream, uniform in [0, 1): the leading 53 (float: 24)
/// bits of the two 64-bit halves of a block of ten rounds, the first word of a half being its low
/// one.
template <class Real>
constexpr std::array<Real, 2> uniform_pair(std::uint64_t pair, std::uint64_t stream,
                                           std::uint64_t seed) {
  const std::array<std::uint32_t, 4> words = philox4x32<10>(pair, stream, seed);
  const std::uint64_t first = std::uint64_t{words[1]} << 32 | words[0];
  const std::uint64_t second = std::uint64_t{words[3]} << 32 | words[2];
  constexpr int bits = sizeof(Real) == 4 ? 24 : 53;
  constexpr Real unit = Real(1) / static_cast<Real>(std::uint64_t{1} << bits);
  return {static_cast<Real>(first >> (64 - bits)) * unit,
          static_cast<Real>(second >> (64 - bits)) * unit};
}

/// Real numbers 2·pair and 2·pair + 1 of a stream, N(0, 1): the transform of Box and Muller (1958)
/// in double precision.
template <class Real>
constexpr std::array<Real, 2> normal_pair(std::uint64_t pair, std::uint64_t stream,
                                          std::uint64_t seed) {
  const std::array<double, 2> uniform = uniform_pair<double>(pair, stream, seed);
  constexpr double two_pi = 6.283185307179586476925286766559;
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform[0]));  // 1 − u is never 0
  const double angle = two_pi * uniform[1];
  return {static_cast<Real>(radius * std::cos(angle)), static_cast<Real>(radius * std::sin(angle))};
}

}  // namespace metatt::tn
