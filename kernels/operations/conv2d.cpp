// On the cpu a block of samples goes at a time, one in each lane: copied so that a position of all of them is a pack,
// with zeros around the images, and rows and columns of one remainder by the stride together. Then a tap is an aligned
// shift, whatever the kernel and however small the image, and nothing is multiplied that is not there. With bf16
// products a lane is a pair (pairs.h): of two channels where channels are summed over, of two samples in the weights'
// gradient.
#include "conv2d.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/product.h"
#include "kernels/parts/scratch.h"
#include "kernels/parts/tiles.h"
#include <vector>

namespace theta {

namespace cuda {
decltype(theta::conv2d_forward<float>) conv2d_forward;
decltype(theta::conv2d_backward_data<float>) conv2d_backward_data;
decltype(theta::conv2d_backward_weight<float>) conv2d_backward_weight;
} // namespace cuda

namespace {

using namespace simd;

constexpr int most_slices = 2;          // of the batch, each with a gradient of the weights of its own
constexpr int positions_a_slice = 64;   // of blocks of samples, at least
constexpr int positions_together = 256; // whose gradients are summed in lanes at least, before lanes are
constexpr int near_bytes = 16384;       // of the gradients that are multiplied with all taps, before the next

// A block of samples, the last perhaps with fewer.
struct Block {
  std::size_t first;
  int count;
};
template <class O> int blocks_of(const Conv2d &p) { return (p.batch + lanes<O> - 1) / lanes<O>; }
template <class O> Block block(const Conv2d &p, int i) {
  return {std::size_t(i) * lanes<O>, std::min(lanes<O>, p.batch - i * lanes<O>)};
}

// Operands that so many channels come to.
template <class O> int steps_of(int channels) { return (channels + depth_of<O> - 1) / depth_of<O>; }

// Samples of one block of the weights' gradient, whatever packs hold: a sum has one order (RowSum).
template <class O> constexpr int row_samples = RowSum<SumOf<O>>::packs *lanes<O> *depth_of<O>;
template <class O> int slices_of(const Conv2d &p) {
  const int blocks = (p.batch + row_samples<O> - 1) / row_samples<O>;
  return std::clamp(blocks * p.out_height() * p.out_width() / positions_a_slice, 1, std::min(most_slices, blocks));
}

// Planes of height·width in memory, those of a sample one after another, and how they become operands: numbers alone,
// or pairs of two channels of a group, or of two samples.
template <class T> struct Images {
  const T *from;
  std::size_t of_sample; // distance of samples
  int samples;           // that are there
  int groups, of_group;  // channels of a group
  int height, width;
};
enum class PairsOf { channels, samples };

// Calls put(channel, row, column, pack) for every position of every channel, or pair of channels: a sample, or pair of
// samples, in each lane, 0 where there is none.
template <class O, PairsOf two, class T, class F> void with_samples_in_lanes(const Images<T> &images, F put) {
  constexpr int L = lanes<O>;
  constexpr bool is_pair = depth_of<O> == 2;
  constexpr int channels_at_once = is_pair && two == PairsOf::channels ? 2 : 1,
                samples_at_once = is_pair && two == PairsOf::samples ? 2 : 1;
  const int positions = images.height * images.width,
            steps = (images.of_group + channels_at_once - 1) / channels_at_once;
  const auto plane = [&](int sample, int group, int channel) -> const T * {
    if (sample >= images.samples || channel >= images.of_group)
      return nullptr;
    return images.from + std::size_t(sample) * images.of_sample +
           std::size_t(group * images.of_group + channel) * std::size_t(positions);
  };
  for (int c = 0; c < images.groups * steps; ++c) {
    const T *first[L], *second[L];
    for (int n = 0; n < L; ++n) {
      const int sample = n * samples_at_once, group = c / steps, channel = c % steps * channels_at_once;
      first[n] = plane(sample, group, channel);
      second[n] = is_pair ? plane(sample + samples_at_once - 1, group, channel + channels_at_once - 1) : nullptr;
    }
    int u = 0, v = 0;
    for (int p = 0; p < positions; p += L) {
      const int here = std::min(L, positions - p);
      Pack<O> of[L];
      for (int n = 0; n < L; ++n)
        of[n] = first[n] ? load_step<O>(first[n] + p, second[n] ? second[n] + p : nullptr, here) : Pack<O>{};
      transpose(of);
      for (int i = 0; i < here; ++i) {
        put(c, u, v, of[i]);
        if (++v == images.width)
          v = 0, ++u;
      }
    }
  }
}

// Copies of planes with samples in lanes. What is outside of an image is 0.
//   [channels, or pairs of them][phases of rows, of columns][rows][columns][lanes]
template <class O> class Planes {
public:
  static constexpr int L = lanes<O>;

  // Position (u, v) of a plane stands at (u + above) / stride, (v + before) / stride of its phases; there are so many
  // rows and columns of each.
  Planes(const Scratch &scratch, int channels, int stride, int above, int before, int rows, int columns)
      : stride_(stride), above_(above), before_(before), columns_(columns),
        channel(std::ptrdiff_t(stride) * stride * rows * columns * L), row(std::ptrdiff_t(columns) * L),
        phase_(std::ptrdiff_t(rows) * row), size_(std::size_t(channels * channel)), at_(scratch.take<O>(size_)) {
    std::fill_n(at_, size_, O(0));
  }

  // Channels from `first` on.
  template <PairsOf two, class T> void fill(int first, const Images<T> &images) {
    with_samples_in_lanes<O, two>(images, [&](int c, int u, int v, Pack<O> pack) {
      store(at_ + (first + c) * channel + place(u + above_, v + before_), pack);
    });
  }

  // Where position (u, v) stands in its channel, counted with what is before the image.
  std::ptrdiff_t place(int u, int v) const {
    return (u % stride_ * stride_ + v % stride_) * phase_ + (std::ptrdiff_t(u / stride_) * columns_ + v / stride_) * L;
  }
  const O *of(int c) const { return at_ + c * channel; }

private:
  int stride_, above_, before_, columns_;

public:
  std::ptrdiff_t channel, row; // distances

private:
  std::ptrdiff_t phase_;
  std::size_t size_;
  O *at_;
};

// [positions][lanes] of a channel into its planes of `samples` samples, written or added to.
template <class T>
void give_planes(T *to, std::size_t of_sample, int samples, const T *from, int positions, bool accumulate) {
  constexpr int L = lanes<T>;
  for (int p = 0; p < positions; p += L) {
    const int here = std::min(L, positions - p);
    Pack<T> of[L];
    for (int i = 0; i < L; ++i)
      of[i] = i < here ? load<Pack<T>>(from + (p + i) * L) : Pack<T>{};
    transpose(of);
    for (int n = 0; n < samples; ++n) {
      T *at = to + n * of_sample + p;
      store_some(at, accumulate ? of[n] + load_some<Pack<T>>(at, here) : of[n], here);
    }
  }
}

// The input as the forward pass and the gradient of the weights read it.
template <class O> Planes<O> input_planes(const Scratch &scratch, const Conv2d &p, int channels) {
  const auto phases = [&](int out, int in, int kernel, int padding) {
    return (std::max((out - 1) * p.stride + kernel, in + padding) + p.stride - 1) / p.stride;
  };
  return {scratch,
          channels,
          p.stride,
          p.above(),
          p.padding,
          phases(p.out_height(), p.in_height, p.rows(), p.above()),
          phases(p.out_width(), p.in_width, p.kernel, p.padding)};
}

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
std::vector<RowTile> row_tiles(int rows, int of_group, bool in_tiles) {
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
int whole_steps(int steps) { return (steps + tile_edge - 1) / tile_edge * tile_edge; }

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
int pieces_of(int blocks, std::size_t tiles) { return std::clamp((threads() + blocks - 1) / blocks, 1, int(tiles)); }

// f(column, V, packs that are there) for all of so many.
template <class T, class F> void for_strips(int packs, F f) {
  const Strips<T> strips{packs * lanes<T>};
  for (int i = 0; i < strips.count(); ++i)
    strips.strip(
        i, [&]<int V>(int column, int columns) { f.template operator()<V>(column / lanes<T>, columns / lanes<T>); });
}

// The same in tiles: two positions of 32 rows at a time.
[[maybe_unused]] void multiply_in_tiles(const TapProduct<Pair> &p, int positions) {
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

// The rows of a kernel that meet positions of one remainder by the stride, going backwards: tap `first` + stride·u meets
// output `shift` − u of them.
struct Phase {
  int first, shift, taps, positions;
  Phase(int remainder, int size, int kernel, int padding, int stride)
      : first((remainder + padding) % stride), shift((remainder + padding) / stride),
        taps(first < kernel ? (kernel - first + stride - 1) / stride : 0),
        positions((size - remainder + stride - 1) / stride) {}
};

template <class O, class T> void forward(T *y, const T *x, const T *w, const T *bias, const Conv2d &p) {
  constexpr int L = lanes<O>;
  const int height = p.out_height(), width = p.out_width(), positions = height * width, in = p.in_group(),
            of_in = p.in_height * p.in_width, square = p.taps(), blocks = blocks_of<O>(p), steps = steps_of<O>(in);
  const Scratch weights;
  const bool tiled = in_tiles<O>(p, in);
  const auto tiles = row_tiles(p.out_channels, p.out_group(), tiled);
  const int height_of_all = tiles.front().height;
  const auto packed = beside_one_another<O>(weights, tiles, in, square, square,
                                            [&](int o) { return w + std::ptrdiff_t(o) * in * square; });
  const int pieces = pieces_of(blocks, tiles.size());
  parallel_for(blocks, pieces, p.multiply_adds() / L, [&](int b, int piece) {
    const Scratch scratch;
    const Block at = block<O>(p, b);
    const std::size_t from = tiles.size() * std::size_t(piece) / std::size_t(pieces),
                      to = tiles.size() * std::size_t(piece + 1) / std::size_t(pieces);
    const int first_group = tiles[from].first / p.out_group(),
              groups = tiles[to - 1].first / p.out_group() + 1 - first_group;
    Planes<O> planes = input_planes<O>(scratch, p, tiled ? whole_steps(steps) : groups * steps);
    planes.template fill<PairsOf::channels>(0, Images<T>{x + (at.first * p.in_channels + first_group * in) * of_in,
                                                         std::size_t(p.in_channels) * of_in, at.count, groups, in,
                                                         p.in_height, p.in_width});
    Tap *const taps = scratch.take<Tap>(std::size_t(square));
    for (int t = 0; t < square; ++t)
      taps[t] = {t, planes.place(t / p.kernel, t % p.kernel)};
    TileStep *const memory = scratch.take<TileStep>(tiled ? std::size_t(whole_steps(steps) / tile_edge * square) : 1);
    T *const out = scratch.take<T>(std::size_t(height_of_all) * (positions + 1) * L);
    for (std::size_t i = from; i < to; ++i) {
      const RowTile &tile = tiles[i];
      TapProduct<O> product = product_of(tile, packed[i], planes, out, positions, steps, square, taps, memory);
      product.bias = bias ? bias + tile.first : nullptr, product.out_step = L, product.taps = square;
      const O *const here = planes.of((tile.first / p.out_group() - first_group) * steps);
      for (int u = 0; u < height; ++u) {
        product.out = out + std::ptrdiff_t(u) * width * L, product.b = here + u * planes.row;
        multiply_row(tile, product, width);
      }
      for (int r = 0; r < tile.count; ++r)
        give_planes(y + (at.first * p.out_channels + tile.first + r) * positions,
                    std::size_t(p.out_channels) * positions, at.count, out + r * product.out_row, positions, false);
    }
  });
}

template <class O, class T> void backward_data(T *dx, const T *dy, const T *w, const Conv2d &p, bool accumulate) {
  constexpr int L = lanes<O>;
  const int positions = p.in_height * p.in_width, outs = p.out_group(), in = p.in_group(),
            of_out = p.out_height() * p.out_width(), square = p.taps(), above = (p.rows() - 1) / p.stride,
            before = (p.kernel - 1) / p.stride, blocks = blocks_of<O>(p), steps = steps_of<O>(outs);
  const auto side = [&](int first, int out, int size, int padding) {
    return first + std::max(out, (size + p.stride - 1) / p.stride + (padding + p.stride - 1) / p.stride);
  };
  const Scratch weights;
  const bool tiled = in_tiles<O>(p, outs);
  const auto tiles = row_tiles(p.in_channels, in, tiled);
  const int height_of_all = tiles.front().height;
  const auto packed = beside_one_another<O>(weights, tiles, outs, square, std::ptrdiff_t(in) * square, [&](int i) {
    return w + (std::ptrdiff_t(i / in) * outs * in + i % in) * square;
  });
  const int pieces = pieces_of(blocks, tiles.size());
  parallel_for(blocks, pieces, p.multiply_adds() / L, [&](int b, int piece) {
    const Scratch scratch;
    const Block at = block<O>(p, b);
    const std::size_t from = tiles.size() * std::size_t(piece) / std::size_t(pieces),
                      to = tiles.size() * std::size_t(piece + 1) / std::size_t(pieces);
    const int first_group = tiles[from].first / in, groups = tiles[to - 1].first / in + 1 - first_group;
    Planes<O> planes(scratch, tiled ? whole_steps(steps) : groups * steps, 1, above, before,
                     side(above, p.out_height(), p.in_height, p.above()),
                     side(before, p.out_width(), p.in_width, p.padding));
    planes.template fill<PairsOf::channels>(0, Images<T>{dy + (at.first * p.out_channels + first_group * outs) * of_out,
                                                         std::size_t(p.out_channels) * of_out, at.count, groups, outs,
                                                         p.out_height(), p.out_width()});
    Tap *const taps = scratch.take<Tap>(std::size_t(square));
    TileStep *const memory = scratch.take<TileStep>(tiled ? std::size_t(whole_steps(steps) / tile_edge * square) : 1);
    T *const out = scratch.take<T>(std::size_t(height_of_all) * (positions + 1) * L);
    for (std::size_t i = from; i < to; ++i) {
      const RowTile &tile = tiles[i];
      TapProduct<O> product = product_of(tile, packed[i], planes, out, positions, steps, square, taps, memory);
      product.out_step = std::ptrdiff_t(p.stride) * L;
      const O *const here = planes.of((tile.first / in - first_group) * steps);
      for (int ry = 0; ry < std::min(p.stride, p.in_height); ++ry)
        for (int rx = 0; rx < std::min(p.stride, p.in_width); ++rx) {
          const Phase rows_of(ry, p.in_height, p.rows(), p.above(), p.stride),
              columns_of(rx, p.in_width, p.kernel, p.padding, p.stride);
          product.taps = 0;
          for (int t = 0; t < rows_of.taps; ++t)
            for (int c = 0; c < columns_of.taps; ++c)
              taps[product.taps++] = {(rows_of.first + t * p.stride) * p.kernel + columns_of.first + c * p.stride,
                                      planes.place(above + rows_of.shift - t, before + columns_of.shift - c)};
          for (int u = 0; u < rows_of.positions; ++u) {
            product.out = out + (std::ptrdiff_t(u * p.stride + ry) * p.in_width + rx) * L;
            product.b = here + u * planes.row;
            multiply_row(tile, product, columns_of.positions);
          }
        }
      for (int r = 0; r < tile.count; ++r)
        give_planes(dx + (at.first * p.in_channels + tile.first + r) * positions,
                    std::size_t(p.in_channels) * positions, at.count, out + r * product.out_row, positions, accumulate);
    }
  });
}

// Sums over blocks of samples and positions of R gradients' times three inputs' packs: gradients of a position stand
// beside one another.
template <class O, int R> struct WeightTile {
  using T = SumOf<O>;
  static constexpr int V = 3;
  Pack<T> *sum; // [R][V]
  const O *d, *x[V];
  std::ptrdiff_t d_block, d_row, x_block, x_row;

  [[gnu::noinline]] void add(int blocks, int height, int width) const {
    Pack<T> all[R][V];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int i = 0; i < V; ++i)
        all[r][i] = sum[r * V + i];
    for (int block = 0; block < blocks; ++block)
      for (int u = 0; u < height; ++u) {
        const std::ptrdiff_t at = block * x_block + u * x_row;
        const O *gradients = d + block * d_block + u * d_row, *a = x[0] + at, *b = x[1] + at, *c = x[2] + at;
#pragma GCC unroll 1
        for (int v = 0; v < width; ++v) {
          const Pack<O> of[V] = {load<Pack<O>>(a), load<Pack<O>>(b), load<Pack<O>>(c)};
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) {
            Pack<O> gradient = load<Pack<O>>(gradients + r * lanes<O>);
            in_register(gradient);
#pragma GCC unroll 4
            for (int i = 0; i < V; ++i)
              all[r][i] = multiply_add(gradient, of[i], all[r][i]);
          }
          gradients += R * lanes<T>, a += lanes<T>, b += lanes<T>, c += lanes<T>;
        }
      }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int i = 0; i < V; ++i)
        sum[r * V + i] = all[r][i];
  }
};

// Blocks of samples first..last of a batch, in lanes, and the gradient of tiles of the weights on them.
template <class O> class WeightGradient {
public:
  using T = SumOf<O>;
  static constexpr int L = lanes<O>, at_once = L * depth_of<O>, samples = row_samples<O>, parts = samples / at_once;

  WeightGradient(const Scratch &scratch, const Conv2d &p, const T *dy, const T *x, int first, int last, int first_in,
                 int ins)
      : p_(p), dy_(dy), first_(first), blocks_(last - first), first_in_(first_in), ins_(ins),
        inputs_(input_planes<O>(scratch, p, blocks_ * parts * ins)) {
    const int of_in = p.in_height * p.in_width;
    for (int i = 0; i < blocks_ * parts; ++i)
      if (const int here = there(i); here > 0)
        inputs_.template fill<PairsOf::samples>(i * ins, Images<T>{x + (sample(i) * p.in_channels + first_in) * of_in,
                                                                   std::size_t(p.in_channels) * of_in, here, 1, ins,
                                                                   p.in_height, p.in_width});
  }

  // Added to sums [out_channels, in_group(), taps].
  template <int R> void add(T *sums, const RowTile &tile) const {
    using Tile = WeightTile<O, R>;
    constexpr int V = Tile::V;
    const Scratch scratch;
    const int height = p_.out_height(), width = p_.out_width(), square = p_.taps(), in = p_.in_group(),
              columns = in * square, tiles = (columns + V - 1) / V;
    const std::ptrdiff_t of_image = std::ptrdiff_t(height) * width * R * L;
    // Some images, or some rows of one, at a time, so that they stay in the first cache while all taps pass by.
    const int images = std::clamp(int(near_bytes / (of_image * std::ptrdiff_t(sizeof(O)))), 1, blocks_),
              rows = std::clamp(near_bytes / int(sizeof(O)) / (R * width * L), 1, height);
    O *const gradients = scratch.take<O>(std::size_t(images * of_image));
    auto *const packs = scratch.take<Pack<T>>(std::size_t(parts) * tiles * R * V);
    std::fill_n(packs, std::size_t(parts) * tiles * R * V, Pack<T>{});
    for (int part = 0; part < parts; ++part)
      for (int block = 0; block < blocks_; block += images) {
        const int now = std::min(images, blocks_ - block);
        fill_gradients<R>(gradients, tile, part, block, now);
        for (int u = 0; u < height; u += rows)
          for (int i = 0; i < tiles; ++i) {
            const std::ptrdiff_t x_block = std::ptrdiff_t(parts) * ins_ * inputs_.channel;
            Tile of{packs + (std::ptrdiff_t(part) * tiles + i) * R * V,
                    gradients + std::ptrdiff_t(u) * width * R * L,
                    {},
                    of_image,
                    std::ptrdiff_t(width) * R * L,
                    x_block,
                    inputs_.row};
            for (int v = 0; v < V; ++v) {
              const int column = std::min(i * V + v, columns - 1), tap = column % square;
              of.x[v] = inputs_.of((block * parts + part) * ins_ + tile.first / p_.out_group() * in - first_in_ +
                                   column / square) +
                        u * inputs_.row + inputs_.place(tap / p_.kernel, tap % p_.kernel);
            }
            of.add(now, std::min(rows, height - u), width);
          }
      }
    const int all = tiles * R * V, whole = (all + L - 1) / L * L;
    T *const totals = scratch.take<T>(std::size_t(whole));
    for (int first = 0; first < all; first += L)
      store(totals + first, lane_sums(packs + first, all, all - first));
    for (int i = 0; i < tiles; ++i)
      for (int r = 0; r < tile.count; ++r)
        for (int column = i * V; column < std::min(columns, (i + 1) * V); ++column)
          sums[std::size_t(tile.first + r) * columns + column] += totals[(i * R + r) * V + column % V];
  }

private:
  // The sums over lanes of the first of `left` packs, as many as there are lanes, in the order of RowSum; those of other
  // parts stand `apart`.
  static Pack<T> lane_sums(const Pack<T> *from, int apart, int left) {
    Pack<T> of[L];
    for (int k = 0; k < L; ++k)
      of[k] = k < left ? from[k] : Pack<T>{};
    for (int part = 1; part < parts; ++part)
      for (int k = 0; k < std::min(L, left); ++k)
        of[k] += from[std::ptrdiff_t(part) * apart + k];
    transpose(of);
    for (int half = L / 2; half > 0; half /= 2)
      for (int k = 0; k < half; ++k)
        of[k] += of[k + half];
    return of[0];
  }

  std::size_t sample(int i) const { return std::size_t(first_) * samples + std::size_t(i) * at_once; }
  int there(int i) const { return std::clamp(p_.batch - int(sample(i)), 0, at_once); }

  // [images][positions][R][lanes]
  template <int R> void fill_gradients(O *to, const RowTile &tile, int part, int block, int images) const {
    const int height = p_.out_height(), width = p_.out_width(), of_out = height * width;
    for (int image = 0; image < images; ++image, to += std::ptrdiff_t(R) * of_out * L) {
      const int i = (block + image) * parts + part;
      if (tile.count < R || there(i) == 0)
        std::fill_n(to, std::size_t(R) * of_out * L, O(0));
      if (there(i) > 0)
        with_samples_in_lanes<O, PairsOf::samples>(
            Images<T>{dy_ + (sample(i) * p_.out_channels + tile.first) * of_out, std::size_t(p_.out_channels) * of_out,
                      there(i), 1, tile.count, height, width},
            [&](int r, int u, int v, Pack<O> pack) { store(to + ((u * width + v) * R + r) * L, pack); });
    }
  }

  const Conv2d &p_;
  const T *dy_;
  int first_, blocks_, first_in_, ins_;
  Planes<O> inputs_;
};

template <class O, class T> void backward_weight(T *dw, const T *dy, const T *x, T *workspace, const Conv2d &p) {
  const int slices = slices_of<O>(p), blocks = (p.batch + row_samples<O> - 1) / row_samples<O>;
  const int together = std::max(1, positions_together / (p.out_height() * p.out_width())); // blocks
  const auto tiles = row_tiles(p.out_channels, p.out_group(), false);
  const int pieces = pieces_of(slices, tiles.size());
  parallel_for(slices, pieces, p.multiply_adds() / lanes<T>, [&](int slice, int piece) {
    const std::size_t from = tiles.size() * std::size_t(piece) / std::size_t(pieces),
                      to = tiles.size() * std::size_t(piece + 1) / std::size_t(pieces);
    const int first_in = tiles[from].first / p.out_group() * p.in_group(),
              ins = (tiles[to - 1].first / p.out_group() + 1) * p.in_group() - first_in;
    T *const sums = workspace + std::size_t(slice) * p.w_size();
    const std::size_t of_row = std::size_t(p.in_group() * p.taps());
    const auto row_end = std::size_t(tiles[to - 1].first + tiles[to - 1].count);
    std::fill(sums + std::size_t(tiles[from].first) * of_row, sums + row_end * of_row, T(0));
    const int last = blocks * (slice + 1) / slices;
    for (int b = blocks * slice / slices; b < last; b += together) {
      const Scratch scratch;
      const WeightGradient<O> gradient(scratch, p, dy, x, b, std::min(last, b + together), first_in, ins);
      for (std::size_t i = from; i < to; ++i)
        tiles[i].height == 1 ? gradient.template add<1>(sums, tiles[i])
                             : gradient.template add<tile_height>(sums, tiles[i]);
    }
  });
  parallel_for(long(p.w_size()), double(p.w_size()) * slices, [&](long i) {
    for (int slice = 0; slice < slices; ++slice)
      dw[i] += workspace[std::size_t(slice) * p.w_size() + std::size_t(i)];
  });
}

} // namespace

