#include <metatt/autodiff/backend/backend.hpp>
#include <metatt/tn/backend/cuda/launch.cuh>

#include <bit>
#include <cub/device/device_radix_sort.cuh>

namespace metatt::autodiff::backend {

namespace cuda = tn::backend::cuda;

namespace {

using cuda::kThreads;

/// sorted_ids = ids in ascending order and sorted_tokens their positions, those of equal ids in
/// ascending order: a radix sort is stable.
void sort_by_id(Index tokens, Index entries, const std::int32_t* ids, std::int32_t* sorted_ids,
                std::int32_t* sorted_tokens) {
  const cuda::Scratch<std::int32_t> counting(tokens);
  std::int32_t* number = counting.data();
  cuda::for_each("embedding_backward", tokens,
                 [=] __device__(Index i) { number[i] = static_cast<std::int32_t>(i); });
  // Only the bits that the number of a row can have.
  const auto bits = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(entries)));
  // The first call only asks for the size of the work space.
  std::size_t work_bytes = 0;
  cuda::check(cub::DeviceRadixSort::SortPairs(nullptr, work_bytes, ids, sorted_ids, number,
                                              sorted_tokens, tokens, 0, bits),
              "embedding_backward");
  const cuda::Scratch<char> work(static_cast<Index>(work_bytes));
  cuda::check(cub::DeviceRadixSort::SortPairs(work.data(), work_bytes, ids, sorted_ids, number,
                                              sorted_tokens, tokens, 0, bits),
              "embedding_backward");
}

/// The block at the first of a run of equal ids sums the run, a thread for each column.
template <class T>
__global__ void add_runs_kernel(Index tokens, Index width, const std::int32_t* sorted_ids,
                                const std::int32_t* sorted_tokens, const T* dout, T* dtable) {
  const Index j = static_cast<Index>(blockIdx.y) * kThreads + threadIdx.x;
  if (j >= width) return;
  for (Index first = blockIdx.x; first < tokens; first += gridDim.x) {
    const std::int32_t id = sorted_ids[first];
    if (first > 0 && sorted_ids[first - 1] == id) continue;
    T& entry = dtable[id * width + j];
    double sum = entry;
    for (Index k = first; k < tokens && sorted_ids[k] == id; ++k) {
      sum += dout[sorted_tokens[k] * width + j];
    }
    entry = static_cast<T>(sum);
  }
}

}  // namespace

template <class T>
void embedding_forward(Queue&, Index tokens, Index width, const std::int32_t* ids, const T* table,
                       bool accumulate, T* out) {
  cuda::for_each_element("embedding_forward", tokens, width, [=] __device__(Index t, Index j) {
    const T entry = table[ids[t] * width + j];
    out[t * width + j] = accumulate ? out[t * width + j] + entry : entry;
  });
}

// Cost: a radix sort of `tokens` pairs and one reading of dout. The tokens of one id are added one
// after the other, so a table of few rows (token types) costs up to `tokens` dependent additions.
template <class T>
void embedding_backward(Queue&, Index tokens, Index width, Index entries, const std::int32_t* ids,
                        const T* dout, T* dtable) {
  if (tokens <= 0 || width <= 0) return;
  const cuda::Scratch<std::int32_t> sorted_ids(tokens);
  const cuda::Scratch<std::int32_t> sorted_tokens(tokens);
  sort_by_id(tokens, entries, ids, sorted_ids.data(), sorted_tokens.data());
  const dim3 grid(cuda::grid_for(tokens), static_cast<unsigned>(cuda::divide_up(width, kThreads)));
  add_runs_kernel<<<grid, kThreads>>>(tokens, width, sorted_ids.data(), sorted_tokens.data(), dout,
                                      dtable);
  cuda::check_launch("embedding_backward");
}

template <class T>
void scatter_add_rows(Queue&, Index count, Index width, const std::int32_t* rows, const T* dout,
                      T* x) {
  cuda::for_each_element("scatter_add_rows", count, width, [=] __device__(Index i, Index j) {
    x[rows[i] * width + j] += dout[i * width + j];
  });
}

#define METATT_TABLE(T)                                                                           \
  template void embedding_forward<T>(Queue&, Index, Index, const std::int32_t*, const T*, bool,   \
                                     T*);                                                         \
  template void embedding_backward<T>(Queue&, Index, Index, Index, const std::int32_t*, const T*, \
                                      T*);                                                        \
  template void scatter_add_rows<T>(Queue&, Index, Index, const std::int32_t*, const T*, T*);

METATT_TABLE(float)
METATT_TABLE(double)

}  // namespace metatt::autodiff::backend
