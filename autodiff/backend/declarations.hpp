// The neural kernels that every backend defines, forward and backward next to each other.
//
// Like tn/backend/declarations.hpp this file has no include guard: it is included once inside
// `metatt::autodiff::backend` and once inside `metatt::autodiff::reference`.
//
// All matrices are row-major and contiguous unless an ld is given; pointers are backend memory. T
// is float or double. Sums over rows or columns are taken in an order that does not depend on
// timing. A backward function writes `out = beta_out · out + contribution` wherever it takes a beta
// (0: the memory is not read), and skips every output whose pointer is null.

// --- bias, activation --------------------------------------------------------------------------

/// y (rows × width, leading dimension ldy) = bias, repeated in every row.
template <class T>
void broadcast_bias(Queue& queue, Index rows, Index width, const T* bias, T* y, Index ldy);

/// out (width) = beta · out + Σ over rows of x (rows × width).
template <class T>
void column_sums(Queue& queue, Index rows, Index width, const T* x, T beta, T* out);

/// y (rows × width, leading dimension ldy) = x · diag(factors) + shift in every row; factors (1)
/// and shift (0) may be null. y may be x.
template <class T>
void scale_columns(Queue& queue, Index rows, Index width, const T* x, Index ldx, const T* factors,
                   const T* shift, T* y, Index ldy);

/// out (width) = beta · out + Σ over rows of x · y, element by element (rows × width): the gradient
/// of the factors of scale_columns.
template <class T>
void column_products(Queue& queue, Index rows, Index width, const T* x, Index ldx, const T* y,
                     Index ldy, T beta, T* out);

/// y = gelu(x + bias) (Hendrycks & Gimpel, arXiv:1606.08415), gelu(t) = t/2 · (1 + erf(t/√2)), or
/// with Gelu::tanh t/2 · (1 + tanh(√(2/π)·(t + 0.044715·t³))). bias may be null. y may be x.
template <class T>
void bias_gelu_forward(Queue& queue, Gelu kind, Index rows, Index width, const T* x, const T* bias,
                       T* y);

/// dx = gelu'(x + bias) · dy, written over dy if dx == dy.
template <class T>
void bias_gelu_backward(Queue& queue, Gelu kind, Index rows, Index width, const T* x, const T* bias,
                        const T* dy, T* dx);

/// y (rows × width) = gate · σ(gate) · up, with x = (gate | up) of rows × 2·width (SwiGLU, Shazeer,
/// arXiv:2002.05202).
template <class T>
void swiglu_forward(Queue& queue, Index rows, Index width, const T* x, T* y);

/// dx (rows × 2·width) from dy (rows × width).
template <class T>
void swiglu_backward(Queue& queue, Index rows, Index width, const T* x, const T* dy, T* dx);

/// y = tanh(x).
template <class T>
void tanh_forward(Queue& queue, Index count, const T* x, T* y);

/// dx = (1 − y²) · dy.
template <class T>
void tanh_backward(Queue& queue, Index count, const T* y, const T* dy, T* dx);

/// y = max(x, 0); a NaN stays one. y may be x.
template <class T>
void relu_forward(Queue& queue, Index count, const T* x, T* y);

/// dx = dy where y > 0, else 0.
template <class T>
void relu_backward(Queue& queue, Index count, const T* y, const T* dy, T* dx);

// --- normalisation -----------------------------------------------------------------------------

/// One residual connection of a post-layer-norm block, per row:
///   s = residual + dropout(x + bias);  y = (s − mean(s)) · inverse_deviation · gamma + beta,
/// the dropout element of (row, column) is row·width + column;
/// inverse_deviation = 1/√(var(s) + epsilon) with the biased variance (Ba et al.,
/// arXiv:1607.06450). bias and residual may be null (0). Where not null, normalised (rows × width)
/// receives (s − mean) · inverse_deviation and inverse_deviation (rows) the factor, for the
/// backward pass.
template <class T>
void residual_layer_norm_forward(Queue& queue, Index rows, Index width, const T* x, const T* bias,
                                 const T* residual, const Dropout& dropout, const T* gamma,
                                 const T* beta, T epsilon, T* y, T* normalised,
                                 T* inverse_deviation);

