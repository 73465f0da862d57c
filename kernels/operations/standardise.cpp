#include "standardise.h"
#include "kernels/device/parallel.h"

namespace theta {

namespace cuda {
decltype(theta::standardise<float>) standardise;
decltype(theta::unstandardise<float>) unstandardise;
} // namespace cuda

template <class T>
void standardise(Stream &s, T *y, const T *x, const T *mean, const T *std, int rows, std::size_t cols,
                 std::size_t padded) {
  const Span span(s, "standardise", 1.0 * rows * double(cols + padded) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::standardise(s, y, x, mean, std, rows, cols, padded);
  parallel_for(rows, rows * double(padded), [&](int k) {
    for (std::size_t i = 0; i < padded; ++i)
      y[k * padded + i] = i < cols ? (x[k * cols + i] - mean[i]) / std[i] : T(0);
  });
}

template <class T>
void unstandardise(Stream &s, T *x, const T *y, const T *mean, const T *std, int rows, std::size_t cols,
                   std::size_t padded) {
  const Span span(s, "unstandardise", 2.0 * rows * double(cols) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::unstandardise(s, x, y, mean, std, rows, cols, padded);
  parallel_for(rows, rows * double(cols), [&](int k) {
    for (std::size_t i = 0; i < cols; ++i)
      x[k * cols + i] = y[k * padded + i] * std[i] + mean[i];
  });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void standardise(Stream &, T *, const T *, const T *, const T *, int, std::size_t, std::size_t);            \
  template void unstandardise(Stream &, T *, const T *, const T *, const T *, int, std::size_t, std::size_t);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
