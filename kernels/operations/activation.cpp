#include "activation.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/simd.h"

namespace theta {

namespace cuda {
decltype(theta::bias_act_forward<float>) bias_act_forward;
decltype(theta::bias_act_forward<bf16>) bias_act_forward;
decltype(theta::bias_act_backward<float>) bias_act_backward;
decltype(theta::bias_act_backward<bf16>) bias_act_backward;
} // namespace cuda

namespace {

// y = act(x + bias) over `count` neighbours.
template <class T> void forward_row(T *y, const T *x, const T *bias, int count, const BiasAct &p) {
  using P = simd::Pack<Wide<T>>;
  for (int c = 0; c < count; c += simd::lanes_of<P>) {
    const auto in = simd::load_wide<P>(x + c, count - c) + (bias ? simd::load_wide<P>(bias + c, count - c) : P{});
    simd::store_rounded(y + c, simd::activate_with_slope(p.act, in, p.omega).value, count - c);
  }
}

// dx = dy·act'(x + bias), db += dx.
template <class T>
void backward_row(T *dx, Wide<T> *db, const T *dy, const T *x, const T *bias, int count, const BiasAct &p) {
  using P = simd::Pack<Wide<T>>;
  for (int c = 0; c < count; c += simd::lanes_of<P>) {
    const auto in = simd::load_wide<P>(x + c, count - c) + (bias ? simd::load_wide<P>(bias + c, count - c) : P{});
    const auto d = simd::load_wide<P>(dy + c, count - c) * simd::activate_with_slope(p.act, in, p.omega).slope;
    simd::store_rounded(dx + c, d, count - c);
    simd::store_some(db + c, simd::load_some<P>(db + c, count - c) + d, count - c);
  }
}

} // namespace

template <class T> void bias_act_forward(Stream &s, T *y, const T *x, const T *bias, const BiasAct &p) {
  const Span span(s, "bias_act_forward", 2.0 * p.groups * p.rows * p.cols * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::bias_act_forward(s, y, x, bias, p);
  parallel_for(p.groups, p.rows, double(p.groups) * p.rows * p.cols, [&](int g, int r) {
    const std::size_t row = (std::size_t(g) * p.rows + r) * p.cols;
    forward_row(y + row, x + row, bias ? bias + g * p.bias_stride : nullptr, p.cols, p);
  });
}

template <class T>
void bias_act_backward(Stream &s, T *dx, Wide<T> *dbias, const T *dy, const T *x, const T *bias, const BiasAct &p) {
  const Span span(s, "bias_act_backward", 3.0 * p.groups * p.rows * p.cols * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::bias_act_backward(s, dx, dbias, dy, x, bias, p);
  constexpr int columns = 64; // that one thread sums, over all rows
  const int parts = (p.cols + columns - 1) / columns;
  parallel_for(p.groups, parts, double(p.groups) * p.rows * p.cols, [&](int g, int part) {
    const int first = part * columns, count = std::min(columns, p.cols - first);
    const std::size_t at = g * p.bias_stride + std::size_t(first);
    for (int r = 0; r < p.rows; ++r) {
      const std::size_t row = (std::size_t(g) * p.rows + r) * p.cols + first;
      backward_row(dx + row, dbias + at, dy + row, x + row, bias ? bias + at : nullptr, count, p);
    }
  });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void bias_act_forward(Stream &, T *, const T *, const T *, const BiasAct &);                                \
  template void bias_act_backward(Stream &, T *, Wide<T> *, const T *, const T *, const T *, const BiasAct &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(bf16)
THETA_INSTANTIATE(double)

} // namespace theta
