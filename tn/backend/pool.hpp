#pragma once
/// The memory pool that the backends share: blocks that come back wait for the next request of
/// their size, so that a step which repeats asks the system for nothing.

#include <metatt/tn/backend/backend.hpp>

#include <algorithm>
#include <bit>
#include <limits>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

namespace metatt::tn::backend {

inline constexpr std::size_t block_alignment = 64;

/// Bytes of the block that serves `bytes` > 0: powers of two and the half-way steps between them up
/// to 1 MiB, then four steps an octave, each a multiple of 1/8 of the next power of two.
inline std::size_t size_class(std::size_t bytes) {
  if (bytes > std::numeric_limits<std::size_t>::max() / 2) throw std::bad_alloc();
  const std::size_t power = std::bit_ceil(bytes);
  const std::size_t steps = bytes <= (std::size_t{1} << 20) ? 4 : 8;
  const std::size_t step = std::max(power / steps, block_alignment);
  return (bytes + step - 1) / step * step;
}

/// System says where blocks come from: `void* allocate(bytes)` (null if there is no more) and
/// `void release(block)`; handed_out(block, bytes, block_bytes) and taken_back(block, block_bytes)
/// are told when a block changes hands. Safe to call from several threads.
template <class System>
class Pool {
 public:
  void* allocate(std::size_t bytes) {
    const std::size_t block_bytes = size_class(bytes);
    const std::lock_guard lock(mutex_);
    SizeClass& blocks = classes_[block_bytes];
    void* block = nullptr;
    if (blocks.waiting.empty()) {
      // Room for every block of the class, so that deallocate need not allocate.
      blocks.waiting.reserve(blocks.existing + 1);
      block = from_system(block_bytes);
      ++blocks.existing;
    } else {
      block = blocks.waiting.back();
      blocks.waiting.pop_back();
    }
    System::handed_out(block, bytes, block_bytes);
    statistics_.live_bytes += static_cast<std::int64_t>(bytes);
    statistics_.peak_bytes = std::max(statistics_.peak_bytes, statistics_.live_bytes);
    return block;
  }

  void deallocate(void* block, std::size_t bytes) noexcept {
    const std::size_t block_bytes = size_class(bytes);
    const std::lock_guard lock(mutex_);
    System::taken_back(block, block_bytes);
    classes_.find(block_bytes)->second.waiting.push_back(block);
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
    void* block = System::allocate(block_bytes);
    if (block == nullptr) {
      // Blocks of other sizes may be all that stands in the way.
      release_waiting();
      block = System::allocate(block_bytes);
    }
    if (block == nullptr) throw std::bad_alloc();
    statistics_.reserved_bytes += static_cast<std::int64_t>(block_bytes);
    ++statistics_.system_allocations;
    return block;
  }

  void release_waiting() {
    for (auto& [block_bytes, blocks] : classes_) {
      for (void* block : blocks.waiting) {
        System::handed_out(block, block_bytes, block_bytes);
        System::release(block);
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

/// The one pool of a backend. Never destroyed: tensors with static lifetime return their memory
/// after main.
template <class System>
Pool<System>& pool() {
  static Pool<System>* const instance = new Pool<System>;
  return *instance;
}

}  // namespace metatt::tn::backend
