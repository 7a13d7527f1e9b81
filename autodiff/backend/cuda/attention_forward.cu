#include <metatt/autodiff/backend/cuda/attention.cuh>

namespace metatt::autodiff::backend {

namespace {

/// The running softmax of the rows of a micro-tile (Milakov & Gimelshein, arXiv:1805.02867).
template <class T>
struct RunningSoftmax {
  T largest[kMicro<T>];
  T total[kMicro<T>];

  __device__ RunningSoftmax() {
    for (int i = 0; i < kMicro<T>; ++i) {
      largest[i] = -INFINITY;
      total[i] = 0;
    }
  }

  /// Turns row i's scores of a tile into exponentials; what was summed before has to be multiplied
  /// by what this returns. At least one score of the row must be finite.
  __device__ T add(int i, T (&scores)[kMicro<T>]) {
    T highest = scores[0];
    for (int j = 1; j < kMicro<T>; ++j) highest = max(highest, scores[j]);
    highest = max(largest[i], row_max(highest));
    const T correction = exp(largest[i] - highest);
    T sum = 0;
    for (T& score : scores) {
      score = exp(score - highest);
      sum += score;
    }
    largest[i] = highest;
    total[i] = total[i] * correction + row_sum(sum);
    return correction;
  }
};

template <class T, int chunks>
__global__ void __launch_bounds__(cuda::kThreads)
    forward_kernel(AttentionArguments<T> a, T* out, T* log_sum_exp) {
  __shared__ Shared<T> shared;
  const Place<T> place(a);
  if (place.row0 >= place.length) return;
  const HeadRows<T> queries = place.rows(a, 0);
  const HeadRows<T> keys = place.rows(a, 1);
  const HeadRows<T> values = place.rows(a, 2);
  RunningSoftmax<T> softmax;
  Sums<T, chunks> sums = {};
  for (Index key0 = 0; key0 < place.keys_end(a); key0 += kTile<T>) {
    draw_mask(a, place, place.row0, key0, shared);
    T scores[kMicro<T>][kMicro<T>];
    multiply_rows(queries, place.row0, keys, key0, a.shape.head_width, shared, scores);
#pragma unroll
    for (int i = 0; i < kMicro<T>; ++i) {
      for (int j = 0; j < kMicro<T>; ++j) {
        const Index query = place.row0 + tile_row<T>(i);
        scores[i][j] =
            place.sees(a, query, key0 + tile_column(j)) ? a.scale * scores[i][j] : T(-INFINITY);
      }
      const T correction = softmax.add(i, scores[i]);
#pragma unroll
      for (int chunk = 0; chunk < chunks; ++chunk) {
        for (T& sum : sums[chunk][i]) sum *= correction;
      }
      for (int j = 0; j < kMicro<T>; ++j) {
        shared.weights[tile_row<T>(i)][tile_column(j)] =
            is_kept(a, shared, i, j) ? scores[i][j] : T(0);
      }
    }
    add_weighted_rows<false, T, chunks>(values, key0, a.shape.head_width, shared, sums);
  }
  const Index stride = a.shape.heads * a.shape.head_width;
  store_sums<T, chunks>(
      sums, place.row0, place.length, a.shape.head_width,
      [&](int i) { return a.keep_scale / softmax.total[i]; },
      out + place.offset * stride + place.head * a.shape.head_width, stride);
  if (!log_sum_exp || thread_column() != 0) return;
  for (int i = 0; i < kMicro<T>; ++i) {
    const Index row = place.row0 + tile_row<T>(i);
    if (row < place.length) {
      log_sum_exp[place.head * a.tokens + place.offset + row] =
          softmax.largest[i] + log(softmax.total[i]);
    }
  }
}

/// One block for a head: two passes over the keys, the first for the softmax of the scores.
template <class T>
__global__ void step_kernel(Index heads, Index key_value_heads, Index head_width, T scale,
                            Index count, const T* query, const T* keys, const T* values, T* scores,
                            T* out) {
  const Index head = blockIdx.x, ld = key_value_heads * head_width;
  const Index column = head * key_value_heads / heads * head_width;
  const T* q = query + head * head_width;
  T* mine = scores + head * count;
  for (Index j = threadIdx.x; j < count; j += cuda::kThreads) {
    T sum = 0;
    for (Index k = 0; k < head_width; ++k) sum += q[k] * keys[j * ld + column + k];
    mine[j] = scale * sum;
  }
  __syncthreads();
  T largest = -INFINITY;
  for (Index j = threadIdx.x; j < count; j += cuda::kThreads) largest = max(largest, mine[j]);
  largest = cuda::block_max(largest);
  T part = 0;
  for (Index j = threadIdx.x; j < count; j += cuda::kThreads) {
    mine[j] = exp(mine[j] - largest);
    part += mine[j];
  }
  const T total = cuda::block_sum(part);
  __syncthreads();
  for (Index k = threadIdx.x; k < head_width; k += cuda::kThreads) {
    T sum = 0;
    for (Index j = 0; j < count; ++j) sum += mine[j] * values[j * ld + column + k];
    out[head * head_width + k] = sum / total;
  }
}

}  // namespace

template <class T>
void attention_step(Queue& queue, const AttentionShape& shape, T scale, Index count, const T* query,
                    const T* keys, const T* values, T* out) {
  queue.work.attention_flops += 4 * shape.width() * count;
  const cuda::Scratch<T> scores(shape.heads * count);
  step_kernel<<<static_cast<unsigned>(shape.heads), cuda::kThreads>>>(
      shape.heads, shape.key_value_heads, shape.head_width, scale, count, query, keys, values,
      scores.data(), out);
  cuda::check_launch("attention_step");
}

template void attention_step(Queue&, const AttentionShape&, float, Index, const float*,
                             const float*, const float*, float*);
template void attention_step(Queue&, const AttentionShape&, double, Index, const double*,
                             const double*, const double*, double*);

template <class T>
void attention_forward(Queue& queue, const Packing& packing, const AttentionShape& shape, T scale,
                       const Dropout& dropout, const T* qkv, T* out, T* log_sum_exp) {
  const char* function = "attention_forward";
  if (packing.tokens <= 0 || shape.heads <= 0) return;
  queue.work.attention_flops += 4 * shape.width() * shape.seen(packing);
  const auto arguments = attention_arguments(packing, shape, scale, dropout, qkv);
  for_chunks_of(function, shape.head_width, [&](auto chunks) {
    forward_kernel<T, chunks.value>
        <<<attention_grid(arguments, packing.sequences, shape.heads), cuda::kThreads>>>(
            arguments, out, log_sum_exp);
  });
  cuda::check_launch(function);
}

template void attention_forward<float>(Queue&, const Packing&, const AttentionShape&, float,
                                       const Dropout&, const float*, float*, float*);
template void attention_forward<double>(Queue&, const Packing&, const AttentionShape&, double,
                                        const Dropout&, const double*, double*, double*);

}  // namespace metatt::autodiff::backend
