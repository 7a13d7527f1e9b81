/// Every kernel, forwarded to the widest vector set that the processor has.

#include <metatt/autodiff/backend/backend.hpp>
#include <metatt/tn/backend/cpu/vector_set.hpp>

namespace metatt::autodiff::backend {

namespace avx512 {
#include <metatt/autodiff/backend/declarations.hpp>
}
namespace avx2 {
#include <metatt/autodiff/backend/declarations.hpp>
}
namespace baseline {
#include <metatt/autodiff/backend/declarations.hpp>
}

namespace {

/// One of three functions of the same signature, by what tn's backend found at start.
template <class Function>
Function* select(Function* wide, Function* middle, Function* narrow) {
  static const std::string_view set = tn::backend::vector_set();
  return set == "avx512" ? wide : set == "avx2" ? middle : narrow;
}

}  // namespace

template <class T>
void broadcast_bias(Queue& queue, Index rows, Index width, const T* bias, T* y, Index ldy) {
  select(avx512::broadcast_bias<T>, avx2::broadcast_bias<T>, baseline::broadcast_bias<T>)(
      queue, rows, width, bias, y, ldy);
}

template <class T>
void column_sums(Queue& queue, Index rows, Index width, const T* x, T beta, T* out) {
  select(avx512::column_sums<T>, avx2::column_sums<T>, baseline::column_sums<T>)(queue, rows, width,
                                                                                 x, beta, out);
}

template <class T>
void scale_columns(Queue& queue, Index rows, Index width, const T* x, Index ldx, const T* factors,
                   const T* shift, T* y, Index ldy) {
  select(avx512::scale_columns<T>, avx2::scale_columns<T>, baseline::scale_columns<T>)(
      queue, rows, width, x, ldx, factors, shift, y, ldy);
}

template <class T>
void column_products(Queue& queue, Index rows, Index width, const T* x, Index ldx, const T* y,
                     Index ldy, T beta, T* out) {
  select(avx512::column_products<T>, avx2::column_products<T>, baseline::column_products<T>)(
      queue, rows, width, x, ldx, y, ldy, beta, out);
}

template <class T>
void bias_gelu_forward(Queue& queue, Gelu kind, Index rows, Index width, const T* x, const T* bias,
                       T* y) {
  select(avx512::bias_gelu_forward<T>, avx2::bias_gelu_forward<T>, baseline::bias_gelu_forward<T>)(
      queue, kind, rows, width, x, bias, y);
}

template <class T>
void bias_gelu_backward(Queue& queue, Gelu kind, Index rows, Index width, const T* x, const T* bias,
                        const T* dy, T* dx) {
  select(avx512::bias_gelu_backward<T>, avx2::bias_gelu_backward<T>,
         baseline::bias_gelu_backward<T>)(queue, kind, rows, width, x, bias, dy, dx);
}

template <class T>
void swiglu_forward(Queue& queue, Index rows, Index width, const T* x, T* y) {
  select(avx512::swiglu_forward<T>, avx2::swiglu_forward<T>, baseline::swiglu_forward<T>)(
      queue, rows, width, x, y);
}

template <class T>
void swiglu_backward(Queue& queue, Index rows, Index width, const T* x, const T* dy, T* dx) {
  select(avx512::swiglu_backward<T>, avx2::swiglu_backward<T>, baseline::swiglu_backward<T>)(
      queue, rows, width, x, dy, dx);
}

template <class T>
void tanh_forward(Queue& queue, Index count, const T* x, T* y) {
  select(avx512::tanh_forward<T>, avx2::tanh_forward<T>, baseline::tanh_forward<T>)(queue, count, x,
                                                                                    y);
}

template <class T>
void tanh_backward(Queue& queue, Index count, const T* y, const T* dy, T* dx) {
  select(avx512::tanh_backward<T>, avx2::tanh_backward<T>, baseline::tanh_backward<T>)(queue, count,
                                                                                       y, dy, dx);
}

template <class T>
void relu_forward(Queue& queue, Index count, const T* x, T* y) {
  select(avx512::relu_forward<T>, avx2::relu_forward<T>, baseline::relu_forward<T>)(queue, count, x,
                                                                                    y);
}

template <class T>
void relu_backward(Queue& queue, Index count, const T* y, const T* dy, T* dx) {
  select(avx512::relu_backward<T>, avx2::relu_backward<T>, baseline::relu_backward<T>)(queue, count,
                                                                                       y, dy, dx);
}

template <class T>
void residual_layer_norm_forward(Queue& queue, Index rows, Index width, const T* x, const T* bias,
                                 const T* residual, const Dropout& dropout, const T* gamma,
                                 const T* beta, T epsilon, T* y, T* normalised,
                                 T* inverse_deviation) {
  select(avx512::residual_layer_norm_forward<T>, avx2::residual_layer_norm_forward<T>,
         baseline::residual_layer_norm_forward<T>)(queue, rows, width, x, bias, residual, dropout,
                                                   gamma, beta, epsilon, y, normalised,
                                                   inverse_deviation);
}

template <class T>
void residual_layer_norm_backward(Queue& queue, Index rows, Index width, const T* dy,
                                  const T* normalised, const T* inverse_deviation, const T* gamma,
                                  const Dropout& dropout, T beta_residual, T* dresidual, T* dx) {
  select(avx512::residual_layer_norm_backward<T>, avx2::residual_layer_norm_backward<T>,
         baseline::residual_layer_norm_backward<T>)(queue, rows, width, dy, normalised,
                                                    inverse_deviation, gamma, dropout,
                                                    beta_residual, dresidual, dx);
}

template <class T>
void layer_norm_parameter_gradients(Queue& queue, Index rows, Index width, const T* dy,
                                    const T* normalised, T beta_gamma, T* dgamma, T beta_beta,
                                    T* dbeta) {
  select(avx512::layer_norm_parameter_gradients<T>, avx2::layer_norm_parameter_gradients<T>,
         baseline::layer_norm_parameter_gradients<T>)(queue, rows, width, dy, normalised,
                                                      beta_gamma, dgamma, beta_beta, dbeta);
}

template <class T>
void rms_norm_forward(Queue& queue, Index rows, Index width, const T* x, const T* gamma, T epsilon,
                      T* y, T* inverse_root) {
  select(avx512::rms_norm_forward<T>, avx2::rms_norm_forward<T>, baseline::rms_norm_forward<T>)(
      queue, rows, width, x, gamma, epsilon, y, inverse_root);
}

template <class T>
void rms_norm_backward(Queue& queue, Index rows, Index width, const T* dy, const T* x,
                       const T* inverse_root, const T* gamma, T beta_dx, T* dx) {
  select(avx512::rms_norm_backward<T>, avx2::rms_norm_backward<T>, baseline::rms_norm_backward<T>)(
      queue, rows, width, dy, x, inverse_root, gamma, beta_dx, dx);
}

template <class T>
void rms_norm_parameter_gradient(Queue& queue, Index rows, Index width, const T* dy, const T* x,
                                 const T* inverse_root, T beta, T* dgamma) {
  select(avx512::rms_norm_parameter_gradient<T>, avx2::rms_norm_parameter_gradient<T>,
         baseline::rms_norm_parameter_gradient<T>)(queue, rows, width, dy, x, inverse_root, beta,
                                                   dgamma);
}

template <class T>
void attention_forward(Queue& queue, const Packing& packing, const AttentionShape& shape, T scale,
                       const Dropout& dropout, const T* qkv, T* out, T* log_sum_exp) {
  select(avx512::attention_forward<T>, avx2::attention_forward<T>, baseline::attention_forward<T>)(
      queue, packing, shape, scale, dropout, qkv, out, log_sum_exp);
}

template <class T>
void attention_backward(Queue& queue, const Packing& packing, const AttentionShape& shape, T scale,
                        const Dropout& dropout, const T* qkv, const T* log_sum_exp, const T* dout,
                        T* dqkv) {
  select(avx512::attention_backward<T>, avx2::attention_backward<T>,
         baseline::attention_backward<T>)(queue, packing, shape, scale, dropout, qkv, log_sum_exp,
                                          dout, dqkv);
}

template <class T>
void attention_step(Queue& queue, const AttentionShape& shape, T scale, Index count, const T* query,
                    const T* keys, const T* values, T* out) {
  select(avx512::attention_step<T>, avx2::attention_step<T>, baseline::attention_step<T>)(
      queue, shape, scale, count, query, keys, values, out);
}

template <class T>
void rotate_heads(Queue& queue, Index tokens, Index heads, Index head_width, Index ld,
                  const std::int32_t* positions, const T* table, bool back, T* x) {
  select(avx512::rotate_heads<T>, avx2::rotate_heads<T>, baseline::rotate_heads<T>)(
      queue, tokens, heads, head_width, ld, positions, table, back, x);
}

template <class T>
void matrix_vector(Queue& queue, Index rows, Index columns, const T* W, const T* x, T beta, T* y) {
  queue.work.gemm_flops += 2 * rows * columns;
  select(avx512::matrix_vector<T>, avx2::matrix_vector<T>, baseline::matrix_vector<T>)(
      queue, rows, columns, W, x, beta, y);
}

template <class T>
void low_rank_project(Queue& queue, Index rows, Index width, Index rank, T alpha, const T* x,
                      Index ldx, tn::Transpose transpose, const T* B, Index ldb, T beta, T* y) {
  select(avx512::low_rank_project<T>, avx2::low_rank_project<T>, baseline::low_rank_project<T>)(
      queue, rows, width, rank, alpha, x, ldx, transpose, B, ldb, beta, y);
}

template <class T>
void low_rank_expand(Queue& queue, Index rows, Index width, Index rank, const T* z,
                     tn::Transpose transpose, const T* B, Index ldb, T* y, Index ldy) {
  select(avx512::low_rank_expand<T>, avx2::low_rank_expand<T>, baseline::low_rank_expand<T>)(
      queue, rows, width, rank, z, transpose, B, ldb, y, ldy);
}

template <class T>
void low_rank_gradient(Queue& queue, Index rows, Index width, Index rank, T alpha, const T* z,
                       const T* x, Index ldx, tn::Transpose transpose, T beta, T* G, Index ldg) {
  select(avx512::low_rank_gradient<T>, avx2::low_rank_gradient<T>, baseline::low_rank_gradient<T>)(
      queue, rows, width, rank, alpha, z, x, ldx, transpose, beta, G, ldg);
}

template <class T>
void softmax_cross_entropy(Queue& queue, Index rows, Index classes, const T* logits,
                           const std::int32_t* labels, T smoothing, T* loss, T* dlogits) {
  select(avx512::softmax_cross_entropy<T>, avx2::softmax_cross_entropy<T>,
         baseline::softmax_cross_entropy<T>)(queue, rows, classes, logits, labels, smoothing, loss,
                                             dlogits);
}

template <class T>
void mean_squared_error(Queue& queue, Index count, const T* prediction, const T* target, T* loss,
                        T* dprediction) {
  select(avx512::mean_squared_error<T>, avx2::mean_squared_error<T>,
         baseline::mean_squared_error<T>)(queue, count, prediction, target, loss, dprediction);
}

template <class T>
void scale_by(Queue& queue, Index count, const T* factor, T* x) {
  select(avx512::scale_by<T>, avx2::scale_by<T>, baseline::scale_by<T>)(queue, count, factor, x);
}

template <class T>
void embedding_forward(Queue& queue, Index tokens, Index width, const std::int32_t* ids,
                       const T* table, bool accumulate, T* out) {
  select(avx512::embedding_forward<T>, avx2::embedding_forward<T>, baseline::embedding_forward<T>)(
      queue, tokens, width, ids, table, accumulate, out);
}

template <class T>
void embedding_backward(Queue& queue, Index tokens, Index width, Index entries,
                        const std::int32_t* ids, const T* dout, T* dtable) {
  select(avx512::embedding_backward<T>, avx2::embedding_backward<T>,
         baseline::embedding_backward<T>)(queue, tokens, width, entries, ids, dout, dtable);
}

template <class T>
void scatter_add_rows(Queue& queue, Index count, Index width, const std::int32_t* rows,
                      const T* dout, T* x) {
  select(avx512::scatter_add_rows<T>, avx2::scatter_add_rows<T>, baseline::scatter_add_rows<T>)(
      queue, count, width, rows, dout, x);
}

template <class T>
void dropout(Queue& queue, Index count, const Dropout& dropout, const T* x, T beta, T* y) {
  select(avx512::dropout<T>, avx2::dropout<T>, baseline::dropout<T>)(queue, count, dropout, x, beta,
                                                                     y);
}

template <class T>
void adamw(Queue& queue, Index count, const AdamWStep& step, T* values, const T* gradients,
           T* first_moments, T* second_moments) {
  select(avx512::adamw<T>, avx2::adamw<T>, baseline::adamw<T>)(
      queue, count, step, values, gradients, first_moments, second_moments);
}

#define METATT_INSTANTIATE(T)                                                                      \
  template void broadcast_bias(Queue&, Index, Index, const T*, T*, Index);                         \
  template void column_sums(Queue&, Index, Index, const T*, T, T*);                                \
  template void scale_columns(Queue&, Index, Index, const T*, Index, const T*, const T*, T*,       \
                              Index);                                                              \
  template void column_products(Queue&, Index, Index, const T*, Index, const T*, Index, T, T*);    \
  template void bias_gelu_forward(Queue&, Gelu, Index, Index, const T*, const T*, T*);             \
  template void bias_gelu_backward(Queue&, Gelu, Index, Index, const T*, const T*, const T*, T*);  \
  template void swiglu_forward(Queue&, Index, Index, const T*, T*);                                \
  template void swiglu_backward(Queue&, Index, Index, const T*, const T*, T*);                     \
  template void tanh_forward(Queue&, Index, const T*, T*);                                         \
  template void tanh_backward(Queue&, Index, const T*, const T*, T*);                              \
  template void relu_forward(Queue&, Index, const T*, T*);                                         \
  template void relu_backward(Queue&, Index, const T*, const T*, T*);                              \
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
                                            T*);                                                   \
  template void attention_forward(Queue&, const Packing&, const AttentionShape&, T,                \
                                  const Dropout&, const T*, T*, T*);                               \
  template void attention_backward(Queue&, const Packing&, const AttentionShape&, T,               \
                                   const Dropout&, const T*, const T*, const T*, T*);              \
  template void attention_step(Queue&, const AttentionShape&, T, Index, const T*, const T*,        \
                               const T*, T*);                                                      \
  template void rotate_heads(Queue&, Index, Index, Index, Index, const std::int32_t*, const T*,    \
                             bool, T*);                                                            \
  template void matrix_vector(Queue&, Index, Index, const T*, const T*, T, T*);                    \
  template void low_rank_project(Queue&, Index, Index, Index, T, const T*, Index, tn::Transpose,   \
                                 const T*, Index, T, T*);                                          \
  template void low_rank_expand(Queue&, Index, Index, Index, const T*, tn::Transpose, const T*,    \
                                Index, T*, Index);                                                 \
  template void low_rank_gradient(Queue&, Index, Index, Index, T, const T*, const T*, Index,       \
                                  tn::Transpose, T, T*, Index);                                    \
  template void softmax_cross_entropy(Queue&, Index, Index, const T*, const std::int32_t*, T, T*,  \
                                      T*);                                                         \
  template void mean_squared_error(Queue&, Index, const T*, const T*, T*, T*);                     \
  template void scale_by(Queue&, Index, const T*, T*);                                             \
  template void embedding_forward(Queue&, Index, Index, const std::int32_t*, const T*, bool, T*);  \
  template void embedding_backward(Queue&, Index, Index, Index, const std::int32_t*, const T*,     \
                                   T*);                                                            \
  template void scatter_add_rows(Queue&, Index, Index, const std::int32_t*, const T*, T*);         \
  template void dropout(Queue&, Index, const Dropout&, const T*, T, T*);                           \
  template void adamw(Queue&, Index, const AdamWStep&, T*, const T*, T*, T*);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff::backend
