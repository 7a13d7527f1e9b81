#pragma once
/// What the attention kernels share: one block works on a square tile of queries × keys at a time,
/// 16 × 16 threads on micro-tiles of it, with the operands passed through shared memory in chunks
/// of 32 columns of a head. No kernel needs memory that grows with the length of a sequence (Dao et
/// al., arXiv:2205.14135), and sums stay with one thread, so their order is fixed.

#include <metatt/autodiff/backend/cuda/mask.cuh>
#include <metatt/tn/backend/cuda/launch.cuh>
#include <metatt/tn/error.hpp>

#include <type_traits>

namespace metatt::autodiff::backend {

namespace cuda = tn::backend::cuda;

inline constexpr int kSide = 16;                 ///< threads along each side of a tile
inline constexpr int kChunk = 32;                ///< columns of a head that are staged at once
inline constexpr int kColumns = kChunk / kSide;  ///< of a chunk, for one thread
inline constexpr int kLargestChunks = 8;         ///< head_width ≤ 256, the registers' limit

/// Rows, and columns, of a tile and of a thread's micro-tile.
template <class T>
inline constexpr int kTile = sizeof(T) == sizeof(float) ? 64 : 32;
template <class T>
inline constexpr int kMicro = kTile<T> / kSide;

/// The part of one head in a token matrix, for one sequence.
template <class T>
struct HeadRows {
  const T* data;
  Index stride;  ///< between rows
  Index count;
};

template <class T>
struct AttentionArguments {
  const std::int32_t* offsets;
  Index tokens;
  AttentionShape shape;
  Index tiles;        ///< of the longest sequence
  Index mask_blocks;  ///< Philox blocks of one row of the mask
  T scale;
  T keep_scale;
  Mask mask;
  const T* qkv;
};

template <class T>
AttentionArguments<T> attention_arguments(const Packing& packing, const AttentionShape& shape,
                                          T scale, const Dropout& dropout, const T* qkv) {
  return {packing.offsets,
          packing.tokens,
          shape,
          cuda::divide_up(packing.longest, kTile<T>),
          cuda::divide_up(packing.longest, kMaskWords),
          scale,
          dropout.active() ? static_cast<T>(dropout.keep_scale()) : T(1),
          Mask(dropout),
          qkv};
}

/// The tile that this block works on.
template <class T>
struct Place {
  __device__ explicit Place(const AttentionArguments<T>& arguments)
      : head(blockIdx.y), row0(blockIdx.x % arguments.tiles * kTile<T>) {
    const Index sequence = blockIdx.x / arguments.tiles;
    offset = arguments.offsets[sequence];
    length = arguments.offsets[sequence + 1] - offset;
  }

  /// Query (part 0), key (1) or value (2) rows of the head.
  __device__ HeadRows<T> rows(const AttentionArguments<T>& a, int part) const {
    const Index groups = a.shape.key_value_heads;
    const Index shared = a.shape.heads + head * groups / a.shape.heads;
    const Index column = part == 0 ? head : part == 1 ? shared : shared + groups;
    const Index stride = (a.shape.heads + 2 * groups) * a.shape.head_width;
    return {a.qkv + offset * stride + column * a.shape.head_width, stride, length};
  }

  /// Where the keys end that a tile of queries sees, and where the queries begin that see a tile of
  /// keys.
  __device__ Index keys_end(const AttentionArguments<T>& a) const {
    return a.shape.causal ? min(length, row0 + kTile<T>) : length;
  }
  __device__ Index queries_begin(const AttentionArguments<T>& a) const {
    return a.shape.causal ? row0 : 0;
  }
  __device__ bool sees(const AttentionArguments<T>& a, Index query, Index key) const {
    return key < length && (!a.shape.causal || key <= query);
  }

