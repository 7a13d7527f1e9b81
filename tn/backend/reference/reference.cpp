#include <metatt/tn/backend/reference/reference.hpp>

#include <metatt/tn/backend/philox.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

namespace metatt::tn::reference {
namespace {

template <class T>
constexpr bool is_complex = !std::is_same_v<T, Real<T>>;

template <class T>
T conjugated(T x) {
  if constexpr (is_complex<T>)
    return std::conj(x);
  else
    return x;
}

/// Element (i, j) of op(A).
template <class T>
T element(Transpose transpose, const T* A, Index lda, Index i, Index j) {
  if (transpose == Transpose::no) return A[i * lda + j];
  return transpose == Transpose::yes ? A[j * lda + i] : conjugated(A[j * lda + i]);
}

/// x / |x|, or 1 for 0.
template <class T>
T phase(T x) {
  return x == T(0) ? T(1) : x / std::abs(x);
}

/// Columns of a matrix, each on its own.
template <class T>
using Columns = std::vector<std::vector<T>>;

template <class T>
T inner_product(const std::vector<T>& x, const std::vector<T>& y) {
  T sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += conjugated(x[i]) * y[i];
  return sum;
}

template <class T>
Real<T> length(const std::vector<T>& x) {
  return std::sqrt(std::real(inner_product(x, x)));
}

/// Takes the components along the first `count` columns out of x and adds them to `coefficients`.
/// Once is not enough in finite precision, twice is (Giraud et al. 2005).
template <class T>
void orthogonalise(const Columns<T>& basis, std::size_t count, std::vector<T>& x,
                   std::vector<T>& coefficients) {
  for (int repeat = 0; repeat < 2; ++repeat)
    for (std::size_t k = 0; k < count; ++k) {
      const T component = inner_product(basis[k], x);
      coefficients[k] += component;
      for (std::size_t i = 0; i < x.size(); ++i) x[i] -= component * basis[k][i];
    }
}

/// A unit vector orthogonal to the first `count` < `size` columns.
template <class T>
std::vector<T> another_direction(const Columns<T>& basis, std::size_t count, std::size_t size) {
  std::vector<T> best;
  for (std::size_t axis = 0; axis < size; ++axis) {
    std::vector<T> x(size, T(0)), coefficients(count, T(0));
    x[axis] = 1;
    orthogonalise(basis, count, x, coefficients);
    if (best.empty() || length(x) > length(best)) best = x;
  }
  const Real<T> norm = length(best);
  for (T& value : best) value /= norm;
  return best;
}

/// The rotation of Jacobi that makes [[a, c], [conj(c), b]] diagonal, a and b real:
/// columns p, q become cosine·p − sine·conj(phase)·q and sine·phase·p + cosine·q.
template <class T>
struct Rotation {
  Real<T> cosine, sine;
  T phase;

  Rotation(Real<T> a, Real<T> b, T c) : phase(reference::phase(c)) {
    const Real<T> zeta = (b - a) / (2 * std::abs(c));
    const Real<T> tangent = (zeta < 0 ? -1 : 1) / (std::abs(zeta) + std::sqrt(1 + zeta * zeta));
    cosine = 1 / std::sqrt(1 + tangent * tangent);
    sine = cosine * tangent;
  }

