#include "backend_testing.hpp"

#include <metatt/tn/backend/philox.hpp>

using namespace metatt::tn;
using namespace metatt::tn::testing;

BOOST_AUTO_TEST_SUITE(backend_random)

namespace {

constexpr std::uint64_t seed = 0x123456789abcdef0, stream = 0xfedcba9876543210;

}  // namespace

BOOST_AUTO_TEST_CASE(philox_gives_the_published_known_answers) {
  // The file kat_vectors of Random123 (Salmon et al., SC'11), philox4x32 with 7 and 10 rounds.
  using Counter = std::array<std::uint32_t, 4>;
  using Key = std::array<std::uint32_t, 2>;
  const Counter ones = {~0u, ~0u, ~0u, ~0u};
  const Counter digits_of_pi = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
  const Key more_digits = {0xa4093822, 0x299f31d0};
  BOOST_TEST((philox4x32<10>(Counter{}, Key{}) ==
              Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  BOOST_TEST((philox4x32<10>(ones, Key{~0u, ~0u}) ==
              Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  BOOST_TEST((philox4x32<10>(digits_of_pi, more_digits) ==
              Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
  BOOST_TEST(
      (philox4x32<7>(Counter{}, Key{}) == Counter{0x5f6fb709, 0x0d893f64, 0x4f121f81, 0x4f730a48}));
  BOOST_TEST((philox4x32<7>(ones, Key{~0u, ~0u}) ==
              Counter{0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662}));
  BOOST_TEST((philox4x32<7>(digits_of_pi, more_digits) ==
              Counter{0x4dfccaba, 0x190a87f0, 0xc47362ba, 0xb6b5242a}));
}

BOOST_AUTO_TEST_CASE(the_first_numbers_are_those_of_another_implementation) {
  // Philox4x32-10 in Python integers, and math.log, cos and sin of Python 3.11, from the definition
  // in declarations.hpp.
  const std::vector<double> uniform = {0.17691120960868634, 0.5965108373384013, 0.4245293208197277,
                                       0.354984413731642, 0.14727513949282034};
  const std::vector<float> uniform_float = {0.17691117525100708f, 0.5965108275413513f,
                                            0.4245293140411377f, 0.3549844026565552f,
                                            0.14727509021759033f};
  const std::vector<double> normal = {-0.5127497557637771, -0.35562632593010957,
                                      -0.6442393584624891, 0.8307163475567534, 0.05581852844595723};
  Tensor<double> x({5});
  backend::random_uniform(backend::queue(), 5, seed, stream, x.mutable_data());
  BOOST_TEST((x.to_vector() == uniform));
  Tensor<float> single({5});
  backend::random_uniform(backend::queue(), 5, seed, stream, single.mutable_data());
  BOOST_TEST((single.to_vector() == uniform_float));
  BOOST_TEST(largest_difference(random_normal<double>({5}, seed, stream).to_vector(), normal) <
             1e-14);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(every_count_agrees_with_the_reference, T, Types) {
  Queue host;
  for (const Index count : ragged_counts) {
    std::vector<T> normal(static_cast<std::size_t>(count)), uniform = normal;
    reference::random_normal(host, count, seed, stream, normal.data());
    reference::random_uniform(host, count, seed, stream, uniform.data());
    Tensor<T> device({count});
    backend::random_uniform(backend::queue(), count, seed, stream, device.mutable_data());
    BOOST_TEST((device.to_vector() == uniform));
    BOOST_TEST(largest_difference(random_normal<T>({count}, seed, stream).to_vector(), normal) <=
               16 * epsilon<T>);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(moments_are_those_of_the_distribution, T, Types) {
  const Index count = 200000;
  const auto normal = random_normal<T>({count}, 7).to_vector();
  Tensor<T> device({count});
  backend::random_uniform(backend::queue(), count, 7, 0, device.mutable_data());
  const auto uniform = device.to_vector();
  double mean = 0, variance = 0, fourth = 0, uniform_mean = 0;
  for (std::size_t i = 0; i < normal.size(); ++i) {
    const double square = std::norm(normal[i]);
    mean += std::real(normal[i]) / count;
    variance += square / count;
    fourth += square * square / count;
    uniform_mean += std::real(uniform[i]) / count;
    BOOST_REQUIRE(std::real(uniform[i]) >= 0);
    BOOST_REQUIRE(std::real(uniform[i]) < 1);
  }
  // ⟨|x|²⟩ = 1; ⟨|x|⁴⟩ = 3 for real and 2 for complex numbers. Five standard deviations each.
  BOOST_TEST(std::abs(mean) < 0.012);
  BOOST_TEST(std::abs(variance - 1) < 0.016);
  BOOST_TEST(std::abs(fourth - (is_complex<T> ? 2 : 3)) < 0.11);
  BOOST_TEST(std::abs(uniform_mean - 0.5) < 0.0033);
}

BOOST_AUTO_TEST_CASE(seed_and_stream_each_change_the_numbers) {
  const auto numbers = random_normal<double>({100}, 1, 2).to_vector();
  BOOST_TEST((random_normal<double>({100}, 1, 2).to_vector() == numbers));
  BOOST_TEST((random_normal<double>({100}, 2, 2).to_vector() != numbers));
  BOOST_TEST((random_normal<double>({100}, 1, 3).to_vector() != numbers));
  BOOST_TEST((random_normal<double>({100}, std::uint64_t{1} << 32, 2).to_vector() != numbers));
  BOOST_TEST((random_normal<double>({100}, 1, std::uint64_t{2} << 32).to_vector() != numbers));
}

BOOST_AUTO_TEST_SUITE_END()