/// With ds = ∂loss/∂s:  dresidual = beta_residual · dresidual + ds;  dx = dropout mask applied to
/// ds (beta 0; may be dresidual when the dropout is off and beta_residual is 0). Both may be null.
template <class T>
void residual_layer_norm_backward(Queue& queue, Index rows, Index width, const T* dy,
                                  const T* normalised, const T* inverse_deviation, const T* gamma,
                                  const Dropout& dropout, T beta_residual, T* dresidual, T* dx);

/// dgamma = beta_gamma · dgamma + Σ_rows dy · normalised;  dbeta = beta_beta · dbeta + Σ_rows dy.
template <class T>
void layer_norm_parameter_gradients(Queue& queue, Index rows, Index width, const T* dy,
                                    const T* normalised, T beta_gamma, T* dgamma, T beta_beta,
                                    T* dbeta);

/// y = x · inverse · gamma with inverse = 1/√(mean(x²) + epsilon) of each row (Zhang & Sennrich,
/// arXiv:1910.07467). inverse_root (rows, may be null) receives that factor.
template <class T>
void rms_norm_forward(Queue& queue, Index rows, Index width, const T* x, const T* gamma, T epsilon,
                      T* y, T* inverse_root);

/// dx = beta_dx · dx + what dy leaves; may be null.
template <class T>
void rms_norm_backward(Queue& queue, Index rows, Index width, const T* dy, const T* x,
                       const T* inverse_root, const T* gamma, T beta_dx, T* dx);

/// dgamma = beta · dgamma + Σ_rows dy · x · inverse_root.
template <class T>
void rms_norm_parameter_gradient(Queue& queue, Index rows, Index width, const T* dy, const T* x,
                                 const T* inverse_root, T beta, T* dgamma);

// --- attention ---------------------------------------------------------------------------------

/// Scaled dot-product attention inside each packed sequence, per head:
///   P = softmax(scale · Q·Kᵀ) over what a token sees;  out = dropout(P) · V.
/// qkv: tokens × joined_width, the query of head h in columns h·head_width …, keys after all
/// queries, values after all keys, those of head h / group for query h. out: tokens × width.
/// log_sum_exp (heads × tokens, may be null) receives log Σ exp(scale · q·k) of each row, from
/// which the backward pass recomputes P. Dropout element of (head h, row i, column j of the
/// sequence that starts at row o):
/// ((o + i)·heads + h)·longest8 + j, where longest8 is packing.longest rounded up to a multiple
/// of 8. Counts 4·width for each pair of tokens that see each other in queue.work.attention_flops
/// (backward: 10·…).
template <class T>
void attention_forward(Queue& queue, const Packing& packing, const AttentionShape& shape, T scale,
                       const Dropout& dropout, const T* qkv, T* out, T* log_sum_exp);

/// dqkv (all of it is written) from dout; `log_sum_exp` is that of the forward pass. P is
/// recomputed.
template <class T>
void attention_backward(Queue& queue, const Packing& packing, const AttentionShape& shape, T scale,
                        const Dropout& dropout, const T* qkv, const T* log_sum_exp, const T* dout,
                        T* dqkv);

/// attention_forward for one new token: its query heads (shape.width() numbers) over the `count`
/// keys and values that a cache holds (count × key_value_heads·head_width each, the token's own
/// last), out shape.width(). Counts 4·width·count in queue.work.attention_flops.
template <class T>
void attention_step(Queue& queue, const AttentionShape& shape, T scale, Index count, const T* query,
                    const T* keys, const T* values, T* out);

/// Rotary positions (Su et al., arXiv:2104.09864): turns, in place, the first `heads` heads of
/// every row of x (tokens × ld) as Llama does: elements i and i + head_width/2 of a head by the
/// angle of (position, i), whose cosine and sine are at table[position · head_width + 2·i]. `back`
/// turns the other way, which is the gradient.
template <class T>
void rotate_heads(Queue& queue, Index tokens, Index heads, Index head_width, Index ld,
                  const std::int32_t* positions, const T* table, bool back, T* x);