  void apply(T& p, T& q) const {
    const T old = p;
    p = cosine * old - sine * conjugated(phase) * q;
    q = sine * phase * old + cosine * q;
  }
};

constexpr int most_sweeps = 60;

/// Rotates the columns of W against each other until they are orthogonal (one-sided Jacobi,
/// Hestenes 1958), and the columns of V along. False after most_sweeps.
template <class T>
bool orthogonalise_columns(Columns<T>& W, Columns<T>& V) {
  const Real<T> tolerance = 4 * std::numeric_limits<Real<T>>::epsilon();
  for (int sweep = 0; sweep < most_sweeps; ++sweep) {
    bool rotated = false;
    for (std::size_t p = 0; p < W.size(); ++p)
      for (std::size_t q = p + 1; q < W.size(); ++q) {
        const T overlap = inner_product(W[p], W[q]);
        const Real<T> lengths = length(W[p]) * length(W[q]);
        if (!(std::abs(overlap) > tolerance * lengths)) continue;
        rotated = true;
        const Real<T> a = std::real(inner_product(W[p], W[p]));
        const Real<T> b = std::real(inner_product(W[q], W[q]));
        const Rotation<T> rotation(a, b, overlap);
        for (std::size_t i = 0; i < W[p].size(); ++i) rotation.apply(W[p][i], W[q][i]);
        for (std::size_t i = 0; i < V[p].size(); ++i) rotation.apply(V[p][i], V[q][i]);
      }
    if (!rotated) return true;
  }
  return false;
}

/// svd for rows ≥ columns: after orthogonalise_columns, W = A · V, so A = (W/S) · S · Vᴴ.
template <class T>
bool svd_tall(Index rows, Index columns, const T* A, T* U, Real<T>* S, T* Vh) {
  const auto m = static_cast<std::size_t>(rows), n = static_cast<std::size_t>(columns);
  Columns<T> W(n, std::vector<T>(m)), V(n, std::vector<T>(n, T(0)));
  for (std::size_t j = 0; j < n; ++j) {
    V[j][j] = 1;
    for (std::size_t i = 0; i < m; ++i) W[j][i] = A[i * n + j];
  }
  if (!orthogonalise_columns(W, V)) return false;
  std::vector<std::size_t> order(n);
  for (std::size_t j = 0; j < n; ++j) order[j] = j;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t left, std::size_t right) {
    return length(W[left]) > length(W[right]);
  });
  Columns<T> left;
  for (std::size_t k = 0; k < n; ++k) {
    std::vector<T> column = W[order[k]];
    S[k] = length(column);
    // What is left of a zero singular value is rounding, its direction arbitrary.
    if (S[k] > S[0] * std::numeric_limits<Real<T>>::epsilon())
      for (T& value : column) value /= S[k];
    else
      column = another_direction(left, k, m);
    left.push_back(column);
    for (std::size_t i = 0; i < m; ++i) U[i * n + k] = column[i];
    for (std::size_t j = 0; j < n; ++j) Vh[k * n + j] = conjugated(V[order[k]][j]);
  }
  return true;
}

template <class R, class T, class Pair>
void fill_pairs(Index count, T* x, Pair pair) {
  const Index real_count = is_complex<T> ? 2 * count : count;
  R* numbers = reinterpret_cast<R*>(x);
  for (Index i = 0; i < real_count; ++i)
    numbers[i] = static_cast<R>(pair(static_cast<std::uint64_t>(i / 2))[i % 2]);
}

}  // namespace

template <class T>
void gemm(Queue& queue, Transpose a, Transpose b, Index rows, Index columns, Index inner, T alpha,
          const T* A, Index lda, const T* B, Index ldb, T beta, T* C, Index ldc) {
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j) {
      T sum = 0;
      for (Index k = 0; k < inner; ++k) sum += element(a, A, lda, i, k) * element(b, B, ldb, k, j);
      const T product = alpha == T(0) ? T(0) : alpha * sum;
      T& c = C[i * ldc + j];
      c = beta == T(0) ? product : product + beta * c;
    }
  queue.work.gemm_flops += (is_complex<T> ? 8 : 2) * rows * columns * inner;
}

template <class T>
void gemm_strided_batched(Queue& queue, Transpose a, Transpose b, Index rows, Index columns,
                          Index inner, T alpha, const T* A, Index lda, Index strideA, const T* B,
                          Index ldb, Index strideB, T beta, T* C, Index ldc, Index strideC,
                          Index batch) {
  for (Index i = 0; i < batch; ++i)
    gemm(queue, a, b, rows, columns, inner, alpha, A + i * strideA, lda, B + i * strideB, ldb, beta,
         C + i * strideC, ldc);
}

