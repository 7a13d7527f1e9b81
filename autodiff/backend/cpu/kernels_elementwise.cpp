/// Bias, activations, losses, embedding rows and the optimiser: one pass over memory each.

#include <metatt/autodiff/backend/cpu/vector.hpp>

namespace metatt::autodiff::backend::METATT_VECTOR_SET {

namespace {

/// Φ(x) and φ(x), distribution and density of N(0, 1). float: erf after Hastings, "Approximations
/// for Digital Computers" (1955), sheet 43 (Abramowitz & Stegun 7.1.26), error below 1.5e-7, which
/// shares its exponential with the density. double: the library's erf.
inline void normal(float x, float& distribution, float& density) {
  // Behind 12 both are below 1e-31, and further out they would be no normal numbers.
  const float size = __builtin_fabsf(x) < 12.0f ? __builtin_fabsf(x) : 12.0f;
  const float e = exponential(-0.5f * size * size);
  const float t = 1.0f / (1.0f + 0.3275911f * 0.70710678118654752f * size);
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const float tail = 0.5f * p * t * e;  // Φ(−|x|)
  distribution = x < 0.0f ? tail : 1.0f - tail;
  density = 0.39894228040143268f * e;
}
inline void normal(double x, double& distribution, double& density) {
  distribution = 0.5 * __builtin_erfc(-x * 0.70710678118654752440);
  density = 0.39894228040143267794 * __builtin_exp(-0.5 * x * x);
}

/// 1 / (1 + e) for e = e^−x, at least 1e-30: products with it are then normal numbers, where others
/// take a hundred times as long. The compiler computes the bounds of `exponential` for every
/// element.
template <class T>
inline T logistic_of(T e) {
  const T share = 1 / (1 + e);
  return share < T(1e-30) ? T(1e-30) : share;
}

template <class T>
inline T logistic(T x) {
  return logistic_of(exponential(-x));
}

/// 2u for the tanh(u) in the approximation of GELU, (1 + tanh(u))/2 = σ(2u).
template <class T>
inline T tanh_argument(T x) {
  return T(1.5957691216057308) * x * (1 + T(0.044715) * x * x);  // 2·√(2/π)
}

/// σ(2u) and its derivative.
template <class T>
inline void tanh_share(T x, T& kept, T& slope) {
  const T e = exponential(-tanh_argument(x));
  kept = logistic_of(e);
  // 1 − kept, without the digits that cancel where it is small.
  const T rest = e < 1 ? e * kept : 1 - kept;
  slope = kept * rest * T(1.5957691216057308) * (1 + T(3 * 0.044715) * x * x);
}

}  // namespace

template <class T>
void broadcast_bias(Queue&, Index rows, Index width, const T* bias, T* y, Index ldy) {
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < width; ++j) y[i * ldy + j] = bias[j];
}

template <class T>
void column_sums(Queue&, Index rows, Index width, const T* x, T beta, T* out) {
  constexpr Index strip = 64;
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index first = 0; first < width; first += strip) {
    const Index size = smaller(strip, width - first);
    T sums[strip] = {};
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < size; ++j) sums[j] += x[i * width + first + j];
    for (Index j = 0; j < size; ++j)
      out[first + j] = beta == 0 ? sums[j] : beta * out[first + j] + sums[j];
  }
}

template <class T>
void scale_columns(Queue&, Index rows, Index width, const T* x, Index ldx, const T* factors,
                   const T* shift, T* y, Index ldy) {
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index i = 0; i < rows; ++i) {
    const T* in = x + i * ldx;
    T* out = y + i * ldy;
#pragma omp simd
    for (Index j = 0; j < width; ++j)
      out[j] = (factors ? in[j] * factors[j] : in[j]) + (shift ? shift[j] : T(0));
  }
}

template <class T>
void column_products(Queue&, Index rows, Index width, const T* x, Index ldx, const T* y, Index ldy,
                     T beta, T* out) {
  constexpr Index strip = 64;
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index first = 0; first < width; first += strip) {
    const Index size = smaller(strip, width - first);
    T sums[strip] = {};
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < size; ++j) sums[j] += x[i * ldx + first + j] * y[i * ldy + first + j];
    for (Index j = 0; j < size; ++j)
      out[first + j] = beta == 0 ? sums[j] : beta * out[first + j] + sums[j];
  }
}

