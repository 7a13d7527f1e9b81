#include <metatt/autodiff/backend/cuda/attention.cuh>

// With P the probabilities, M the mask (0 or keep_scale) and ∘ the product by elements:
//   dV = (P∘M)ᵀ·dout;  dP = (dout·Vᵀ)∘M;  D = rowsum(P∘dP);  dS = P∘(dP − D);
//   dQ = scale · dS·K;  dK = scale · dSᵀ·Q.
// One kernel goes over tiles of queries for D and dQ, a second over tiles of keys for dK and dV;
// both make P and dP again, so that no two blocks ever add to the same memory.

namespace metatt::autodiff::backend {

namespace {

template <class T>
struct BackwardArguments {
  AttentionArguments<T> forward;
  const T* log_sum_exp;
  const T* dout;
  T* row_products;  ///< D (heads × tokens)
  T* dqkv;

  __device__ HeadRows<T> dout_rows(const Place<T>& place) const {
    const Index width = forward.shape.head_width, stride = forward.shape.heads * width;
    return {dout + place.offset * stride + place.head * width, stride, place.length};
  }

  /// Where the gradient of the head's query (part 0), key (1) or value (2) rows goes.
  __device__ T* gradient_rows(const Place<T>& place, int part) const {
    return dqkv + (place.rows(forward, part).data - forward.qkv);
  }