template <class T>
void gemm_sums(Queue& queue, Transpose a, Transpose b, std::span<const GemmTerm<T>> terms) {
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const GemmTerm<T>& t = terms[i];
    const bool first = i == 0 || terms[i - 1].C != t.C;
    gemm(queue, a, b, t.rows, t.columns, t.inner, T(1), t.A, t.lda, t.B, t.ldb, T(first ? 0 : 1),
         t.C, t.ldc);
  }
}

template <class T>
void permute(Queue&, const T* in, std::span<const Index> extents, std::span<const int> order,
             T* out) {
  Index count = 1;
  for (const Index extent : extents) count *= extent;
  for (Index position = 0; position < count; ++position) {
    std::vector<Index> indices(extents.size());
    Index rest = position;
    for (std::size_t k = extents.size(); k-- > 0; rest /= extents[k])
      indices[k] = rest % extents[k];
    Index target = 0;
    for (const int k : order)
      target = target * extents[static_cast<std::size_t>(k)] + indices[static_cast<std::size_t>(k)];
    out[target] = in[position];
  }
}

template <class T>
void fill(Queue&, Index count, T value, T* x) {
  for (Index i = 0; i < count; ++i) x[i] = value;
}

template <class T>
void copy(Queue&, Index count, const T* in, T* out) {
  for (Index i = 0; i < count; ++i) out[i] = in[i];
}

template <class T>
void copy_matrix(Queue&, Index rows, Index columns, const T* in, Index ld_in, T* out,
                 Index ld_out) {
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j) out[i * ld_out + j] = in[i * ld_in + j];
}

template <class From, class To>
void convert(Queue&, Index count, const From* in, To* out) {
  for (Index i = 0; i < count; ++i) out[i] = static_cast<To>(in[i]);
}

template <class T>
void scale(Queue&, Index count, T alpha, T* x) {
  for (Index i = 0; i < count; ++i) x[i] *= alpha;
}

template <class T>
void add_scaled(Queue&, Index count, T alpha, const T* x, T* y) {
  for (Index i = 0; i < count; ++i) y[i] += alpha * x[i];
}

template <class T>
void combine_blocks(Queue&, Index rows, Index count, std::span<const SparseEntry<T>> entries,
                    const T* X, T* Y) {
  for (Index i = 0; i < rows * count; ++i) Y[i] = T(0);
  for (const auto& [row, column, value] : entries)
    for (Index i = 0; i < count; ++i) Y[row * count + i] += value * X[column * count + i];
}

template <class T>
void conjugate(Queue&, Index count, T* x) {
  for (Index i = 0; i < count; ++i) x[i] = conjugated(x[i]);
}

template <class T>
void scale_rows(Queue&, Index rows, Index columns, const Real<T>* factors, T* A) {
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j) A[i * columns + j] *= factors[i];
}

template <class T>
void scale_columns(Queue&, Index rows, Index columns, const Real<T>* factors, T* A) {
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j) A[i * columns + j] *= factors[j];
}

template <class T>
void divide_by_difference(Queue&, Index count, const T* d, Real<T> shift, Real<T> least, T* x) {
  for (Index i = 0; i < count; ++i) {
    Real<T> denominator = std::real(d[i]) - shift;
    if (std::abs(denominator) < least) denominator = denominator < 0 ? -least : least;
    x[i] /= denominator;
  }
}

template <class T>
T dot(Queue&, Index count, const T* x, const T* y) {
  T sum = 0;
  for (Index i = 0; i < count; ++i) sum += conjugated(x[i]) * y[i];
  return sum;
}

template <class T>
Real<T> norm(Queue&, Index count, const T* x) {
  double sum = 0;
  for (Index i = 0; i < count; ++i) {
    const double modulus = std::abs(x[i]);
    sum += modulus * modulus;
  }
  return static_cast<Real<T>>(std::sqrt(sum));
}

template <class T>
bool all_finite(Queue&, Index count, const T* x) {
  for (Index i = 0; i < count; ++i)
    if (!std::isfinite(std::real(x[i])) || !std::isfinite(std::imag(x[i]))) return false;
  return true;
}

