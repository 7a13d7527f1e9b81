/// Scaled dot-product attention, one (sequence, head) pair at a time on one thread: its keys and
/// values are packed once, then blocks of query rows go through scores, softmax and product while
/// they are in cache. Pairs write disjoint columns, so the result does not depend on the threads.

#include <metatt/autodiff/backend/cpu/vector.hpp>

namespace metatt::autodiff::backend::METATT_VECTOR_SET {

namespace {

/// Query rows per block: scores of 64 rows of a 512-token sequence are 128 KiB of floats.
constexpr Index row_block = 64;

/// Where the rows of one sequence and of one head of keys and values lie in the token matrices, and
/// the queries that share them.
struct Pair {
  Index start, length, key_head;
  const AttentionShape& shape;

  Index stride() const { return shape.joined_width(); }
  /// Of query head `head` in a matrix like qkv.
  template <class T>
  T* queries(T* qkv, Index head) const {
    return qkv + start * stride() + head * shape.head_width;
  }
  template <class T>
  T* keys(T* qkv) const {
    return queries(qkv, shape.heads + key_head);
  }
  template <class T>
  T* values(T* qkv) const {
    return queries(qkv, shape.heads + shape.key_value_heads + key_head);
  }
  /// Row `row` of head `head` in a matrix like out.
  template <class T>
  T* output(T* out, Index row, Index head) const {
    return out + (start + row) * shape.width() + head * shape.head_width;
  }
  Index first_query() const { return key_head * shape.group(); }
  /// How many tokens row i sees.
  Index seen(Index i) const { return shape.causal ? i + 1 : length; }
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
inline void row_words(const Dropout& dropout, const Packing& packing, const Pair& pair, Index head,
                      Index row, std::uint16_t* words) {
  const auto longest = static_cast<std::uint64_t>(round_up(packing.longest, 8));
  const auto line = static_cast<std::uint64_t>((pair.start + row) * pair.shape.heads + head);
  dropout_words(dropout, line * longest, pair.seen(row), words);
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

/// Zero where a row of a block of scores goes on behind what its token sees.
template <class T>
void clear_unseen(Index from, Index to, T* row) {
  for (Index j = from; j < to; ++j) row[j] = 0;
}

/// Calls work(pair, thread) for every sequence and head of keys; pairs are handed out as threads
/// become free.
template <class Work>
void for_each_pair(const Packing& packing, const AttentionShape& shape, const Work& work) {
  const Index heads = shape.key_value_heads, pairs = packing.sequences * heads;
#pragma omp parallel for schedule(dynamic) if (packing.tokens * shape.heads > 64)
  for (Index p = 0; p < pairs; ++p) {
    const Index s = p / heads;
    const Index start = packing.offsets[s];
    work(Pair{start, packing.offsets[s + 1] - start, p % heads, shape}, omp_get_thread_num());
  }
}

}  // namespace

template <class T>
void attention_forward(Queue& queue, const Packing& packing, const AttentionShape& shape, T scale,
                       const Dropout& dropout, const T* qkv, T* out, T* log_sum_exp) {
  queue.work.attention_flops += 4 * shape.width() * shape.seen(packing);
  const Index head_width = shape.head_width, stride = shape.joined_width(), width = shape.width();
  const Index ld = round_up(packing.longest, lanes<T>);  // of scores and packed keys
  const Index packed_width = round_up(head_width, lanes<T>);
  const Index per_thread = ld * head_width + ld * packed_width + row_block * ld;
  const Index words_per_thread = round_up(packing.longest, 128);
  const Scratch<T> scratch(per_thread * omp_get_max_threads());
  const Scratch<std::uint16_t> word_scratch(words_per_thread * omp_get_max_threads());
  const std::uint32_t threshold = dropout.threshold();
  const T keep = static_cast<T>(dropout.keep_scale());

  for_each_pair(packing, shape, [&](const Pair& pair, int thread) {
    T* keys = scratch.data() + thread * per_thread;
    T* values = keys + ld * head_width;
    T* scores = values + ld * packed_width;
    std::uint16_t* words = word_scratch.data() + thread * words_per_thread;
    pack_transposed(pair.length, head_width, pair.keys(qkv), stride, keys, ld);
    pack(pair.length, head_width, pair.values(qkv), stride, values, packed_width);

    for (Index head = pair.first_query(); head < pair.first_query() + shape.group(); ++head)
      for (Index first = 0; first < pair.length; first += row_block) {
        const Index rows = smaller(row_block, pair.length - first);
        const Index columns = pair.seen(first + rows - 1);
        T inverse_sums[row_block];
        small_product(rows, columns, head_width, scale, pair.queries(qkv, head) + first * stride,
                      stride, Index(1), keys, ld, false, scores, ld);
        for (Index i = 0; i < rows; ++i) {
          T* row = scores + i * ld;
          const Index seen = pair.seen(first + i);
          const RowSum<T> sum = exponentials(seen, row);
          inverse_sums[i] = sum.inverse;
          if (log_sum_exp)
            log_sum_exp[head * packing.tokens + pair.start + first + i] = sum.log_sum_exp;
          if (threshold > 0) {
            row_words(dropout, packing, pair, head, first + i, words);
            multiply_by_mask(seen, words, threshold, keep, row);
          }
          clear_unseen(seen, columns, row);
        }
        T* block = pair.output(out, first, head);
        small_product(rows, head_width, columns, T(1), scores, ld, Index(1), values, packed_width,
                      false, block, width);
        // Dividing the few columns of the result is cheaper than dividing the probabilities.
        for (Index i = 0; i < rows; ++i)
          for (Index k = 0; k < head_width; ++k) block[i * width + k] *= inverse_sums[i];
      }
  });
}

namespace {

/// out (rows × width) = alpha · Aᵀ·B, added to what the rows before `written` hold and written over
/// the others; A is inner × rows with lda.
template <class T>
void add_transposed_product(Index rows, Index written, Index width, Index inner, T alpha,
                            const T* A, Index lda, const T* B, Index ldb, T* out, Index ldo) {
  const Index old = smaller(written, rows);
  if (old > 0) small_product(old, width, inner, alpha, A, Index(1), lda, B, ldb, true, out, ldo);
  if (old < rows)
    small_product(rows - old, width, inner, alpha, A + old, Index(1), lda, B, ldb, false,
                  out + old * ldo, ldo);
}

}  // namespace

template <class T>
void attention_backward(Queue& queue, const Packing& packing, const AttentionShape& shape, T scale,
                        const Dropout& dropout, const T* qkv, const T* log_sum_exp, const T* dout,
                        T* dqkv) {
  queue.work.attention_flops += 10 * shape.width() * shape.seen(packing);
  const Index head_width = shape.head_width, stride = shape.joined_width(), width = shape.width();
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

  for_each_pair(packing, shape, [&](const Pair& pair, int thread) {
    T* keys_transposed = scratch.data() + thread * per_thread;
    T* values_transposed = keys_transposed + ld * head_width;
    T* keys = values_transposed + ld * head_width;
    T* query_block = keys + ld * packed_width;
    T* dout_block = query_block + row_block * packed_width;
    T* probabilities = dout_block + row_block * packed_width;
    T* dscores = probabilities + row_block * ld;
    std::uint16_t* words = word_scratch.data() + thread * words_per_thread;
    pack_transposed(pair.length, head_width, pair.keys(qkv), stride, keys_transposed, ld);
    pack_transposed(pair.length, head_width, pair.values(qkv), stride, values_transposed, ld);
    pack(pair.length, head_width, pair.keys(qkv), stride, keys, packed_width);

    Index written = 0;  // rows of the keys' and values' gradients that hold numbers
    for (Index head = pair.first_query(); head < pair.first_query() + shape.group(); ++head)
      for (Index first = 0; first < pair.length; first += row_block) {
        const Index rows = smaller(row_block, pair.length - first);
        const Index columns = pair.seen(first + rows - 1);
        pack(rows, head_width, pair.queries(qkv, head) + first * stride, stride, query_block,
             packed_width);
        pack(rows, head_width, pair.output(dout, first, head), width, dout_block, packed_width);
        small_product(rows, columns, head_width, scale, query_block, packed_width, Index(1),
                      keys_transposed, ld, false, probabilities, ld);
        small_product(rows, columns, head_width, T(1), dout_block, packed_width, Index(1),
                      values_transposed, ld, false, dscores, ld);
        for (Index i = 0; i < rows; ++i) {
          T* p = probabilities + i * ld;
          T* ds = dscores + i * ld;
          const Index seen = pair.seen(first + i);
          const T lse = log_sum_exp[head * packing.tokens + pair.start + first + i];
          if (threshold > 0) row_words(dropout, packing, pair, head, first + i, words);
          softmax_row_backward(seen, lse, threshold, keep, words, p, ds);
          clear_unseen(seen, columns, p);
          clear_unseen(seen, columns, ds);
        }
        small_product(rows, head_width, columns, scale, dscores, ld, Index(1), keys, packed_width,
                      false, pair.queries(dqkv, head) + first * stride, stride);
        add_transposed_product(columns, written, head_width, rows, scale, dscores, ld, query_block,
                               packed_width, pair.keys(dqkv), stride);
        add_transposed_product(columns, written, head_width, rows, T(1), probabilities, ld,
                               dout_block, packed_width, pair.values(dqkv), stride);
        written = larger(written, columns);
      }
  });
}

template <class T>
void attention_step(Queue& queue, const AttentionShape& shape, T scale, Index count, const T* query,
                    const T* keys, const T* values, T* out) {
  queue.work.attention_flops += 4 * shape.width() * count;
  const Index head_width = shape.head_width, ld = shape.key_value_heads * head_width;
  const Scratch<T> scratch(shape.heads * count);
#pragma omp parallel for schedule(static) if (shape.heads * head_width * count > parallel_threshold)
  for (Index head = 0; head < shape.heads; ++head) {
    const Index column = head / shape.group() * head_width;
    const T* q = query + head * head_width;
    T* scores = scratch.data() + head * count;
    for (Index j = 0; j < count; ++j) {
      const T* key = keys + j * ld + column;
      T sum = 0;
#pragma omp simd reduction(+ : sum)
      for (Index k = 0; k < head_width; ++k) sum += q[k] * key[k];
      scores[j] = scale * sum;
    }
    const T inverse = exponentials(count, scores).inverse;
    T* o = out + head * head_width;
    for (Index k = 0; k < head_width; ++k) o[k] = 0;
    for (Index j = 0; j < count; ++j) {
      const T* value = values + j * ld + column;
      const T weight = scores[j] * inverse;
#pragma omp simd
      for (Index k = 0; k < head_width; ++k) o[k] += weight * value[k];
    }
  }
}

template <class T>
void rotate_heads(Queue&, Index tokens, Index heads, Index head_width, Index ld,
                  const std::int32_t* positions, const T* table, bool back, T* x) {
  const Index half = head_width / 2;
#pragma omp parallel for schedule(static) if (tokens * heads * head_width > parallel_threshold)
  for (Index t = 0; t < tokens; ++t) {
    const T* angles = table + positions[t] * head_width;
    for (Index head = 0; head < heads; ++head) {
      T* first = x + t * ld + head * head_width;
      T* second = first + half;
#pragma omp simd
      for (Index i = 0; i < half; ++i) {
        const T cosine = angles[2 * i], sine = back ? -angles[2 * i + 1] : angles[2 * i + 1];
        const T a = first[i], b = second[i];
        first[i] = a * cosine - b * sine;
        second[i] = b * cosine + a * sine;
      }
    }
  }
}

#define METATT_INSTANTIATE(T)                                                                   \
  template void attention_forward(Queue&, const Packing&, const AttentionShape&, T,             \
                                  const Dropout&, const T*, T*, T*);                            \
  template void attention_backward(Queue&, const Packing&, const AttentionShape&, T,            \
                                   const Dropout&, const T*, const T*, const T*, T*);           \
  template void attention_step(Queue&, const AttentionShape&, T, Index, const T*, const T*,     \
                               const T*, T*);                                                   \
  template void rotate_heads(Queue&, Index, Index, Index, Index, const std::int32_t*, const T*, \
                             bool, T*);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff::backend::METATT_VECTOR_SET
