#include "head_norm.h"
#include "parallel.h"
#include "reduce.h"
#include <cmath>

namespace theta {

namespace cuda {
decltype(theta::head_norm_forward<float>) head_norm_forward;
decltype(theta::head_norm_backward<float>) head_norm_backward;
} // namespace cuda

template <class T>
void head_norm_forward(Stream &s, T *out, T *rstd, const T *raw, const T *bias, const T *gain, const HeadNorm &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::head_norm_forward(s, out, rstd, raw, bias, gain, p);
  const std::size_t d = std::size_t(p.width());
#pragma omp parallel for if (worth_threads(6 * double(p.rows) * double(d)))
  for (int r = 0; r < p.rows; ++r) {
    const T *x = raw + std::size_t(r) * 3 * d;
    T *y = out + std::size_t(r) * 3 * d;
    for (std::size_t c = 0; c < 3 * d; ++c)
      y[c] = x[c] + bias[c];
    for (int h = 0; h < 2 * p.heads; ++h) {
      T *head = y + h * p.head, squares = 0;
      for (int c = 0; c < p.head; ++c)
        squares += head[c] * head[c];
      const T by = 1 / std::sqrt(squares / T(p.head) + T(p.eps));
      for (int c = 0; c < p.head; ++c)
        head[c] *= by * gain[(h >= p.heads) * p.head + c];
      rstd[std::size_t(r) * 2 * std::size_t(p.heads) + std::size_t(h)] = by;
    }
  }
}

template <class T>
void head_norm_backward(Stream &s, T *d, T *dgain, T *dbias, const T *raw, const T *bias, const T *gain, const T *rstd,
                        const HeadNorm &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::head_norm_backward(s, d, dgain, dbias, raw, bias, gain, rstd, p);
  const std::size_t width = std::size_t(p.width());
  for (int r = 0; r < p.rows; ++r)
    for (int h = 0; h < 2 * p.heads; ++h) {
      const int which = h >= p.heads;
      T *g = d + std::size_t(r) * 3 * width + h * p.head;
      const T *x = raw + std::size_t(r) * 3 * width + h * p.head, *b = bias + h * p.head;
      const T by = rstd[std::size_t(r) * 2 * std::size_t(p.heads) + std::size_t(h)];
      T mean = 0;
      for (int c = 0; c < p.head; ++c) {
        const T normalised = (x[c] + b[c]) * by;
        dgain[which * p.head + c] += g[c] * normalised;
        g[c] *= gain[which * p.head + c];
        mean += g[c] * normalised / T(p.head);
      }
      for (int c = 0; c < p.head; ++c)
        g[c] = by * (g[c] - (x[c] + b[c]) * by * mean);
    }
  channel_sum<T>(s, dbias, d, p.rows, int(3 * width), 1);
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void head_norm_forward(Stream &, T *, T *, const T *, const T *, const T *, const HeadNorm &);              \
  template void head_norm_backward(Stream &, T *, T *, T *, const T *, const T *, const T *, const T *,                \
                                   const HeadNorm &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