template <class T>
bool svd(Queue& queue, Index rows, Index columns, T* A, T* U, Real<T>* S, T* Vh) {
  if (!all_finite(queue, rows * columns, A)) return false;
  if (rows >= columns) return svd_tall(rows, columns, A, U, S, Vh);
  // Aᵀ = U' S V'ᴴ means A = (V'ᴴ)ᵀ S U'ᵀ.
  const Index count = rows * columns;
  std::vector<T> transposed(static_cast<std::size_t>(count));
  std::vector<T> left(static_cast<std::size_t>(count)),
      right(static_cast<std::size_t>(rows * rows));
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j)
      transposed[static_cast<std::size_t>(j * rows + i)] = A[i * columns + j];
  if (!svd_tall(columns, rows, transposed.data(), left.data(), S, right.data())) return false;
  for (Index i = 0; i < rows; ++i)
    for (Index k = 0; k < rows; ++k)
      U[i * rows + k] = right[static_cast<std::size_t>(k * rows + i)];
  for (Index k = 0; k < rows; ++k)
    for (Index j = 0; j < columns; ++j)
      Vh[k * columns + j] = left[static_cast<std::size_t>(j * rows + k)];
  return true;
}

template <class T>
void qr(Queue&, Index rows, Index columns, T* A, T* Q, T* R) {
  const auto m = static_cast<std::size_t>(rows), n = static_cast<std::size_t>(columns);
  const std::size_t rank = std::min(m, n);
  Columns<T> basis;
  for (std::size_t j = 0; j < n; ++j) {
    std::vector<T> column(m), coefficients(rank, T(0));
    for (std::size_t i = 0; i < m; ++i) column[i] = A[i * n + j];
    const Real<T> before = length(column);
    orthogonalise(basis, basis.size(), column, coefficients);
    if (j < rank) {
      const Real<T> after = length(column);
      // A column that depends on those before leaves only rounding: R gets its length, Q any
      // direction.
      if (after > 8 * std::numeric_limits<Real<T>>::epsilon() * before) {
        coefficients[j] = after;
        for (T& value : column) value /= after;
      } else {
        column = another_direction(basis, j, m);
      }
      basis.push_back(column);
      for (std::size_t i = 0; i < m; ++i) Q[i * rank + j] = column[i];
    }
    for (std::size_t k = 0; k < rank; ++k) R[k * n + j] = coefficients[k];
  }
}

template <class T>
bool eigh(Queue& queue, Index n, T* A, Real<T>* w) {
  if (!all_finite(queue, n * n, A)) return false;
  const auto size = static_cast<std::size_t>(n);
  std::vector<T> V(size * size, T(0));
  for (std::size_t i = 0; i < size; ++i) V[i * size + i] = 1;
  const Real<T> tolerance = norm(queue, n * n, A) * std::numeric_limits<Real<T>>::epsilon() / 8;
  bool rotated = true;
  for (int sweep = 0; rotated; ++sweep) {
    if (sweep == most_sweeps) return false;
    rotated = false;
    for (std::size_t p = 0; p < size; ++p)
      for (std::size_t q = p + 1; q < size; ++q) {
        if (!(std::abs(A[p * size + q]) > tolerance)) continue;
        rotated = true;
        const Rotation<T> rotation(std::real(A[p * size + p]), std::real(A[q * size + q]),
                                   A[p * size + q]);
        for (std::size_t i = 0; i < size; ++i) {
          rotation.apply(A[i * size + p], A[i * size + q]);
          rotation.apply(V[i * size + p], V[i * size + q]);
        }
        // The rows take the adjoint of the same rotation.
        for (std::size_t i = 0; i < size; ++i) {
          T a = conjugated(A[p * size + i]), b = conjugated(A[q * size + i]);
          rotation.apply(a, b);
          A[p * size + i] = conjugated(a);
          A[q * size + i] = conjugated(b);
        }
      }
  }
  std::vector<std::size_t> order(size);
  for (std::size_t k = 0; k < size; ++k) order[k] = k;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t left, std::size_t right) {
    return std::real(A[left * size + left]) < std::real(A[right * size + right]);
  });
  for (std::size_t k = 0; k < size; ++k) w[k] = std::real(A[order[k] * size + order[k]]);
  for (std::size_t i = 0; i < size; ++i)
    for (std::size_t k = 0; k < size; ++k) A[i * size + k] = V[i * size + order[k]];
  return true;
}

