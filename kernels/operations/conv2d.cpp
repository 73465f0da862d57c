// On the cpu a block of samples goes at a time, one in each lane: copied so that a position of all of them is a pack,
// with zeros around the images, and rows and columns of one remainder by the stride together. Then a tap is an aligned
// shift, whatever the kernel and however small the image, and nothing is multiplied that is not there.
#include "conv2d.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/product.h"
#include "kernels/parts/scratch.h"
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
template <class T> int blocks_of(const Conv2d &p) { return (p.batch + lanes<T> - 1) / lanes<T>; }
template <class T> Block block(const Conv2d &p, int i) {
  return {std::size_t(i) * lanes<T>, std::min(lanes<T>, p.batch - i * lanes<T>)};
}

// Samples of one block of the weights' gradient, whatever packs hold: a sum has one order (RowSum).
template <class T> constexpr int row_samples = RowSum<T>::packs *lanes<T>;
template <class T> int slices_of(const Conv2d &p) {
  const int blocks = (p.batch + row_samples<T> - 1) / row_samples<T>;
  return std::clamp(blocks * p.out_height() * p.out_width() / positions_a_slice, 1, std::min(most_slices, blocks));
}

// Calls put(channel, row, column, pack) for every position of `channels` planes of height·width, those of a sample one
// after another, and samples `of_sample` apart: one in each lane, 0 beyond `samples`.
template <class T, class F>
void with_samples_in_lanes(const T *from, std::size_t of_sample, int samples, int channels, int height, int width,
                           F put) {
  constexpr int L = lanes<T>;
  const int positions = height * width;
  for (int c = 0; c < channels; ++c) {
    int u = 0, v = 0;
    for (int p = 0; p < positions; p += L) {
      const int here = std::min(L, positions - p);
      Pack<T> of[L];
      for (int n = 0; n < L; ++n)
        of[n] =
            n < samples ? load_some<Pack<T>>(from + n * of_sample + std::size_t(c) * positions + p, here) : Pack<T>{};
      transpose(of);
      for (int i = 0; i < here; ++i) {
        put(c, u, v, of[i]);
        if (++v == width)
          v = 0, ++u;
      }
    }
  }
}

