#include <metatt/tn/backend/cuda/transpose.cuh>
#include <metatt/tn/error.hpp>

#include <limits>
#include <type_traits>
#include <vector>

// cuSOLVER works on column-major matrices: the memory of a row-major A is there Aᵀ.

namespace metatt::tn::backend {

namespace {

using cuda::check;
using cuda::Element;
using cuda::element;
using cuda::Scratch;

/// Reads the solver's info word: true if it converged; a negative word is a wrong argument.
bool converged(Queue& queue, const char* function, const int* info) {
  int word = 0;
  copy_to_host(queue, info, &word, sizeof(word));
  if (word < 0) fail(function, ": expected cuSOLVER to accept argument ", -word);
  return word == 0;
}

/// Thin SVD of the column-major A (m × n, m ≥ n, leading dimension m): U m × n, S, Vh n × n.
template <class T>
bool tall_svd(Queue& queue, Index m, Index n, T* A, T* U, Real<T>* S, T* Vh) {
  constexpr auto kType = cuda::data_type<T>;
  constexpr auto kRealType = cuda::data_type<Real<T>>;
  const cuda::Native& native = cuda::native(queue);
  std::size_t device_bytes = 0;
  std::size_t host_bytes = 0;
  check(cusolverDnXgesvd_bufferSize(native.solver, native.solver_parameters, 'S', 'S', m, n, kType,
                                    A, m, kRealType, S, kType, U, m, kType, Vh, n, kType,
                                    &device_bytes, &host_bytes),
        "svd");
  const Scratch<char> device_work(static_cast<Index>(device_bytes));
  std::vector<char> host_work(host_bytes);
  const Scratch<int> info(1);
  check(cusolverDnXgesvd(native.solver, native.solver_parameters, 'S', 'S', m, n, kType, A, m,
                         kRealType, S, kType, U, m, kType, Vh, n, kType, device_work.data(),
                         device_bytes, host_work.data(), host_bytes, info.data()),
        "svd");
  return converged(queue, "svd", info.data());
}

/// QR of the column-major A (m × n): R above the diagonal, reflectors below, `tau` for them.
template <class T>
void factorise(Queue& queue, Index m, Index n, T* A, T* tau) {
  constexpr auto kType = cuda::data_type<T>;
  const cuda::Native& native = cuda::native(queue);
  std::size_t device_bytes = 0;
  std::size_t host_bytes = 0;
  check(cusolverDnXgeqrf_bufferSize(native.solver, native.solver_parameters, m, n, kType, A, m,
                                    kType, tau, kType, &device_bytes, &host_bytes),
        "qr");
  const Scratch<char> device_work(static_cast<Index>(device_bytes));
  std::vector<char> host_work(host_bytes);
  const Scratch<int> info(1);
  check(cusolverDnXgeqrf(native.solver, native.solver_parameters, m, n, kType, A, m, kType, tau,
                         kType, device_work.data(), device_bytes, host_work.data(), host_bytes,
                         info.data()),
        "qr");
  converged(queue, "qr", info.data());
}

// One name for the four routines that turn reflectors into the orthonormal matrix.
constexpr auto make_q(float) {
  return std::pair(&cusolverDnSorgqr_bufferSize, &cusolverDnSorgqr);
}
constexpr auto make_q(double) {
  return std::pair(&cusolverDnDorgqr_bufferSize, &cusolverDnDorgqr);
}
constexpr auto make_q(std::complex<float>) {
  return std::pair(&cusolverDnCungqr_bufferSize, &cusolverDnCungqr);
}
constexpr auto make_q(std::complex<double>) {
  return std::pair(&cusolverDnZungqr_bufferSize, &cusolverDnZungqr);
}

template <class T>
struct LibraryElement {
  using type = T;
};
template <>
struct LibraryElement<std::complex<float>> {
  using type = cuComplex;
};
template <>
struct LibraryElement<std::complex<double>> {
  using type = cuDoubleComplex;
};

/// The first k columns of the column-major A (m × n) become Q.
template <class T>
void form_q(Queue& queue, Index m, Index k, T* A, const T* tau) {
  using Library = typename LibraryElement<T>::type;
  if (m > std::numeric_limits<int>::max()) {
    fail("qr: expected at most ", std::numeric_limits<int>::max(), " rows, found ", m);
  }
  const auto [buffer_size, routine] = make_q(T());
  const cusolverDnHandle_t solver = cuda::native(queue).solver;
  Library* matrix = reinterpret_cast<Library*>(A);
  const Library* factors = reinterpret_cast<const Library*>(tau);
  const int rows = static_cast<int>(m);
  const int columns = static_cast<int>(k);
  int work_size = 0;
  check(buffer_size(solver, rows, columns, columns, matrix, rows, factors, &work_size), "qr");
  const Scratch<Library> work(work_size);
  const Scratch<int> info(1);
  check(routine(solver, rows, columns, columns, matrix, rows, factors, work.data(), work_size,
                info.data()),
        "qr");
  converged(queue, "qr", info.data());
}

/// The factor of modulus 1 that turns the diagonal element into its modulus.
template <class R>
__device__ R phase_to_modulus(R diagonal) {
  return diagonal < R(0) ? R(-1) : R(1);
}
template <class R>
__device__ cuda::Complex<R> phase_to_modulus(cuda::Complex<R> diagonal) {
  const R modulus = hypot(diagonal.real, diagonal.imaginary);
  if (modulus == R(0)) return {R(1), R(0)};
  return {diagonal.real / modulus, -diagonal.imaginary / modulus};
}
template <class R>
__device__ R only_real(R value) {
  return value;
}
template <class R>
__device__ cuda::Complex<R> only_real(cuda::Complex<R> value) {
  return {value.real, R(0)};
}

}  // namespace

template <class T>
bool svd(Queue& queue, Index rows, Index columns, T* A, T* U, Real<T>* S, T* Vh) {
  const Index k = std::min(rows, columns);
  if (k == 0) return true;
  // What the solver does with NaN is not documented.
  if (!all_finite(queue, rows * columns, A)) return false;
  const Scratch<Real<T>> values(k);
  bool good = false;
  if (columns >= rows) {
    // Aᵀ = Vhᵀ · S · Uᵀ, and column-major Vhᵀ and Uᵀ are row-major Vh and U.
    good = tall_svd(queue, columns, rows, A, Vh, values.data(), U);
  } else {
    const Scratch<T> tall(rows * columns);
    const Scratch<T> left(rows * k);
    const Scratch<T> right(k * columns);
    cuda::transpose("svd", 1, rows, columns, element(A), element(tall.data()), cuda::Unchanged());
    good = tall_svd(queue, rows, columns, tall.data(), left.data(), values.data(), right.data());
    cuda::transpose("svd", 1, k, rows, element(left.data()), element(U), cuda::Unchanged());
    cuda::transpose("svd", 1, columns, k, element(right.data()), element(Vh), cuda::Unchanged());
  }
  copy_to_host(queue, values.data(), S, static_cast<std::size_t>(k) * sizeof(Real<T>));
  return good;
}

template <class T>
void qr(Queue& queue, Index rows, Index columns, T* A, T* Q, T* R) {
  const Index k = std::min(rows, columns);
  if (k == 0) return;
  const Scratch<T> factors(rows * columns);
  const Scratch<T> tau(k);
  const Scratch<T> phases(k);
  cuda::transpose("qr", 1, rows, columns, element(A), element(factors.data()), cuda::Unchanged());
  factorise(queue, rows, columns, factors.data(), tau.data());

  const Element<T>* factor = element(factors.data());
  Element<T>* phase = element(phases.data());
  cuda::for_each("qr", k,
                 [=] __device__(Index i) { phase[i] = phase_to_modulus(factor[i * rows + i]); });
  Element<T>* upper = element(R);
  cuda::for_each_element("qr", k, columns, [=] __device__(Index i, Index j) {
    Element<T> value{};
    if (j >= i) value = phase[i] * factor[j * rows + i];
    upper[i * columns + j] = i == j ? only_real(value) : value;
  });
  form_q(queue, rows, k, factors.data(), tau.data());
  Element<T>* orthonormal = element(Q);
  cuda::transpose("qr", 1, k, rows, factor, orthonormal, cuda::Unchanged());
  cuda::for_each_element("qr", rows, k, [=] __device__(Index i, Index j) {
    orthonormal[i * k + j] = cuda::conjugate_of(phase[j]) * orthonormal[i * k + j];
  });
}

template <class T>
bool eigh(Queue& queue, Index n, T* A, Real<T>* w) {
  if (n == 0) return true;
  if (!all_finite(queue, n * n, A)) return false;
  constexpr auto kType = cuda::data_type<T>;
  constexpr auto kRealType = cuda::data_type<Real<T>>;
  const cuda::Native& native = cuda::native(queue);
  const Scratch<Real<T>> values(n);
  const Scratch<T> vectors(n * n);
  copy(queue, n * n, A, vectors.data());
  std::size_t device_bytes = 0;
  std::size_t host_bytes = 0;
  check(
      cusolverDnXsyevd_bufferSize(native.solver, native.solver_parameters, CUSOLVER_EIG_MODE_VECTOR,
                                  CUBLAS_FILL_MODE_UPPER, n, kType, vectors.data(), n, kRealType,
                                  values.data(), kType, &device_bytes, &host_bytes),
      "eigh");
  const Scratch<char> device_work(static_cast<Index>(device_bytes));
  std::vector<char> host_work(host_bytes);
  const Scratch<int> info(1);
  check(cusolverDnXsyevd(native.solver, native.solver_parameters, CUSOLVER_EIG_MODE_VECTOR,
                         CUBLAS_FILL_MODE_UPPER, n, kType, vectors.data(), n, kRealType,
                         values.data(), kType, device_work.data(), device_bytes, host_work.data(),
                         host_bytes, info.data()),
        "eigh");
  const bool good = converged(queue, "eigh", info.data());
  // The solver saw Aᵀ = conj(A), whose eigenvectors are conj(V), and stored them by column.
  cuda::transpose("eigh", 1, n, n, element(vectors.data()), element(A), cuda::Conjugated());
  copy_to_host(queue, values.data(), w, static_cast<std::size_t>(n) * sizeof(Real<T>));
  return good;
}

#define METATT_DECOMPOSITIONS(T)                                    \
  template bool svd<T>(Queue&, Index, Index, T*, T*, Real<T>*, T*); \
  template void qr<T>(Queue&, Index, Index, T*, T*, T*);            \
  template bool eigh<T>(Queue&, Index, T*, Real<T>*);

METATT_DECOMPOSITIONS(float)
METATT_DECOMPOSITIONS(double)
METATT_DECOMPOSITIONS(std::complex<float>)
METATT_DECOMPOSITIONS(std::complex<double>)

}  // namespace metatt::tn::backend
