#include <metatt/tn/backend/backend.hpp>
#include <metatt/tn/backend/cpu/private.hpp>

#include <algorithm>
#include <vector>

namespace metatt::tn::backend {
namespace {

/// One mode of a permutation and the distance between its neighbours on both sides.
struct Mode {
  Index extent;
  Index stride_in;
  Index stride_out;
};

/// The modes in the order of `out`; modes of extent 1 are left out, and modes that are neighbours
/// on both sides are merged.
std::vector<Mode> merged_modes(std::span<const Index> extents, std::span<const int> order) {
  std::vector<Index> strides_in(extents.size());
  Index stride = 1;
  for (std::size_t k = extents.size(); k-- > 0; stride *= extents[k]) strides_in[k] = stride;
  std::vector<Mode> modes;
  for (const int k : order) {
    const auto mode = static_cast<std::size_t>(k);
    if (extents[mode] == 1) continue;
    if (!modes.empty() && modes.back().stride_in == strides_in[mode] * extents[mode]) {
      modes.back().extent *= extents[mode];
      modes.back().stride_in = strides_in[mode];
    } else {
      modes.push_back({extents[mode], strides_in[mode], 0});
    }
  }
  stride = 1;
  for (auto mode = modes.rbegin(); mode != modes.rend(); stride *= mode->extent, ++mode)
    mode->stride_out = stride;
  return modes;
}

/// The two modes that a tile spans, and the others.
struct Plan {
  Mode rows;     ///< the mode that is contiguous in `in`, or the last but one if that is `columns`
  Mode columns;  ///< the mode that is contiguous in `out`
  Index tile_rows, tile_columns;
  std::vector<Mode> outer;
};

Plan plan(std::vector<Mode> modes) {
  while (modes.size() < 2) modes.insert(modes.begin(), Mode{1, 1, 1});
  Plan result;
  result.columns = modes.back();
  modes.pop_back();
  const bool transposes = result.columns.stride_in != 1;
  const auto rows = transposes ? std::find_if(modes.begin(), modes.end(),
                                              [](const Mode& mode) { return mode.stride_in == 1; })
                               : modes.end() - 1;
  result.rows = *rows;
  modes.erase(rows);
  // 32 × 32 elements of both sides fit in the first-level cache; runs that stay contiguous only
  // need tiles that are worth a task.
  result.tile_rows = 32;
  result.tile_columns = transposes ? 32 : 4096;
  result.outer = std::move(modes);
  return result;
}

template <class T>
void copy_tile(const Mode& rows, const Mode& columns, const T* in, T* out) {
  for (Index i = 0; i < rows.extent; ++i) {
    const T* from = in + i * rows.stride_in;
    T* to = out + i * rows.stride_out;
    if (columns.stride_in == 1)
      std::copy_n(from, columns.extent, to);
    else
      for (Index j = 0; j < columns.extent; ++j) to[j] = from[j * columns.stride_in];
  }
}

}  // namespace

template <class T>
void permute(Queue&, const T* in, std::span<const Index> extents, std::span<const int> order,
             T* out) {
  Index count = 1;
  for (const Index extent : extents) count *= extent;
  if (count == 0) return;
  const Plan tiles = plan(merged_modes(extents, order));
  const Index tiles_down = (tiles.rows.extent + tiles.tile_rows - 1) / tiles.tile_rows;
  const Index tiles_across = (tiles.columns.extent + tiles.tile_columns - 1) / tiles.tile_columns;
  const Index outer = count / (tiles.rows.extent * tiles.columns.extent);
#pragma omp parallel for schedule(static) if (count > parallel_threshold)
  for (Index tile = 0; tile < outer * tiles_down * tiles_across; ++tile) {
    const Index column = tile % tiles_across * tiles.tile_columns;
    const Index row = tile / tiles_across % tiles_down * tiles.tile_rows;
    Index rest = tile / tiles_across / tiles_down;
    Index offset_in = row * tiles.rows.stride_in + column * tiles.columns.stride_in;
    Index offset_out = row * tiles.rows.stride_out + column * tiles.columns.stride_out;
    for (auto mode = tiles.outer.rbegin(); mode != tiles.outer.rend(); ++mode) {
      offset_in += rest % mode->extent * mode->stride_in;
      offset_out += rest % mode->extent * mode->stride_out;
      rest /= mode->extent;
    }
    Mode rows = tiles.rows, columns = tiles.columns;
    rows.extent = std::min(rows.extent - row, tiles.tile_rows);
    columns.extent = std::min(columns.extent - column, tiles.tile_columns);
    copy_tile(rows, columns, in + offset_in, out + offset_out);
  }
}

#define METATT_INSTANTIATE(T) \
  template void permute<T>(Queue&, const T*, std::span<const Index>, std::span<const int>, T*);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn::backend