  Index head;
  Index row0;
  Index offset;
  Index length;
};

template <class T>
struct Shared {
  T left[kTile<T>][kChunk + 1];
  T right[kTile<T>][kChunk + 1];
  T weights[kTile<T>][kTile<T> + 1];
  std::uint8_t kept[kTile<T>][kTile<T> / kMaskWords];
};

__device__ inline int thread_row() {
  return static_cast<int>(threadIdx.x) / kSide;
}
__device__ inline int thread_column() {
  return static_cast<int>(threadIdx.x) % kSide;
}

/// Row i of this thread's micro-tile lies at this row of the tile, column j at that column.
template <class T>
__device__ int tile_row(int i) {
  return thread_row() * kMicro<T> + i;
}
__device__ inline int tile_column(int j) {
  return thread_column() + kSide * j;
}

/// Sum over the threads that share a row, in each of them.
template <class T>
__device__ T row_sum(T value) {
  for (int distance = kSide / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(cuda::kAllLanes, value, distance);
  }
  return value;
}

template <class T>
__device__ T row_max(T value) {
  for (int distance = kSide / 2; distance > 0; distance /= 2) {
    value = max(value, __shfl_xor_sync(cuda::kAllLanes, value, distance));
  }
  return value;
}

/// to = a tile's rows, a chunk of columns; zero outside the matrix.
template <class T>
__device__ void load_chunk(const HeadRows<T>& matrix, Index row0, Index column0, Index head_width,
                           T (&to)[kTile<T>][kChunk + 1]) {
  const int c = static_cast<int>(threadIdx.x) % kChunk;
  for (int r = static_cast<int>(threadIdx.x) / kChunk; r < kTile<T>; r += cuda::kThreads / kChunk) {
    const bool inside = row0 + r < matrix.count && column0 + c < head_width;
    to[r][c] = inside ? matrix.data[(row0 + r) * matrix.stride + column0 + c] : T(0);
  }
}

/// products[i][j] = row i of `a` · row j of `b` over the head's columns.
template <class T>
__device__ void multiply_rows(const HeadRows<T>& a, Index a_row0, const HeadRows<T>& b,
                              Index b_row0, Index head_width, Shared<T>& shared,
                              T (&products)[kMicro<T>][kMicro<T>]) {
  for (auto& row : products) {
    for (T& product : row) product = 0;
  }
  for (Index column0 = 0; column0 < head_width; column0 += kChunk) {
    __syncthreads();
    load_chunk(a, a_row0, column0, head_width, shared.left);
    load_chunk(b, b_row0, column0, head_width, shared.right);
    __syncthreads();
#pragma unroll 8
    for (int k = 0; k < kChunk; ++k) {
      T right[kMicro<T>];
      for (int j = 0; j < kMicro<T>; ++j) right[j] = shared.right[tile_column(j)][k];
      for (int i = 0; i < kMicro<T>; ++i) {
        const T left = shared.left[tile_row<T>(i)][k];
        for (int j = 0; j < kMicro<T>; ++j) products[i][j] += left * right[j];
      }
    }
  }
}

/// A thread's share of a tile of rows × head columns.
template <class T, int chunks>
using Sums = T[chunks][kMicro<T>][kColumns];

/// sums += shared.weights · x, or weightsᵀ · x, for the tile of x at row0. Starts with a barrier,
/// so the weights may be written just before.
template <bool transposed, class T, int chunks>
__device__ void add_weighted_rows(const HeadRows<T>& x, Index row0, Index head_width,
                                  Shared<T>& shared, Sums<T, chunks>& sums) {
#pragma unroll
  for (int chunk = 0; chunk < chunks; ++chunk) {
    __syncthreads();
    load_chunk(x, row0, Index{chunk} * kChunk, head_width, shared.right);
    __syncthreads();
#pragma unroll 8
    for (int k = 0; k < kTile<T>; ++k) {
      T values[kColumns];
      for (int j = 0; j < kColumns; ++j) values[j] = shared.right[k][tile_column(j)];
      for (int i = 0; i < kMicro<T>; ++i) {
        const T weight =
            transposed ? shared.weights[k][tile_row<T>(i)] : shared.weights[tile_row<T>(i)][k];
        for (int j = 0; j < kColumns; ++j) sums[chunk][i][j] += weight * values[j];
      }
    }
  }
}

/// to[row][column] = factor(i) · sums for the rows and columns inside.
template <class T, int chunks, class Factor>
__device__ void store_sums(const Sums<T, chunks>& sums, Index row0, Index rows, Index head_width,
                           const Factor& factor, T* to, Index stride) {
#pragma unroll
  for (int chunk = 0; chunk < chunks; ++chunk) {
#pragma unroll
    for (int i = 0; i < kMicro<T>; ++i) {
#pragma unroll
      for (int j = 0; j < kColumns; ++j) {
        const Index row = row0 + tile_row<T>(i);
        const Index column = chunk * kChunk + tile_column(j);
        if (row < rows && column < head_width)
          to[row * stride + column] = factor(i) * sums[chunk][i][j];
      }
    }
  }
}

/// shared.kept = the mask of the tile, a bit for each element. A barrier must follow.
template <class T>
__device__ void draw_mask(const AttentionArguments<T>& a, const Place<T>& place, Index query0,
                          Index key0, Shared<T>& shared) {
  if (a.mask.threshold == 0) return;
  constexpr int kBlocks = kTile<T> / kMaskWords;
  for (int t = static_cast<int>(threadIdx.x); t < kTile<T> * kBlocks; t += cuda::kThreads) {
    const Index row = place.offset + query0 + t / kBlocks;
    const Index block =
        (row * a.shape.heads + place.head) * a.mask_blocks + key0 / kMaskWords + t % kBlocks;
    shared.kept[t / kBlocks][t % kBlocks] =
        static_cast<std::uint8_t>(a.mask.kept_of_block(static_cast<std::uint64_t>(block)));
  }
}

/// Whether element (i, j) of the micro-tile is kept.
template <class T>
__device__ bool is_kept(const AttentionArguments<T>& a, const Shared<T>& shared, int i, int j) {
  if (a.mask.threshold == 0) return true;
  const int column = tile_column(j);
  return (shared.kept[tile_row<T>(i)][column / kMaskWords] >> (column % kMaskWords) & 1) != 0;
}

/// launch(std::integral_constant<int, chunks>) for the smallest number of chunks, a power of two,
/// that holds a head.
template <int chunks = 1, class Launch>
void for_chunks_of(const char* function, Index head_width, const Launch& launch) {
  if (head_width <= chunks * kChunk) {
    launch(std::integral_constant<int, chunks>());
  } else if constexpr (chunks < kLargestChunks) {
    for_chunks_of<2 * chunks>(function, head_width, launch);
  } else {
    tn::fail(function, ": expected a head width of at most ", chunks * kChunk, ", found ",
             head_width);
  }
}

/// One block for each tile of the longest sequence, sequence and head.
template <class T>
dim3 attention_grid(const AttentionArguments<T>& arguments, Index sequences, Index heads) {
  return dim3(static_cast<unsigned>(arguments.tiles * sequences), static_cast<unsigned>(heads));
}

}  // namespace metatt::autodiff::backend
