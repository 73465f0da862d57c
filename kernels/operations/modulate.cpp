#include "modulate.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/simd.h"
#include <cmath>

namespace theta {

namespace cuda {
decltype(theta::modulate_forward<float>) modulate_forward;
decltype(theta::modulate_forward<bf16>) modulate_forward;
decltype(theta::modulate_backward_accumulate<float>) modulate_backward_accumulate;
decltype(theta::modulate_backward_accumulate<bf16>) modulate_backward_accumulate;
decltype(theta::gate_forward<float>) gate_forward;
decltype(theta::gate_forward<bf16>) gate_forward;
decltype(theta::gate_backward<float>) gate_backward;
decltype(theta::gate_backward<bf16>) gate_backward;
} // namespace cuda

namespace {

using namespace simd;

// Calls f(b, row) for every token, samples in parallel.
template <class F> void for_samples(const Modulation &p, F f) {
  parallel_for(p.batch, double(p.rows()) * p.width, [&](int b) { f(b); });
}

} // namespace

template <class T>
void modulate_forward(Stream &s, T *y, Wide<T> *mean, Wide<T> *rstd, const Wide<T> *x, const Wide<T> *shift,
                      const Wide<T> *scale, const Modulation &p) {
  const Span span(s, "modulate_forward", 2.0 * p.rows() * p.width * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::modulate_forward(s, y, mean, rstd, x, shift, scale, p);
  using W = Wide<T>;
  using P = Pack<W>;
  for_samples(p, [&](int b) {
    const W *of_shift = shift + b * p.step, *of_scale = scale + b * p.step;
    for (int r = b * p.tokens; r < (b + 1) * p.tokens; ++r) {
      const W *from = x + std::size_t(r) * p.width;
      T *to = y + std::size_t(r) * p.width;
      const W m = row_sum<W>(p.width, [&](int c, int count) { return load_some<P>(from + c, count); }) / W(p.width);
      const W squares = row_sum<W>(p.width, [&](int c, int count) {
        const P apart = first_lanes(load_some<P>(from + c, count) - m, count);
        return apart * apart;
      });
      const W by = 1 / std::sqrt(squares / W(p.width) + W(p.eps));
      mean[r] = m, rstd[r] = by;
#pragma omp simd
      for (int c = 0; c < p.width; ++c)
        to[c] = rounded<T>((from[c] - m) * by * (1 + of_scale[c]) + of_shift[c]);
    }
  });
}

template <class T>
void modulate_backward_accumulate(Stream &s, Wide<T> *dx, Wide<T> *dshift, Wide<T> *dscale, const T *dy,
                                  const Wide<T> *x, const Wide<T> *mean, const Wide<T> *rstd, const Wide<T> *scale,
                                  const Modulation &p) {
  const Span span(s, "modulate_backward_accumulate", 4.0 * p.rows() * p.width * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::modulate_backward_accumulate(s, dx, dshift, dscale, dy, x, mean, rstd, scale, p);
  using W = Wide<T>;
  using P = Pack<W>;
  for_samples(p, [&](int b) {
    const W *of_scale = scale + b * p.step;
    W *shift_sum = dshift + b * p.step, *scale_sum = dscale + b * p.step;
    for (int c = 0; c < p.width; ++c)
      shift_sum[c] = scale_sum[c] = 0;
    for (int r = b * p.tokens; r < (b + 1) * p.tokens; ++r) {
      const W *from = x + std::size_t(r) * p.width, m = mean[r], by = rstd[r];
      const T *d = dy + std::size_t(r) * p.width;
      W *to = dx + std::size_t(r) * p.width;
      RowSum<W> plain, times;
      for (int c = 0; c < p.width; c += lanes<W>) {
        const int count = p.width - c;
        const P g = load_wide<P>(d + c, count) * (1 + load_some<P>(of_scale + c, count)); // zero beyond the row
        plain.add(c, g), times.add_product(c, g, (load_some<P>(from + c, count) - m) * by);
      }
      const W average = plain.total() / W(p.width), average_normalised = times.total() / W(p.width);
#pragma omp simd
      for (int c = 0; c < p.width; ++c) {
        const W normalised = (from[c] - m) * by, of = widened(d[c]);
        to[c] += by * (of * (1 + of_scale[c]) - average - normalised * average_normalised);
        shift_sum[c] += of, scale_sum[c] += of * normalised;
      }
    }
  });
}

template <class T>
void gate_forward(Stream &s, Wide<T> *out, const Wide<T> *x, const T *y, const Wide<T> *gate, const Modulation &p) {
  const Span span(s, "gate_forward", 3.0 * p.rows() * p.width * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::gate_forward(s, out, x, y, gate, p);
  for_samples(p, [&](int b) {
    const Wide<T> *of = gate + b * p.step;
    for (int r = b * p.tokens; r < (b + 1) * p.tokens; ++r)
      for (int c = 0; c < p.width; ++c) {
        const std::size_t i = std::size_t(r) * p.width + c;
        out[i] = x[i] + of[c] * widened(y[i]);
      }
  });
}

template <class T>
void gate_backward(Stream &s, T *dy, Wide<T> *dgate, const Wide<T> *dout, const T *y, const Wide<T> *gate,
                   const Modulation &p) {
  const Span span(s, "gate_backward", 3.0 * p.rows() * p.width * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::gate_backward(s, dy, dgate, dout, y, gate, p);
  for_samples(p, [&](int b) {
    const Wide<T> *of = gate + b * p.step;
    Wide<T> *sum = dgate + b * p.step;
    for (int c = 0; c < p.width; ++c)
      sum[c] = 0;
    for (int r = b * p.tokens; r < (b + 1) * p.tokens; ++r)
      for (int c = 0; c < p.width; ++c) {
        const std::size_t i = std::size_t(r) * p.width + c;
        sum[c] += dout[i] * widened(y[i]);
        dy[i] = rounded<T>(of[c] * dout[i]);
      }
  });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void modulate_forward(Stream &, T *, Wide<T> *, Wide<T> *, const Wide<T> *, const Wide<T> *,                \
                                 const Wide<T> *, const Modulation &);                                                 \
  template void modulate_backward_accumulate(Stream &, Wide<T> *, Wide<T> *, Wide<T> *, const T *, const Wide<T> *,    \
                                             const Wide<T> *, const Wide<T> *, const Wide<T> *, const Modulation &);   \
  template void gate_forward(Stream &, Wide<T> *, const Wide<T> *, const T *, const Wide<T> *, const Modulation &);    \
  template void gate_backward(Stream &, T *, Wide<T> *, const Wide<T> *, const T *, const Wide<T> *,                   \
                              const Modulation &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(bf16)
THETA_INSTANTIATE(double)

} // namespace theta
