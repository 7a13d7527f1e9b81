#include <metatt/autodiff/backend/cuda/mask.cuh>
#include <metatt/tn/backend/cuda/launch.cuh>

namespace metatt::autodiff::backend {

namespace cuda = tn::backend::cuda;

namespace {

using cuda::block_sum;
using cuda::kRowsOfBlock;
using cuda::kThreads;
using cuda::kWarp;

/// One block a row. Every thread keeps to its own columns, so s may wait in y between the passes.
template <class T>
__global__ void forward_kernel(Index rows, Index width, const T* x, const T* bias,
                               const T* residual, Mask mask, const T* gamma, const T* beta,
                               T epsilon, T* y, T* normalised, T* inverse_deviation) {
  for (Index row = blockIdx.x; row < rows; row += gridDim.x) {
    const Index start = row * width;
    T sum = 0;
    for (Index j = threadIdx.x; j < width; j += kThreads) {
      const Index at = start + j;
      const T biased = x[at] + (bias ? bias[j] : T(0));
      const T s = (residual ? residual[at] : T(0)) + mask.factor<T>(at) * biased;
      y[at] = s;
      sum += s;
    }
    const T mean = block_sum(sum) / static_cast<T>(width);
    T squares = 0;
    for (Index j = threadIdx.x; j < width; j += kThreads) {
      const T deviation = y[start + j] - mean;
      squares += deviation * deviation;
    }
    const T variance = block_sum(squares) / static_cast<T>(width);
    const T factor = T(1) / sqrt(variance + epsilon);
    for (Index j = threadIdx.x; j < width; j += kThreads) {
      const Index at = start + j;
      const T unit = (y[at] - mean) * factor;
      y[at] = unit * gamma[j] + beta[j];
      if (normalised) normalised[at] = unit;
    }
    if (inverse_deviation && threadIdx.x == 0) inverse_deviation[row] = factor;
  }
}

/// ds = inverse_deviation · (g − mean(g) − normalised · mean(g · normalised)), g = dy · gamma.
template <class T>
__global__ void backward_kernel(Index rows, Index width, const T* dy, const T* normalised,
                                const T* inverse_deviation, const T* gamma, Mask mask,
                                T beta_residual, T* dresidual, T* dx) {
  for (Index row = blockIdx.x; row < rows; row += gridDim.x) {
    const Index start = row * width;
    T sum = 0;
    T sum_normalised = 0;
    for (Index j = threadIdx.x; j < width; j += kThreads) {
      const T g = dy[start + j] * gamma[j];
      sum += g;
      sum_normalised += g * normalised[start + j];
    }
    const T mean = block_sum(sum) / static_cast<T>(width);
    const T mean_normalised = block_sum(sum_normalised) / static_cast<T>(width);
    const T factor = inverse_deviation[row];
    for (Index j = threadIdx.x; j < width; j += kThreads) {
      const Index at = start + j;
      const T g = dy[at] * gamma[j];
      const T ds = factor * (g - mean - normalised[at] * mean_normalised);
      if (dresidual) accumulate_into(dresidual[at], beta_residual, ds);
      if (dx) dx[at] = mask.factor<T>(at) * ds;
    }
  }
}

template <class T>
__global__ void rms_forward_kernel(Index rows, Index width, const T* x, const T* gamma, T epsilon,
                                   T* y, T* inverse_root) {
  for (Index row = blockIdx.x; row < rows; row += gridDim.x) {
    const Index start = row * width;
    T squares = 0;
    for (Index j = threadIdx.x; j < width; j += kThreads) squares += x[start + j] * x[start + j];
    const T factor = T(1) / sqrt(block_sum(squares) / static_cast<T>(width) + epsilon);
    for (Index j = threadIdx.x; j < width; j += kThreads)
      y[start + j] = x[start + j] * factor * gamma[j];
    if (inverse_root && threadIdx.x == 0) inverse_root[row] = factor;
  }
}

/// dx = r · (g − x̂ · mean(g · x̂)), g = dy · gamma, x̂ = x · r.
template <class T>
__global__ void rms_backward_kernel(Index rows, Index width, const T* dy, const T* x,
                                    const T* inverse_root, const T* gamma, T beta_dx, T* dx) {
  for (Index row = blockIdx.x; row < rows; row += gridDim.x) {
    const Index start = row * width;
    T product = 0;
    for (Index j = threadIdx.x; j < width; j += kThreads)
      product += dy[start + j] * gamma[j] * x[start + j];
    const T factor = inverse_root[row];
    const T slope = block_sum(product) * factor * factor * factor / static_cast<T>(width);
    for (Index j = threadIdx.x; j < width; j += kThreads) {
      accumulate_into(dx[start + j], beta_dx,
                      factor * dy[start + j] * gamma[j] - slope * x[start + j]);
    }
  }
}

constexpr Index kRowsOfChunk = 256;  ///< rows that one block sums in column_chunks_kernel

/// partials[chunk][j] = Σ over the rows of the chunk of term(i, j), by a block of 32 columns.
template <class T, class Term>
__global__ void column_chunks_kernel(Index rows, Index width, Term term, T* partials) {
  __shared__ T sums[kRowsOfBlock][kWarp];
  const Index j = static_cast<Index>(blockIdx.y) * kWarp + threadIdx.x;
  const Index chunks = (rows + kRowsOfChunk - 1) / kRowsOfChunk;
  for (Index chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    const Index end = min(rows, (chunk + 1) * kRowsOfChunk);
    T sum = 0;
    if (j < width) {
      for (Index i = chunk * kRowsOfChunk + threadIdx.y; i < end; i += kRowsOfBlock) {
        sum += term(i, j);
      }
    }
    __syncthreads();
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || j >= width) continue;
    for (int k = 1; k < kRowsOfBlock; ++k) sum += sums[k][threadIdx.x];
    partials[chunk * width + j] = sum;
  }
}

/// out[j] = beta · out[j] + Σ over rows of term(i, j), in an order that depends on `rows` alone.
template <class T, class Term>
void sum_columns(const char* function, Index rows, Index width, const Term& term, T beta, T* out) {
  if (width <= 0) return;
  const Index chunks = cuda::divide_up(rows, kRowsOfChunk);
  const cuda::Scratch<T> scratch(chunks * width);
  T* partials = scratch.data();
  if (chunks > 0) {
    const dim3 grid(cuda::grid_for(chunks), static_cast<unsigned>(cuda::divide_up(width, kWarp)));
    column_chunks_kernel<<<grid, dim3(kWarp, kRowsOfBlock)>>>(rows, width, term, partials);
    cuda::check_launch(function);
  }
  cuda::for_each(function, width, [=] __device__(Index j) {
    T sum = 0;
    for (Index chunk = 0; chunk < chunks; ++chunk) sum += partials[chunk * width + j];
    accumulate_into(out[j], beta, sum);
  });
}

}  // namespace

