#include <metatt/autodiff/backend/reference/elements.hpp>
#include <metatt/autodiff/backend/reference/reference.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace metatt::autodiff::reference {

// Attention and the low-rank path: the kernels that multiply matrices and count their work.

namespace {

template <class T>
double dot(Index count, const T* x, const T* y) {
  double sum = 0;
  for (Index i = 0; i < count; ++i) sum += double(x[i]) * double(y[i]);
  return sum;
}

/// One query head of one sequence inside the packed matrices.
struct Head {
  Index start;   ///< first row of the sequence
  Index length;  ///< rows of the sequence
  Index head;
  AttentionShape shape;
  Index longest8;  ///< row length of the dropout mask

  /// Where the query, key or value (part 0, 1, 2) of row i begins in a matrix like qkv.
  Index part(int part, Index i) const {
    const Index shared = shape.heads + head / shape.group();
    const Index column[] = {head, shared, shared + shape.key_value_heads};
    return (start + i) * shape.joined_width() + column[part] * shape.head_width;
  }
  /// Where row i begins in a matrix like out.
  Index out(Index i) const { return (start + i) * shape.width() + head * shape.head_width; }
  Index mask(Index i, Index j) const { return ((start + i) * shape.heads + head) * longest8 + j; }
  /// scale · Q_i · K_j for all j that i sees.
  template <class T>
  std::vector<double> scores(T scale, const T* qkv, Index i) const {
    std::vector<double> row;
    for (Index j = 0; j < (shape.causal ? i + 1 : length); ++j) {
      row.push_back(double(scale) * dot(shape.head_width, qkv + part(0, i), qkv + part(1, j)));
    }
    return row;
  }
};

std::vector<Head> heads_of(const Packing& packing, const AttentionShape& shape) {
  const Index longest8 = (packing.longest + 7) / 8 * 8;
  std::vector<Head> all;
  for (Index s = 0; s < packing.sequences; ++s) {
    const Index start = packing.offsets[s];
    const Index length = packing.offsets[s + 1] - start;
    for (Index h = 0; h < shape.heads; ++h) {
      all.push_back({start, length, h, shape, longest8});
    }
  }
  return all;
}

}  // namespace

// --- attention ---------------------------------------------------------------------------------

template <class T>
void attention_forward(Queue& queue, const Packing& packing, const AttentionShape& shape, T scale,
                       const Dropout& dropout, const T* qkv, T* out, T* log_sum_exp) {
  for (const Head& head : heads_of(packing, shape)) {
    for (Index i = 0; i < head.length; ++i) {
      const std::vector<double> scores = head.scores(scale, qkv, i);
      const double largest = *std::max_element(scores.begin(), scores.end());
      double sum = 0;
      for (double score : scores) sum += std::exp(score - largest);
      if (log_sum_exp) {
        const Index row = head.head * packing.tokens + head.start + i;
        log_sum_exp[row] = static_cast<T>(largest + std::log(sum));
      }
      std::vector<double> P(scores.size());
      for (Index j = 0; j < static_cast<Index>(scores.size()); ++j) {
        P[j] = std::exp(scores[j] - largest) / sum * mask_factor(dropout, head.mask(i, j));
      }
      for (Index c = 0; c < shape.head_width; ++c) {
        double value = 0;
        for (Index j = 0; j < static_cast<Index>(scores.size()); ++j)
          value += P[j] * double(qkv[head.part(2, j) + c]);
        out[head.out(i) + c] = static_cast<T>(value);
      }
    }
  }
  queue.work.attention_flops += 4 * shape.width() * shape.seen(packing);
}

template <class T>
void attention_backward(Queue& queue, const Packing& packing, const AttentionShape& shape, T scale,
                        const Dropout& dropout, const T* qkv, const T* log_sum_exp, const T* dout,
                        T* dqkv) {
  std::vector<double> gradient(static_cast<std::size_t>(packing.tokens * shape.joined_width()));
  for (const Head& head : heads_of(packing, shape)) {
    for (Index i = 0; i < head.length; ++i) {
      const std::vector<double> scores = head.scores(scale, qkv, i);
      const T* dout_i = dout + head.out(i);
      // dP_ij = mask_ij · dout_i · V_j;  dS_ij = P_ij · (dP_ij − Σ_k P_ik · dP_ik).
      std::vector<double> P(scores.size());
      std::vector<double> dP(scores.size());
      double mean_dP = 0;
      for (Index j = 0; j < static_cast<Index>(scores.size()); ++j) {
        P[j] =
            std::exp(scores[j] - double(log_sum_exp[head.head * packing.tokens + head.start + i]));
        dP[j] = mask_factor(dropout, head.mask(i, j)) *
                dot(shape.head_width, dout_i, qkv + head.part(2, j));
        mean_dP += P[j] * dP[j];
      }
      for (Index j = 0; j < static_cast<Index>(scores.size()); ++j) {
        const double dS = double(scale) * P[j] * (dP[j] - mean_dP);
        const double dropped = P[j] * mask_factor(dropout, head.mask(i, j));
        for (Index c = 0; c < shape.head_width; ++c) {
          gradient[head.part(0, i) + c] += dS * double(qkv[head.part(1, j) + c]);
          gradient[head.part(1, j) + c] += dS * double(qkv[head.part(0, i) + c]);
          gradient[head.part(2, j) + c] += dropped * double(dout_i[c]);
        }
      }
    }
  }
  for (std::size_t i = 0; i < gradient.size(); ++i) dqkv[i] = static_cast<T>(gradient[i]);
  queue.work.attention_flops += 10 * shape.width() * shape.seen(packing);
}