// Copies of planes with samples in lanes. What is outside of an image is 0.
//   [channels][phases of rows, of columns][rows][columns][lanes]
template <class T> class Planes {
public:
  static constexpr int L = lanes<T>;

  // Position (u, v) of a plane stands at (u + above) / stride, (v + before) / stride of its phases; there are so many
  // rows and columns of each.
  Planes(const Scratch &scratch, int channels, int stride, int above, int before, int rows, int columns)
      : stride_(stride), above_(above), before_(before), columns_(columns),
        channel(std::ptrdiff_t(stride) * stride * rows * columns * L), row(std::ptrdiff_t(columns) * L),
        phase_(std::ptrdiff_t(rows) * row), size_(std::size_t(channels * channel)), at_(scratch.take<T>(size_)) {
    std::fill_n(at_, size_, T(0));
  }

  // Channels from `first` on.
  void fill(int first, const T *from, std::size_t of_sample, int samples, int channels, int height, int width) {
    with_samples_in_lanes(from, of_sample, samples, channels, height, width, [&](int c, int u, int v, Pack<T> pack) {
      store(at_ + (first + c) * channel + place(u + above_, v + before_), pack);
    });
  }

  // Where position (u, v) stands in its channel, counted with what is before the image.
  std::ptrdiff_t place(int u, int v) const {
    return (u % stride_ * stride_ + v % stride_) * phase_ + (std::ptrdiff_t(u / stride_) * columns_ + v / stride_) * L;
  }
  const T *of(int c) const { return at_ + c * channel; }

private:
  int stride_, above_, before_, columns_;

public:
  std::ptrdiff_t channel, row; // distances

private:
  std::ptrdiff_t phase_;
  std::size_t size_;
  T *at_;
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
template <class T> Planes<T> input_planes(const Scratch &scratch, const Conv2d &p, int channels) {
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

// Rows (channels of the result) times neighbouring positions:
//   out[r·out_row + v·out_step] = bias[r] + Σ_c Σ_t w[c·w_channel + t.w·R + r] · b[c·b_channel + t.b + v·lanes]
template <class T> struct TapProduct {
  T *out;
  std::ptrdiff_t out_row, out_step;
  int rows, packs; // of the tile that are there
  const T *bias;   // or null
  const T *w, *b;
  std::ptrdiff_t w_channel, b_channel;
  int channels, taps;
  const Tap *tap;
};

// R rows and V packs of it. Its own function, so that nothing but the sums lives in registers.
template <class T, int R, int V> [[gnu::noinline]] void multiply_taps(const TapProduct<T> &p) {
  Pack<T> sum[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      sum[r][v] = broadcast<Pack<T>>(p.bias ? p.bias[std::min(r, p.rows - 1)] : T(0));
  const T *w = p.w, *b = p.b;
  const Tap *const end = p.tap + p.taps;
  for (int c = 0; c < p.channels; ++c, w += p.w_channel, b += p.b_channel)
#pragma GCC unroll 1
    for (const Tap *tap = p.tap; tap != end; ++tap) {
      const T *const weights = w + tap->w * R, *const packs = b + tap->b;
      Pack<T> of[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        of[v] = load<Pack<T>>(packs + v * lanes<T>);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Pack<T> value = broadcast<Pack<T>>(weights[r]);
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

// Channels of the result that are made together: all of one group; or one alone.
struct RowTile {
  int first, count;
  int height() const { return count == 1 ? 1 : tile_height; }
};
std::vector<RowTile> row_tiles(int rows, int of_group) {
  std::vector<RowTile> tiles;
  for (int first = 0; first < rows; first += tiles.back().count)
    tiles.push_back({first, std::min({tile_height, rows - first, of_group - first % of_group})});
  return tiles;
}

// The weights of every tile as they are read: those of its rows beside one another, tap after tap, channel after
// channel. at(row) is where those of a row begin; its channels stand `apart`.
template <class T, class At>
std::vector<const T *> beside_one_another(const Scratch &scratch, const std::vector<RowTile> &tiles, int channels,
                                          int taps, std::ptrdiff_t apart, At at) {
  std::vector<const T *> places;
  const std::size_t of_row = std::size_t(channels) * std::size_t(taps);
  std::size_t size = 0;
  for (const RowTile &tile : tiles)
    size += of_row * std::size_t(tile.height());
  T *const all = scratch.take<T>(size);
  size = 0;
  for (const RowTile &tile : tiles) {
    places.push_back(all + size);
    size += of_row * std::size_t(tile.height());
  }
  parallel_for(long(tiles.size()), double(size), [&](long i) {
    const RowTile &tile = tiles[std::size_t(i)];
    T *to = all + (places[std::size_t(i)] - all);
    const T *rows[tile_height];
    for (int r = 0; r < tile.height(); ++r)
      rows[r] = at(tile.first + std::min(r, tile.count - 1));
    for (int c = 0; c < channels; ++c)
      for (int t = 0; t < taps; ++t)
        for (int r = 0; r < tile.height(); ++r)
          *to++ = rows[r][c * apart + t];
  });
  return places;
}

// A tile's product with planes, into [rows][positions][lanes]; where in them, and on which taps, is still to be said.
template <class T>
TapProduct<T> product_of(const RowTile &tile, const T *w, const Planes<T> &planes, int positions, int channels,
                         int square, const Tap *tap) {
  TapProduct<T> product{};
  product.out_row = std::ptrdiff_t(positions) * lanes<T>, product.rows = tile.count;
  product.w = w, product.w_channel = std::ptrdiff_t(square) * tile.height();
  product.b_channel = planes.channel, product.channels = channels, product.tap = tap;
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

template <class T, int V> void multiply_taps(const RowTile &tile, const TapProduct<T> &p) {
  tile.height() == 1 ? multiply_taps<T, 1, V>(p) : multiply_taps<T, tile_height, V>(p);
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

} // namespace

std::size_t conv2d_workspace(const Conv2d &p) {
  return std::size_t(std::max({slices_of<float>(p), slices_of<double>(p), cuda::conv2d_parts(p)})) * p.w_size();
}

template <class T> void conv2d_forward(Stream &s, T *y, const T *x, const T *w, const T *bias, const Conv2d &p) {
  const Span span(s, "conv2d_forward", double(p.x_size() + p.y_size() + p.w_size()) * sizeof(T), 2 * p.multiply_adds());
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::conv2d_forward(s, y, x, w, bias, p);
  constexpr int L = lanes<T>;
  const int height = p.out_height(), width = p.out_width(), positions = height * width, in = p.in_group(),
            of_in = p.in_height * p.in_width, square = p.taps(), blocks = blocks_of<T>(p);
  const Scratch weights;
  const auto tiles = row_tiles(p.out_channels, p.out_group());
  const auto packed = beside_one_another<T>(weights, tiles, in, square, square,
                                            [&](int o) { return w + std::ptrdiff_t(o) * in * square; });
  const int pieces = pieces_of(blocks, tiles.size());
  parallel_for(blocks, pieces, p.multiply_adds() / L, [&](int b, int piece) {
    const Scratch scratch;
    const Block at = block<T>(p, b);
    const std::size_t from = tiles.size() * std::size_t(piece) / std::size_t(pieces),
                      to = tiles.size() * std::size_t(piece + 1) / std::size_t(pieces);
    const int first_in = tiles[from].first / p.out_group() * in,
              last_in = (tiles[to - 1].first / p.out_group() + 1) * in;
    Planes<T> planes = input_planes<T>(scratch, p, last_in - first_in);
    planes.fill(0, x + (at.first * p.in_channels + first_in) * of_in, std::size_t(p.in_channels) * of_in, at.count,
                last_in - first_in, p.in_height, p.in_width);
    Tap *const taps = scratch.take<Tap>(std::size_t(square));
    for (int t = 0; t < square; ++t)
      taps[t] = {t, planes.place(t / p.kernel, t % p.kernel)};
    T *const out = scratch.take<T>(std::size_t(tile_height) * positions * L);
    for (std::size_t i = from; i < to; ++i) {
      const RowTile &tile = tiles[i];
      TapProduct<T> product = product_of(tile, packed[i], planes, positions, in, square, taps);
      product.bias = bias ? bias + tile.first : nullptr, product.out_step = L, product.taps = square;
      const T *const here = planes.of(tile.first / p.out_group() * in - first_in);
      for (int u = 0; u < height; ++u)
        for_strips<T>(width, [&]<int V>(int column, int packs) {
          product.out = out + (std::ptrdiff_t(u) * width + column) * L, product.packs = packs;
          product.b = here + u * planes.row + column * L;
          multiply_taps<T, V>(tile, product);
        });
      for (int r = 0; r < tile.count; ++r)
        give_planes(y + (at.first * p.out_channels + tile.first + r) * positions,
                    std::size_t(p.out_channels) * positions, at.count, out + std::size_t(r) * positions * L, positions,
                    false);
    }
  });
}

template <class T>
void conv2d_backward_data(Stream &s, T *dx, const T *dy, const T *w, const Conv2d &p, bool accumulate) {
  const Span span(s, "conv2d_backward_data", double(p.x_size() + p.y_size() + p.w_size()) * sizeof(T),
                  2 * p.multiply_adds());
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::conv2d_backward_data(s, dx, dy, w, p, accumulate);
  constexpr int L = lanes<T>;
  const int positions = p.in_height * p.in_width, outs = p.out_group(), in = p.in_group(),
            of_out = p.out_height() * p.out_width(), square = p.taps(), above = (p.rows() - 1) / p.stride,
            before = (p.kernel - 1) / p.stride, blocks = blocks_of<T>(p);
  const auto side = [&](int first, int out, int size, int padding) {
    return first + std::max(out, (size + p.stride - 1) / p.stride + (padding + p.stride - 1) / p.stride);
  };
  const Scratch weights;
  const auto tiles = row_tiles(p.in_channels, in);
  const auto packed = beside_one_another<T>(weights, tiles, outs, square, std::ptrdiff_t(in) * square, [&](int i) {
    return w + (std::ptrdiff_t(i / in) * outs * in + i % in) * square;
  });
  const int pieces = pieces_of(blocks, tiles.size());
  parallel_for(blocks, pieces, p.multiply_adds() / L, [&](int b, int piece) {
    const Scratch scratch;
    const Block at = block<T>(p, b);
    const std::size_t from = tiles.size() * std::size_t(piece) / std::size_t(pieces),
                      to = tiles.size() * std::size_t(piece + 1) / std::size_t(pieces);
    const int first_out = tiles[from].first / in * outs, last_out = (tiles[to - 1].first / in + 1) * outs;
    Planes<T> planes(scratch, last_out - first_out, 1, above, before,
                     side(above, p.out_height(), p.in_height, p.above()),
                     side(before, p.out_width(), p.in_width, p.padding));
    planes.fill(0, dy + (at.first * p.out_channels + first_out) * of_out, std::size_t(p.out_channels) * of_out,
                at.count, last_out - first_out, p.out_height(), p.out_width());
    Tap *const taps = scratch.take<Tap>(std::size_t(square));
    T *const out = scratch.take<T>(std::size_t(tile_height) * positions * L);
    for (std::size_t i = from; i < to; ++i) {
      const RowTile &tile = tiles[i];
      TapProduct<T> product = product_of(tile, packed[i], planes, positions, outs, square, taps);
      product.out_step = std::ptrdiff_t(p.stride) * L;
      const T *const here = planes.of(tile.first / in * outs - first_out);
      for (int ry = 0; ry < std::min(p.stride, p.in_height); ++ry)
        for (int rx = 0; rx < std::min(p.stride, p.in_width); ++rx) {
          const Phase rows_of(ry, p.in_height, p.rows(), p.above(), p.stride),
              columns_of(rx, p.in_width, p.kernel, p.padding, p.stride);
          product.taps = 0;
          for (int t = 0; t < rows_of.taps; ++t)
            for (int c = 0; c < columns_of.taps; ++c)
              taps[product.taps++] = {(rows_of.first + t * p.stride) * p.kernel + columns_of.first + c * p.stride,
                                      planes.place(above + rows_of.shift - t, before + columns_of.shift - c)};
          for (int u = 0; u < rows_of.positions; ++u)
            for_strips<T>(columns_of.positions, [&]<int V>(int column, int packs) {
              product.out = out + (std::ptrdiff_t(u * p.stride + ry) * p.in_width + column * p.stride + rx) * L;
              product.packs = packs;
              product.b = here + u * planes.row + column * L;
              multiply_taps<T, V>(tile, product);
            });
        }
      for (int r = 0; r < tile.count; ++r)
        give_planes(dx + (at.first * p.in_channels + tile.first + r) * positions,
                    std::size_t(p.in_channels) * positions, at.count, out + std::size_t(r) * positions * L, positions,
                    accumulate);
    }
  });
}

namespace {

// Sums over blocks of samples and positions of R gradients' times three inputs' packs: gradients of a position stand
// beside one another.
template <class T, int R> struct WeightTile {
  static constexpr int V = 3;
  Pack<T> *sum; // [R][V]
  const T *d, *x[V];
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
        const T *gradients = d + block * d_block + u * d_row, *a = x[0] + at, *b = x[1] + at, *c = x[2] + at;
#pragma GCC unroll 1
        for (int v = 0; v < width; ++v) {
          const Pack<T> of[V] = {load<Pack<T>>(a), load<Pack<T>>(b), load<Pack<T>>(c)};
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) {
            Pack<T> gradient = load<Pack<T>>(gradients + r * lanes<T>);
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
template <class T> class WeightGradient {
public:
  static constexpr int L = lanes<T>, samples = row_samples<T>, parts = samples / L;

  WeightGradient(const Scratch &scratch, const Conv2d &p, const T *dy, const T *x, int first, int last, int first_in,
                 int ins)
      : p_(p), dy_(dy), first_(first), blocks_(last - first), first_in_(first_in), ins_(ins),
        inputs_(input_planes<T>(scratch, p, blocks_ * parts * ins)) {
    const int of_in = p.in_height * p.in_width;
    for (int i = 0; i < blocks_ * parts; ++i)
      if (const int here = there(i); here > 0)
        inputs_.fill(i * ins, x + (sample(i) * p.in_channels + first_in) * of_in, std::size_t(p.in_channels) * of_in,
                     here, ins, p.in_height, p.in_width);
  }

  // Added to sums [out_channels, in_group(), taps].
  template <int R> void add(T *sums, const RowTile &tile) const {
    using Tile = WeightTile<T, R>;
    constexpr int V = Tile::V;
    const Scratch scratch;
    const int height = p_.out_height(), width = p_.out_width(), square = p_.taps(), in = p_.in_group(),
              columns = in * square, tiles = (columns + V - 1) / V;
    const std::ptrdiff_t of_image = std::ptrdiff_t(height) * width * R * L;
    // Some images, or some rows of one, at a time, so that they stay in the first cache while all taps pass by.
    const int images = std::clamp(int(near_bytes / (of_image * std::ptrdiff_t(sizeof(T)))), 1, blocks_),
              rows = std::clamp(near_bytes / int(sizeof(T)) / (R * width * L), 1, height);
    T *const gradients = scratch.take<T>(std::size_t(images * of_image));
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

  std::size_t sample(int i) const { return std::size_t(first_) * samples + std::size_t(i) * L; }
  int there(int i) const { return std::clamp(p_.batch - int(sample(i)), 0, L); }

  // [images][positions][R][lanes]
  template <int R> void fill_gradients(T *to, const RowTile &tile, int part, int block, int images) const {
    const int height = p_.out_height(), width = p_.out_width(), of_out = height * width;
    for (int image = 0; image < images; ++image, to += std::ptrdiff_t(R) * of_out * L) {
      const int i = (block + image) * parts + part;
      if (tile.count < R || there(i) == 0)
        std::fill_n(to, std::size_t(R) * of_out * L, T(0));
      if (there(i) > 0)
        with_samples_in_lanes(
            dy_ + (sample(i) * p_.out_channels + tile.first) * of_out, std::size_t(p_.out_channels) * of_out, there(i),
            tile.count, height, width,
            [&](int r, int u, int v, Pack<T> pack) { store(to + ((u * width + v) * R + r) * L, pack); });
    }
  }

  const Conv2d &p_;
  const T *dy_;
  int first_, blocks_, first_in_, ins_;
  Planes<T> inputs_;
};

} // namespace

template <class T>
void conv2d_backward_weight(Stream &s, T *dw, const T *dy, const T *x, T *workspace, const Conv2d &p) {
  const Span span(s, "conv2d_backward_weight", double(p.x_size() + p.y_size() + p.w_size()) * sizeof(T),
                  2 * p.multiply_adds());
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::conv2d_backward_weight(s, dw, dy, x, workspace, p);
  const int slices = slices_of<T>(p), blocks = (p.batch + row_samples<T> - 1) / row_samples<T>;
  const int together = std::max(1, positions_together / (p.out_height() * p.out_width())); // blocks
  const auto tiles = row_tiles(p.out_channels, p.out_group());
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
      const WeightGradient<T> gradient(scratch, p, dy, x, b, std::min(last, b + together), first_in, ins);
      for (std::size_t i = from; i < to; ++i)
        tiles[i].height() == 1 ? gradient.template add<1>(sums, tiles[i])
                               : gradient.template add<tile_height>(sums, tiles[i]);
    }
  });
  parallel_for(long(p.w_size()), double(p.w_size()) * slices, [&](long i) {
    for (int slice = 0; slice < slices; ++slice)
      dw[i] += workspace[std::size_t(slice) * p.w_size() + std::size_t(i)];
  });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void conv2d_forward(Stream &, T *, const T *, const T *, const T *, const Conv2d &);                        \
  template void conv2d_backward_data(Stream &, T *, const T *, const T *, const Conv2d &, bool);                       \
  template void conv2d_backward_weight(Stream &, T *, const T *, const T *, T *, const Conv2d &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