template <class T>
void residual_layer_norm_forward(Queue&, Index rows, Index width, const T* x, const T* bias,
                                 const T* residual, const Dropout& dropout, const T* gamma,
                                 const T* beta, T epsilon, T* y, T* normalised,
                                 T* inverse_deviation) {
  if (rows <= 0) return;
  forward_kernel<<<cuda::grid_for(rows), kThreads>>>(rows, width, x, bias, residual, Mask(dropout),
                                                     gamma, beta, epsilon, y, normalised,
                                                     inverse_deviation);
  cuda::check_launch("residual_layer_norm_forward");
}

template <class T>
void residual_layer_norm_backward(Queue&, Index rows, Index width, const T* dy, const T* normalised,
                                  const T* inverse_deviation, const T* gamma,
                                  const Dropout& dropout, T beta_residual, T* dresidual, T* dx) {
  if (rows <= 0 || (!dresidual && !dx)) return;
  backward_kernel<<<cuda::grid_for(rows), kThreads>>>(rows, width, dy, normalised,
                                                      inverse_deviation, gamma, Mask(dropout),
                                                      beta_residual, dresidual, dx);
  cuda::check_launch("residual_layer_norm_backward");
}

template <class T>
void layer_norm_parameter_gradients(Queue&, Index rows, Index width, const T* dy,
                                    const T* normalised, T beta_gamma, T* dgamma, T beta_beta,
                                    T* dbeta) {
  const char* function = "layer_norm_parameter_gradients";
  if (dgamma) {
    const auto term = [=] __device__(Index i, Index j) {
      return dy[i * width + j] * normalised[i * width + j];
    };
    sum_columns(function, rows, width, term, beta_gamma, dgamma);
  }
  if (dbeta) {
    const auto term = [=] __device__(Index i, Index j) { return dy[i * width + j]; };
    sum_columns(function, rows, width, term, beta_beta, dbeta);
  }
}

