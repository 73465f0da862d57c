#include "head_norm.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/scratch.h"
#include "reduce.h"
#include <cmath>

namespace theta {

namespace cuda {
decltype(theta::head_norm_forward<float>) head_norm_forward;
decltype(theta::head_norm_forward<bf16>) head_norm_forward;
decltype(theta::head_norm_backward<float>) head_norm_backward;
decltype(theta::head_norm_backward<bf16>) head_norm_backward;
} // namespace cuda

template <class T>
void head_norm_forward(Stream &s, T *out, Wide<T> *rstd, const T *raw, const T *bias, const T *gain,
                       const HeadNorm &p) {
  const Span span(s, "head_norm_forward", 6.0 * p.rows * p.width() * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::head_norm_forward(s, out, rstd, raw, bias, gain, p);
  const std::size_t d = std::size_t(p.width());
  parallel_for(p.rows, 6 * double(p.rows) * double(d), [&](int r) {
    for (int h = 0; h < 3 * p.heads; ++h) {
      const T *x = raw + std::size_t(r) * 3 * d + h * p.head, *b = bias + h * p.head;
      const T *of = gain + (h >= p.heads) * p.head;
      T *y = out + std::size_t(r) * 3 * d + h * p.head;
      const bool value = h >= 2 * p.heads;
      Wide<T> squares = 0;
      for (int c = 0; c < p.head; ++c)
        squares += (widened(x[c]) + widened(b[c])) * (widened(x[c]) + widened(b[c]));
      const Wide<T> by = 1 / std::sqrt(squares / Wide<T>(p.head) + Wide<T>(p.eps));
      for (int c = 0; c < p.head; ++c)
        y[c] = rounded<T>((widened(x[c]) + widened(b[c])) * (value ? 1 : by * widened(of[c])));
      if (!value)
        rstd[std::size_t(r) * 2 * std::size_t(p.heads) + std::size_t(h)] = by;
    }
  });
}

template <class T>
void head_norm_backward(Stream &s, T *d, Wide<T> *dgain, Wide<T> *dbias, const T *raw, const T *bias, const T *gain,
                        const Wide<T> *rstd, const HeadNorm &p) {
  const Span span(s, "head_norm_backward", 9.0 * p.rows * p.width() * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::head_norm_backward(s, d, dgain, dbias, raw, bias, gain, rstd, p);
  const std::size_t width = std::size_t(p.width());
  const Scratch scratch;
  auto *const g = scratch.take<Wide<T>>(std::size_t(p.head)), *const normalised =
                                                                  scratch.take<Wide<T>>(std::size_t(p.head));
  for (int r = 0; r < p.rows; ++r)
    for (int h = 0; h < 2 * p.heads; ++h) {
      const int which = h >= p.heads;
      T *of = d + std::size_t(r) * 3 * width + h * p.head;
      const T *x = raw + std::size_t(r) * 3 * width + h * p.head, *b = bias + h * p.head;
      const Wide<T> by = rstd[std::size_t(r) * 2 * std::size_t(p.heads) + std::size_t(h)];
      Wide<T> mean = 0;
      for (int c = 0; c < p.head; ++c) {
        const auto i = std::size_t(c);
        normalised[i] = (widened(x[c]) + widened(b[c])) * by;
        dgain[which * p.head + c] += widened(of[c]) * normalised[i];
        g[i] = widened(of[c]) * widened(gain[which * p.head + c]);
        mean += g[i] * normalised[i] / Wide<T>(p.head);
      }
      for (int c = 0; c < p.head; ++c)
        of[c] = rounded<T>(by * (g[std::size_t(c)] - normalised[std::size_t(c)] * mean));
    }
  channel_sum<T>(s, dbias, d, p.rows, int(3 * width), 1);
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void head_norm_forward(Stream &, T *, Wide<T> *, const T *, const T *, const T *, const HeadNorm &);        \
  template void head_norm_backward(Stream &, T *, Wide<T> *, Wide<T> *, const T *, const T *, const T *,               \
                                   const Wide<T> *, const HeadNorm &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(bf16)
THETA_INSTANTIATE(double)

} // namespace theta