  __device__ Index gradient_stride() const {
    return (forward.shape.heads + 2 * forward.shape.key_value_heads) * forward.shape.head_width;
  }
};

template <class T>
using MicroTile = T[kMicro<T>][kMicro<T>];

/// The rows of an array (heads × tokens) that belong to a micro-tile; 0 beyond the sequence.
template <class T>
__device__ void load_row_values(const AttentionArguments<T>& a, const Place<T>& place,
                                const T* array, Index query0, T (&to)[kMicro<T>]) {
  for (int i = 0; i < kMicro<T>; ++i) {
    const Index row = query0 + tile_row<T>(i);
    to[i] = row < place.length ? array[place.head * a.tokens + place.offset + row] : T(0);
  }
}

/// P and dP of a tile; 0 outside the sequence. Leaves the tile's mask in shared.kept.
template <class T>
__device__ void probability_tiles(const BackwardArguments<T>& b, const Place<T>& place,
                                  Index query0, Index key0, const T (&log_sum_exp)[kMicro<T>],
                                  Shared<T>& shared, MicroTile<T>& p, MicroTile<T>& dp) {
  const AttentionArguments<T>& a = b.forward;
  draw_mask(a, place, query0, key0, shared);
  multiply_rows(place.rows(a, 0), query0, place.rows(a, 1), key0, a.shape.head_width, shared, p);
  multiply_rows(b.dout_rows(place), query0, place.rows(a, 2), key0, a.shape.head_width, shared, dp);
  for (int i = 0; i < kMicro<T>; ++i) {
    for (int j = 0; j < kMicro<T>; ++j) {
      const bool inside = query0 + tile_row<T>(i) < place.length &&
                          place.sees(a, query0 + tile_row<T>(i), key0 + tile_column(j));
      p[i][j] = inside ? exp(a.scale * p[i][j] - log_sum_exp[i]) : T(0);
      dp[i][j] = is_kept(a, shared, i, j) ? a.keep_scale * dp[i][j] : T(0);
    }
  }
}

template <class T>
__device__ void store_score_gradient(const MicroTile<T>& p, const MicroTile<T>& dp,
                                     const T (&row_product)[kMicro<T>], Shared<T>& shared) {
  for (int i = 0; i < kMicro<T>; ++i) {
    for (int j = 0; j < kMicro<T>; ++j) {
      shared.weights[tile_row<T>(i)][tile_column(j)] = p[i][j] * (dp[i][j] - row_product[i]);
    }
  }
}

/// D, then dQ, for a tile of queries.
template <class T, int chunks>
__global__ void __launch_bounds__(cuda::kThreads) query_kernel(BackwardArguments<T> b) {
  __shared__ Shared<T> shared;
  const AttentionArguments<T>& a = b.forward;
  const Place<T> place(a);
  if (place.row0 >= place.length) return;
  MicroTile<T> p;
  MicroTile<T> dp;
  T log_sum_exp[kMicro<T>];
  load_row_values(a, place, b.log_sum_exp, place.row0, log_sum_exp);
  T row_product[kMicro<T>] = {};
  for (Index key0 = 0; key0 < place.keys_end(a); key0 += kTile<T>) {
    // The last tile's mask may still be read.
    __syncthreads();
    probability_tiles(b, place, place.row0, key0, log_sum_exp, shared, p, dp);
    for (int i = 0; i < kMicro<T>; ++i) {
      for (int j = 0; j < kMicro<T>; ++j) row_product[i] += p[i][j] * dp[i][j];
    }
  }
  for (int i = 0; i < kMicro<T>; ++i) {
    row_product[i] = row_sum(row_product[i]);
    const Index row = place.row0 + tile_row<T>(i);
    if (thread_column() == 0 && row < place.length) {
      b.row_products[place.head * a.tokens + place.offset + row] = row_product[i];
    }
  }
  Sums<T, chunks> dq = {};
  for (Index key0 = 0; key0 < place.keys_end(a); key0 += kTile<T>) {
    __syncthreads();
    probability_tiles(b, place, place.row0, key0, log_sum_exp, shared, p, dp);
    store_score_gradient(p, dp, row_product, shared);
    add_weighted_rows<false, T, chunks>(place.rows(a, 1), key0, a.shape.head_width, shared, dq);
  }
  store_sums<T, chunks>(
      dq, place.row0, place.length, a.shape.head_width, [&](int) { return a.scale; },
      b.gradient_rows(place, 0), b.gradient_stride());
}

/// dK and dV for a tile of keys, summed over the queries' heads that share them.
template <class T, int chunks>
__global__ void __launch_bounds__(cuda::kThreads) key_kernel(BackwardArguments<T> b) {
  __shared__ Shared<T> shared;
  const AttentionArguments<T>& a = b.forward;
  Place<T> place(a);
  const Index key0 = place.row0;
  if (key0 >= place.length) return;
  const Index group = a.shape.heads / a.shape.key_value_heads, first_head = place.head * group;
  Sums<T, chunks> dk = {};
  Sums<T, chunks> dv = {};
  for (place.head = first_head; place.head < first_head + group; ++place.head) {
    for (Index query0 = place.queries_begin(a); query0 < place.length; query0 += kTile<T>) {
      MicroTile<T> p;
      MicroTile<T> dp;
      T log_sum_exp[kMicro<T>];
      T row_product[kMicro<T>];
      load_row_values(a, place, b.log_sum_exp, query0, log_sum_exp);
      load_row_values(a, place, b.row_products, query0, row_product);
      probability_tiles(b, place, query0, key0, log_sum_exp, shared, p, dp);
      for (int i = 0; i < kMicro<T>; ++i) {
        for (int j = 0; j < kMicro<T>; ++j) {
          shared.weights[tile_row<T>(i)][tile_column(j)] =
              is_kept(a, shared, i, j) ? p[i][j] : T(0);
        }
      }
      add_weighted_rows<true, T, chunks>(b.dout_rows(place), query0, a.shape.head_width, shared,
                                         dv);
      __syncthreads();
      store_score_gradient(p, dp, row_product, shared);
      add_weighted_rows<true, T, chunks>(place.rows(a, 0), query0, a.shape.head_width, shared, dk);
    }
  }
  place.head = first_head;
  store_sums<T, chunks>(
      dk, key0, place.length, a.shape.head_width, [&](int) { return a.scale; },
      b.gradient_rows(place, 1), b.gradient_stride());
  store_sums<T, chunks>(
      dv, key0, place.length, a.shape.head_width, [&](int) { return a.keep_scale; },
      b.gradient_rows(place, 2), b.gradient_stride());
}

}  // namespace

template <class T>
void attention_backward(Queue& queue, const Packing& packing, const AttentionShape& shape, T scale,
                        const Dropout& dropout, const T* qkv, const T* log_sum_exp, const T* dout,
                        T* dqkv) {
  const char* function = "attention_backward";
  if (packing.tokens <= 0 || shape.heads <= 0) return;
  queue.work.attention_flops += 10 * shape.width() * shape.seen(packing);
  const cuda::Scratch<T> row_products(shape.heads * packing.tokens);
  const BackwardArguments<T> arguments{attention_arguments(packing, shape, scale, dropout, qkv),
                                       log_sum_exp, dout, row_products.data(), dqkv};
  const dim3 queries = attention_grid(arguments.forward, packing.sequences, shape.heads);
  const dim3 keys = attention_grid(arguments.forward, packing.sequences, shape.key_value_heads);
  for_chunks_of(function, shape.head_width, [&](auto chunks) {
    query_kernel<T, chunks.value><<<queries, cuda::kThreads>>>(arguments);
    cuda::check_launch(function);
    key_kernel<T, chunks.value><<<keys, cuda::kThreads>>>(arguments);
    cuda::check_launch(function);
  });
}

template void attention_backward<float>(Queue&, const Packing&, const AttentionShape&, float,
                                        const Dropout&, const float*, const float*, const float*,
                                        float*);
template void attention_backward<double>(Queue&, const Packing&, const AttentionShape&, double,
                                         const Dropout&, const double*, const double*,
                                         const double*, double*);

}  // namespace metatt::autodiff::backend
