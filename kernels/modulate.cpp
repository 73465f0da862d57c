#include "modulate.h"
#include "parallel.h"
#include <cmath>

namespace theta {

namespace cuda {
decltype(theta::modulate_forward<float>) modulate_forward;
decltype(theta::modulate_backward_accumulate<float>) modulate_backward_accumulate;
decltype(theta::gate_forward<float>) gate_forward;
decltype(theta::gate_backward<float>) gate_backward;
} // namespace cuda

namespace {

// Calls f(b, row) for every token, samples in parallel.
template <class F> void for_samples(const Modulation &p, F f) {
#pragma omp parallel for if (worth_threads(double(p.rows()) * p.width))
  for (int b = 0; b < p.batch; ++b)
    f(b);
}

} // namespace

template <class T>
void modulate_forward(Stream &s, T *y, T *mean, T *rstd, const T *x, const T *shift, const T *scale,
                      const Modulation &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::modulate_forward(s, y, mean, rstd, x, shift, scale, p);
  for_samples(p, [&](int b) {
    const T *of_shift = shift + b * p.step, *of_scale = scale + b * p.step;
    for (int r = b * p.tokens; r < (b + 1) * p.tokens; ++r) {
      const T *from = x + std::size_t(r) * p.width;
      T *to = y + std::size_t(r) * p.width, sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
      for (int c = 0; c < p.width; ++c)
        sum += from[c];
      const T m = sum / T(p.width);
#pragma omp simd reduction(+ : squares)
      for (int c = 0; c < p.width; ++c)
        squares += (from[c] - m) * (from[c] - m);
      const T by = 1 / std::sqrt(squares / T(p.width) + T(p.eps));
      mean[r] = m, rstd[r] = by;
#pragma omp simd
      for (int c = 0; c < p.width; ++c)
        to[c] = (from[c] - m) * by * (1 + of_scale[c]) + of_shift[c];
    }
  });
}

template <class T>
void modulate_backward_accumulate(Stream &s, T *dx, T *dshift, T *dscale, const T *dy, const T *x, const T *mean,
                                  const T *rstd, const T *scale, const Modulation &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::modulate_backward_accumulate(s, dx, dshift, dscale, dy, x, mean, rstd, scale, p);
  for_samples(p, [&](int b) {
    const T *of_scale = scale + b * p.step;
    T *shift_sum = dshift + b * p.step, *scale_sum = dscale + b * p.step;
    for (int c = 0; c < p.width; ++c)
      shift_sum[c] = scale_sum[c] = 0;
    for (int r = b * p.tokens; r < (b + 1) * p.tokens; ++r) {
      const T *from = x + std::size_t(r) * p.width, *d = dy + std::size_t(r) * p.width, m = mean[r], by = rstd[r];
      T *to = dx + std::size_t(r) * p.width, sum = 0, sum_normalised = 0;
#pragma omp simd reduction(+ : sum, sum_normalised)
      for (int c = 0; c < p.width; ++c) {
        const T g = d[c] * (1 + of_scale[c]), normalised = (from[c] - m) * by;
        sum += g, sum_normalised += g * normalised;
      }
      const T average = sum / T(p.width), average_normalised = sum_normalised / T(p.width);
#pragma omp simd
      for (int c = 0; c < p.width; ++c) {
        const T normalised = (from[c] - m) * by;
        to[c] += by * (d[c] * (1 + of_scale[c]) - average - normalised * average_normalised);
        shift_sum[c] += d[c], scale_sum[c] += d[c] * normalised;
      }
    }
  });
}

template <class T> void gate_forward(Stream &s, T *out, const T *x, const T *y, const T *gate, const Modulation &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::gate_forward(s, out, x, y, gate, p);
  for_samples(p, [&](int b) {
    const T *of = gate + b * p.step;
    for (int r = b * p.tokens; r < (b + 1) * p.tokens; ++r)
      for (int c = 0; c < p.width; ++c) {
        const std::size_t i = std::size_t(r) * p.width + c;
        out[i] = x[i] + of[c] * y[i];
      }
  });
}

template <class T>
void gate_backward(Stream &s, T *dy, T *dgate, const T *dout, const T *y, const T *gate, const Modulation &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::gate_backward(s, dy, dgate, dout, y, gate, p);
  for_samples(p, [&](int b) {
    const T *of = gate + b * p.step;
    T *sum = dgate + b * p.step;
    for (int c = 0; c < p.width; ++c)
      sum[c] = 0;
    for (int r = b * p.tokens; r < (b + 1) * p.tokens; ++r)
      for (int c = 0; c < p.width; ++c) {
        const std::size_t i = std::size_t(r) * p.width + c;
        sum[c] += dout[i] * y[i];
        dy[i] = of[c] * dout[i];
      }
  });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void modulate_forward(Stream &, T *, T *, T *, const T *, const T *, const T *, const Modulation &);        \
  template void modulate_backward_accumulate(Stream &, T *, T *, T *, const T *, const T *, const T *, const T *,      \
                                             const T *, const Modulation &);                                           \
  template void gate_forward(Stream &, T *, const T *, const T *, const T *, const Modulation &);                      \
  template void gate_backward(Stream &, T *, T *, const T *, const T *, const T *, const Modulation &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
