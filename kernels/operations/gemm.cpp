// On the cpu: strips of C's columns times blocks of its rows, dealt out to threads; each packs its strip of op(B), some
// k at a time, and streams op(A) past it (product.h).
#include "gemm.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/product.h"
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

// Of k packed at a time, so that a strip stays in a core's first cache; rows of C that a packed strip serves, which
// make packing cheap and leave threads enough to share.
constexpr int most_k = 128, most_rows = 192;

// Rows [first, first + rows) of a strip of C's columns. Operands that are stored in bf16 (S) are widened where they are
// packed, and a result that is (C) stays in fp32 until its last k.
template <int V, class S, class C>
void multiply_strip(C *c, const S *a, const S *b, const Gemm &p, int first, int rows, int column, int columns,
                    const C *bias, Activation act) {
  using namespace simd;
  using T = Wide<S>;
  using Tile = ProductTile<T, V>;
  constexpr bool widens = !std::is_same_v<S, T>, rounds = !std::is_same_v<C, T>;
  alignas(64) T packed[most_k * Tile::width];
  alignas(64) T of_bias[Tile::width] = {};
  alignas(64) T of_a[widens ? Tile::R * most_k : 1], of_c[rounds ? most_rows * Tile::width : 1];
  if (bias)
    std::transform(bias + column, bias + column + columns, of_bias, [](C x) { return widened(x); });
  const std::ptrdiff_t row_a = p.row_a(), row_b = p.row_b();
  const std::ptrdiff_t k_of_a = p.transpose_a ? row_a : 1,
                       next_a = p.transpose_a ? 1 : row_a; // from k to k, row to row
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
  for (int k = 0; k == 0 || k < p.k; k += most_k) {
    const int depth = std::min(most_k, p.k - k);
    if (p.transpose_b)
      transpose_into(packed, Tile::width, b + column * row_b + k, row_b, columns, depth);
    else
      for (int i = 0; i < depth; ++i) {
        const S *from = b + (k + i) * row_b + column;
        for (int v = 0; v < V; ++v)
          store(packed + i * Tile::width + v * lanes<T>,
                load_wide<Pack<T>>(from + v * lanes<T>, std::max(0, columns - v * lanes<T>)));
      }
    const S *from = a + k * k_of_a + first * next_a;
    for (int r = 0; r < rows; r += Tile::R) {
      const int here = std::min(Tile::R, rows - r);
      const T *row[Tile::R]; // beyond the last row, that row again: nobody looks at it
      if constexpr (widens)
        for (int i = 0; i < here; ++i)
          for (int e = 0; e < depth; ++e)
            of_a[i * most_k + e] = widened(from[(r + i) * next_a + e * k_of_a]);
      for (int i = 0; i < Tile::R; ++i)
        if constexpr (widens)
          row[i] = of_a + std::min(i, here - 1) * most_k;
        else
          row[i] = from + (r + std::min(i, here - 1)) * next_a;
      T *to = sums + r * row_of_sums;
      Tile tile;
      if (k > 0 || p.accumulate)
        tile.read(to, row_of_sums, here, columns);
      else
        tile.clear();
      tile.multiply(row, packed, {1, depth, 0, widens ? 1 : k_of_a, 0, Tile::width});
      const bool ends = k + most_k >= p.k;
      if (ends && bias)
        tile.each([&](int r, int v) { tile.sum[r][v] += load<Pack<T>>(of_bias + v * lanes<T>); });
      tile.write(to, row_of_sums, here, columns);
      if (ends && act != Activation::none)
        for (int i = 0; i < here; ++i)
          for (int v = 0; v < columns; v += lanes<T>)
            store_some(
                to + i * row_of_sums + v,
                activate_with_slope(act, load_some<Pack<T>>(to + i * row_of_sums + v, columns - v), p.omega).value,
                columns - v);
    }
  }
  if constexpr (rounds)
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < columns; ++v)
        c[std::ptrdiff_t(r) * p.row_c() + v] = rounded<C>(of_c[r * Tile::width + v]);
}

template <class S, class C>
void multiply_parts(C *c, const S *a, const S *b, const Gemm &p, const C *bias, Activation act) {
  const simd::Strips<Wide<S>> strips{p.n};
  const int blocks = (p.m + most_rows - 1) / most_rows, step = (p.m + blocks - 1) / blocks, count = strips.count();
  parallel_for(long(p.batch) * blocks, count, double(p.batch) * p.m * p.n * p.k / 16, [&](long at, int strip) {
    const std::size_t i = std::size_t(at / blocks);
    strips.strip(strip, [&]<int V>(int column, int columns) {
      const int first = int(at % blocks) * step, rows = std::min(step, p.m - first);
      if (rows > 0)
        multiply_strip<V>(c + i * p.stride_c, a + i * p.stride_a, b + i * p.stride_b, p, first, rows, column, columns,
                          bias ? bias + i * p.stride_bias : nullptr, act);
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
  multiply_parts(c, a, b, p, bias, act);
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
