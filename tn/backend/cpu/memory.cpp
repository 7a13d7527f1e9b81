#include <metatt/tn/backend/backend.hpp>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace metatt::tn::backend {
namespace {

constexpr std::size_t alignment = 64;

/// Under AddressSanitizer memory that waits in the pool, and what a block has beyond the bytes
/// asked for, counts as outside: an overrun is reported as it would be without a pool.
void forbid_access([[maybe_unused]] void* pointer, [[maybe_unused]] std::size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  ASAN_POISON_MEMORY_REGION(pointer, bytes);
#endif
}

void permit_access([[maybe_unused]] void* pointer, [[maybe_unused]] std::size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  ASAN_UNPOISON_MEMORY_REGION(pointer, bytes);
#endif
}

/// Bytes of the block that serves `bytes` > 0: powers of two and the half-way steps between them up
/// to 1 MiB, then four steps an octave, each a multiple of 1/8 of the next power of two.
std::size_t size_class(std::size_t bytes) {
  if (bytes > std::numeric_limits<std::size_t>::max() / 2) throw std::bad_alloc();
  const std::size_t power = std::bit_ceil(bytes);
  const std::size_t steps = bytes <= (std::size_t{1} << 20) ? 4 : 8;
  const std::size_t step = std::max(power / steps, alignment);
  return (bytes + step - 1) / step * step;
}

class Pool {
 public:
  void* allocate(std::size_t bytes) {
    const std::size_t block_bytes = size_class(bytes);
    const std::lock_guard lock(mutex_);
    SizeClass& blocks = classes_[block_bytes];
    void* pointer = nullptr;
    if (blocks.waiting.empty()) {
      // Room for every block of the class, so that deallocate need not allocate.
      blocks.waiting.reserve(blocks.existing + 1);
      pointer = from_system(block_bytes);
      ++blocks.existing;
    } else {
      pointer = blocks.waiting.back();
      blocks.waiting.pop_back();
    }
    permit_access(pointer, bytes);
    forbid_access(static_cast<std::byte*>(pointer) + bytes, block_bytes - bytes);
    statistics_.live_bytes += static_cast<std::int64_t>(bytes);
    statistics_.peak_bytes = std::max(statistics_.peak_bytes, statistics_.live_bytes);
    return pointer;
  }

  void deallocate(void* pointer, std::size_t bytes) noexcept {
    const std::size_t block_bytes = size_class(bytes);
    const std::lock_guard lock(mutex_);
    forbid_access(pointer, block_bytes);
    classes_.find(block_bytes)->second.waiting.push_back(pointer);
    statistics_.live_bytes -= static_cast<std::int64_t>(bytes);
  }

  MemoryStatistics statistics() {
    const std::lock_guard lock(mutex_);
    return statistics_;
  }

  void reset_peak() {
    const std::lock_guard lock(mutex_);
    statistics_.peak_bytes = statistics_.live_bytes;
  }

 private:
  struct SizeClass {
    std::vector<void*> waiting;
    std::size_t existing = 0;  ///< blocks handed out or waiting
  };

  void* from_system(std::size_t block_bytes) {
    void* pointer = std::aligned_alloc(alignment, block_bytes);
    if (pointer == nullptr) {
      // Blocks of other sizes may be all that stands in the way.
      release_waiting();
      pointer = std::aligned_alloc(alignment, block_bytes);
    }
    if (pointer == nullptr) throw std::bad_alloc();
    statistics_.reserved_bytes += static_cast<std::int64_t>(block_bytes);
    ++statistics_.system_allocations;
    return pointer;
  }

  void release_waiting() {
    for (auto& [block_bytes, blocks] : classes_) {
      for (void* pointer : blocks.waiting) {
        permit_access(pointer, block_bytes);
        std::free(pointer);
        statistics_.reserved_bytes -= static_cast<std::int64_t>(block_bytes);
        --blocks.existing;
      }
      blocks.waiting.clear();
    }
  }

  std::mutex mutex_;
  std::unordered_map<std::size_t, SizeClass> classes_;
  MemoryStatistics statistics_;
};

/// Never destroyed: buffers with static lifetime return their memory after main.
Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}

}  // namespace

void* allocate(std::size_t bytes) {
  return bytes == 0 ? nullptr : pool().allocate(bytes);
}

void deallocate(void* pointer, std::size_t bytes) noexcept {
  if (pointer != nullptr) pool().deallocate(pointer, bytes);
}

void copy_from_host(Queue&, const void* host, void* device, std::size_t bytes) {
  if (bytes > 0) std::memcpy(device, host, bytes);
}

void copy_to_host(Queue&, const void* device, void* host, std::size_t bytes) {
  if (bytes > 0) std::memcpy(host, device, bytes);
}

MemoryStatistics memory_statistics() {
  return pool().statistics();
}

void reset_peak() {
  pool().reset_peak();
}

}  // namespace metatt::tn::backend
