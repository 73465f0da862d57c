#include "add.h"
#include "kernels/device/parallel.h"

namespace theta {

namespace cuda {
decltype(theta::add_scaled<float>) add_scaled;
decltype(theta::add_over_channels<float>) add_over_channels;
decltype(theta::sum_over_channels_accumulate<float>) sum_over_channels_accumulate;
} // namespace cuda

template <class T> void add_scaled(Stream &s, T *y, const T *a, const T *b, double scale, std::size_t n) {
  const Span span(s, "add_scaled", 3.0 * double(n) * sizeof(T), 2.0 * double(n));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::add_scaled(s, y, a, b, scale, n);
  parallel_for(n, double(n), [&](std::size_t i) { y[i] = a[i] + T(scale) * b[i]; });
}

template <class T>
void add_over_channels(Stream &s, T *y, const T *x, const T *e, int batch, int channels, int length) {
  const Span span(s, "add_over_channels", 2.0 * batch * channels * length * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::add_over_channels(s, y, x, e, batch, channels, length);
  parallel_for(batch, channels, double(batch) * channels * length, [&](int n, int c) {
    for (int l = 0; l < length; ++l) {
      const std::size_t i = (std::size_t(n) * channels + c) * length + l;
      y[i] = x[i] + e[std::size_t(n) * length + l];
    }
  });
}

template <class T>
void sum_over_channels_accumulate(Stream &s, T *de, const T *dy, int batch, int channels, int length) {
  const Span span(s, "sum_over_channels_accumulate", 1.0 * batch * channels * length * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::sum_over_channels_accumulate(s, de, dy, batch, channels, length);
  parallel_for(batch, double(batch) * channels * length, [&](int n) {
    for (int c = 0; c < channels; ++c)
      for (int l = 0; l < length; ++l)
        de[std::size_t(n) * length + l] += dy[(std::size_t(n) * channels + c) * length + l];
  });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void add_scaled(Stream &, T *, const T *, const T *, double, std::size_t);                                  \
  template void add_over_channels(Stream &, T *, const T *, const T *, int, int, int);                                 \
  template void sum_over_channels_accumulate(Stream &, T *, const T *, int, int, int);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
