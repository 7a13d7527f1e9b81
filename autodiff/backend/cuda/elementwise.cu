#include <metatt/autodiff/backend/cuda/mask.cuh>
#include <metatt/tn/backend/cuda/launch.cuh>

#include <cmath>

namespace metatt::autodiff::backend {

namespace cuda = tn::backend::cuda;

namespace {

constexpr double kInverseSqrt2 = 0.70710678118654752440;
constexpr double kInverseSqrtTwoPi = 0.39894228040143267794;
constexpr double kTwoRootTwoOverPi = 1.59576912160573071176;
constexpr double kCubic = 0.044715;

/// Φ(t), the normal distribution; by erfc, which keeps its digits where 1 + erf cancels.
template <class T>
__device__ T normal_distribution(T t) {
  return T(0.5) * erfc(-t * T(kInverseSqrt2));
}

template <class T>
__device__ T gelu_derivative(T t) {
  return normal_distribution(t) + t * T(kInverseSqrtTwoPi) * exp(T(-0.5) * t * t);
}

template <class T>
__device__ T logistic(T t) {
  return T(1) / (T(1) + exp(-t));
}

/// What the chosen GELU keeps of t: Φ(t), or (1 + tanh(u))/2 = σ(2u).
template <class T>
__device__ T gelu_share(Gelu kind, T t) {
  if (kind == Gelu::exact) return normal_distribution(t);
  return logistic(T(kTwoRootTwoOverPi) * t * (T(1) + T(kCubic) * t * t));
}

template <class T>
__device__ T gelu_slope(Gelu kind, T t) {
  if (kind == Gelu::exact) return gelu_derivative(t);
  const T u = T(kTwoRootTwoOverPi) * t * (T(1) + T(kCubic) * t * t);
  const T kept = logistic(u), rest = logistic(-u);
  return kept + t * kept * rest * T(kTwoRootTwoOverPi) * (T(1) + T(3 * kCubic) * t * t);
}

}  // namespace

template <class T>
void broadcast_bias(Queue&, Index rows, Index width, const T* bias, T* y, Index ldy) {
  cuda::for_each_element("broadcast_bias", rows, width,
                         [=] __device__(Index i, Index j) { y[i * ldy + j] = bias[j]; });
}

template <class T>
void scale_columns(Queue&, Index rows, Index width, const T* x, Index ldx, const T* factors,
                   const T* shift, T* y, Index ldy) {
  cuda::for_each_element("scale_columns", rows, width, [=] __device__(Index i, Index j) {
    const T scaled = factors ? x[i * ldx + j] * factors[j] : x[i * ldx + j];
    y[i * ldy + j] = shift ? scaled + shift[j] : scaled;
  });
}

template <class T>
void bias_gelu_forward(Queue&, Gelu kind, Index rows, Index width, const T* x, const T* bias,
                       T* y) {
  cuda::for_each_element("bias_gelu_forward", rows, width, [=] __device__(Index i, Index j) {
    const T t = x[i * width + j] + (bias ? bias[j] : T(0));
    y[i * width + j] = t * gelu_share(kind, t);
  });
}

template <class T>
void bias_gelu_backward(Queue&, Gelu kind, Index rows, Index width, const T* x, const T* bias,
                        const T* dy, T* dx) {
  cuda::for_each_element("bias_gelu_backward", rows, width, [=] __device__(Index i, Index j) {
    const T t = x[i * width + j] + (bias ? bias[j] : T(0));
    dx[i * width + j] = gelu_slope(kind, t) * dy[i * width + j];
  });
}

template <class T>
void swiglu_forward(Queue&, Index rows, Index width, const T* x, T* y) {
  cuda::for_each_element("swiglu_forward", rows, width, [=] __device__(Index i, Index j) {
    const T gate = x[i * 2 * width + j];
    y[i * width + j] = gate * logistic(gate) * x[i * 2 * width + width + j];
  });
}

template <class T>
void swiglu_backward(Queue&, Index rows, Index width, const T* x, const T* dy, T* dx) {
  cuda::for_each_element("swiglu_backward", rows, width, [=] __device__(Index i, Index j) {
    const Index at = i * 2 * width + j;
    const T gate = x[at];
    const T s = logistic(gate);
    const T above = dy[i * width + j];
    dx[at] = above * x[at + width] * s * (T(1) + gate * (T(1) - s));
    dx[at + width] = above * gate * s;
  });
}

template <class T>
void rotate_heads(Queue&, Index tokens, Index heads, Index head_width, Index ld,
                  const std::int32_t* positions, const T* table, bool back, T* x) {
  const Index half = head_width / 2;
  cuda::for_each_element("rotate_heads", tokens, heads * half, [=] __device__(Index t, Index k) {
    const Index i = k % half;
    const T* angle = table + positions[t] * head_width + 2 * i;
    T* first = x + t * ld + k / half * head_width + i;
    const T a = first[0], b = first[half], sine = back ? -angle[1] : angle[1];
    first[0] = a * angle[0] - b * sine;
    first[half] = b * angle[0] + a * sine;
  });
}

template <class T>
void tanh_forward(Queue&, Index count, const T* x, T* y) {
  cuda::for_each("tanh_forward", count, [=] __device__(Index i) { y[i] = tanh(x[i]); });
}

template <class T>
void tanh_backward(Queue&, Index count, const T* y, const T* dy, T* dx) {
  cuda::for_each("tanh_backward", count,
                 [=] __device__(Index i) { dx[i] = (T(1) - y[i] * y[i]) * dy[i]; });
}

template <class T>
void relu_forward(Queue&, Index count, const T* x, T* y) {
  cuda::for_each("relu_forward", count,
                 [=] __device__(Index i) { y[i] = x[i] < T(0) ? T(0) : x[i]; });
}

template <class T>
void relu_backward(Queue&, Index count, const T* y, const T* dy, T* dx) {
  cuda::for_each("relu_backward", count,
                 [=] __device__(Index i) { dx[i] = y[i] > T(0) ? dy[i] : T(0); });
}

template <class T>
void scale_by(Queue&, Index count, const T* factor, T* x) {
  cuda::for_each("scale_by", count, [=] __device__(Index i) { x[i] *= *factor; });
}

template <class T>
void dropout(Queue&, Index count, const Dropout& dropout, const T* x, T beta, T* y) {
  const Mask mask(dropout);
  const bool active = dropout.active();
  const T keep_scale = active ? static_cast<T>(mask.keep_scale) : T(1);
  cuda::for_each("dropout", cuda::divide_up(count, kMaskWords), [=] __device__(Index block) {
    const unsigned kept = active ? mask.kept_of_block(static_cast<std::uint64_t>(block)) : ~0U;
    for (int word = 0; word < kMaskWords; ++word) {
      const Index i = block * kMaskWords + word;
      if (i >= count) return;
      accumulate_into(y[i], beta, (kept >> word & 1U) != 0 ? keep_scale * x[i] : T(0));
    }
  });
}

template <class T>
void adamw(Queue&, Index count, const AdamWStep& step, T* values, const T* gradients,
           T* first_moments, T* second_moments) {
  // The coefficients are made in double: 1 − beta2 and the corrections of late steps lose digits in
  // float.
  const double steps = static_cast<double>(step.step);
  const T inverse_correction1 = static_cast<T>(1 / (1 - std::pow(step.beta1, steps)));
  const T inverse_correction2 = static_cast<T>(1 / (1 - std::pow(step.beta2, steps)));
  const T beta1 = static_cast<T>(step.beta1);
  const T beta2 = static_cast<T>(step.beta2);
  const T rest1 = static_cast<T>(1 - step.beta1);
  const T rest2 = static_cast<T>(1 - step.beta2);
  const T epsilon = static_cast<T>(step.epsilon);
  const T learning_rate = static_cast<T>(step.learning_rate);
  const T weight_decay = static_cast<T>(step.weight_decay);
  const T gradient_scale = static_cast<T>(step.gradient_scale);
  cuda::for_each("adamw", count, [=] __device__(Index i) {
    const T g = gradient_scale * gradients[i];
    const T m = beta1 * first_moments[i] + rest1 * g;
    const T v = beta2 * second_moments[i] + rest2 * g * g;
    const T direction = m * inverse_correction1 / (sqrt(v * inverse_correction2) + epsilon);
    values[i] -= learning_rate * (direction + weight_decay * values[i]);
    first_moments[i] = m;
    second_moments[i] = v;
  });
}

#define METATT_ELEMENTWISE(T)                                                                      \
  template void broadcast_bias<T>(Queue&, Index, Index, const T*, T*, Index);                      \
  template void scale_columns<T>(Queue&, Index, Index, const T*, Index, const T*, const T*, T*,    \
                                 Index);                                                           \
  template void bias_gelu_forward<T>(Queue&, Gelu, Index, Index, const T*, const T*, T*);          \
  template void bias_gelu_backward<T>(Queue&, Gelu, Index, Index, const T*, const T*, const T*,    \
                                      T*);                                                         \
  template void swiglu_forward<T>(Queue&, Index, Index, const T*, T*);                             \
  template void swiglu_backward<T>(Queue&, Index, Index, const T*, const T*, T*);                  \
  template void rotate_heads<T>(Queue&, Index, Index, Index, Index, const std::int32_t*, const T*, \
                                bool, T*);                                                         \
  template void tanh_forward<T>(Queue&, Index, const T*, T*);                                      \
  template void tanh_backward<T>(Queue&, Index, const T*, const T*, T*);                           \
  template void relu_forward<T>(Queue&, Index, const T*, T*);                                      \
  template void relu_backward<T>(Queue&, Index, const T*, const T*, T*);                           \
  template void scale_by<T>(Queue&, Index, const T*, T*);                                          \
  template void dropout<T>(Queue&, Index, const Dropout&, const T*, T, T*);                        \
  template void adamw<T>(Queue&, Index, const AdamWStep&, T*, const T*, T*, T*);

METATT_ELEMENTWISE(float)
METATT_ELEMENTWISE(double)

}  // namespace metatt::autodiff::backend
