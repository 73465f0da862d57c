// On the cpu a block of samples goes at a time, one in each lane (conv2d_planes.h): every tap of every kernel is an
// aligned pack, and nothing is multiplied that is not there (conv2d_taps.h).
#include "conv2d_taps.h"

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

// Samples of one block of the weights' gradient, whatever packs hold: a sum has one order (RowSum).
template <class O> constexpr int row_samples = RowSum<SumOf<O>>::packs *lanes<O> *depth_of<O>;
template <class O> int slices_of(const Conv2d &p) {
  const int blocks = (p.batch + row_samples<O> - 1) / row_samples<O>;
  return std::clamp(blocks * p.out_height() * p.out_width() / positions_a_slice, 1, std::min(most_slices, blocks));
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