template <class T>
void attention_step(Queue& queue, const AttentionShape& shape, T scale, Index count, const T* query,
                    const T* keys, const T* values, T* out) {
  const Index head_width = shape.head_width, ld = shape.key_value_heads * head_width;
  for (Index head = 0; head < shape.heads; ++head) {
    const Index column = head / shape.group() * head_width;
    std::vector<double> P;
    for (Index j = 0; j < count; ++j)
      P.push_back(double(scale) *
                  dot(head_width, query + head * head_width, keys + j * ld + column));
    const double largest = *std::max_element(P.begin(), P.end());
    double sum = 0;
    for (double& p : P) sum += p = std::exp(p - largest);
    for (Index c = 0; c < head_width; ++c) {
      double value = 0;
      for (Index j = 0; j < count; ++j) value += P[j] / sum * double(values[j * ld + column + c]);
      out[head * head_width + c] = static_cast<T>(value);
    }
  }
  queue.work.attention_flops += 4 * shape.width() * count;
}

template <class T>
void rotate_heads(Queue&, Index tokens, Index heads, Index head_width, Index ld,
                  const std::int32_t* positions, const T* table, bool back, T* x) {
  for (Index t = 0; t < tokens; ++t) {
    for (Index head = 0; head < heads; ++head) {
      for (Index i = 0; i < head_width / 2; ++i) {
        const T* angle = table + positions[t] * head_width + 2 * i;
        T& first = x[t * ld + head * head_width + i];
        T& second = x[t * ld + head * head_width + head_width / 2 + i];
        const double a = double(first), b = double(second), cosine = double(angle[0]);
        const double sine = back ? -double(angle[1]) : double(angle[1]);
        first = static_cast<T>(a * cosine - b * sine);
        second = static_cast<T>(b * cosine + a * sine);
      }
    }
  }
}

// --- low-rank path of the adapters -------------------------------------------------------------

template <class T>
void low_rank_project(Queue& queue, Index rows, Index width, Index rank, T alpha, const T* x,
                      Index ldx, tn::Transpose transpose, const T* B, Index ldb, T beta, T* y) {
  const bool transposed = transpose == tn::Transpose::yes;
  for (Index i = 0; i < rows; ++i) {
    for (Index k = 0; k < rank; ++k) {
      double sum = 0;
      for (Index j = 0; j < width; ++j) {
        sum += double(x[i * ldx + j]) * double(transposed ? B[k * ldb + j] : B[j * ldb + k]);
      }
      y[i * rank + k] = accumulated(beta, y[i * rank + k], double(alpha) * sum);
    }
  }
  queue.work.low_rank_flops += 2 * rows * width * rank;
}

template <class T>
void low_rank_expand(Queue& queue, Index rows, Index width, Index rank, const T* z,
                     tn::Transpose transpose, const T* B, Index ldb, T* y, Index ldy) {
  const bool transposed = transpose == tn::Transpose::yes;
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < width; ++j) {
      double sum = double(y[i * ldy + j]);
      for (Index k = 0; k < rank; ++k) {
        sum += double(z[i * rank + k]) * double(transposed ? B[j * ldb + k] : B[k * ldb + j]);
      }
      y[i * ldy + j] = static_cast<T>(sum);
    }
  }
  queue.work.low_rank_flops += 2 * rows * width * rank;
}

template <class T>
void low_rank_gradient(Queue& queue, Index rows, Index width, Index rank, T alpha, const T* z,
                       const T* x, Index ldx, tn::Transpose transpose, T beta, T* G, Index ldg) {
  const bool transposed = transpose == tn::Transpose::yes;
  for (Index k = 0; k < rank; ++k) {
    for (Index j = 0; j < width; ++j) {
      double sum = 0;
      for (Index i = 0; i < rows; ++i) sum += double(z[i * rank + k]) * double(x[i * ldx + j]);
      T& entry = transposed ? G[j * ldg + k] : G[k * ldg + j];
      entry = accumulated(beta, entry, double(alpha) * sum);
    }
  }
  queue.work.low_rank_flops += 2 * rows * width * rank;
}

template <class T>
void matrix_vector(Queue& queue, Index rows, Index columns, const T* W, const T* x, T beta, T* y) {
  for (Index i = 0; i < rows; ++i) {
    double sum = 0;
    for (Index j = 0; j < columns; ++j) sum += double(W[i * columns + j]) * double(x[j]);
    y[i] = accumulated(beta, y[i], sum);
  }
  queue.work.gemm_flops += 2 * rows * columns;
}

#define METATT_INSTANTIATE(function)                  \
  template decltype(function<float>) function<float>; \
  template decltype(function<double>) function<double>;

METATT_INSTANTIATE(attention_forward)
METATT_INSTANTIATE(attention_backward)
METATT_INSTANTIATE(attention_step)
METATT_INSTANTIATE(rotate_heads)
METATT_INSTANTIATE(matrix_vector)
METATT_INSTANTIATE(low_rank_project)
METATT_INSTANTIATE(low_rank_expand)
METATT_INSTANTIATE(low_rank_gradient)

#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff::reference
