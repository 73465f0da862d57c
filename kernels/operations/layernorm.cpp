#include "layernorm.h"
#include "kernels/device/parallel.h"

namespace theta {

namespace cuda {
decltype(theta::layernorm_forward<float>) layernorm_forward;
decltype(theta::layernorm_forward<bf16>) layernorm_forward;
decltype(theta::layernorm_backward<float>) layernorm_backward;
decltype(theta::layernorm_backward<bf16>) layernorm_backward;
} // namespace cuda

namespace {
template <class T> double double_of(T x) { return widened(x); }
} // namespace

template <class T>
void layernorm_forward(Stream &s, T *y, Wide<T> *mean, Wide<T> *rstd, const T *x, const Wide<T> *gamma,
                       const Wide<T> *beta, int rows, int cols, double eps) {
  const Span span(s, "layernorm_forward", 2.0 * rows * cols * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::layernorm_forward(s, y, mean, rstd, x, gamma, beta, rows, cols, eps);
  parallel_for(rows, double(rows) * cols, [&](int r) {
    const T *from = x + std::size_t(r) * cols;
    T *to = y + std::size_t(r) * cols;
    double sum = 0, squares = 0;
    for (int c = 0; c < cols; ++c)
      sum += double_of(from[c]);
    const double m = sum / cols;
    for (int c = 0; c < cols; ++c)
      squares += (double_of(from[c]) - m) * (double_of(from[c]) - m);
    const double scale = 1 / std::sqrt(squares / cols + eps);
    mean[r] = Wide<T>(m), rstd[r] = Wide<T>(scale);
    for (int c = 0; c < cols; ++c)
      to[c] = rounded<T>(Wide<T>((double_of(from[c]) - m) * scale * gamma[c] + beta[c]));
  });
}

template <class T>
void layernorm_backward(Stream &s, T *dx, Wide<T> *dgamma, Wide<T> *dbeta, const T *dy, const T *x, const Wide<T> *mean,
                        const Wide<T> *rstd, const Wide<T> *gamma, int rows, int cols) {
  const Span span(s, "layernorm_backward", 3.0 * rows * cols * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::layernorm_backward(s, dx, dgamma, dbeta, dy, x, mean, rstd, gamma, rows, cols);
  parallel_for(cols, double(rows) * cols, [&](int c) { // before dx, which may be dy, is written
    double sum = 0, sum_normalised = 0;
    for (int r = 0; r < rows; ++r) {
      const std::size_t i = std::size_t(r) * cols + c;
      sum += double_of(dy[i]), sum_normalised += double_of(dy[i]) * (double_of(x[i]) - mean[r]) * rstd[r];
    }
    dbeta[c] += Wide<T>(sum), dgamma[c] += Wide<T>(sum_normalised);
  });
  parallel_for(rows, double(rows) * cols, [&](int r) {
    const std::size_t base = std::size_t(r) * cols;
    double sum = 0, sum_normalised = 0;
    for (int c = 0; c < cols; ++c) {
      const double g = double_of(dy[base + c]) * gamma[c];
      sum += g, sum_normalised += g * (double_of(x[base + c]) - mean[r]) * rstd[r];
    }
    for (int c = 0; c < cols; ++c) {
      const double g = double_of(dy[base + c]) * gamma[c], normalised = (double_of(x[base + c]) - mean[r]) * rstd[r];
      dx[base + c] = rounded<T>(Wide<T>(rstd[r] * (g - sum / cols - normalised * sum_normalised / cols)));
    }
  });
}

#define THETA_INSTANTIATE(T, P)                                                                                        \
  template void layernorm_forward(Stream &, T *, P *, P *, const T *, const P *, const P *, int, int, double);         \
  template void layernorm_backward(Stream &, T *, P *, P *, const T *, const T *, const P *, const P *, const P *,     \
                                   int, int);
THETA_INSTANTIATE(float, float)
THETA_INSTANTIATE(bf16, float)
THETA_INSTANTIATE(double, double)

} // namespace theta
