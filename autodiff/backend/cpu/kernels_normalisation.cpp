/// Bias, dropout, residual and layer norm in one pass over each row.

#include <metatt/autodiff/backend/cpu/vector.hpp>

namespace metatt::autodiff::backend::METATT_VECTOR_SET {

namespace {

/// Dropout words of one row: the row need not begin at a multiple of 8, so the words are taken from
/// the multiple below. `words` needs row_words_room(width) elements.
inline Index row_words_room(Index width) {
  return round_up(width + 8, 128);
}
inline const std::uint16_t* row_words(const Dropout& dropout, Index row, Index width,
                                      std::uint16_t* words) {
  const auto begin = static_cast<std::uint64_t>(row * width);
  const std::uint64_t skipped = begin % 8;
  dropout_words(dropout, begin - skipped, width + static_cast<Index>(skipped), words);
  return words + skipped;
}

}  // namespace

template <class T>
void residual_layer_norm_forward(Queue&, Index rows, Index width, const T* x, const T* bias,
                                 const T* residual, const Dropout& dropout, const T* gamma,
                                 const T* beta, T epsilon, T* y, T* normalised,
                                 T* inverse_deviation) {
  const std::uint32_t threshold = dropout.threshold();
  const T keep = static_cast<T>(dropout.keep_scale());
  const Index room = row_words_room(width);
  const Scratch<std::uint16_t> scratch(room * omp_get_max_threads());
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index i = 0; i < rows; ++i) {
    const T* in = x + i * width;
    const T* skip = residual ? residual + i * width : nullptr;
    T* out = y + i * width;
#pragma omp simd
    for (Index j = 0; j < width; ++j) out[j] = bias ? in[j] + bias[j] : in[j];
    if (threshold > 0) {
      const std::uint16_t* words =
          row_words(dropout, i, width, scratch.data() + room * omp_get_thread_num());
#pragma omp simd
      for (Index j = 0; j < width; ++j) out[j] *= words[j] < threshold ? T(0) : keep;
    }
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index j = 0; j < width; ++j) {
      out[j] = skip ? out[j] + skip[j] : out[j];
      sum += out[j];
    }
    const T mean = sum / static_cast<T>(width);
    T squares = 0;
#pragma omp simd reduction(+ : squares)
    for (Index j = 0; j < width; ++j) squares += (out[j] - mean) * (out[j] - mean);
    const T inverse = static_cast<T>(
        1 / __builtin_sqrt(static_cast<double>(squares / static_cast<T>(width) + epsilon)));
    if (inverse_deviation) inverse_deviation[i] = inverse;
    T* save = normalised ? normalised + i * width : nullptr;
#pragma omp simd
    for (Index j = 0; j < width; ++j) {
      const T n = (out[j] - mean) * inverse;
      if (save) save[j] = n;
      out[j] = n * gamma[j] + beta[j];
    }
  }
}

template <class T>
void residual_layer_norm_backward(Queue&, Index rows, Index width, const T* dy, const T* normalised,
                                  const T* inverse_deviation, const T* gamma,
                                  const Dropout& dropout, T beta_residual, T* dresidual, T* dx) {
  const std::uint32_t threshold = dropout.threshold();
  const T keep = static_cast<T>(dropout.keep_scale());
  const Index room = row_words_room(width);
  const Scratch<std::uint16_t> word_scratch(room * omp_get_max_threads());
  const Scratch<T> row_scratch(width * omp_get_max_threads());
  const T share = 1 / static_cast<T>(width);
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index i = 0; i < rows; ++i) {
    const T* above = dy + i * width;
    const T* n = normalised + i * width;
    T* ds = row_scratch.data() + width * omp_get_thread_num();
    T sum = 0, product = 0;
#pragma omp simd reduction(+ : sum, product)
    for (Index j = 0; j < width; ++j) {
      const T g = above[j] * gamma[j];
      sum += g;
      product += g * n[j];
    }
    const T inverse = inverse_deviation[i], mean = sum * share, slope = product * share;
#pragma omp simd
    for (Index j = 0; j < width; ++j) ds[j] = inverse * (above[j] * gamma[j] - mean - n[j] * slope);
    if (dresidual) {
      T* out = dresidual + i * width;
      if (beta_residual == 0) {
#pragma omp simd
        for (Index j = 0; j < width; ++j) out[j] = ds[j];
      } else {
#pragma omp simd
        for (Index j = 0; j < width; ++j) out[j] = beta_residual * out[j] + ds[j];
      }
    }
    if (!dx) continue;
    T* out = dx + i * width;
    if (threshold > 0) {
      const std::uint16_t* words =
          row_words(dropout, i, width, word_scratch.data() + room * omp_get_thread_num());
#pragma omp simd
      for (Index j = 0; j < width; ++j) out[j] = words[j] < threshold ? T(0) : keep * ds[j];
    } else {
#pragma omp simd
      for (Index j = 0; j < width; ++j) out[j] = ds[j];
    }
  }
}

