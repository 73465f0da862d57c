// On the cpu: strips of C's columns times blocks of its rows, dealt out to threads; each packs its strip of op(B), some
// k at a time, and streams op(A) past it (product.h).
#include "gemm.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/product.h"
#include "reduce.h"
#include <vector>

namespace theta {

namespace cuda {
decltype(theta::gemm<float>) gemm;
decltype(theta::gemm<bf16>) gemm;
decltype(theta::gemm<bf16, float>) gemm;
bool gemm_gelu(Stream &, float *y, float *pre, const float *a, const float *b, const Gemm &, const float *bias);
bool gemm_gelu(Stream &, bf16 *y, bf16 *pre, const bf16 *a, const bf16 *b, const Gemm &, const bf16 *bias);
} // namespace cuda

namespace {

// Of k packed at a time, so that a strip stays in a core's first cache; rows of C that a packed strip serves, which
// make packing cheap and leave threads enough to share.
constexpr int most_k = 128, most_rows = 192;

// Rows [first, first + rows) of a strip of C's columns.
template <class T, int V>
void multiply_strip(T *c, const T *a, const T *b, const Gemm &p, int first, int rows, int column, int columns,
                    const T *bias, Activation act) {
  using namespace simd;
  using Tile = ProductTile<T, V>;
  alignas(64) T packed[most_k * Tile::width];
  alignas(64) T of_bias[Tile::width] = {};
  if (bias)
    std::copy_n(bias + column, columns, of_bias);
  const std::ptrdiff_t row_a = p.row_a(), row_b = p.row_b(), row_c = p.row_c();
  for (int k = 0; k == 0 || k < p.k; k += most_k) {
    const int depth = std::min(most_k, p.k - k);
    if (p.transpose_b)
      transpose_into(packed, Tile::width, b + column * row_b + k, row_b, columns, depth);
    else
      for (int i = 0; i < depth; ++i) {
        const T *from = b + (k + i) * row_b + column;
        for (int v = 0; v < V; ++v)
          store(packed + i * Tile::width + v * lanes<T>,
                load_some<Pack<T>>(from + v * lanes<T>, std::max(0, columns - v * lanes<T>)));
      }
    const Walk walk{1, depth, 0, p.transpose_a ? row_a : 1, 0, Tile::width};
    const T *from = a + (p.transpose_a ? k * row_a : k);
    for (int r = 0; r < rows; r += Tile::R) {
      const int here = std::min(Tile::R, rows - r);
      const T *row[Tile::R]; // beyond the last row, that row again: nobody looks at it
      for (int i = 0; i < Tile::R; ++i)
        row[i] = from + (first + r + std::min(i, here - 1)) * (p.transpose_a ? 1 : row_a);
      T *to = c + (first + r) * row_c + column;
      Tile tile;
      if (k > 0 || p.accumulate)
        tile.read(to, row_c, here, columns);
      else
        tile.clear();
      tile.multiply(row, packed, walk);
      const bool ends = k + most_k >= p.k;
      if (ends && bias)
        tile.each([&](int r, int v) { tile.sum[r][v] += load<Pack<T>>(of_bias + v * lanes<T>); });
      tile.write(to, row_c, here, columns);
      if (ends && act != Activation::none)
        for (int i = 0; i < here; ++i)
          for (int v = 0; v < columns; v += lanes<T>)
            store_some(to + i * row_c + v,
                       activate_with_slope(act, load_some<Pack<T>>(to + i * row_c + v, columns - v), p.omega).value,
                       columns - v);
    }
  }
}

template <class T> void multiply_parts(T *c, const T *a, const T *b, const Gemm &p, const T *bias, Activation act) {
  const simd::Strips<T> strips{p.n};
  const int blocks = (p.m + most_rows - 1) / most_rows, step = (p.m + blocks - 1) / blocks, count = strips.count();
  parallel_for(long(p.batch) * blocks, count, double(p.batch) * p.m * p.n * p.k / 16, [&](long at, int strip) {
    const std::size_t i = std::size_t(at / blocks);
    strips.strip(strip, [&]<int V>(int column, int columns) {
      const int first = int(at % blocks) * step, rows = std::min(step, p.m - first);
      if (rows > 0)
        multiply_strip<T, V>(c + i * p.stride_c, a + i * p.stride_a, b + i * p.stride_b, p, first, rows, column,
                             columns, bias ? bias + i * p.stride_bias : nullptr, act);
    });
  });
}

// Elements that a stored operand of `rows` rows spans, over the whole batch.
std::size_t span(int rows, int step, int columns, const Gemm &p, std::size_t stride) {
  return std::size_t(p.batch - 1) * stride + std::size_t(rows - 1) * step + columns;
}

template <class C>
void multiply_widened(Stream &s, C *c, const bf16 *a, const bf16 *b, const Gemm &p, const C *bias, Activation act) {
  const auto widened = [](const auto *from, std::size_t n) {
    std::vector<float> to(n);
    std::transform(from, from + n, to.begin(), [](auto x) { return to_float(x); });
    return to;
  };
  const auto wide_a = widened(a, span(p.transpose_a ? p.k : p.m, p.row_a(), p.transpose_a ? p.m : p.k, p, p.stride_a));
  const auto wide_b = widened(b, span(p.transpose_b ? p.n : p.k, p.row_b(), p.transpose_b ? p.k : p.n, p, p.stride_b));
  auto wide_c = widened(c, span(p.m, p.row_c(), p.n, p, p.stride_c));
  const auto wide_bias = widened(bias, bias ? std::size_t(p.batch - 1) * p.stride_bias + std::size_t(p.n) : 0);
  gemm(s, wide_c.data(), wide_a.data(), wide_b.data(), p, bias ? wide_bias.data() : nullptr, act);
  for (int i = 0; i < p.batch; ++i)
    for (int row = 0; row < p.m; ++row)
      for (int column = 0; column < p.n; ++column) {
        const std::size_t at = i * p.stride_c + std::size_t(row) * p.row_c() + column;
        c[at] = rounded<C>(wide_c[at]);
      }
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
  if constexpr (std::is_same_v<T, bf16>)
    return multiply_widened(s, c, a, b, p, bias, act);
  else
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
    if (s.is_cuda() && cuda::gemm_gelu(s, d_pre, const_cast<T *>(pre), dy, w, p, nullptr))
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