template <class T>
void column_sums(Queue&, Index rows, Index width, const T* x, T beta, T* out) {
  const auto term = [=] __device__(Index i, Index j) { return x[i * width + j]; };
  sum_columns("column_sums", rows, width, term, beta, out);
}

template <class T>
void column_products(Queue&, Index rows, Index width, const T* x, Index ldx, const T* y, Index ldy,
                     T beta, T* out) {
  const auto term = [=] __device__(Index i, Index j) { return x[i * ldx + j] * y[i * ldy + j]; };
  sum_columns("column_products", rows, width, term, beta, out);
}

template <class T>
void rms_norm_forward(Queue&, Index rows, Index width, const T* x, const T* gamma, T epsilon, T* y,
                      T* inverse_root) {
  if (rows <= 0) return;
  rms_forward_kernel<<<cuda::grid_for(rows), kThreads>>>(rows, width, x, gamma, epsilon, y,
                                                         inverse_root);
  cuda::check_launch("rms_norm_forward");
}

template <class T>
void rms_norm_backward(Queue&, Index rows, Index width, const T* dy, const T* x,
                       const T* inverse_root, const T* gamma, T beta_dx, T* dx) {
  if (rows <= 0) return;
  rms_backward_kernel<<<cuda::grid_for(rows), kThreads>>>(rows, width, dy, x, inverse_root, gamma,
                                                          beta_dx, dx);
  cuda::check_launch("rms_norm_backward");
}

template <class T>
void rms_norm_parameter_gradient(Queue&, Index rows, Index width, const T* dy, const T* x,
                                 const T* inverse_root, T beta, T* dgamma) {
  const auto term = [=] __device__(Index i, Index j) {
    return dy[i * width + j] * x[i * width + j] * inverse_root[i];
  };
  sum_columns("rms_norm_parameter_gradient", rows, width, term, beta, dgamma);
}

#define METATT_NORMALISATION(T)                                                                    \
  template void residual_layer_norm_forward<T>(Queue&, Index, Index, const T*, const T*, const T*, \
                                               const Dropout&, const T*, const T*, T, T*, T*, T*); \
  template void residual_layer_norm_backward<T>(Queue&, Index, Index, const T*, const T*,          \
                                                const T*, const T*, const Dropout&, T, T*, T*);    \
  template void layer_norm_parameter_gradients<T>(Queue&, Index, Index, const T*, const T*, T, T*, \
                                                  T, T*);                                          \
  template void rms_norm_forward<T>(Queue&, Index, Index, const T*, const T*, T, T*, T*);          \
  template void rms_norm_backward<T>(Queue&, Index, Index, const T*, const T*, const T*, const T*, \
                                     T, T*);                                                       \
  template void rms_norm_parameter_gradient<T>(Queue&, Index, Index, const T*, const T*, const T*, \
                                               T, T*);                                             \
  template void column_products<T>(Queue&, Index, Index, const T*, Index, const T*, Index, T, T*); \
  template void column_sums<T>(Queue&, Index, Index, const T*, T, T*);

METATT_NORMALISATION(float)
METATT_NORMALISATION(double)

}  // namespace metatt::autodiff::backend
