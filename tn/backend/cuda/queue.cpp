#include <metatt/tn/backend/backend.hpp>
#include <metatt/tn/backend/cuda/native.hpp>
#include <metatt/tn/error.hpp>

#include <atomic>

namespace metatt::tn::backend {
namespace cuda {

void check(cudaError_t status, const char* function) {
  if (status != cudaSuccess) {
    fail(function, ": expected CUDA to succeed, found ", cudaGetErrorName(status), " (",
         cudaGetErrorString(status), ")");
  }
}

void check(cublasStatus_t status, const char* function) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    fail(function, ": expected cuBLAS to succeed, found ", cublasGetStatusName(status), " (",
         cublasGetStatusString(status), ")");
  }
}

// cuSOLVER has no texts of its own.
void check(cusolverStatus_t status, const char* function) {
  if (status != CUSOLVER_STATUS_SUCCESS) {
    fail(function, ": expected cuSOLVER to succeed, found cusolverStatus_t ",
         static_cast<int>(status));
  }
}

Native::Native() {
  int devices = 0;
  check(cudaGetDeviceCount(&devices), "queue");
  check(cublasCreate(&blas), "queue");
  // The default mode also keeps float products in float: no TF32.
  check(cublasSetMathMode(blas, CUBLAS_DEFAULT_MATH), "queue");
  check(cublasSetAtomicsMode(blas, CUBLAS_ATOMICS_NOT_ALLOWED), "queue");
  check(cusolverDnCreate(&solver), "queue");
  check(cusolverDnSetDeterministicMode(solver, CUSOLVER_DETERMINISTIC_RESULTS), "queue");
  check(cusolverDnCreateParams(&solver_parameters), "queue");
}

// A destructor cannot throw, and at the end of a thread nobody is left to tell.
Native::~Native() {
  cusolverDnDestroyParams(solver_parameters);
  cusolverDnDestroy(solver);
  cublasDestroy(blas);
}

}  // namespace cuda

namespace {

std::atomic<int> host_threads = 1;

Queue make_queue() {
  Queue queue;
  queue.native = std::make_shared<cuda::Native>();
  return queue;
}

}  // namespace

Queue& queue() {
  thread_local Queue thread_queue = make_queue();
  return thread_queue;
}

void synchronize(Queue&) {
  cuda::check(cudaStreamSynchronize(cudaStreamLegacy), "synchronize");
}

Description describe() {
  int device = 0;
  cuda::check(cudaGetDevice(&device), "describe");
  cudaDeviceProp properties{};
  cuda::check(cudaGetDeviceProperties(&properties, device), "describe");
  int version = 0;
  cuda::check(cublasGetVersion(cuda::native(queue()).blas, &version), "describe");

  Description description;
  description.backend = "cuda";
  description.blas = "cuBLAS " + std::to_string(version / 10000) + "." +
                     std::to_string(version / 100 % 100) + "." + std::to_string(version % 100);
  description.core = properties.name;
  description.vector_set =
      "sm_" + std::to_string(properties.major) + std::to_string(properties.minor);
  description.threads = host_threads;
  return description;
}

// Nothing on this backend computes with host threads; the number is only kept for describe().
void set_threads(int threads) {
  if (threads < 1) fail("set_threads: expected at least 1 thread, found ", threads);
  host_threads = threads;
}

}  // namespace metatt::tn::backend
