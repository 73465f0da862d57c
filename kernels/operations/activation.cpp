#include "activation.h"
#include "kernels/parts/parallel.h"
#include "kernels/parts/simd.h"

namespace theta {

namespace cuda {
decltype(theta::bias_act_forward<float>) bias_act_forward;
decltype(theta::bias_act_forward<bf16>) bias_act_forward;
decltype(theta::bias_act_backward<float>) bias_act_backward;
decltype(theta::bias_act_backward<bf16>) bias_act_backward;
} // namespace cuda

namespace {

// Transcendental functions of floats several at a time (simd.h); other activations are cheap one by one.
template <class T> bool in_packs(Activation act) {
  return std::is_same_v<T, float> &&
         (act == Activation::gelu || act == Activation::gelu_tanh || act == Activation::tanh);
}

// y = act(x + bias) over `count` neighbours.
template <class T> void forward_row(T *y, const T *x, const T *bias, int count, Activation act) {
  int c = 0;
  if constexpr (!std::is_same_v<T, bf16>)
    if (constexpr int L = simd::lanes<T>; in_packs<T>(act))
      for (; c + L <= count; c += L) {
        const auto in = bias ? simd::load(x + c) + simd::load(bias + c) : simd::load(x + c);
        simd::store(y + c, simd::activate_with_slope<T>(act, in).value);
      }
  for (; c < count; ++c)
    y[c] = rounded<T>(activate(act, widened(x[c]) + (bias ? widened(bias[c]) : 0)));
}

// dx = dy·act'(x + bias), db += dx.
template <class T>
void backward_row(T *dx, Wide<T> *db, const T *dy, const T *x, const T *bias, int count, Activation act) {
  int c = 0;
  if constexpr (!std::is_same_v<T, bf16>)
    if (constexpr int L = simd::lanes<T>; in_packs<T>(act))
      for (; c + L <= count; c += L) {
        const auto in = bias ? simd::load(x + c) + simd::load(bias + c) : simd::load(x + c);
        const auto d = simd::load(dy + c) * simd::activate_with_slope<T>(act, in).slope;
        simd::store(dx + c, d), simd::store(db + c, simd::load(db + c) + d);
      }
  for (; c < count; ++c) {
    const Wide<T> d = widened(dy[c]) * activation_slope(act, widened(x[c]) + (bias ? widened(bias[c]) : 0));
    dx[c] = rounded<T>(d);
    db[c] += d;
  }
}

} // namespace

template <class T> void bias_act_forward(Stream &s, T *y, const T *x, const T *bias, const BiasAct &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::bias_act_forward(s, y, x, bias, p);
#pragma omp parallel for collapse(2) if (worth_threads(double(p.groups) * p.rows * p.cols))
  for (int g = 0; g < p.groups; ++g)
    for (int r = 0; r < p.rows; ++r) {
      const std::size_t row = (std::size_t(g) * p.rows + r) * p.cols;
      forward_row(y + row, x + row, bias ? bias + g * p.bias_stride : nullptr, p.cols, p.act);
    }
}

template <class T>
void bias_act_backward(Stream &s, T *dx, Wide<T> *dbias, const T *dy, const T *x, const T *bias, const BiasAct &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::bias_act_backward(s, dx, dbias, dy, x, bias, p);
  constexpr int columns = 64; // that one thread sums, over all rows
  const int parts = (p.cols + columns - 1) / columns;
#pragma omp parallel for collapse(2) if (worth_threads(double(p.groups) * p.rows * p.cols))
  for (int g = 0; g < p.groups; ++g)
    for (int part = 0; part < parts; ++part) {
      const int first = part * columns, count = std::min(columns, p.cols - first);
      const std::size_t at = g * p.bias_stride + std::size_t(first);
      for (int r = 0; r < p.rows; ++r) {
        const std::size_t row = (std::size_t(g) * p.rows + r) * p.cols + first;
        backward_row(dx + row, dbias + at, dy + row, x + row, bias ? bias + at : nullptr, count, p.act);
      }
    }
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void bias_act_forward(Stream &, T *, const T *, const T *, const BiasAct &);                                \
  template void bias_act_backward(Stream &, T *, Wide<T> *, const T *, const T *, const T *, const BiasAct &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(bf16)
THETA_INSTANTIATE(double)

} // namespace theta
