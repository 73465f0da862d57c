#include "reduce.h"
#include "kernels/device/parallel.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace theta {

namespace cuda {
decltype(theta::row_sum<float>) row_sum;
decltype(theta::row_max_abs<float>) row_max_abs;
decltype(theta::channel_sum<float>) channel_sum;
decltype(theta::channel_sum<bf16>) channel_sum;
decltype(theta::global_norm<float>) global_norm;
decltype(theta::mean_squared_error<float>) mean_squared_error;
} // namespace cuda

namespace {

// Σ term(i) over n elements: one double a fixed stretch, then their sum, whatever the number of threads.
template <class T, class F> double sum_in_stretches(std::size_t n, T *workspace, F term) {
  const std::size_t step = (n + partial_sums - 1) / partial_sums;
  parallel_for(partial_sums, double(n), [&](std::size_t part) {
    double sum = 0;
    for (std::size_t i = part * step; i < std::min(n, (part + 1) * step); ++i)
      sum += term(i);
    workspace[part] = T(sum);
  });
  double sum = 0;
  for (std::size_t part = 0; part < partial_sums; ++part)
    sum += workspace[part];
  return sum;
}

} // namespace

template <class T> void row_sum(Stream &s, T *out, const T *x, int rows, std::size_t cols, double scale) {
  const Span span(s, "row_sum", 1.0 * rows * double(cols) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::row_sum(s, out, x, rows, cols, scale);
  parallel_for(rows, rows * double(cols), [&](int r) {
    double sum = 0;
    for (std::size_t c = 0; c < cols; ++c)
      sum += x[r * cols + c];
    out[r] += T(scale * sum);
  });
}

template <class T> void row_max_abs(Stream &s, T *out, const T *x, int rows, std::size_t cols) {
  const Span span(s, "row_max_abs", 1.0 * rows * double(cols) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::row_max_abs(s, out, x, rows, cols);
  parallel_for(rows, rows * double(cols), [&](int r) {
    T largest = 0;
    for (std::size_t c = 0; c < cols; ++c) {
      const T a = std::abs(x[r * cols + c]);
      largest = std::isfinite(a) ? std::max(largest, a) : std::numeric_limits<T>::infinity();
    }
    out[r] = largest;
  });
}

template <class T> void channel_sum(Stream &s, Wide<T> *out, const T *x, int batch, int channels, int length) {
  const Span span(s, "channel_sum", 1.0 * batch * channels * double(length) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::channel_sum(s, out, x, batch, channels, length);
  if (length == 1) { // columns of a matrix: some at a time, row by row
    constexpr int columns = 64;
    parallel_for((channels + columns - 1) / columns, double(batch) * channels, [&](long part) {
      const int first = int(part) * columns;
      double sum[columns] = {};
      const int count = std::min(columns, channels - first);
      for (int n = 0; n < batch; ++n)
#pragma omp simd
        for (int c = 0; c < count; ++c)
          sum[c] += widened(x[std::size_t(n) * channels + first + c]);
      for (int c = 0; c < count; ++c)
        out[first + c] += Wide<T>(sum[c]);
    });
    return;
  }
  parallel_for(channels, double(batch) * channels * length, [&](int c) {
    double sum = 0;
    for (int n = 0; n < batch; ++n)
      for (int l = 0; l < length; ++l)
        sum += widened(x[(std::size_t(n) * channels + c) * length + l]);
    out[c] += Wide<T>(sum);
  });
}

template <class T> void global_norm(Stream &s, T *out, const T *x, std::size_t n, T *workspace) {
  const Span span(s, "global_norm", double(n) * sizeof(T), 2.0 * double(n));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::global_norm(s, out, x, n, workspace);
  out[0] = T(std::sqrt(sum_in_stretches(n, workspace, [&](std::size_t i) { return double(x[i]) * x[i]; })));
}

template <class T>
void mean_squared_error(Stream &s, T *loss, T *dy, const T *y, const T *target, std::size_t n, T *workspace) {
  const Span span(s, "mean_squared_error", 3.0 * double(n) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::mean_squared_error(s, loss, dy, y, target, n, workspace);
  loss[0] = T(sum_in_stretches(n, workspace,
                               [&](std::size_t i) {
                                 const double difference = double(y[i]) - target[i];
                                 if (dy)
                                   dy[i] = T(2 * difference / double(n));
                                 return difference * difference;
                               }) /
              double(n));
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void row_sum(Stream &, T *, const T *, int, std::size_t, double);                                           \
  template void row_max_abs(Stream &, T *, const T *, int, std::size_t);                                               \
  template void global_norm(Stream &, T *, const T *, std::size_t, T *);                                               \
  template void mean_squared_error(Stream &, T *, T *, const T *, const T *, std::size_t, T *);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)
template void channel_sum(Stream &, float *, const float *, int, int, int);
template void channel_sum(Stream &, float *, const bf16 *, int, int, int);
template void channel_sum(Stream &, double *, const double *, int, int, int);

} // namespace theta
