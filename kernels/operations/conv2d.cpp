// On the cpu a block of samples goes at a time, one in each lane: copied so that a position of all of them is a pack,
// with zeros around the images, and rows and columns of one remainder by the stride together. Then a tap is an aligned
// shift, whatever the kernel and however small the image, and nothing is multiplied that is not there.
#include "conv2d.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/product.h"
#include "kernels/parts/scratch.h"

namespace theta {

namespace cuda {
decltype(theta::conv2d_forward<float>) conv2d_forward;
decltype(theta::conv2d_backward_data<float>) conv2d_backward_data;
decltype(theta::conv2d_backward_weight<float>) conv2d_backward_weight;
} // namespace cuda

namespace {

using namespace simd;

constexpr int most_channels = 64; // of the result that share one copy of the samples
constexpr int most_slices = 8;    // of the batch, each with a gradient of the weights of its own
constexpr int near_bytes = 16384; // of the gradients that are multiplied with all taps, before the next

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
  return std::min(most_slices, (p.batch + row_samples<T> - 1) / row_samples<T>);
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

  // Channels from `first` on: `channels` planes of height·width, those of a sample one after another, and samples
  // `of_sample` apart.
  void fill(int first, const T *from, std::size_t of_sample, int samples, int channels, int height, int width) {
    const int positions = height * width;
    for (int c = 0; c < channels; ++c) {
      T *const to = at_ + (first + c) * channel;
      int u = 0, v = 0;
      for (int p = 0; p < positions; p += L) {
        const int here = std::min(L, positions - p);
        Pack<T> of[L];
        for (int n = 0; n < L; ++n)
          of[n] =
              n < samples ? load_some<Pack<T>>(from + n * of_sample + std::size_t(c) * positions + p, here) : Pack<T>{};
        transpose(of);
        for (int i = 0; i < here; ++i) {
          store(to + place(u + above_, v + before_), of[i]);
          if (++v == width)
            v = 0, ++u;
        }
      }
    }
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

// Products of weights and packs: `outer` channels times `taps` taps of one row of a kernel.
struct Taps {
  int outer, taps;
  std::ptrdiff_t w_outer, w_tap, b_outer, b_tap;
  Walk walk() const { // the longer loop within
    return taps > 1 ? Walk{outer, taps, w_outer, w_tap, b_outer, b_tap} : Walk{1, outer, 0, w_outer, 0, b_outer};
  }
};

// Rows (channels of the result) of one group times neighbouring positions: begun, multiplied, and given to f(r, v, sum).
template <class T, int V> struct ManyRows {
  ProductTile<T, V> tile;
  const T *w[tile_height];
  int rows;
  ManyRows(const T *first, std::ptrdiff_t apart, int rows_) : rows(rows_) {
    for (int r = 0; r < tile_height; ++r)
      w[r] = first + std::min(r, rows - 1) * apart;
  }
  [[gnu::always_inline]] void begin(const T *bias) {
    tile.clear();
    if (bias)
      tile.each([&](int r, int v) { tile.sum[r][v] += bias[std::min(r, rows - 1)]; });
  }
  [[gnu::always_inline]] void multiply(std::ptrdiff_t tap, const T *b, const Taps &taps) {
    const T *at[tile_height];
    for (int r = 0; r < tile_height; ++r)
      at[r] = w[r] + tap;
    tile.multiply(at, b, taps.walk());
  }
  template <class F> [[gnu::always_inline]] void give(F f) const {
    tile.each([&](int r, int v) {
      if (r < rows)
        f(r, v, tile.sum[r][v]);
    });
  }
};
template <class T, int V> struct OneRow {
  Pack<T> sum[V];
  const T *w;
  OneRow(const T *first, std::ptrdiff_t, int) : w(first) {}
  [[gnu::always_inline]] void begin(const T *bias) {
    for (int v = 0; v < V; ++v)
      sum[v] = bias ? broadcast<Pack<T>>(*bias) : Pack<T>{};
  }
  [[gnu::always_inline]] void multiply(std::ptrdiff_t tap, const T *b, const Taps &taps) {
    for (int o = 0; o < taps.outer; ++o)
      for (int t = 0; t < taps.taps; ++t)
        for (int v = 0; v < V; ++v)
          sum[v] = multiply_add(w[tap + o * taps.w_outer + t * taps.w_tap],
                                load<Pack<T>>(b + o * taps.b_outer + t * taps.b_tap + v * lanes<T>), sum[v]);
  }
  template <class F> [[gnu::always_inline]] void give(F f) const {
    for (int v = 0; v < V; ++v)
      f(0, v, sum[v]);
  }
};

// f(rows, first, count) for the channels of the result from..to, tile by tile, none across two groups of so many:
// `rows` says which of the two above.
template <class F> void for_rows(int from, int to, int of_group, F f) {
  for (int o = from; o < to;) {
    const int count = std::min({tile_height, to - o, of_group - o % of_group});
    if (count == 1)
      f.template operator()<OneRow>(o, count);
    else
      f.template operator()<ManyRows>(o, count);
    o += count;
  }
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
            of_in = p.in_height * p.in_width, square = p.taps();
  const int pieces = (p.out_channels + most_channels - 1) / most_channels;
  parallel_for(blocks_of<T>(p), pieces, p.multiply_adds() / L, [&](int b, int piece) {
    const Scratch scratch;
    const Block at = block<T>(p, b);
    const int from = piece * most_channels, to = std::min(p.out_channels, from + most_channels),
              first_in = from / p.out_group() * in, last_in = ((to - 1) / p.out_group() + 1) * in;
    Planes<T> planes = input_planes<T>(scratch, p, last_in - first_in);
    planes.fill(0, x + (at.first * p.in_channels + first_in) * of_in, std::size_t(p.in_channels) * of_in, at.count,
                last_in - first_in, p.in_height, p.in_width);
    T *const out = scratch.take<T>(std::size_t(tile_height) * positions * L);
    for_rows(from, to, p.out_group(), [&]<template <class, int> class Rows>(int first, int count) {
      const T *here = planes.of(first / p.out_group() * in - first_in);
      const Strips<T> strips{width * L};
      for (int u = 0; u < height; ++u)
        for (int i = 0; i < strips.count(); ++i)
          strips.strip(i, [&]<int V>(int column, int columns) {
            Rows<T, V> rows(w + std::size_t(first) * in * square, std::ptrdiff_t(in) * square, count);
            rows.begin(bias ? bias + first : nullptr);
            for (int ky = 0; ky < p.rows(); ++ky)
              for (int kx = 0; kx < std::min(p.stride, p.kernel); ++kx)
                rows.multiply(ky * p.kernel + kx, here + planes.place(u * p.stride + ky, kx) + column,
                              {in, (p.kernel - kx + p.stride - 1) / p.stride, square, p.stride, planes.channel, L});
            rows.give([&](int r, int v, Pack<T> sum) {
              if (v * L < columns)
                store(out + (std::size_t(r) * positions + std::size_t(u) * width) * L + column + v * L, sum);
            });
          });
      for (int r = 0; r < count; ++r)
        give_planes(y + (at.first * p.out_channels + first + r) * positions, std::size_t(p.out_channels) * positions,
                    at.count, out + std::size_t(r) * positions * L, positions, false);
    });
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
  const int positions = p.in_height * p.in_width, outs = p.out_group(), of_out = p.out_height() * p.out_width(),
            square = p.taps(), above = (p.rows() - 1) / p.stride, before = (p.kernel - 1) / p.stride;
  const auto side = [&](int first, int out, int in, int padding) {
    return first + std::max(out, (in + p.stride - 1) / p.stride + (padding + p.stride - 1) / p.stride);
  };
  const int pieces = (p.in_channels + most_channels - 1) / most_channels;
  parallel_for(blocks_of<T>(p), pieces, p.multiply_adds() / L, [&](int b, int piece) {
    const Scratch scratch;
    const Block at = block<T>(p, b);
    const int from = piece * most_channels, to = std::min(p.in_channels, from + most_channels),
              first_out = from / p.in_group() * outs, last_out = ((to - 1) / p.in_group() + 1) * outs;
    Planes<T> planes(scratch, last_out - first_out, 1, above, before,
                     side(above, p.out_height(), p.in_height, p.above()),
                     side(before, p.out_width(), p.in_width, p.padding));
    planes.fill(0, dy + (at.first * p.out_channels + first_out) * of_out, std::size_t(p.out_channels) * of_out,
                at.count, last_out - first_out, p.out_height(), p.out_width());
    T *const out = scratch.take<T>(std::size_t(tile_height) * positions * L);
    for_rows(from, to, p.in_group(), [&]<template <class, int> class Rows>(int first, int count) {
      const int of_group = first / p.in_group() * outs;
      const T *here = planes.of(of_group - first_out);
      const T *weights = w + (std::size_t(of_group) * p.in_group() + first % p.in_group()) * square;
      for (int ry = 0; ry < std::min(p.stride, p.in_height); ++ry)
        for (int rx = 0; rx < std::min(p.stride, p.in_width); ++rx) {
          const Phase rows_of(ry, p.in_height, p.rows(), p.above(), p.stride),
              columns_of(rx, p.in_width, p.kernel, p.padding, p.stride);
          const Strips<T> strips{columns_of.positions * L};
          for (int u = 0; u < rows_of.positions; ++u)
            for (int i = 0; i < strips.count(); ++i)
              strips.strip(i, [&]<int V>(int column, int columns) {
                Rows<T, V> rows(weights, square, count);
                rows.begin(nullptr);
                for (int t = 0; t < rows_of.taps && columns_of.taps > 0; ++t)
                  rows.multiply(
                      (rows_of.first + t * p.stride) * p.kernel + columns_of.first,
                      here + planes.place(above + u + rows_of.shift - t, before + columns_of.shift) + column,
                      {outs, columns_of.taps, std::ptrdiff_t(p.in_group()) * square, p.stride, planes.channel, -L});
                rows.give([&](int r, int v, Pack<T> sum) {
                  if (v * L < columns)
                    store(out + (std::size_t(r) * positions + std::size_t(u * p.stride + ry) * p.in_width +
                                 std::size_t(column / L + v) * p.stride + rx) *
                                    L,
                          sum);
                });
              });
        }
      for (int r = 0; r < count; ++r)
        give_planes(dx + (at.first * p.in_channels + first + r) * positions, std::size_t(p.in_channels) * positions,
                    at.count, out + std::size_t(r) * positions * L, positions, accumulate);
    });
  });
}

namespace {

// Sums over positions and samples of R gradients' times three inputs' packs.
template <class T, int R> struct WeightTile {
  static constexpr int V = 3;
  Pack<T> sum[R][V];
  template <class F> [[gnu::always_inline]] static void each(F f) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int i = 0; i < V; ++i)
        f(r, i);
  }
  [[gnu::always_inline]] void add(const T *const (&d)[R], const T *const (&x)[V], int height, int width,
                                  std::ptrdiff_t x_row) {
    for (int u = 0; u < height; ++u)
      for (int v = 0; v < width; ++v) {
        Pack<T> of[V];
#pragma GCC unroll 4
        for (int i = 0; i < V; ++i)
          of[i] = load<Pack<T>>(x[i] + u * x_row + v * lanes<T>);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const Pack<T> gradient = load<Pack<T>>(d[r] + (u * width + v) * lanes<T>);
#pragma GCC unroll 4
          for (int i = 0; i < V; ++i)
            sum[r][i] = multiply_add(gradient, of[i], sum[r][i]);
        }
      }
  }
};

} // namespace

template <class T>
void conv2d_backward_weight(Stream &s, T *dw, const T *dy, const T *x, T *workspace, const Conv2d &p) {
  const Span span(s, "conv2d_backward_weight", double(p.x_size() + p.y_size() + p.w_size()) * sizeof(T),
                  2 * p.multiply_adds());
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::conv2d_backward_weight(s, dw, dy, x, workspace, p);
  constexpr int L = lanes<T>;
  const int height = p.out_height(), width = p.out_width(), in = p.in_group(), outs = p.out_group(),
            of_in = p.in_height * p.in_width, of_out = height * width, square = p.taps(), columns = in * square;
  const int slices = slices_of<T>(p), blocks = (p.batch + row_samples<T> - 1) / row_samples<T>;
  parallel_for(slices, p.multiply_adds() / L, [&](int slice) {
    T *const sums = workspace + std::size_t(slice) * p.w_size();
    std::fill_n(sums, p.w_size(), T(0));
    for (int b = blocks * slice / slices; b < blocks * (slice + 1) / slices; ++b) {
      const Scratch scratch;
      const int samples = std::min(row_samples<T>, p.batch - b * row_samples<T>), parts = (samples + L - 1) / L;
      Planes<T> inputs = input_planes<T>(scratch, p, parts * p.in_channels),
                gradients(scratch, parts * p.out_channels, 1, 0, 0, height, width);
      for (int part = 0; part < parts; ++part) {
        const std::size_t first = std::size_t(b) * row_samples<T> + std::size_t(part) * L;
        const int here = std::min(L, samples - part * L);
        inputs.fill(part * p.in_channels, x + first * p.in_channels * of_in, std::size_t(p.in_channels) * of_in, here,
                    p.in_channels, p.in_height, p.in_width);
        gradients.fill(part * p.out_channels, dy + first * p.out_channels * of_out,
                       std::size_t(p.out_channels) * of_out, here, p.out_channels, height, width);
      }
      const std::size_t of_part = std::size_t(columns + WeightTile<T, 1>::V) * tile_height * L; // R rows' taps
      T *const packs = scratch.take<T>(of_part * std::size_t(parts));
      const auto add = [&]<int R>(int first, int count) {
        using Tile = WeightTile<T, R>;
        const auto place = [&](int r, int column) {
          return (column / Tile::V * Tile::V * R + r * Tile::V + column % Tile::V) * L;
        };
        // Some rows of the gradients at a time, so that they stay in the first cache while all taps pass by.
        const int rows = std::max(1, int(near_bytes / sizeof(T)) / (R * width * L));
        for (int part = 0; part < parts; ++part)
          for (int u = 0; u < height; u += rows) {
            const T *d[R];
            for (int r = 0; r < R; ++r)
              d[r] = gradients.of(part * p.out_channels + first + std::min(r, count - 1)) + u * gradients.row;
            for (int column = 0; column < columns; column += Tile::V) {
              const T *taps[Tile::V];
              for (int i = 0; i < Tile::V; ++i) {
                const int at_tap = std::min(column + i, columns - 1), tap = at_tap % square;
                taps[i] = inputs.of(part * p.in_channels + first / outs * in + at_tap / square) + u * inputs.row +
                          inputs.place(tap / p.kernel, tap % p.kernel);
              }
              Tile tile{};
              T *const at_sums = packs + std::size_t(part) * of_part;
              if (u > 0)
                tile.each([&](int r, int i) { tile.sum[r][i] = load<Pack<T>>(at_sums + place(r, column + i)); });
              tile.add(d, taps, std::min(rows, height - u), width, inputs.row);
              tile.each([&](int r, int i) { store(at_sums + place(r, column + i), tile.sum[r][i]); });
            }
          }
        for (int column = 0; column < columns; ++column)
          for (int r = 0; r < count; ++r) {
            RowSum<T> sum;
            for (int part = 0; part < parts; ++part)
              sum.add(part * L, load<Pack<T>>(packs + std::size_t(part) * of_part + place(r, column)));
            sums[std::size_t(first + r) * columns + column] += sum.total();
          }
      };
      for (int o = 0; o < p.out_channels;) {
        const int count = std::min({tile_height, p.out_channels - o, outs - o % outs});
        count == 1 ? add.template operator()<1>(o, count) : add.template operator()<tile_height>(o, count);
        o += count;
      }
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