template <class T>
void bias_gelu_forward(Queue&, Gelu kind, Index rows, Index width, const T* x, const T* bias,
                       T* y) {
  const bool exact = kind == Gelu::exact;
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index i = 0; i < rows; ++i) {
    const T* in = x + i * width;
    T* out = y + i * width;
#pragma omp simd
    for (Index j = 0; j < width; ++j) out[j] = bias ? in[j] + bias[j] : in[j];
    if (exact) {
#pragma omp simd
      for (Index j = 0; j < width; ++j) {
        T distribution, density;
        normal(out[j], distribution, density);
        out[j] *= distribution;
      }
    } else {
#pragma omp simd
      for (Index j = 0; j < width; ++j) out[j] *= logistic(tanh_argument(out[j]));
    }
  }
}

template <class T>
void bias_gelu_backward(Queue&, Gelu kind, Index rows, Index width, const T* x, const T* bias,
                        const T* dy, T* dx) {
  const bool exact = kind == Gelu::exact;
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index i = 0; i < rows; ++i) {
    const T* in = x + i * width;
    const T* above = dy + i * width;
    T* out = dx + i * width;
    if (exact) {
#pragma omp simd
      for (Index j = 0; j < width; ++j) {
        const T t = bias ? in[j] + bias[j] : in[j];
        T distribution, density;
        normal(t, distribution, density);
        out[j] = above[j] * (distribution + t * density);
      }
    } else {
#pragma omp simd
      for (Index j = 0; j < width; ++j) {
        const T t = bias ? in[j] + bias[j] : in[j];
        T kept, slope;
        tanh_share(t, kept, slope);
        out[j] = above[j] * (kept + t * slope);
      }
    }
  }
}

template <class T>
void swiglu_forward(Queue&, Index rows, Index width, const T* x, T* y) {
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index i = 0; i < rows; ++i) {
    const T* gate = x + i * 2 * width;
    const T* up = gate + width;
    T* out = y + i * width;
#pragma omp simd
    for (Index j = 0; j < width; ++j) out[j] = gate[j] * logistic(gate[j]) * up[j];
  }
}

template <class T>
void swiglu_backward(Queue&, Index rows, Index width, const T* x, const T* dy, T* dx) {
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index i = 0; i < rows; ++i) {
    const T* gate = x + i * 2 * width;
    const T* up = gate + width;
    const T* above = dy + i * width;
    T* dgate = dx + i * 2 * width;
    T* dup = dgate + width;
#pragma omp simd
    for (Index j = 0; j < width; ++j) {
      const T s = logistic(gate[j]);
      dgate[j] = above[j] * up[j] * s * (1 + gate[j] * (1 - s));
      dup[j] = above[j] * gate[j] * s;
    }
  }
}

template <class T>
void tanh_forward(Queue&, Index count, const T* x, T* y) {
#pragma omp parallel for schedule(static) if (count > parallel_threshold)
  for (Index i = 0; i < count; ++i)
    y[i] = static_cast<T>(__builtin_tanh(static_cast<double>(x[i])));
}

template <class T>
void tanh_backward(Queue&, Index count, const T* y, const T* dy, T* dx) {
#pragma omp parallel for simd schedule(static) if (count > parallel_threshold)
  for (Index i = 0; i < count; ++i) dx[i] = (1 - y[i] * y[i]) * dy[i];
}

template <class T>
void relu_forward(Queue&, Index count, const T* x, T* y) {
#pragma omp parallel for simd schedule(static) if (count > parallel_threshold)
  for (Index i = 0; i < count; ++i) y[i] = x[i] < 0 ? T(0) : x[i];
}

template <class T>
void relu_backward(Queue&, Index count, const T* y, const T* dy, T* dx) {
#pragma omp parallel for simd schedule(static) if (count > parallel_threshold)
  for (Index i = 0; i < count; ++i) dx[i] = y[i] > 0 ? dy[i] : T(0);
}

