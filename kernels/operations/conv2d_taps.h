// On the cpu, of conv2d: what a tile of the result makes of planes, all channels and taps of it, in registers or, of
// bf16 where there are some, in tiles (tiles.h).
#pragma once
#include "conv2d_planes.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/product.h"
#include "kernels/parts/tiles.h"
#include <vector>

namespace theta::simd {

// A tap of a kernel: its place among the weights of a channel, and where its packs begin.
struct Tap {
  std::ptrdiff_t w, b;
};

// Rows (channels of the result) times neighbouring positions, of operands O:
//   out[r·out_row + v·out_step] = bias[r] + Σ_c Σ_t w[c·w_channel + t.w·R + r] · b[c·b_channel + t.b + v·lanes]
template <class O> struct TapProduct {
  using T = SumOf<O>;
  T *out;
  std::ptrdiff_t out_row, out_step;
  int rows, packs; // of the tile that are there
  const T *bias;   // or null
  const O *w, *b;
  std::ptrdiff_t w_channel, b_channel;
  int channels, taps;
  const Tap *tap;
  // In tiles: memory for all steps, and a place as far from every row of the result that nobody reads.
  TileStep *step;
  T *spare;
};

// R rows and V packs of it. Its own function, so that nothing but the sums lives in registers.
template <class O, int R, int V> [[gnu::noinline]] void multiply_taps(const TapProduct<O> &p) {
  using T = SumOf<O>;
  Pack<T> sum[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      sum[r][v] = broadcast<Pack<T>>(p.bias ? p.bias[std::min(r, p.rows - 1)] : T(0));
  const O *w = p.w, *b = p.b;
  const Tap *const end = p.tap + p.taps;
  for (int c = 0; c < p.channels; ++c, w += p.w_channel, b += p.b_channel)
#pragma GCC unroll 1
    for (const Tap *tap = p.tap; tap != end; ++tap) {
      const O *const weights = w + tap->w * R, *const packs = b + tap->b;
      Pack<O> of[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        of[v] = load<Pack<O>>(packs + v * lanes<O>);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Pack<O> value = broadcast<Pack<O>>(weights[r]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v)
          sum[r][v] = multiply_add(value, of[v], sum[r][v]);
      }
    }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
    if (r < p.rows)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        if (v < p.packs)
          store(p.out + r * p.out_row + v * p.out_step, sum[r][v]);
}

// Channels of the result that are made together: all of one group; or one alone. In tiles, 32.
constexpr int tiled_height = 2 * tile_edge;
struct RowTile {
  int first, count, height;
  bool is_tiled() const { return height == tiled_height; }
};
inline std::vector<RowTile> row_tiles(int rows, int of_group, bool in_tiles) {
  const int most = in_tiles ? tiled_height : tile_height;
  std::vector<RowTile> tiles;
  for (int first = 0, count = 0; first < rows; first += count) {
    count = std::min({most, rows - first, of_group - first % of_group});
    tiles.push_back({first, count, count == 1 && !in_tiles ? 1 : most});
  }
  return tiles;
}

// Whether a product over so many channels goes to tiles: half of a step's pairs should be there.
template <class O> bool in_tiles(const Conv2d &p, int channels) {
  return std::is_same_v<O, Pair> && fits_tiles && p.groups == 1 && steps_of<O>(channels) >= tile_edge / 2 &&
         multiplies_in_tiles();
}
inline int whole_steps(int steps) { return (steps + tile_edge - 1) / tile_edge * tile_edge; }

// The weights of every tile as they are read: those of its rows beside one another, tap after tap, channel after
// channel; for tiles [16 channels or pairs of them][tap][row][16]. at(row) is where those of a row begin; its channels
// stand `apart`.
template <class O, class At>
std::vector<const O *> beside_one_another(const Scratch &scratch, const std::vector<RowTile> &tiles, int channels,
                                          int taps, std::ptrdiff_t apart, At at) {
  std::vector<const O *> places;
  const int steps = steps_of<O>(channels);
  const auto size_of = [&](const RowTile &tile) {
    return std::size_t(tile.is_tiled() ? whole_steps(steps) : steps) * std::size_t(taps * tile.height);
  };
  std::size_t size = 0;
  for (const RowTile &tile : tiles)
    size += size_of(tile);
  O *const all = scratch.take<O>(size);
  size = 0;
  for (const RowTile &tile : tiles) {
    places.push_back(all + size);
    size += size_of(tile);
  }
  parallel_for(long(tiles.size()), double(size), [&](long i) {
    const RowTile &tile = tiles[std::size_t(i)];
    O *to = all + (places[std::size_t(i)] - all);
    const auto put = [&](int r, int step, int t) {
      const int c = step * depth_of<O>;
      return step_of<O>(at(tile.first + r) + c * apart + t, apart, c + 1 < channels);
    };
    if (tile.is_tiled()) {
      for (int first = 0; first < steps; first += tile_edge)
        for (int t = 0; t < taps; ++t)
          for (int r = 0; r < tile.height; ++r)
            for (int step = first; step < first + tile_edge; ++step)
              *to++ = r < tile.count && step < steps ? put(r, step, t) : O(0);
      return;
    }
    for (int step = 0; step < steps; ++step)
      for (int t = 0; t < taps; ++t)
        for (int r = 0; r < tile.height; ++r)
          *to++ = put(std::min(r, tile.count - 1), step, t);
  });
  return places;
}

// A tile's product with planes, into [rows][positions and a spare one][lanes] at `out`; where in them, and on which taps,
// is still to be said.
template <class O>
TapProduct<O> product_of(const RowTile &tile, const O *w, const Planes<O> &planes, SumOf<O> *out, int positions,
                         int channels, int square, const Tap *tap, TileStep *step) {
  TapProduct<O> product{};
  product.out_row = std::ptrdiff_t(positions + 1) * lanes<O>, product.rows = tile.count;
  product.w = w, product.w_channel = std::ptrdiff_t(square) * tile.height;
  product.b_channel = planes.channel, product.channels = channels, product.tap = tap;
  product.step = step, product.spare = out + std::ptrdiff_t(positions) * lanes<O>;
  return product;
}

// Tiles are dealt out in pieces, each with a copy of the samples: no more than keep all threads at work.
inline int pieces_of(int blocks, std::size_t tiles) {
  return std::clamp((threads() + blocks - 1) / blocks, 1, int(tiles));
}

// f(column, V, packs that are there) for all of so many.
template <class T, class F> void for_strips(int packs, F f) {
  const Strips<T> strips{packs * lanes<T>};
  for (int i = 0; i < strips.count(); ++i)
    strips.strip(
        i, [&]<int V>(int column, int columns) { f.template operator()<V>(column / lanes<T>, columns / lanes<T>); });
}

// The same in tiles: two positions of 32 rows at a time.
inline void multiply_in_tiles(const TapProduct<Pair> &p, int positions) {
  int steps = 0;
  for (int c = 0; c < p.channels; c += tile_edge)
    for (int t = 0; t < p.taps; ++t, ++steps)
      p.step[steps] = {(std::ptrdiff_t(c / tile_edge) * (p.w_channel / tiled_height) + p.tap[t].w) * tiled_height *
                           tile_edge,
                       c * p.b_channel + p.tap[t].b};
  for (int v = 0; v < positions; v += 2) {
    const bool has_next = v + 1 < positions;
    float *const c = p.out + v * p.out_step;
    const TileBlock block{c,
                          p.out_row,
                          has_next ? p.out_step : p.spare - c,
                          p.w,
                          tile_edge,
                          p.b + v * tile_edge,
                          p.b_channel,
                          has_next ? tile_edge : 0};
    for (int r = 0; r < tiled_height; ++r)
      for (float *const at : {c + r * p.out_row, c + r * p.out_row + block.c_next})
        store(at, broadcast<Floats>(p.bias && r < p.rows ? p.bias[r] : 0.0f));
    add_in_tiles(block, p.step, steps);
  }
}

// A tile's product for neighbouring positions, from the first of them.
template <class O> void multiply_row(const RowTile &tile, const TapProduct<O> &from, int positions) {
  if constexpr (std::is_same_v<O, Pair> && fits_tiles)
    if (tile.is_tiled())
      return multiply_in_tiles(from, positions);
  for_strips<SumOf<O>>(positions, [&]<int V>(int first, int packs) {
    TapProduct<O> p = from;
    p.out += first * p.out_step, p.b += first * lanes<O>, p.packs = packs;
    tile.height == 1 ? multiply_taps<O, 1, V>(p) : multiply_taps<O, tile_height, V>(p);
  });
}

} // namespace theta::simd
