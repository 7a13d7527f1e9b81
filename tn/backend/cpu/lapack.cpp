// LAPACK reads a row-major matrix as its transpose, stored by columns. Each factorisation is that
// of the transpose, so that neither inputs nor factors are transposed in memory.

#include <metatt/tn/backend/backend.hpp>
#include <metatt/tn/backend/cpu/private.hpp>

#include <complex>
#define LAPACK_COMPLEX_CUSTOM
#define lapack_complex_float std::complex<float>
#define lapack_complex_double std::complex<double>
#include <lapacke.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <new>
#include <vector>

namespace metatt::tn::backend {
namespace {

/// The LAPACKE functions for one type of number, under the names without its letter.
template <class T>
struct Lapack;

#define METATT_LAPACK(T, letter, orthogonal, symmetric)              \
  template <>                                                        \
  struct Lapack<T> {                                                 \
    static constexpr auto gesdd = LAPACKE_##letter##gesdd;           \
    static constexpr auto gesvd = LAPACKE_##letter##gesvd;           \
    static constexpr auto gelqf = LAPACKE_##letter##gelqf;           \
    static constexpr auto orglq = LAPACKE_##letter##orthogonal##glq; \
    static constexpr auto syevd = LAPACKE_##letter##symmetric##evd;  \
  };
METATT_LAPACK(float, s, or, sy)
METATT_LAPACK(double, d, or, sy)
METATT_LAPACK(std::complex<float>, c, un, he)
METATT_LAPACK(std::complex<double>, z, un, he)
#undef METATT_LAPACK

/// One thread for a small factorisation, for the length of a scope. Measured on two cores: up to
/// 256 rows one thread is faster (svd of 128: 2.2 against 3.4 ms, 42 ms where waiting threads
/// sleep), at 512 it makes no difference.
class OneThreadIfSmall {
 public:
  OneThreadIfSmall(Index rows, Index columns) : threads_(omp_get_max_threads()) {
    if (rows * columns < 400 * 400) omp_set_num_threads(1);
  }
  ~OneThreadIfSmall() { omp_set_num_threads(threads_); }
  OneThreadIfSmall(const OneThreadIfSmall&) = delete;
  OneThreadIfSmall& operator=(const OneThreadIfSmall&) = delete;

 private:
  int threads_;
};

/// True if the solver converged; a refused argument or a lack of memory is not "no convergence".
bool converged(const char* function, lapack_int info) {
  if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
    throw std::bad_alloc();
  if (info < 0) fail(function, ": LAPACK refuses argument ", -info);
  return info == 0;
}

}  // namespace

template <class T>
bool svd(Queue& queue, Index rows, Index columns, T* A, T* U, Real<T>* S, T* Vh) {
  const Index rank = std::min(rows, columns);
  if (rank == 0) return true;
  // LAPACK need not return from NaN or infinity.
  if (!all_finite(queue, rows * columns, A)) return false;
  const OneThreadIfSmall one_thread(rows, columns);
  // Aᵀ = U' S V'ᴴ means A = (V'ᴴ)ᵀ S U'ᵀ, and read by rows the two factors are transposed already.
  const int m = blas_integer("svd", columns), n = blas_integer("svd", rows);
  const int k = static_cast<int>(rank);
  const std::vector<T> original(A, A + rows * columns);
  if (converged("svd", Lapack<T>::gesdd(LAPACK_COL_MAJOR, 'S', m, n, A, m, S, Vh, m, U, k)))
    return true;
  // The QR iteration of gesvd is slower, but converges where divide and conquer does not.
  std::vector<Real<T>> superdiagonal(static_cast<std::size_t>(rank));
  std::copy(original.begin(), original.end(), A);
  return converged("svd", Lapack<T>::gesvd(LAPACK_COL_MAJOR, 'S', 'S', m, n, A, m, S, Vh, m, U, k,
                                           superdiagonal.data()));
}

template <class T>
void qr(Queue& queue, Index rows, Index columns, T* A, T* Q, T* R) {
  const Index rank = std::min(rows, columns);
  if (rank == 0) return;
  const OneThreadIfSmall one_thread(rows, columns);
  // Aᵀ = L · Q' means A = Q'ᵀ · Lᵀ: read by rows, L is R and Q' is Q.
  const int m = blas_integer("qr", columns), n = blas_integer("qr", rows);
  const int k = static_cast<int>(rank);
  std::vector<T> reflections(static_cast<std::size_t>(rank));
  converged("qr", Lapack<T>::gelqf(LAPACK_COL_MAJOR, m, n, A, m, reflections.data()));
  copy_matrix(queue, rows, rank, A, columns, Q, rank);
  converged("qr", Lapack<T>::orglq(LAPACK_COL_MAJOR, k, n, k, Q, k, reflections.data()));
  // The reflections of LAPACK leave a real diagonal; its signs go to Q.
  std::vector<Real<T>> signs(static_cast<std::size_t>(rank));
  for (Index i = 0; i < rank; ++i) {
    signs[static_cast<std::size_t>(i)] = std::real(A[i * columns + i]) < 0 ? -1 : 1;
    std::fill_n(R + i * columns, i, T(0));
    std::copy_n(A + i * columns + i, columns - i, R + i * columns + i);
  }
  scale_rows(queue, rank, columns, signs.data(), R);
  scale_columns(queue, rows, rank, signs.data(), Q);
}

template <class T>
bool eigh(Queue& queue, Index n, T* A, Real<T>* w) {
  if (n == 0) return true;
  if (!all_finite(queue, n * n, A)) return false;
  const OneThreadIfSmall one_thread(n, n);
  // Aᵀ = conj(A) has the conjugate eigenvectors, which LAPACK leaves in the rows of A.
  const int order = blas_integer("eigh", n);
  if (!converged("eigh", Lapack<T>::syevd(LAPACK_COL_MAJOR, 'V', 'L', order, A, order, w)))
    return false;
  const std::vector<T> rows(A, A + n * n);
  permute<T>(queue, rows.data(), std::array{n, n}, std::array{1, 0}, A);
  conjugate(queue, n * n, A);
  return true;
}

#define METATT_INSTANTIATE(T)                                       \
  template bool svd<T>(Queue&, Index, Index, T*, T*, Real<T>*, T*); \
  template void qr<T>(Queue&, Index, Index, T*, T*, T*);            \
  template bool eigh<T>(Queue&, Index, T*, Real<T>*);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn::backend
