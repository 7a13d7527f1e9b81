// The linear-algebra functions that every backend defines.
//
// This file has no include guard and no includes on purpose: backend.hpp includes it inside
// `metatt::tn::backend` (implemented by cpu/ or cuda/, whichever the build chose) and
// reference/reference.hpp includes it inside `metatt::tn::reference` (plain loops, the golden
// that the tests compare with). One text, so the two can never drift apart.
//
// Matrices are row-major; `ld*` is the distance in elements between the starts of two rows. Data
// pointers are backend memory, except where a comment says "host". T is float, double,
// std::complex<float> or std::complex<double>; Real<T> is the type of |T|. No function allocates
// what it returns, and none checks shapes: the layer above does.

/// C (rows × columns) = alpha · op(A) · op(B) + beta · C, op(A) being rows × inner. With beta = 0
/// C is only written. Counts 2·rows·columns·inner in queue.work.gemm_flops (complex: four times).
template <class T>
void gemm(Queue& queue, Transpose a, Transpose b, Index rows, Index columns, Index inner, T alpha,
          const T* A, Index lda, const T* B, Index ldb, T beta, T* C, Index ldc);

/// `batch` products as gemm; the operands of product i start at i·stride.
template <class T>
void gemm_strided_batched(Queue& queue, Transpose a, Transpose b, Index rows, Index columns,
                          Index inner, T alpha, const T* A, Index lda, Index strideA, const T* B,
                          Index ldb, Index strideB, T beta, T* C, Index ldc, Index strideC,
                          Index batch);

/// C = Σ op(A) · op(B) for each run of consecutive terms with the same C; C is only written. All
/// terms of a run have the same rows, columns and ldc, and the Cs of different runs do not overlap.
/// The terms of a run are added in their order, different runs are made side by side. `terms` is
/// host memory.
template <class T>
void gemm_sums(Queue& queue, Transpose a, Transpose b, std::span<const GemmTerm<T>> terms);

/// out[i_order[0], i_order[1], …] = in[i_0, i_1, …]; `extents` are those of `in`; mode k of `out`
/// is mode order[k] of `in`.
template <class T>
void permute(Queue& queue, const T* in, std::span<const Index> extents, std::span<const int> order,
             T* out);

/// x[i] = value for i < count.
template <class T>
void fill(Queue& queue, Index count, T value, T* x);

/// out[i] = in[i]; the ranges do not overlap.
template <class T>
void copy(Queue& queue, Index count, const T* in, T* out);

/// Copies a rows × columns block between matrices of different leading dimension.
template <class T>
void copy_matrix(Queue& queue, Index rows, Index columns, const T* in, Index ld_in, T* out,
                 Index ld_out);

/// out[i] = To(in[i]) between float and double (or complex<float> and complex<double>).
template <class From, class To>
void convert(Queue& queue, Index count, const From* in, To* out);

/// x *= alpha.
template <class T>
void scale(Queue& queue, Index count, T alpha, T* x);

/// y += alpha · x.
template <class T>
void add_scaled(Queue& queue, Index count, T alpha, const T* x, T* y);

/// Y = S · X for a sparse matrix S (`rows` × any) whose columns are the rows of X: blocks of
/// `count` numbers, block i of Y at Y + i·count. `entries` is host memory, sorted by row; a row
/// without entry becomes zero. X and Y do not overlap.
template <class T>
void combine_blocks(Queue& queue, Index rows, Index count, std::span<const SparseEntry<T>> entries,
                    const T* X, T* Y);

/// x = conj(x); nothing for real T.
template <class T>
void conjugate(Queue& queue, Index count, T* x);

/// Row i of A (rows × columns, contiguous) is multiplied by factors[i]; factors is host memory.
template <class T>
void scale_rows(Queue& queue, Index rows, Index columns, const Real<T>* factors, T* A);

/// Column j of A (rows × columns, contiguous) is multiplied by factors[j]; factors is host memory.
template <class T>
void scale_columns(Queue& queue, Index rows, Index columns, const Real<T>* factors, T* A);

/// x[i] /= d[i] − shift, d being real numbers. A denominator nearer to 0 than `least` is replaced
/// by `least` with its sign.
template <class T>
void divide_by_difference(Queue& queue, Index count, const T* d, Real<T> shift, Real<T> least,
                          T* x);

/// Σ conj(x[i]) · y[i], in a fixed order of summation.
template <class T>
T dot(Queue& queue, Index count, const T* x, const T* y);

/// √Σ |x[i]|², in a fixed order of summation, accumulated in double.
template <class T>
Real<T> norm(Queue& queue, Index count, const T* x);

/// True if no element is NaN or infinite.
template <class T>
bool all_finite(Queue& queue, Index count, const T* x);

/// Thin A = U · diag(S) · Vh for A rows × columns with k = min(rows, columns): U rows × k, S k
/// values in descending order (host), Vh k × columns. A is overwritten. False if the solver did not
/// converge. Cost of order rows · columns · k.
template <class T>
bool svd(Queue& queue, Index rows, Index columns, T* A, T* U, Real<T>* S, T* Vh);

/// Thin A = Q · R, k = min(rows, columns): Q rows × k with orthonormal columns, R k × columns upper
/// triangular with a real, non-negative diagonal (so the factors are unique at full rank). A is
/// overwritten.
template <class T>
void qr(Queue& queue, Index rows, Index columns, T* A, T* Q, T* R);

/// Hermitian A (n × n) = V · diag(w) · Vᴴ: on return A holds V (eigenvectors in columns), w (host)
/// ascends. False if the solver did not converge.
template <class T>
bool eigh(Queue& queue, Index n, T* A, Real<T>* w);

/// x[i] ~ N(0, 1) (complex: real and imaginary part each N(0, 1/2)) from Philox4x32-10 keyed by
/// `seed`, counter (i / 2, stream): the same bits up to rounding of log and cos on every backend
/// and for every number of threads.
template <class T>
void random_normal(Queue& queue, Index count, std::uint64_t seed, std::uint64_t stream, T* x);

/// x[i] uniform in [0, 1), same generator.
template <class T>
void random_uniform(Queue& queue, Index count, std::uint64_t seed, std::uint64_t stream, T* x);
