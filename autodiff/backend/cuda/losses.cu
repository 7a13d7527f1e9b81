#include <metatt/autodiff/backend/backend.hpp>
#include <metatt/tn/backend/cuda/launch.cuh>

namespace metatt::autodiff::backend {

namespace cuda = tn::backend::cuda;

namespace {

using cuda::kThreads;

/// One block a row: row_losses[i] = −log softmax(logits)[label] and the gradient of their mean.
template <class T>
__global__ void cross_entropy_kernel(Index rows, Index classes, const T* logits,
                                     const std::int32_t* labels, T smoothing, T* row_losses,
                                     T* dlogits) {
  const T of_label = 1 - smoothing, of_each = smoothing / static_cast<T>(classes);
  for (Index row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* logit = logits + row * classes;
    const Index label = labels[row];
    // Read before the reductions, behind whose barriers dlogits may overwrite it.
    const T logit_of_label = logit[label];
    T largest = -INFINITY;
    for (Index j = threadIdx.x; j < classes; j += kThreads) largest = max(largest, logit[j]);
    largest = cuda::block_max(largest);
    T sum = 0, differences = 0;
    for (Index j = threadIdx.x; j < classes; j += kThreads) {
      sum += exp(logit[j] - largest);
      differences += logit[j] - largest;
    }
    const T log_sum = log(cuda::block_sum(sum));
    differences = cuda::block_sum(differences);
    if (threadIdx.x == 0)
      row_losses[row] = log_sum - of_label * (logit_of_label - largest) -
                        (smoothing > 0 ? of_each * differences : T(0));
    if (!dlogits) continue;
    const T each = T(1) / static_cast<T>(rows);
    for (Index j = threadIdx.x; j < classes; j += kThreads) {
      const T probability = exp(logit[j] - largest - log_sum);
      dlogits[row * classes + j] = (probability - of_each - (j == label ? of_label : T(0))) * each;
    }
  }
}

}  // namespace

template <class T>
void softmax_cross_entropy(Queue&, Index rows, Index classes, const T* logits,
                           const std::int32_t* labels, T smoothing, T* loss, T* dlogits) {
  const char* function = "softmax_cross_entropy";
  const cuda::Scratch<T> scratch(rows);
  T* row_losses = scratch.data();
  if (rows > 0) {
    cross_entropy_kernel<<<cuda::grid_for(rows), kThreads>>>(rows, classes, logits, labels,
                                                             smoothing, row_losses, dlogits);
    cuda::check_launch(function);
  }
  cuda::reduce(
      function, rows, [=] __device__(Index i) { return static_cast<double>(row_losses[i]); },
      [=] __device__(double sum) { *loss = static_cast<T>(sum / static_cast<double>(rows)); });
}

template <class T>
void mean_squared_error(Queue&, Index count, const T* prediction, const T* target, T* loss,
                        T* dprediction) {
  const char* function = "mean_squared_error";
  const double each = 1.0 / static_cast<double>(count);
  cuda::reduce(
      function, count,
      [=] __device__(Index i) {
        const T difference = prediction[i] - target[i];
        if (dprediction) dprediction[i] = static_cast<T>(2 * each) * difference;
        return static_cast<double>(difference) * static_cast<double>(difference);
      },
      [=] __device__(double sum) { *loss = static_cast<T>(sum * each); });
}

#define METATT_LOSSES(T)                                                                         \
  template void softmax_cross_entropy<T>(Queue&, Index, Index, const T*, const std::int32_t*, T, \
                                         T*, T*);                                                \
  template void mean_squared_error<T>(Queue&, Index, const T*, const T*, T*, T*);

METATT_LOSSES(float)
METATT_LOSSES(double)

}  // namespace metatt::autodiff::backend
