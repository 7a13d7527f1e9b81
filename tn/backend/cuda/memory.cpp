#include <metatt/tn/backend/cuda/native.hpp>
#include <metatt/tn/backend/pool.hpp>

namespace metatt::tn::backend {
namespace {

/// cudaMalloc aligns to 256 bytes, so every block keeps the promised 64.
struct DeviceMemory {
  static void* allocate(std::size_t bytes) {
    void* block = nullptr;
    const cudaError_t status = cudaMalloc(&block, bytes);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // a failed allocation would otherwise show up at the next launch
      return nullptr;
    }
    cuda::check(status, "allocate");
    return block;
  }
  static void release(void* block) { cuda::check(cudaFree(block), "allocate"); }
  static void handed_out(void*, std::size_t, std::size_t) {}
  static void taken_back(void*, std::size_t) {}
};

}  // namespace

void* allocate(std::size_t bytes) {
  return bytes == 0 ? nullptr : pool<DeviceMemory>().allocate(bytes);
}

void deallocate(void* pointer, std::size_t bytes) noexcept {
  if (pointer != nullptr) pool<DeviceMemory>().deallocate(pointer, bytes);
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
  return pool<DeviceMemory>().statistics();
}

void reset_peak() {
  pool<DeviceMemory>().reset_peak();
}

}  // namespace metatt::tn::backend