/// y (rows) = W (rows × columns, contiguous) · x (columns) + beta · y: the linear layer of one
/// token, which takes as long as reading W. Counts 2 · rows · columns in queue.work.gemm_flops.
template <class T>
void matrix_vector(Queue& queue, Index rows, Index columns, const T* W, const T* x, T beta, T* y);

// --- low-rank path of the adapters -------------------------------------------------------------
// Skinny products, rank ≤ 64 or so, where the large matrix is read once. Each counts
// 2 · rows · width · rank in queue.work.low_rank_flops.

/// y (rows × rank, contiguous) = alpha · x (rows × width, ldx) · B + beta · y, where B is width ×
/// rank with ldb, or, with Transpose::yes, the transpose of a rank × width matrix with ldb.
template <class T>
void low_rank_project(Queue& queue, Index rows, Index width, Index rank, T alpha, const T* x,
                      Index ldx, tn::Transpose transpose, const T* B, Index ldb, T beta, T* y);

/// y (rows × width, ldy) += z (rows × rank, contiguous) · B, where B is rank × width with ldb, or,
/// with Transpose::yes, the transpose of a width × rank matrix with ldb.
template <class T>
void low_rank_expand(Queue& queue, Index rows, Index width, Index rank, const T* z,
                     tn::Transpose transpose, const T* B, Index ldb, T* y, Index ldy);

/// G (rank × width, ldg) = alpha · zᵀ·x + beta · G, or with Transpose::yes G (width × rank, ldg) =
/// alpha · xᵀ·z + beta · G; z rows × rank contiguous, x rows × width with ldx.
template <class T>
void low_rank_gradient(Queue& queue, Index rows, Index width, Index rank, T alpha, const T* z,
                       const T* x, Index ldx, tn::Transpose transpose, T beta, T* G, Index ldg);

// --- losses ------------------------------------------------------------------------------------

/// loss (1 element) = mean over rows of −Σ target·log softmax(logits), where the target is 1 −
/// smoothing of the label and smoothing shared equally by all classes; dlogits (may be null, may be
/// logits) = gradient of that mean. Labels are 0 … classes-1.
template <class T>
void softmax_cross_entropy(Queue& queue, Index rows, Index classes, const T* logits,
                           const std::int32_t* labels, T smoothing, T* loss, T* dlogits);

/// loss (1 element) = mean of (prediction − target)²; dprediction (may be null) its gradient.
template <class T>
void mean_squared_error(Queue& queue, Index count, const T* prediction, const T* target, T* loss,
                        T* dprediction);

/// x *= *factor (one element in backend memory): the chain rule behind a loss.
template <class T>
void scale_by(Queue& queue, Index count, const T* factor, T* x);

// --- embedding, rows, dropout ------------------------------------------------------------------

/// out[t] = table[ids[t]] (+ out[t] with accumulate); ids in range is the caller's promise.
template <class T>
void embedding_forward(Queue& queue, Index tokens, Index width, const std::int32_t* ids,
                       const T* table, bool accumulate, T* out);

/// dtable[ids[t]] += dout[t] over tokens in ascending t for each row (deterministic). dtable has
/// `entries` rows and holds valid numbers already.
template <class T>
void embedding_backward(Queue& queue, Index tokens, Index width, Index entries,
                        const std::int32_t* ids, const T* dout, T* dtable);

/// x[rows[i]] += dout[i] for i < count; no index occurs twice. (gather is embedding_forward.)
template <class T>
void scatter_add_rows(Queue& queue, Index count, Index width, const std::int32_t* rows,
                      const T* dout, T* x);

/// y = dropout(x) + beta · y; its own derivative, since the mask is a function of the index. y may
/// be x (with beta 0).
template <class T>
void dropout(Queue& queue, Index count, const Dropout& dropout, const T* x, T beta, T* y);

// --- optimiser ---------------------------------------------------------------------------------

/// One AdamW step on a flat array: values, first and second moments are updated in place.
template <class T>
void adamw(Queue& queue, Index count, const AdamWStep& step, T* values, const T* gradients,
           T* first_moments, T* second_moments);
