/// Scaled dot-product attention, one (sequence, head) pair at a time on one thread: its keys and
/// values are packed once, then blocks of query rows go through scores, softmax and product while
/// they are in cache. Pairs write disjoint columns, so the result does not depend on the threads.

#include <metatt/autodiff/backend/cpu/vector.hpp>

namespace metatt::autodiff::backend::METATT_VECTOR_SET {

namespace {

/// Query rows per block: scores of 64 rows of a 512-token sequence are 128 KiB of floats.
constexpr Index row_block = 64;

/// Where the rows of one (sequence, head) pair lie in the token matrices.
struct Pair {
  Index start, length, head;
  Index model_width;  ///< heads · head_width
  Index head_width;

  template <class T>
  const T* part(const T* qkv, int which) const {
    return qkv + start * 3 * model_width + which * model_width + head * head_width;
  }
};

/// out (width × ldo) = xᵀ for x of rows × width; columns rows … ldo-1 become zero.
template <class T>
void pack_transposed(Index rows, Index width, const T* x, Index ldx, T* out, Index ldo) {
  for (Index k = 0; k < width; ++k)
    for (Index i = rows; i < ldo; ++i) out[k * ldo + i] = 0;
  for (Index i = 0; i < rows; ++i)
    for (Index k = 0; k < width; ++k) out[k * ldo + i] = x[i * ldx + k];
}

/// out (rows × ldo) = x; columns width … ldo-1 become zero.
template <class T>
void pack(Index rows, Index width, const T* x, Index ldx, T* out, Index ldo) {
  for (Index i = 0; i < rows; ++i) {
    for (Index k = 0; k < width; ++k) out[i * ldo + k] = x[i * ldx + k];
    for (Index k = width; k < ldo; ++k) out[i * ldo + k] = 0;
  }
}

/// The dropout words of `length` columns of one attention row.
inline void row_words(const Dropout& dropout, const Packing& packing, const Pair& pair, Index heads,
                      Index row, std::uint16_t* words) {
  const auto longest = static_cast<std::uint64_t>(round_up(packing.longest, 8));
  const auto line = static_cast<std::uint64_t>((pair.start + row) * heads + pair.head);
  dropout_words(dropout, line * longest, pair.length, words);
}

template <class T>
void multiply_by_mask(Index count, const std::uint16_t* words, std::uint32_t threshold, T scale,
                      T* x) {
#pragma omp simd
  for (Index j = 0; j < count; ++j) x[j] *= words[j] < threshold ? T(0) : scale;
}

template <class T>
struct RowSum {
  T inverse;      ///< 1 / Σ of the new row
  T log_sum_exp;  ///< of the scores
};
/// Scores → exp(score − largest) in place.
template <class T>
RowSum<T> exponentials(Index length, T* row) {
  T largest = row[0];
#pragma omp simd reduction(max : largest)
  for (Index j = 0; j < length; ++j) largest = largest > row[j] ? largest : row[j];
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (Index j = 0; j < length; ++j) {
    row[j] = exponential(row[j] - largest);
    sum += row[j];
  }
  return {1 / sum, largest + static_cast<T>(__builtin_log(static_cast<double>(sum)))};
}

/// One row of the backward pass, in place: scores in `p` become the probabilities that multiplied
/// the values (after dropout, where threshold > 0), and the gradient of these in `ds` that of the
/// scores.
template <class T>
void softmax_row_backward(Index length, T log_sum_exp, std::uint32_t threshold, T keep,
                          const std::uint16_t* words, T* p, T* ds) {
  if (threshold > 0) multiply_by_mask(length, words, threshold, keep, ds);
  T product = 0;
#pragma omp simd reduction(+ : product)
  for (Index j = 0; j < length; ++j) {
    p[j] = exponential(p[j] - log_sum_exp);
    product += p[j] * ds[j];
  }
#pragma omp simd
  for (Index j = 0; j < length; ++j) ds[j] = p[j] * (ds[j] - product);
  if (threshold > 0) multiply_by_mask(length, words, threshold, keep, p);
}

/// Calls work(pair, thread) for every (sequence, head); pairs are handed out as threads become
/// free.
template <class Work>
void for_each_pair(const Packing& packing, Index heads, Index head_width, const Work& work) {
  const Index pairs = packing.sequences * heads;
#pragma omp parallel for schedule(dynamic) if (packing.tokens * heads > 64)
  for (Index p = 0; p < pairs; ++p) {
    const Index s = p / heads;
    const Index start = packing.offsets[s];
    work(Pair{start, packing.offsets[s + 1] - start, p % heads, heads * head_width, head_width},
         omp_get_thread_num());
  }
}

}  // namespace

template <class T>
void attention_forward(Queue& queue, const Packing& packing, Index heads, Index head_width, T scale,
                       const Dropout& dropout, const T* qkv, T* out, T* log_sum_exp) {
  queue.work.attention_flops += 4 * heads * head_width * packing.squared_lengths;
  const Index ld = round_up(packing.longest, lanes<T>);  // of scores and packed keys
  const Index packed_width = round_up(head_width, lanes<T>);
  const Index per_thread = ld * head_width + ld * packed_width + row_block * ld;
  const Index words_per_thread = round_up(packing.longest, 128);
  const Scratch<T> scratch(per_thread * omp_get_max_threads());
  const Scratch<std::uint16_t> word_scratch(words_per_thread * omp_get_max_threads());
  const std::uint32_t threshold = dropout.threshold();
  const T keep = static_cast<T>(dropout.keep_scale());

  for_each_pair(packing, heads, head_width, [&](const Pair& pair, int thread) {
    T* keys = scratch.data() + thread * per_thread;
    T* values = keys + ld * head_width;
    T* scores = values + ld * packed_width;
    std::uint16_t* words = word_scratch.data() + thread * words_per_thread;
    const Index stride = 3 * pair.model_width;
    const T* queries = pair.part(qkv, 0);
    pack_transposed(pair.length, head_width, pair.part(qkv, 1), stride, keys, ld);
    pack(pair.length, head_width, pair.part(qkv, 2), stride, values, packed_width);

    for (Index first = 0; first < pair.length; first += row_block) {
      const Index rows = smaller(row_block, pair.length - first);
      T inverse_sums[row_block];
      small_product(rows, pair.length, head_width, scale, queries + first * stride, stride,
                    Index(1), keys, ld, false, scores, ld);
      for (Index i = 0; i < rows; ++i) {
        T* row = scores + i * ld;
        const RowSum<T> sum = exponentials(pair.length, row);
        inverse_sums[i] = sum.inverse;
        if (log_sum_exp)
          log_sum_exp[pair.head * packing.tokens + pair.start + first + i] = sum.log_sum_exp;
        if (threshold > 0) {
          row_words(dropout, packing, pair, heads, first + i, words);
          multiply_by_mask(pair.length, words, threshold, keep, row);
        }
      }
      T* block = out + (pair.start + first) * pair.model_width + pair.head * head_width;
      small_product(rows, head_width, pair.length, T(1), scores, ld, Index(1), values, packed_width,
                    false, block, pair.model_width);
      // Dividing the few columns of the result is cheaper than dividing the probabilities.
      for (Index i = 0; i < rows; ++i)
        for (Index k = 0; k < head_width; ++k) block[i * pair.model_width + k] *= inverse_sums[i];
    }
  });
}

template <class T>
void attention_backward(Queue& queue, const Packing& packing, Index heads, Index head_width,
                        T scale, const Dropout& dropout, const T* qkv, const T* log_sum_exp,
                        const T* dout, T* dqkv) {
  queue.work.attention_flops += 10 * heads * head_width * packing.squared_lengths;
  const Index ld = round_up(packing.longest, lanes<T>);
  const Index packed_width = round_up(head_width, lanes<T>);
  // keysᵀ, valuesᵀ, keys, query block, dout block; scores and their gradient.
  const Index per_thread =
      2 * ld * head_width + ld * packed_width + 2 * row_block * packed_width + 2 * row_block * ld;
  const Index words_per_thread = round_up(packing.longest, 128);
  const Scratch<T> scratch(per_thread * omp_get_max_threads());
  const Scratch<std::uint16_t> word_scratch(words_per_thread * omp_get_max_threads());
  const std::uint32_t threshold = dropout.threshold();
  const T keep = static_cast<T>(dropout.keep_scale());

  for_each_pair(packing, heads, head_width, [&](const Pair& pair, int thread) {
    T* keys_transposed = scratch.data() + thread * per_thread;
    T* values_transposed = keys_transposed + ld * head_width;
    T* keys = values_transposed + ld * head_width;
    T* query_block = keys + ld * packed_width;
    T* dout_block = query_block + row_block * packed_width;
    T* probabilities = dout_block + row_block * packed_width;
    T* dscores = probabilities + row_block * ld;
    std::uint16_t* words = word_scratch.data() + thread * words_per_thread;
    const Index width = pair.model_width, stride = 3 * width, length = pair.length;
    pack_transposed(length, head_width, pair.part(qkv, 1), stride, keys_transposed, ld);
    pack_transposed(length, head_width, pair.part(qkv, 2), stride, values_transposed, ld);
    pack(length, head_width, pair.part(qkv, 1), stride, keys, packed_width);
    T* dqueries = dqkv + pair.start * stride + pair.head * head_width;
    T* dkeys = dqueries + width;
    T* dvalues = dqueries + 2 * width;

    for (Index first = 0; first < length; first += row_block) {
      const Index rows = smaller(row_block, length - first);
      pack(rows, head_width, pair.part(qkv, 0) + first * stride, stride, query_block, packed_width);
      pack(rows, head_width, dout + (pair.start + first) * width + pair.head * head_width, width,
           dout_block, packed_width);
      small_product(rows, length, head_width, scale, query_block, packed_width, Index(1),
                    keys_transposed, ld, false, probabilities, ld);
      small_product(rows, length, head_width, T(1), dout_block, packed_width, Index(1),
                    values_transposed, ld, false, dscores, ld);
      for (Index i = 0; i < rows; ++i) {
        T* p = probabilities + i * ld;
        T* ds = dscores + i * ld;
        const T lse = log_sum_exp[pair.head * packing.tokens + pair.start + first + i];
        if (threshold > 0) row_words(dropout, packing, pair, heads, first + i, words);
        softmax_row_backward(length, lse, threshold, keep, words, p, ds);
      }
      small_product(rows, head_width, length, scale, dscores, ld, Index(1), keys, packed_width,
                    false, dqueries + first * stride, stride);
      const bool later = first > 0;
      small_product(length, head_width, rows, scale, dscores, Index(1), ld, query_block,
                    packed_width, later, dkeys, stride);
      small_product(length, head_width, rows, T(1), probabilities, Index(1), ld, dout_block,
                    packed_width, later, dvalues, stride);
    }
  });
}

#define METATT_INSTANTIATE(T)                                                               \
  template void attention_forward(Queue&, const Packing&, Index, Index, T, const Dropout&,  \
                                  const T*, T*, T*);                                        \
  template void attention_backward(Queue&, const Packing&, Index, Index, T, const Dropout&, \
                                   const T*, const T*, const T*, T*);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff::backend::METATT_VECTOR_SET