namespace {

/// What a row of logits adds up to below its largest one.
template <class T>
struct RowSums {
  T exponentials = 0, differences = 0;
};

/// Keeps the exponentials in `out` if they are wanted, which may be `in`.
template <bool keep, class T>
inline RowSums<T> row_sums(Index classes, const T* in, T largest, T* out) {
  T sum = 0, differences = 0;
#pragma omp simd reduction(+ : sum, differences)
  for (Index j = 0; j < classes; ++j) {
    const T difference = in[j] - largest, e = exponential(difference);
    if constexpr (keep) out[j] = e;
    sum += e;
    differences += difference;
  }
  return {sum, differences};
}

}  // namespace

template <class T>
void softmax_cross_entropy(Queue&, Index rows, Index classes, const T* logits,
                           const std::int32_t* labels, T smoothing, T* loss, T* dlogits) {
  const T of_label = 1 - smoothing, of_each = smoothing / static_cast<T>(classes);
  const Scratch<double> losses(rows);
#pragma omp parallel for schedule(static) if (rows * classes > parallel_threshold)
  for (Index i = 0; i < rows; ++i) {
    const T* in = logits + i * classes;
    T largest = in[0];
#pragma omp simd reduction(max : largest)
    for (Index j = 0; j < classes; ++j) largest = largest > in[j] ? largest : in[j];
    const T label = in[labels[i]] - largest;  // before dlogits may overwrite it
    T* out = dlogits ? dlogits + i * classes : nullptr;
    const RowSums<T> sums = dlogits ? row_sums<true>(classes, in, largest, out)
                                    : row_sums<false>(classes, in, largest, out);
    const T aim = of_label * label + (smoothing > 0 ? of_each * sums.differences : T(0));
    losses.data()[i] =
        __builtin_log(static_cast<double>(sums.exponentials)) - static_cast<double>(aim);
    if (!dlogits) continue;
    const T share = 1 / static_cast<T>(rows), factor = share / sums.exponentials;
#pragma omp simd
    for (Index j = 0; j < classes; ++j) out[j] = factor * out[j] - share * of_each;
    out[labels[i]] -= share * of_label;
  }
  double total = 0;
  for (Index i = 0; i < rows; ++i) total += losses.data()[i];
  *loss = static_cast<T>(total / static_cast<double>(rows));
}

template <class T>
void mean_squared_error(Queue&, Index count, const T* prediction, const T* target, T* loss,
                        T* dprediction) {
  double total = 0;
  const T factor = 2 / static_cast<T>(count);
  for (Index i = 0; i < count; ++i) {
    const T difference = prediction[i] - target[i];
    total += static_cast<double>(difference) * static_cast<double>(difference);
    if (dprediction) dprediction[i] = factor * difference;
  }
  *loss = static_cast<T>(total / static_cast<double>(count));
}

template <class T>
void scale_by(Queue&, Index count, const T* factor, T* x) {
  const T f = *factor;
#pragma omp parallel for simd schedule(static) if (count > parallel_threshold)
  for (Index i = 0; i < count; ++i) x[i] *= f;
}

template <class T>
void embedding_forward(Queue&, Index tokens, Index width, const std::int32_t* ids, const T* table,
                       bool accumulate, T* out) {
#pragma omp parallel for schedule(static) if (tokens * width > parallel_threshold)
  for (Index t = 0; t < tokens; ++t) {
    const T* row = table + ids[t] * width;
    T* o = out + t * width;
    for (Index j = 0; j < width; ++j) o[j] = accumulate ? o[j] + row[j] : row[j];
  }
}

template <class T>
void embedding_backward(Queue&, Index tokens, Index width, Index, const std::int32_t* ids,
                        const T* dout, T* dtable) {
  constexpr Index strip = 32;  // each task owns some columns of every row: no two write one number
#pragma omp parallel for schedule(static) if (tokens * width > parallel_threshold)
  for (Index first = 0; first < width; first += strip) {
    const Index end = smaller(width, first + strip);
    for (Index t = 0; t < tokens; ++t) {
      T* row = dtable + ids[t] * width;
      for (Index j = first; j < end; ++j) row[j] += dout[t * width + j];
    }
  }
}

