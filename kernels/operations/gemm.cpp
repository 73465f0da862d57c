#include "gemm.h"
#include "kernels/parts/parallel.h"
#include "reduce.h"
#include <bit>
#include <vector>
#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Core>

namespace theta {

namespace cuda {
decltype(theta::gemm<float>) gemm;
decltype(theta::gemm<bf16>) gemm;
decltype(theta::gemm<bf16, float>) gemm;
bool gemm_gelu(Stream &, float *y, float *pre, const float *a, const float *b, const Gemm &, const float *bias);
bool gemm_gelu(Stream &, bf16 *y, bf16 *pre, const bf16 *a, const bf16 *b, const Gemm &, const bf16 *bias);
} // namespace cuda

namespace {

template <class T> using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T> using Rows = Eigen::Map<Matrix<T>, 0, Eigen::OuterStride<>>;
template <class T> using ConstRows = Eigen::Map<const Matrix<T>, 0, Eigen::OuterStride<>>;

// A tile of C: rows [row, row + rows) and columns [column, column + columns).
struct Tile {
  int row, rows, column, columns;
};

template <class T, class A, class B> void multiply(Rows<T> &c, const A &a, const B &b, bool accumulate) {
  if (accumulate)
    c.noalias() += a * b;
  else
    c.noalias() = a * b;
}

template <class T> void multiply_tile(T *c, const T *a, const T *b, const Gemm &p, const Tile &t) {
  Rows<T> out(c + std::size_t(t.row) * p.row_c() + t.column, t.rows, t.columns, Eigen::OuterStride<>(p.row_c()));
  const Eigen::OuterStride<> step_a(p.row_a()), step_b(p.row_b());
  const std::size_t row_a = p.row_a(), row_b = p.row_b();
  const ConstRows<T> a_plain(a + t.row * row_a, t.rows, p.k, step_a), a_stored(a + t.row, p.k, t.rows, step_a);
  const ConstRows<T> b_plain(b + t.column, p.k, t.columns, step_b),
      b_stored(b + t.column * row_b, t.columns, p.k, step_b);
  if (p.transpose_a && p.transpose_b)
    multiply(out, a_stored.transpose(), b_stored.transpose(), p.accumulate);
  else if (p.transpose_a)
    multiply(out, a_stored.transpose(), b_plain, p.accumulate);
  else if (p.transpose_b)
    multiply(out, a_plain, b_stored.transpose(), p.accumulate);
  else
    multiply(out, a_plain, b_plain, p.accumulate);
}

template <class T> void finish_tile(T *c, const Gemm &p, const Tile &t, const T *bias, Activation act) {
  if (!bias && act == Activation::none)
    return;
  if (act == Activation::none) {
    for (int i = t.row; i < t.row + t.rows; ++i) {
      T *row = c + std::size_t(i) * p.row_c();
      for (int j = t.column; j < t.column + t.columns; ++j)
        row[j] += bias[j];
    }
    return;
  }
  for (int i = t.row; i < t.row + t.rows; ++i)
    for (int j = t.column; j < t.column + t.columns; ++j) {
      T &x = c[std::size_t(i) * p.row_c() + j];
      x = activate(act, bias ? x + bias[j] : x);
    }
}

// How many pieces the longer side of C is cut into: by the size of the product alone, never by the number of threads. A
// power of two, so that two or four threads have as much to do each.
int pieces(const Gemm &p) {
  constexpr double worth_a_piece = 1 << 20; // multiply-adds
  const double work = double(p.m) * p.n * p.k / worth_a_piece;
  const int most = std::clamp(std::max(p.m, p.n) / 48, 1, 16);
  return int(std::bit_floor(unsigned(std::clamp(work, 1.0, double(most)))));
}

template <class T> void multiply_parts(T *c, const T *a, const T *b, const Gemm &p, const T *bias, Activation act) {
  const int parts = pieces(p);
  const bool by_rows = p.m >= p.n;
  const int side = by_rows ? p.m : p.n, step = (side + parts - 1) / parts;
#pragma omp parallel for collapse(2) if (parts * p.batch > 1 && worth_threads(double(p.batch) * p.m * p.n * p.k / 16))
  for (int i = 0; i < p.batch; ++i)
    for (int part = 0; part < parts; ++part) {
      const int begin = std::min(side, part * step), size = std::min(step, side - begin);
      if (size == 0)
        continue;
      const Tile tile = by_rows ? Tile{begin, size, 0, p.n} : Tile{0, p.m, begin, size};
      T *ci = c + i * p.stride_c;
      multiply_tile(ci, a + i * p.stride_a, b + i * p.stride_b, p, tile);
      finish_tile(ci, p, tile, bias ? bias + i * p.stride_bias : nullptr, act);
    }
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