template <class T>
void layer_norm_parameter_gradients(Queue&, Index rows, Index width, const T* dy,
                                    const T* normalised, T beta_gamma, T* dgamma, T beta_beta,
                                    T* dbeta) {
  constexpr Index strip = 64;
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index first = 0; first < width; first += strip) {
    const Index size = smaller(strip, width - first);
    T gammas[strip] = {}, betas[strip] = {};
    for (Index i = 0; i < rows; ++i) {
      const T* above = dy + i * width + first;
      const T* n = normalised + i * width + first;
      for (Index j = 0; j < size; ++j) {
        gammas[j] += above[j] * n[j];
        betas[j] += above[j];
      }
    }
    for (Index j = 0; j < size; ++j) {
      if (dgamma) {
        T& g = dgamma[first + j];
        g = beta_gamma == 0 ? gammas[j] : beta_gamma * g + gammas[j];
      }
      if (dbeta) {
        T& b = dbeta[first + j];
        b = beta_beta == 0 ? betas[j] : beta_beta * b + betas[j];
      }
    }
  }
}

template <class T>
void rms_norm_forward(Queue&, Index rows, Index width, const T* x, const T* gamma, T epsilon, T* y,
                      T* inverse_root) {
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index i = 0; i < rows; ++i) {
    const T* in = x + i * width;
    T* out = y + i * width;
    T squares = 0;
#pragma omp simd reduction(+ : squares)
    for (Index j = 0; j < width; ++j) squares += in[j] * in[j];
    const T inverse = static_cast<T>(
        1 / __builtin_sqrt(static_cast<double>(squares / static_cast<T>(width) + epsilon)));
    if (inverse_root) inverse_root[i] = inverse;
#pragma omp simd
    for (Index j = 0; j < width; ++j) out[j] = in[j] * inverse * gamma[j];
  }
}

template <class T>
void rms_norm_backward(Queue&, Index rows, Index width, const T* dy, const T* x,
                       const T* inverse_root, const T* gamma, T beta_dx, T* dx) {
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index i = 0; i < rows; ++i) {
    const T* above = dy + i * width;
    const T* in = x + i * width;
    T* out = dx + i * width;
    T product = 0;
#pragma omp simd reduction(+ : product)
    for (Index j = 0; j < width; ++j) product += above[j] * gamma[j] * in[j];
    const T inverse = inverse_root[i];
    const T slope = product * inverse * inverse * inverse / static_cast<T>(width);
    if (beta_dx == 0) {
#pragma omp simd
      for (Index j = 0; j < width; ++j) out[j] = inverse * above[j] * gamma[j] - slope * in[j];
    } else {
#pragma omp simd
      for (Index j = 0; j < width; ++j)
        out[j] = beta_dx * out[j] + inverse * above[j] * gamma[j] - slope * in[j];
    }
  }
}

template <class T>
void rms_norm_parameter_gradient(Queue&, Index rows, Index width, const T* dy, const T* x,
                                 const T* inverse_root, T beta, T* dgamma) {
  constexpr Index strip = 64;
#pragma omp parallel for schedule(static) if (rows * width > parallel_threshold)
  for (Index first = 0; first < width; first += strip) {
    const Index size = smaller(strip, width - first);
    T sums[strip] = {};
    for (Index i = 0; i < rows; ++i) {
      const T* above = dy + i * width + first;
      const T* in = x + i * width + first;
      for (Index j = 0; j < size; ++j) sums[j] += above[j] * in[j] * inverse_root[i];
    }
    for (Index j = 0; j < size; ++j) {
      T& g = dgamma[first + j];
      g = beta == 0 ? sums[j] : beta * g + sums[j];
    }
  }
}

#define METATT_INSTANTIATE(T)                                                                      \
  template void residual_layer_norm_forward(Queue&, Index, Index, const T*, const T*, const T*,    \
                                            const Dropout&, const T*, const T*, T, T*, T*, T*);    \
  template void residual_layer_norm_backward(Queue&, Index, Index, const T*, const T*, const T*,   \
                                             const T*, const Dropout&, T, T*, T*);                 \
  template void layer_norm_parameter_gradients(Queue&, Index, Index, const T*, const T*, T, T*, T, \
                                               T*);                                                \
  template void rms_norm_forward(Queue&, Index, Index, const T*, const T*, T, T*, T*);             \
  template void rms_norm_backward(Queue&, Index, Index, const T*, const T*, const T*, const T*, T, \
                                  T*);                                                             \
  template void rms_norm_parameter_gradient(Queue&, Index, Index, const T*, const T*, const T*, T, \
                                            T*);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff::backend::METATT_VECTOR_SET
