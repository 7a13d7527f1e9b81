#include <metatt/tn/backend/pool.hpp>

#include <cstdlib>
#include <cstring>

#ifdef METATT_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace metatt::tn::backend {
namespace {

/// Under AddressSanitizer memory that waits in the pool, and what a block has beyond the bytes
/// asked for, counts as outside: an overrun is reported as it would be without a pool.
struct HostMemory {
  static void* allocate(std::size_t bytes) { return std::aligned_alloc(block_alignment, bytes); }
  static void release(void* block) { std::free(block); }

  static void handed_out([[maybe_unused]] void* block, [[maybe_unused]] std::size_t bytes,
                         [[maybe_unused]] std::size_t block_bytes) {
#ifdef METATT_ADDRESS_SANITIZER
    ASAN_UNPOISON_MEMORY_REGION(block, bytes);
    ASAN_POISON_MEMORY_REGION(static_cast<std::byte*>(block) + bytes, block_bytes - bytes);
#endif
  }
  static void taken_back([[maybe_unused]] void* block, [[maybe_unused]] std::size_t block_bytes) {
#ifdef METATT_ADDRESS_SANITIZER
    ASAN_POISON_MEMORY_REGION(block, block_bytes);
#endif
  }
};

}  // namespace

void* allocate(std::size_t bytes) {
  return bytes == 0 ? nullptr : pool<HostMemory>().allocate(bytes);
}

void deallocate(void* pointer, std::size_t bytes) noexcept {
  if (pointer != nullptr) pool<HostMemory>().deallocate(pointer, bytes);
}

void copy_from_host(Queue&, const void* host, void* device, std::size_t bytes) {
  if (bytes > 0) std::memcpy(device, host, bytes);
}

void copy_to_host(Queue&, const void* device, void* host, std::size_t bytes) {
  if (bytes > 0) std::memcpy(host, device, bytes);
}

MemoryStatistics memory_statistics() {
  return pool<HostMemory>().statistics();
}

void reset_peak() {
  pool<HostMemory>().reset_peak();
}

}  // namespace metatt::tn::backend
