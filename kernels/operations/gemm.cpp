// On the cpu: strips of C's columns times blocks of its rows, dealt out to threads; each packs its strip of op(B), some
// k at a time, and streams op(A) past it, in registers (product.h) or, of bf16, in tiles where there are some (tiles.h).
#include "gemm.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/product.h"
#include "kernels/parts/tiles.h"
#include "reduce.h"

namespace theta {

namespace cuda {
decltype(theta::gemm<float>) gemm;
decltype(theta::gemm<bf16>) gemm;
decltype(theta::gemm<bf16, float>) gemm;
// False where cuBLASLt has no such epilogue.
bool gemm_gelu(Stream &, float *y, float *pre, const float *a, const float *b, const Gemm &, const float *bias);
bool gemm_gelu(Stream &, bf16 *y, bf16 *pre, const bf16 *a, const bf16 *b, const Gemm &, const bf16 *bias);
bool gemm_gelu_slope(Stream &, float *y, const float *a, const float *b, const float *pre, const Gemm &);
bool gemm_gelu_slope(Stream &, bf16 *y, const bf16 *a, const bf16 *b, const bf16 *pre, const Gemm &);
} // namespace cuda

namespace {

using namespace simd;

// Steps along k that are packed at a time, so that a strip stays in a core's first cache; rows of C that a packed strip
// serves, which make packing cheap and leave threads enough to share.
constexpr int most_steps = 128, most_rows = 192;

// Operands O as they are multiplied, of matrices stored as S: where they lie as they are wanted, their place; or copies.
template <class O, class S> class Packed {
public:
  static constexpr int depth = depth_of<O>, L = lanes<O>;
  static constexpr bool copies = !std::is_same_v<O, S>;
  static constexpr int rows_at_once = copies ? L : tile_height; // of op(A)

  Packed(const S *a, const S *b, const Gemm &p)
      : a_(a), b_(b), p_(p), row_a_(p.row_a()), row_b_(p.row_b()), k_of_a_(p.transpose_a ? row_a_ : 1),
        next_a_(p.transpose_a ? 1 : row_a_) {}

  // Steps k, k + depth, ... (`steps` of them) of columns of op(B), `width` apart.
  void pack_b(O *to, int width, int column, int columns, int k, int steps) const {
    const int there = std::min(p_.k - k, steps * depth);
    if (p_.transpose_b)
      return transpose_into(to, width, b_ + column * row_b_ + k, row_b_, columns, there);
    for (int i = 0; i < there; i += depth, to += width) {
      const S *const from = b_ + (k + i) * row_b_ + column, *const next = i + 1 < there ? from + row_b_ : nullptr;
      for (int v = 0; v < width; v += L)
        store(to + v, load_step<O>(from + v, next ? next + v : nullptr, std::max(0, columns - v)));
    }
  }

  // The same steps of `rows` rows of op(A) into copies of most_steps each, those of a row beside one another.
  void pack_rows(O *to, int first, int rows, int k, int steps) const {
    const S *const from = a_ + k * k_of_a_ + first * next_a_;
    const int there = std::min(p_.k - k, steps * depth);
    if (!p_.transpose_a) {
      for (int r = 0; r < rows; ++r)
        for (int i = 0; i < there; i += L * depth)
          store(to + r * most_steps + i / depth, load_steps<O>(from + r * row_a_ + i, there - i));
      return;
    }
    for (int r = 0; r < rows; r += L)
      for (int i = 0; i < there; i += L * depth) {
        Pack<O> block[L];
#pragma GCC unroll 16
        for (int e = 0; e < L; ++e) {
          const int at = i + e * depth;
          block[e] = at < there ? load_step<O>(from + at * row_a_ + r,
                                               at + 1 < there ? from + (at + 1) * row_a_ + r : nullptr, rows - r)
                                : Pack<O>{};
        }
        simd::transpose(block);
#pragma GCC unroll 16
        for (int e = 0; e < L; ++e)
          if (r + e < rows)
            store(to + (r + e) * most_steps + i / depth, block[e]);
      }
  }

  // The same steps of `rows` rows of op(A), at most rows_at_once: element (r, i) is at r·row + i·step of what is
  // returned.
  struct Rows {
    const O *at;
    std::ptrdiff_t row, step;
  };
  Rows rows_of_a(O *copy, int first, int rows, int k, int steps) const {
    const S *const from = a_ + k * k_of_a_ + first * next_a_;
    if constexpr (!copies) {
      return {from, next_a_, k_of_a_};
    } else {
      const int there = std::min(p_.k - k, steps * depth);
      if (p_.transpose_a) {
        for (int i = 0; i < there; i += depth)
          store(copy + i / depth * L,
                load_step<O>(from + i * row_a_, i + 1 < there ? from + (i + 1) * row_a_ : nullptr, rows));
        return {copy, 1, L};
      }
      pack_rows(copy, first, rows, k, steps);
      return {copy, most_steps, 1};
    }
  }

private:
  const S *a_, *b_;
  const Gemm &p_;
  std::ptrdiff_t row_a_, row_b_, k_of_a_, next_a_; // from k to k, row to row
};

// Rows [first, first + rows) of a strip of C's columns. Operands are packed as O; a result that is stored in bf16 (C)
// stays in fp32 until its last k.
template <int V, class O, class S, class C>
void multiply_strip(C *c, const S *a, const S *b, const Gemm &p, int first, int rows, int column, int columns,
                    const C *bias, Activation act) {
  using T = SumOf<O>;
  using Tile = ProductTile<O, V>;
  using Operands = Packed<O, S>;
  constexpr bool rounds = !std::is_same_v<C, T>;
  constexpr int depth = most_steps * Operands::depth, rows_at_once = Operands::rows_at_once;
  alignas(64) O of_b[most_steps * Tile::width];
  alignas(64) O of_a[Operands::copies ? rows_at_once * most_steps : 1];
  alignas(64) T of_bias[Tile::width] = {};
  alignas(64) T of_c[rounds ? most_rows * Tile::width : 1];
  if (bias)
    std::transform(bias + column, bias + column + columns, of_bias, [](C x) { return widened(x); });
  const Operands operands(a, b, p);
  c += first * std::ptrdiff_t(p.row_c()) + column;
  T *sums;
  std::ptrdiff_t row_of_sums;
  if constexpr (rounds) {
    sums = of_c, row_of_sums = Tile::width;
    if (p.accumulate)
      for (int r = 0; r < rows; ++r)
        for (int v = 0; v < columns; ++v)
          of_c[r * Tile::width + v] = widened(c[std::ptrdiff_t(r) * p.row_c() + v]);
  } else {
    sums = c, row_of_sums = p.row_c();
  }
  for (int k = 0; k == 0 || k < p.k; k += depth) {
    const int steps = std::min(most_steps, (p.k - k + Operands::depth - 1) / Operands::depth);
    const bool begins = k == 0 && !p.accumulate, ends = k + depth >= p.k;
    operands.pack_b(of_b, Tile::width, column, columns, k, steps);
    for (int block = 0; block < rows; block += rows_at_once) {
      const int last = std::min(rows, block + rows_at_once);
      const auto from = operands.rows_of_a(of_a, first + block, last - block, k, steps);
      for (int r = block; r < last; r += Tile::R) {
        const int here = std::min(Tile::R, last - r);
        const O *row[Tile::R]; // beyond the last row, that row again: nobody looks at it
        for (int i = 0; i < Tile::R; ++i)
          row[i] = from.at + (r - block + std::min(i, here - 1)) * from.row;
        T *to = sums + r * row_of_sums;
        Tile tile;
        if (begins)
          tile.clear();
        else
          tile.read(to, row_of_sums, here, columns);
        tile.multiply(row, of_b, {1, steps, 0, from.step, 0, Tile::width});
        if (ends && bias)
          tile.each([&](int r, int v) { tile.sum[r][v] += load<Pack<T>>(of_bias + v * lanes<T>); });
        if (!ends || (!rounds && act == Activation::none)) {
          tile.write(to, row_of_sums, here, columns);
          continue;
        }
        alignas(64) T done[Tile::R * Tile::width];
        tile.write(done, Tile::width, Tile::R, Tile::width);
        for (int i = 0; i < here; ++i)
          for (int v = 0; v < columns; v += lanes<T>) {
            auto pack = load<Pack<T>>(done + i * Tile::width + v);
            if (act != Activation::none)
              pack = activate_with_slope(act, pack, p.omega).value;
            store_rounded(c + std::ptrdiff_t(r + i) * p.row_c() + v, pack, columns - v);
          }
      }
    }
  }
}

constexpr int tile_width = 2 * tile_edge, tile_rows = 2 * tile_edge; // of a block of tiles

// The same of pairs in tiles: sums of the whole strip lie in memory until the last k.
template <class S, class C>
void multiply_strip_in_tiles(C *c, const S *a, const S *b, const Gemm &p, int first, int rows, int column, int columns,
                             const C *bias, Activation act) {
  constexpr int depth = most_steps * depth_of<Pair>, L = lanes<float>;
  alignas(64) Pair of_a[tile_rows * most_steps], of_b[most_steps * tile_width];
  alignas(64) float sums[(most_rows + tile_rows) * tile_width], of_bias[tile_width] = {};
  const Packed<Pair, S> operands(a, b, p);
  c += first * std::ptrdiff_t(p.row_c()) + column;
  std::fill_n(sums, (rows + tile_rows) * tile_width, 0.0f);
  for (int r = 0; p.accumulate && r < rows; ++r)
    for (int v = 0; v < columns; ++v)
      sums[r * tile_width + v] = widened(c[std::ptrdiff_t(r) * p.row_c() + v]);
  if (bias)
    std::transform(bias + column, bias + column + columns, of_bias, [](C x) { return widened(x); });
  for (int k = 0; k < p.k; k += depth) {
    const int steps = std::min(most_steps, (p.k - k + 1) / 2), tiles = (steps + tile_edge - 1) / tile_edge;
    std::fill_n(of_b, tiles * tile_edge * tile_width, Pair(0));
    operands.pack_b(of_b, tile_width, column, columns, k, steps);
    TileStep step[most_steps / tile_edge];
    for (int t = 0; t < tiles; ++t)
      step[t] = {std::ptrdiff_t(t) * tile_edge, std::ptrdiff_t(t) * tile_edge * tile_width};
    for (int r = 0; r < rows; r += tile_rows) {
      const int here = std::min(tile_rows, rows - r);
      if (here < tile_rows)
        std::fill_n(of_a, tile_rows * most_steps, Pair(0));
      operands.pack_rows(of_a, first + r, here, k, steps);
      add_in_tiles({sums + r * tile_width, tile_width, tile_edge, of_a, most_steps, of_b, tile_width, tile_edge}, step,
                   tiles);
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < columns; v += L) {
      Floats pack = load<Floats>(sums + r * tile_width + v) + load<Floats>(of_bias + v);
      if (act != Activation::none)
        pack = activate_with_slope(act, pack, p.omega).value;
      store_rounded(c + std::ptrdiff_t(r) * p.row_c() + v, pack, columns - v);
    }
}

// work(matrix of the batch, first row, rows, strip) for all blocks of rows of all matrices, and `strips` strips.
template <class F> void for_parts(const Gemm &p, int strips, F work) {
  const int blocks = (p.m + most_rows - 1) / most_rows, step = (p.m + blocks - 1) / blocks;
  parallel_for(long(p.batch) * blocks, strips, double(p.batch) * p.m * p.n * p.k / 16, [&](long at, int strip) {
    const int first = int(at % blocks) * step, rows = std::min(step, p.m - first);
    if (rows > 0)
      work(std::size_t(at / blocks), first, rows, strip);
  });
}

template <class O, class S, class C>
void multiply_parts(C *c, const S *a, const S *b, const Gemm &p, const C *bias, Activation act) {
  const auto bias_of = [&](std::size_t i) { return bias ? bias + i * p.stride_bias : nullptr; };
  if constexpr (std::is_same_v<O, Pair> && fits_tiles)
    if (multiplies_in_tiles())
      return for_parts(p, (p.n + tile_width - 1) / tile_width, [&](std::size_t i, int first, int rows, int strip) {
        const int column = strip * tile_width, columns = std::min(tile_width, p.n - column);
        multiply_strip_in_tiles(c + i * p.stride_c, a + i * p.stride_a, b + i * p.stride_b, p, first, rows, column,
                                columns, bias_of(i), act);
      });
  const Strips<SumOf<O>> strips{p.n};
  for_parts(p, strips.count(), [&](std::size_t i, int first, int rows, int strip) {
    strips.strip(strip, [&]<int V>(int column, int columns) {
      multiply_strip<V, O>(c + i * p.stride_c, a + i * p.stride_a, b + i * p.stride_b, p, first, rows, column, columns,
                           bias_of(i), act);
    });
  });
}

} // namespace

template <class T, class C>
void gemm(Stream &s, std::type_identity_t<C> *c, const T *a, const T *b, const Gemm &p,
          const std::type_identity_t<C> *bias, Activation act) {
  const Span span(s, "gemm", 1.0 * p.batch * ((double(p.m) + p.n) * p.k * sizeof(T) + double(p.m) * p.n * sizeof(C)),
                  2.0 * p.batch * p.m * p.n * double(p.k));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::gemm(s, c, a, b, p, bias, act);
  with_operands<T>(p.arithmetic, [&]<class O>(O) { multiply_parts<O>(c, a, b, p, bias, act); });
}

template <class T>
void linear_gelu_forward(Stream &s, T *y, T *pre, const T *x, const T *w, const T *b, int rows, int in, int out,
                         Arithmetic arithmetic) {
  const Span span(s, "linear_gelu_forward", (double(rows) * in + double(out) * in + 2.0 * rows * out) * sizeof(T),
                  2.0 * rows * in * double(out));
  const Gemm p{.m = rows, .n = out, .k = in, .transpose_b = true, .arithmetic = arithmetic};
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda() && cuda::gemm_gelu(s, y, pre, x, w, p, b))
      return;
  gemm(s, pre, x, w, p, b);
  bias_act_forward<T>(s, y, pre, nullptr, {1, rows, out, 0, Activation::gelu_tanh});
}

template <class T>
void linear_gelu_backward(Stream &s, T *d_pre, Wide<T> *db, const T *dy, const T *w, const T *pre, int rows, int in,
                          int out, Arithmetic arithmetic) {
  const Span span(s, "linear_gelu_backward", (double(rows) * out + double(out) * in + 2.0 * rows * in) * sizeof(T),
                  2.0 * rows * in * double(out));
  const Gemm p{.m = rows, .n = in, .k = out, .arithmetic = arithmetic};
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda() && cuda::gemm_gelu_slope(s, d_pre, dy, w, pre, p))
      return channel_sum<T>(s, db, d_pre, rows, in, 1);
  gemm(s, d_pre, dy, w, p);
  bias_act_backward<T>(s, d_pre, db, d_pre, pre, nullptr, {1, rows, in, 0, Activation::gelu_tanh});
}

template void gemm<bf16, float>(Stream &, float *, const bf16 *, const bf16 *, const Gemm &, const float *, Activation);
#define THETA_INSTANTIATE(T)                                                                                           \
  template void gemm<T, T>(Stream &, T *, const T *, const T *, const Gemm &, const T *, Activation);                  \
  template void linear_gelu_forward(Stream &, T *, T *, const T *, const T *, const T *, int, int, int, Arithmetic);   \
  template void linear_gelu_backward(Stream &, T *, Wide<T> *, const T *, const T *, const T *, int, int, int,         \
                                     Arithmetic);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(bf16)
THETA_INSTANTIATE(double)

} // namespace theta