std::size_t conv2d_workspace(const Conv2d &p) {
  return std::size_t(std::max({slices_of<float>(p), slices_of<double>(p), cuda::conv2d_parts(p)})) * p.w_size();
}

template <class T> void conv2d_forward(Stream &s, T *y, const T *x, const T *w, const T *bias, const Conv2d &p) {
  const Span span(s, "conv2d_forward", double(p.x_size() + p.y_size() + p.w_size()) * sizeof(T), 2 * p.multiply_adds());
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::conv2d_forward(s, y, x, w, bias, p);
  with_operands<T>(p.arithmetic, [&]<class O>(O) { forward<O>(y, x, w, bias, p); });
}

template <class T>
void conv2d_backward_data(Stream &s, T *dx, const T *dy, const T *w, const Conv2d &p, bool accumulate) {
  const Span span(s, "conv2d_backward_data", double(p.x_size() + p.y_size() + p.w_size()) * sizeof(T),
                  2 * p.multiply_adds());
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::conv2d_backward_data(s, dx, dy, w, p, accumulate);
  with_operands<T>(p.arithmetic, [&]<class O>(O) { backward_data<O>(dx, dy, w, p, accumulate); });
}

template <class T>
void conv2d_backward_weight(Stream &s, T *dw, const T *dy, const T *x, T *workspace, const Conv2d &p) {
  const Span span(s, "conv2d_backward_weight", double(p.x_size() + p.y_size() + p.w_size()) * sizeof(T),
                  2 * p.multiply_adds());
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::conv2d_backward_weight(s, dw, dy, x, workspace, p);
  with_operands<T>(p.arithmetic, [&]<class O>(O) { backward_weight<O>(dw, dy, x, workspace, p); });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void conv2d_forward(Stream &, T *, const T *, const T *, const T *, const Conv2d &);                        \
  template void conv2d_backward_data(Stream &, T *, const T *, const T *, const Conv2d &, bool);                       \
  template void conv2d_backward_weight(Stream &, T *, const T *, const T *, T *, const Conv2d &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
