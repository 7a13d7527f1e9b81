#include <metatt/tn/backend/backend.hpp>
#include <metatt/tn/backend/cuda/native.hpp>

#include <algorithm>
#include <bit>
#include <limits>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

namespace metatt::tn::backend {
namespace {

// cudaMalloc aligns to 256 bytes, so every class keeps the promised 64.
constexpr std::size_t kSmallestClass = 256;
// Between two powers of two lie four classes: at most a fifth of a block is unused.
constexpr std::size_t kClassesPerOctave = 4;

std::size_t size_class(std::size_t bytes) {
  if (bytes > std::numeric_limits<std::size_t>::max() / 2) throw std::bad_alloc();
  if (bytes <= kSmallestClass) return kSmallestClass;
  const std::size_t step = std::bit_floor(bytes - 1) / kClassesPerOctave;
  return (bytes + step - 1) / step * step;
}

class Pool {
 public:
  void* take(std::size_t bytes) {
    const std::size_t size = size_class(bytes);
    const std::lock_guard lock(mutex_);
    SizeClass& blocks = classes_[size];
    void* block = nullptr;
    if (blocks.waiting.empty()) {
      // Room for every block of the class, so that put_back need not allocate.
      blocks.waiting.reserve(blocks.existing + 1);
      block = ask_system(size);
      ++blocks.existing;
    } else {
      block = blocks.waiting.back();
      blocks.waiting.pop_back();
    }
    statistics_.live_bytes += static_cast<std::int64_t>(bytes);
    statistics_.peak_bytes = std::max(statistics_.peak_bytes, statistics_.live_bytes);
    return block;
  }

  void put_back(void* block, std::size_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    classes_.find(size_class(bytes))->second.waiting.push_back(block);
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

  void* ask_system(std::size_t size) {
    void* block = nullptr;
    cudaError_t status = cudaMalloc(&block, size);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // a failed allocation would otherwise show up at the next launch
      return_waiting_blocks();
      status = cudaMalloc(&block, size);
    }
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      throw std::bad_alloc();
    }
    cuda::check(status, "allocate");
    statistics_.reserved_bytes += static_cast<std::int64_t>(size);
    ++statistics_.system_allocations;
    return block;
  }

  void return_waiting_blocks() {
    for (auto& [size, blocks] : classes_) {
      for (void* block : blocks.waiting) cuda::check(cudaFree(block), "allocate");
      statistics_.reserved_bytes -= static_cast<std::int64_t>(size * blocks.waiting.size());
      blocks.existing -= blocks.waiting.size();
      blocks.waiting.clear();
    }
  }

  std::mutex mutex_;
  std::unordered_map<std::size_t, SizeClass> classes_;
  MemoryStatistics statistics_;
};

// Never destroyed: tensors with static storage may return their memory after main.
Pool& pool() {
  static Pool& instance = *new Pool;
  return instance;
}

}  // namespace

void* allocate(std::size_t bytes) {
  return bytes == 0 ? nullptr : pool().take(bytes);
}

void deallocate(void* pointer, std::size_t bytes) noexcept {
  if (pointer != nullptr) pool().put_back(pointer, bytes);
}

// cudaMemcpy on the legacy default stream waits for all work before it. From pageable host memory
// it may return before the copy has reached the device, but not before `host` may be reused; later
// work on the same stream sees the data.
void copy_from_host(Queue&, const void* host, void* device, std::size_t bytes) {
  if (bytes == 0) return;
  cuda::check(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice), "copy_from_host");
}

void copy_to_host(Queue&, const void* device, void* host, std::size_t bytes) {
  if (bytes == 0) return;
  cuda::check(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost), "copy_to_host");
}

MemoryStatistics memory_statistics() {
  return pool().statistics();
}

void reset_peak() {
  pool().reset_peak();
}

}  // namespace metatt::tn::backend
