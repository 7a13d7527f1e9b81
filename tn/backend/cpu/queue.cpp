#include <metatt/tn/backend/backend.hpp>
#include <metatt/tn/backend/cpu/private.hpp>
#include <metatt/tn/backend/cpu/vector_set.hpp>

#include <cblas.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace metatt::tn::backend {

namespace {

/// What set_threads() asked for, 0 before; OpenMP keeps a number for each calling thread.
std::atomic<int> chosen_threads = 0;

}  // namespace

Queue& queue() {
  thread_local Queue queue;
  thread_local int threads = 0;
  if (const int chosen = chosen_threads.load(std::memory_order_relaxed); chosen != threads) {
    threads = chosen;
    omp_set_num_threads(threads);
  }
  return queue;
}

void synchronize(Queue&) {}

namespace {

constexpr std::array<std::string_view, 3> sets = {"baseline", "avx2", "avx512"};

/// What the processor has, whatever the environment asks for.
const std::string_view* widest_set() {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  return sets.begin() + (avx512 ? 2 : avx2 ? 1 : 0);
}

/// OpenBLAS falls back to SSE kernels on processors newer than itself, at a fifth of the speed.
std::string better_core(const std::string& core) {
  const bool old = core == "Prescott" || core == "Core2" || core == "Nehalem";
  if (!old || *widest_set() == "baseline") return "";
  return *widest_set() == "avx512" ? "SkylakeX" : "Haswell";
}

}  // namespace

std::string_view vector_set() {
  const auto widest = widest_set();
  const char* wanted = std::getenv("METATT_VECTOR_SET");
  if (wanted == nullptr) return *widest;
  const auto chosen = std::find(sets.begin(), sets.end(), wanted);
  if (chosen == sets.end())
    fail("METATT_VECTOR_SET: expected baseline, avx2 or avx512, found '", wanted, "'");
  if (chosen > widest)
    fail("METATT_VECTOR_SET: this processor has at most ", *widest, ", found '", wanted, "'");
  return *chosen;
}

Description describe() {
  Description description;
  description.backend = "cpu";
  // The configuration begins with name and version: "OpenBLAS 0.3.21 DYNAMIC_ARCH …".
  std::istringstream configuration(openblas_get_config());
  std::string name, version;
  configuration >> name >> version;
  description.blas = name + " " + version;
  description.core = openblas_get_corename();
  const int parallel = openblas_get_parallel();
  description.thread_layer = parallel == OPENBLAS_OPENMP   ? "openmp"
                             : parallel == OPENBLAS_THREAD ? "pthread"
                                                           : "sequential";
  description.vector_set = vector_set();
  queue();  // this thread may not have heard of set_threads() yet
  description.threads = omp_get_max_threads();
  description.better_core = better_core(description.core);
  std::vector<std::string> warnings;
  if (!description.better_core.empty())
    warnings.push_back("OpenBLAS does not know this processor and uses its slow " +
                       description.core +
                       " kernels: set OPENBLAS_CORETYPE=" + description.better_core);
  if (parallel == OPENBLAS_THREAD)
    warnings.emplace_back(
        "OpenBLAS runs its own threads beside OpenMP's, which makes a step 2 to 3 times slower: "
        "install libopenblas-openmp-dev");
  else if (parallel == OPENBLAS_SEQUENTIAL && description.threads > 1)
    warnings.emplace_back(
        "OpenBLAS runs on one thread only, which makes a step slower: install "
        "libopenblas-openmp-dev");
  for (const std::string& warning : warnings)
    description.warning += (description.warning.empty() ? "" : "; ") + warning;
  return description;
}

void set_threads(int threads) {
  if (threads < 1) fail("set_threads: expected at least 1, found ", threads);
  chosen_threads = threads;
  queue();
  openblas_set_num_threads(threads);
}

}  // namespace metatt::tn::backend
