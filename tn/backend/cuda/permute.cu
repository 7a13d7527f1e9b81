#include <metatt/tn/backend/cuda/transpose.cuh>
#include <metatt/tn/error.hpp>

#include <vector>

namespace metatt::tn::backend {

namespace {

constexpr int kLargestOrder = 32;

/// A permutation after modes of extent 1 are dropped and modes that stay neighbours are merged.
struct Permutation {
  int order = 0;
  Index extents[kLargestOrder] = {};  ///< of `out`
  Index strides[kLargestOrder] = {};  ///< in `in`, of each mode of `out`
};

Permutation simplify(std::span<const Index> extents, std::span<const int> order) {
  std::vector<Index> strides(extents.size());
  Index stride = 1;
  for (std::size_t mode = extents.size(); mode-- > 0;) {
    strides[mode] = stride;
    stride *= extents[mode];
  }
  Permutation simple;
  for (const int mode : order) {
    const Index extent = extents[mode];
    const int last = simple.order - 1;
    if (extent == 1) continue;
    if (last >= 0 && simple.strides[last] == strides[mode] * extent) {
      simple.extents[last] *= extent;
      simple.strides[last] = strides[mode];
      continue;
    }
    if (simple.order == kLargestOrder) {
      fail("permute: expected at most ", kLargestOrder, " modes that cannot be merged, found more");
    }
    simple.extents[simple.order] = extent;
    simple.strides[simple.order] = strides[mode];
    ++simple.order;
  }
  return simple;
}

/// True if the last two modes are a transposed matrix and all before them a batch of it.
bool is_batched_transpose(const Permutation& p) {
  const int last = p.order - 1;
  if (p.order != 2 && p.order != 3) return false;
  if (p.strides[last - 1] != 1 || p.strides[last] != p.extents[last - 1]) return false;
  return p.order == 2 || p.strides[0] == p.extents[1] * p.extents[2];
}

}  // namespace

template <class T>
void permute(Queue& queue, const T* in, std::span<const Index> extents, std::span<const int> order,
             T* out) {
  Index count = 1;
  for (const Index extent : extents) count *= extent;
  if (count == 0) return;
  const Permutation p = simplify(extents, order);
  if (p.order == 0 || (p.order == 1 && p.strides[0] == 1)) {
    copy(queue, count, in, out);
    return;
  }
  const cuda::Element<T>* from = cuda::element(in);
  cuda::Element<T>* to = cuda::element(out);
  if (is_batched_transpose(p)) {
    const Index batch = p.order == 3 ? p.extents[0] : 1;
    cuda::transpose("permute", batch, p.extents[p.order - 1], p.extents[p.order - 2], from, to,
                    cuda::Unchanged());
    return;
  }
  cuda::for_each("permute", count, [=] __device__(Index i) {
    Index rest = i;
    Index source = 0;
    for (int mode = p.order - 1; mode >= 0; --mode) {
      source += rest % p.extents[mode] * p.strides[mode];
      rest /= p.extents[mode];
    }
    to[i] = from[source];
  });
}

#define METATT_PERMUTE(T) \
  template void permute<T>(Queue&, const T*, std::span<const Index>, std::span<const int>, T*);

METATT_PERMUTE(float)
METATT_PERMUTE(double)
METATT_PERMUTE(std::complex<float>)
METATT_PERMUTE(std::complex<double>)

}  // namespace metatt::tn::backend
