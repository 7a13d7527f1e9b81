#include "backend_testing.hpp"

#include <array>
#include <cstdint>
#include <new>
#include <thread>

using namespace metatt::tn;

BOOST_AUTO_TEST_SUITE(backend_memory)

namespace {

constexpr std::array<std::size_t, 9> sizes = {1,       64,      65,        1000,     4097,
                                              100'003, 1 << 20, 3'000'001, 9'999'999};

void allocate_and_return_every_size() {
  std::array<void*, sizes.size()> blocks;
  for (std::size_t i = 0; i < sizes.size(); ++i) blocks[i] = backend::allocate(sizes[i]);
  for (std::size_t i = 0; i < sizes.size(); ++i) backend::deallocate(blocks[i], sizes[i]);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_second_identical_round_asks_the_system_for_nothing) {
  allocate_and_return_every_size();
  const auto before = backend::memory_statistics();
  allocate_and_return_every_size();
  const auto after = backend::memory_statistics();
  BOOST_TEST(after.system_allocations == before.system_allocations);
  BOOST_TEST(after.reserved_bytes == before.reserved_bytes);
  BOOST_TEST(after.live_bytes == before.live_bytes);
}

BOOST_AUTO_TEST_CASE(a_slightly_different_size_reuses_the_block) {
  backend::deallocate(backend::allocate(10'000'003), 10'000'003);
  const auto before = backend::memory_statistics().system_allocations;
  backend::deallocate(backend::allocate(10'001'000), 10'001'000);
  BOOST_TEST(backend::memory_statistics().system_allocations == before);
}

BOOST_AUTO_TEST_CASE(statistics_follow_what_is_live) {
  backend::reset_peak();
  const auto start = backend::memory_statistics();
  BOOST_TEST(start.peak_bytes == start.live_bytes);
  void* first = backend::allocate(1000);
  void* second = backend::allocate(500);
  BOOST_TEST(backend::memory_statistics().live_bytes == start.live_bytes + 1500);
  backend::deallocate(first, 1000);
  const auto after = backend::memory_statistics();
  BOOST_TEST(after.live_bytes == start.live_bytes + 500);
  BOOST_TEST(after.peak_bytes == start.live_bytes + 1500);
  BOOST_TEST(after.reserved_bytes >= after.live_bytes);
  backend::deallocate(second, 500);
}

BOOST_AUTO_TEST_CASE(blocks_are_aligned_and_do_not_overlap) {
  std::array<void*, sizes.size()> blocks;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    blocks[i] = backend::allocate(sizes[i]);
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(blocks[i]) % 64 == 0);
    const std::vector<unsigned char> bytes(sizes[i], static_cast<unsigned char>(i + 1));
    backend::copy_from_host(backend::queue(), bytes.data(), blocks[i], sizes[i]);
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    std::vector<unsigned char> bytes(sizes[i]);
    backend::copy_to_host(backend::queue(), blocks[i], bytes.data(), sizes[i]);
    BOOST_TEST((bytes == std::vector<unsigned char>(sizes[i], static_cast<unsigned char>(i + 1))));
    backend::deallocate(blocks[i], sizes[i]);
  }
}

BOOST_AUTO_TEST_CASE(no_bytes_are_a_valid_request) {
  const auto before = backend::memory_statistics();
  backend::deallocate(backend::allocate(0), 0);
  backend::copy_from_host(backend::queue(), nullptr, nullptr, 0);
  backend::copy_to_host(backend::queue(), nullptr, nullptr, 0);
  BOOST_TEST(backend::memory_statistics().live_bytes == before.live_bytes);
}

BOOST_AUTO_TEST_CASE(more_than_the_system_has_is_bad_alloc) {
  const auto before = backend::memory_statistics();
  BOOST_CHECK_THROW(backend::allocate(std::size_t{1} << 60), std::bad_alloc);
  BOOST_CHECK_THROW(backend::allocate(~std::size_t{0}), std::bad_alloc);
  BOOST_TEST(backend::memory_statistics().live_bytes == before.live_bytes);
  allocate_and_return_every_size();
}

BOOST_AUTO_TEST_CASE(threads_share_the_pool) {
  const auto before = backend::memory_statistics().live_bytes;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([] {
      for (int repeat = 0; repeat < 50; ++repeat) allocate_and_return_every_size();
    });
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(backend::memory_statistics().live_bytes == before);
}

BOOST_AUTO_TEST_SUITE_END()
