#pragma once
/// What the kernels_*.cpp share. They are compiled once per instruction set, each time into the
/// namespace backend::METATT_VECTOR_SET, and must not call inline functions of other headers (the
/// standard library's among them): the linker keeps one copy of such a function for the program,
/// and that copy might use instructions that the processor lacks.

#include <metatt/autodiff/backend/types.hpp>

#include <omp.h>

namespace metatt::autodiff::backend::METATT_VECTOR_SET {

#include <metatt/autodiff/backend/declarations.hpp>

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

/// Elements of T in one vector register.
template <class T>
constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));

/// One register, and the same as it lies in memory without alignment.
template <class T>
struct VectorTypes;
template <>
struct VectorTypes<float> {
  typedef float Register __attribute__((vector_size(vector_bytes)));
  typedef float Memory __attribute__((vector_size(vector_bytes), aligned(4), may_alias));
};
template <>
struct VectorTypes<double> {
  typedef double Register __attribute__((vector_size(vector_bytes)));
  typedef double Memory __attribute__((vector_size(vector_bytes), aligned(8), may_alias));
};
template <class T>
using Vector = typename VectorTypes<T>::Register;

template <class T>
static inline Vector<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorTypes<T>::Memory*>(p);
}
template <class T>
static inline void store(T* p, Vector<T> v) {
  *reinterpret_cast<typename VectorTypes<T>::Memory*>(p) = v;
}

static inline Index round_up(Index count, Index multiple) {
  return (count + multiple - 1) / multiple * multiple;
}
static inline Index smaller(Index a, Index b) {
  return a < b ? a : b;
}
static inline Index larger(Index a, Index b) {
  return a > b ? a : b;
}

/// Loops over fewer elements than this run on one thread: waking the others costs more.
constexpr Index parallel_threshold = 16384;

/// Pool memory for the length of a scope.
template <class T>
class Scratch {
 public:
  explicit Scratch(Index count)
      : bytes_(static_cast<std::size_t>(count) * sizeof(T)),
        data_(static_cast<T*>(tn::backend::allocate(bytes_))) {}
  ~Scratch() { tn::backend::deallocate(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() const { return data_; }

 private:
  std::size_t bytes_;
  T* data_;
};

/// e^x. float: argument reduction to |r| ≤ ln2/2 and a degree-7 Taylor polynomial, error below 2
/// units in the last place, written without branches so that loops over it become vector code;
/// below −87.3 it is the smallest normal number instead of 0, above 88 the value at 88. double: the
/// library's.
static inline float exponential(float x) {
  x = x < -87.3f ? -87.3f : x;
  x = x > 88.0f ? 88.0f : x;
  constexpr float magic = 12582912.0f;  // 1.5 · 2²³: adding it rounds to an integer
  const float shifted = x * 1.44269504088896341f + magic;
  const float n = shifted - magic;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // n is what the sum's bits have over those of `magic`; of NaN it is anything, and p is NaN then.
  const std::uint32_t whole =
      __builtin_bit_cast(std::uint32_t, shifted) - __builtin_bit_cast(std::uint32_t, magic);
  return p * __builtin_bit_cast(float, (whole + 127U) << 23);
}
static inline double exponential(double x) {
  return __builtin_exp(x);
}

/// out = alpha · A·B (+ out with accumulate) for a small B that stays in cache. A is rows × inner
/// with element (i, k) at A[i·row_stride + k·inner_stride]; B is inner × columns with leading
/// dimension ldb, readable up to the next multiple of the vector length; out is rows × columns with
/// ldo and nothing past column `columns` is touched.
template <class T>
void small_product(Index rows, Index columns, Index inner, T alpha, const T* A, Index row_stride,
                   Index inner_stride, const T* B, Index ldb, bool accumulate, T* out, Index ldo);

/// The 16-bit words of the dropout generator for elements begin … begin+count-1, at words[0 …];
/// begin must be a multiple of 8 and `words` have room up to the next multiple of 128 above count.
void dropout_words(const Dropout& dropout, std::uint64_t begin, Index count, std::uint16_t* words);

}  // namespace metatt::autodiff::backend::METATT_VECTOR_SET