template <class T>
void scatter_add_rows(Queue&, Index count, Index width, const std::int32_t* rows, const T* dout,
                      T* x) {
#pragma omp parallel for schedule(static) if (count * width > parallel_threshold)
  for (Index i = 0; i < count; ++i) {
    T* row = x + rows[i] * width;
    for (Index j = 0; j < width; ++j) row[j] += dout[i * width + j];
  }
}

template <class T>
void adamw(Queue&, Index count, const AdamWStep& step, T* values, const T* gradients,
           T* first_moments, T* second_moments) {
  const double steps = static_cast<double>(step.step);
  const double correction1 = 1 - __builtin_pow(step.beta1, steps);
  const double correction2 = 1 - __builtin_pow(step.beta2, steps);
  const T beta1 = static_cast<T>(step.beta1), beta2 = static_cast<T>(step.beta2);
  const T rest1 = static_cast<T>(1 - step.beta1), rest2 = static_cast<T>(1 - step.beta2);
  const T decay = static_cast<T>(1 - step.learning_rate * step.weight_decay);
  const T rate = static_cast<T>(step.learning_rate / correction1);
  const T inverse_root = static_cast<T>(1 / __builtin_sqrt(correction2));
  const T epsilon = static_cast<T>(step.epsilon), clip = static_cast<T>(step.gradient_scale);
#pragma omp parallel for simd schedule(static) if (count > parallel_threshold)
  for (Index i = 0; i < count; ++i) {
    const T g = clip * gradients[i];
    const T m = beta1 * first_moments[i] + rest1 * g;
    const T v = beta2 * second_moments[i] + rest2 * g * g;
    first_moments[i] = m;
    second_moments[i] = v;
    const T root = sizeof(T) == 4 ? static_cast<T>(__builtin_sqrtf(static_cast<float>(v)))
                                  : static_cast<T>(__builtin_sqrt(static_cast<double>(v)));
    values[i] = decay * values[i] - rate * m / (root * inverse_root + epsilon);
  }
}

#define METATT_INSTANTIATE(T)                                                                     \
  template void broadcast_bias(Queue&, Index, Index, const T*, T*, Index);                        \
  template void column_sums(Queue&, Index, Index, const T*, T, T*);                               \
  template void scale_columns(Queue&, Index, Index, const T*, Index, const T*, const T*, T*,      \
                              Index);                                                             \
  template void column_products(Queue&, Index, Index, const T*, Index, const T*, Index, T, T*);   \
  template void bias_gelu_forward(Queue&, Gelu, Index, Index, const T*, const T*, T*);            \
  template void bias_gelu_backward(Queue&, Gelu, Index, Index, const T*, const T*, const T*, T*); \
  template void swiglu_forward(Queue&, Index, Index, const T*, T*);                               \
  template void swiglu_backward(Queue&, Index, Index, const T*, const T*, T*);                    \
  template void tanh_forward(Queue&, Index, const T*, T*);                                        \
  template void tanh_backward(Queue&, Index, const T*, const T*, T*);                             \
  template void relu_forward(Queue&, Index, const T*, T*);                                        \
  template void relu_backward(Queue&, Index, const T*, const T*, T*);                             \
  template void softmax_cross_entropy(Queue&, Index, Index, const T*, const std::int32_t*, T, T*, \
                                      T*);                                                        \
  template void mean_squared_error(Queue&, Index, const T*, const T*, T*, T*);                    \
  template void scale_by(Queue&, Index, const T*, T*);                                            \
  template void embedding_forward(Queue&, Index, Index, const std::int32_t*, const T*, bool, T*); \
  template void embedding_backward(Queue&, Index, Index, Index, const std::int32_t*, const T*,    \
                                   T*);                                                           \
  template void scatter_add_rows(Queue&, Index, Index, const std::int32_t*, const T*, T*);        \
  template void adamw(Queue&, Index, const AdamWStep&, T*, const T*, T*, T*);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff::backend::METATT_VECTOR_SET