template <class T>
void random_normal(Queue&, Index count, std::uint64_t seed, std::uint64_t stream, T* x) {
  const double deviation = is_complex<T> ? std::sqrt(0.5) : 1.0;
  fill_pairs<Real<T>>(count, x, [=](std::uint64_t pair) {
    std::array<double, 2> numbers = normal_pair<double>(pair, stream, seed);
    for (double& number : numbers) number *= deviation;
    return numbers;
  });
}

template <class T>
void random_uniform(Queue&, Index count, std::uint64_t seed, std::uint64_t stream, T* x) {
  fill_pairs<Real<T>>(
      count, x, [=](std::uint64_t pair) { return uniform_pair<Real<T>>(pair, stream, seed); });
}

#define METATT_INSTANTIATE_STORAGE(T)                 \
  template void fill<T>(Queue&, Index, T, T*);        \
  template void copy<T>(Queue&, Index, const T*, T*); \
  template void copy_matrix<T>(Queue&, Index, Index, const T*, Index, T*, Index);
#define METATT_INSTANTIATE(T)                                                                      \
  METATT_INSTANTIATE_STORAGE(T)                                                                    \
  template void gemm<T>(Queue&, Transpose, Transpose, Index, Index, Index, T, const T*, Index,     \
                        const T*, Index, T, T*, Index);                                            \
  template void gemm_strided_batched<T>(Queue&, Transpose, Transpose, Index, Index, Index, T,      \
                                        const T*, Index, Index, const T*, Index, Index, T, T*,     \
                                        Index, Index, Index);                                      \
  template void gemm_sums<T>(Queue&, Transpose, Transpose, std::span<const GemmTerm<T>>);          \
  template void permute<T>(Queue&, const T*, std::span<const Index>, std::span<const int>, T*);    \
  template void scale<T>(Queue&, Index, T, T*);                                                    \
  template void add_scaled<T>(Queue&, Index, T, const T*, T*);                                     \
  template void combine_blocks<T>(Queue&, Index, Index, std::span<const SparseEntry<T>>, const T*, \
                                  T*);                                                             \
  template void conjugate<T>(Queue&, Index, T*);                                                   \
  template void scale_rows<T>(Queue&, Index, Index, const Real<T>*, T*);                           \
  template void scale_columns<T>(Queue&, Index, Index, const Real<T>*, T*);                        \
  template void divide_by_difference<T>(Queue&, Index, const T*, Real<T>, Real<T>, T*);            \
  template T dot<T>(Queue&, Index, const T*, const T*);                                            \
  template Real<T> norm<T>(Queue&, Index, const T*);                                               \
  template bool all_finite<T>(Queue&, Index, const T*);                                            \
  template bool svd<T>(Queue&, Index, Index, T*, T*, Real<T>*, T*);                                \
  template void qr<T>(Queue&, Index, Index, T*, T*, T*);                                           \
  template bool eigh<T>(Queue&, Index, T*, Real<T>*);                                              \
  template void random_normal<T>(Queue&, Index, std::uint64_t, std::uint64_t, T*);                 \
  template void random_uniform<T>(Queue&, Index, std::uint64_t, std::uint64_t, T*);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
METATT_INSTANTIATE_STORAGE(std::int32_t)
#undef METATT_INSTANTIATE
#undef METATT_INSTANTIATE_STORAGE

template void convert<float, double>(Queue&, Index, const float*, double*);
template void convert<double, float>(Queue&, Index, const double*, float*);
template void convert<std::complex<float>, std::complex<double>>(Queue&, Index,
                                                                 const std::complex<float>*,
                                                                 std::complex<double>*);
template void convert<std::complex<double>, std::complex<float>>(Queue&, Index,
                                                                 const std::complex<double>*,
                                                                 std::complex<float>*);

}  // namespace metatt::tn::reference
