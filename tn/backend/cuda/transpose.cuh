#pragma once
/// Transposition of a batch of matrices through tiles in shared memory, so that reading and writing
/// both go along rows.

#include <metatt/tn/backend/cuda/element.cuh>
#include <metatt/tn/backend/cuda/launch.cuh>

namespace metatt::tn::backend::cuda {

inline constexpr int kTile = kWarp;

template <class E, class Map>
__global__ void transpose_kernel(Index batch, Index rows, Index columns, const E* in, E* out,
                                 Map map) {
  __shared__ E tile[kTile][kTile + 1];  // one more column: no two rows start in the same bank
  const Index row_tiles = (rows + kTile - 1) / kTile;
  const Index column_tiles = (columns + kTile - 1) / kTile;
  for (Index t = blockIdx.x; t < batch * row_tiles * column_tiles; t += gridDim.x) {
    const Index offset = t / (row_tiles * column_tiles) * rows * columns;
    const Index row0 = t / column_tiles % row_tiles * kTile;
    const Index column0 = t % column_tiles * kTile;
    __syncthreads();
    for (int k = threadIdx.y; k < kTile; k += kRowsOfBlock) {
      const Index i = row0 + k;
      const Index j = column0 + threadIdx.x;
      if (i < rows && j < columns) tile[k][threadIdx.x] = in[offset + i * columns + j];
    }
    __syncthreads();
    for (int k = threadIdx.y; k < kTile; k += kRowsOfBlock) {
      const Index i = row0 + threadIdx.x;
      const Index j = column0 + k;
      if (i < rows && j < columns) out[offset + j * rows + i] = map(tile[threadIdx.x][k]);
    }
  }
}

/// out[b] (columns × rows) = map(in[b])ᵀ element by element, in[b] being rows × columns.
template <class E, class Map>
void transpose(const char* function, Index batch, Index rows, Index columns, const E* in, E* out,
               const Map& map) {
  const Index tiles = batch * divide_up(rows, kTile) * divide_up(columns, kTile);
  if (tiles <= 0) return;
  transpose_kernel<<<grid_for(tiles), dim3(kTile, kRowsOfBlock)>>>(batch, rows, columns, in, out,
                                                                   map);
  check_launch(function);
}

struct Unchanged {
  template <class E>
  __device__ E operator()(E value) const {
    return value;
  }
};
struct Conjugated {
  template <class E>
  __device__ E operator()(E value) const {
    return conjugate_of(value);
  }
};

}  // namespace metatt::tn::backend::cuda
