#include "scan.h"
#include "kernels/device/parallel.h"
#include "reduce.h"

namespace theta {

namespace cuda {
decltype(theta::linear_scan_forward<float>) linear_scan_forward;
void linear_scan_backward(Stream &, float *du, const float *dh, const float *h, const float *u, const float *state,
                          const float *nu, float *partial, const Scan &);
} // namespace cuda

namespace {
constexpr int together = 64; // channels that a thread takes at a time: a step of them is one stretch of memory
} // namespace

template <class T>
void linear_scan_forward(Stream &s, T *h, T *last, const T *u, const T *state, const T *nu, const Scan &p) {
  const Span span(s, "linear_scan_forward", 2.0 * p.batch * p.length * p.channels * sizeof(T),
                  3.0 * p.batch * p.length * p.channels);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::linear_scan_forward(s, h, last, u, state, nu, p);
  const long groups = (p.channels + together - 1) / together;
  parallel_for(p.batch, groups, double(p.batch) * p.length * p.channels, [&](long b, long group) {
    const int first = int(group) * together, n = std::min(together, p.channels - first);
    T a[together], gain[together], now[together];
    for (int c = 0; c < n; ++c) {
      const auto d = decay_of(nu[first + c]);
      a[c] = d.a, gain[c] = d.gain, now[c] = state[b * p.channels + first + c];
    }
    for (int t = 0; t < p.length; ++t) {
      const std::size_t at = (std::size_t(b) * p.length + t) * p.channels + first;
      for (int c = 0; c < n; ++c)
        h[at + c] = now[c] = a[c] * now[c] + gain[c] * u[at + c];
    }
    if (last)
      for (int c = 0; c < n; ++c)
        last[b * p.channels + first + c] = now[c];
  });
}

template <class T>
void linear_scan_backward(Stream &s, T *du, T *dnu, const T *dh, const T *h, const T *u, const T *state, const T *nu,
                          T *partial, const Scan &p) {
  const Span span(s, "linear_scan_backward", 4.0 * p.batch * p.length * p.channels * sizeof(T),
                  7.0 * p.batch * p.length * p.channels);
  const auto sequences = [&] {
    if constexpr (runs_on_cuda<T>)
      if (s.is_cuda())
        return cuda::linear_scan_backward(s, du, dh, h, u, state, nu, partial, p);
    const long groups = (p.channels + together - 1) / together;
    parallel_for(p.batch, groups, 3.0 * p.batch * p.length * p.channels, [&](long b, long group) {
      const int first = int(group) * together, n = std::min(together, p.channels - first);
      T a[together], gain[together], g[together] = {}, da[together] = {}, dgain[together] = {};
      for (int c = 0; c < n; ++c) {
        const auto d = decay_of(nu[first + c]);
        a[c] = d.a, gain[c] = d.gain;
      }
      for (int t = p.length; t-- > 0;) {
        const std::size_t at = (std::size_t(b) * p.length + t) * p.channels + first;
        const T *before = t > 0 ? h + at - p.channels : state + b * p.channels + first;
        for (int c = 0; c < n; ++c) {
          g[c] = dh[at + c] + a[c] * g[c];
          da[c] += g[c] * before[c], dgain[c] += g[c] * u[at + c];
          du[at + c] = gain[c] * g[c];
        }
      }
      for (int c = 0; c < n; ++c)
        partial[b * p.channels + first + c] = dnu_of(nu[first + c], da[c], dgain[c]);
    });
  };
  sequences();
  channel_sum<T>(s, dnu, partial, p.batch, p.channels, 1);
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void linear_scan_forward(Stream &, T *, T *, const T *, const T *, const T *, const Scan &);                \
  template void linear_scan_backward(Stream &, T *, T *, const T *, const T *, const T *, const T *, const T *, T *,   \
                                     const Scan &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
