#include "batchnorm.h"

namespace theta {

namespace cuda {
decltype(theta::batchnorm_forward<float>) batchnorm_forward;
decltype(theta::batchnorm_infer<float>) batchnorm_infer;
decltype(theta::batchnorm_backward<float>) batchnorm_backward;
} // namespace cuda

namespace {

// Calls f(i) for every element i of channel c.
template <class F> void for_channel(const BatchNorm &p, int c, F f) {
  for (int n = 0; n < p.batch; ++n) {
    const std::size_t first = (std::size_t(n) * p.channels + c) * p.length;
    for (std::size_t i = first; i < first + p.length; ++i)
      f(i);
  }
}

} // namespace

template <class T>
void batchnorm_forward(Stream &s, T *y, T *mean, T *rstd, T *running_mean, T *running_var, const T *x, const T *gamma,
                       const T *beta, const BatchNorm &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_forward(s, y, mean, rstd, running_mean, running_var, x, gamma, beta, p);
  const double n = double(p.batch) * p.length;
#pragma omp parallel for
  for (int c = 0; c < p.channels; ++c) {
    double sum = 0, squares = 0;
    for_channel(p, c, [&](std::size_t i) { sum += x[i]; });
    const double m = sum / n;
    for_channel(p, c, [&](std::size_t i) { squares += (x[i] - m) * (x[i] - m); });
    mean[c] = T(m), rstd[c] = T(1 / std::sqrt(squares / n + p.eps));
    running_mean[c] += T(p.momentum * (m - running_mean[c]));
    running_var[c] += T(p.momentum * (squares / (n - 1) - running_var[c]));
    const T scale = gamma[c] * rstd[c], shift = beta[c] - mean[c] * scale;
    for_channel(p, c, [&](std::size_t i) { y[i] = activate(p.act, x[i] * scale + shift); });
  }
}

template <class T>
void batchnorm_infer(Stream &s, T *y, const T *x, const T *running_mean, const T *running_var, const T *gamma,
                     const T *beta, const BatchNorm &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_infer(s, y, x, running_mean, running_var, gamma, beta, p);
#pragma omp parallel for
  for (int c = 0; c < p.channels; ++c) {
    const T scale = gamma[c] / std::sqrt(running_var[c] + T(p.eps)), shift = beta[c] - running_mean[c] * scale;
    for_channel(p, c, [&](std::size_t i) { y[i] = activate(p.act, x[i] * scale + shift); });
  }
}

template <class T>
void batchnorm_backward(Stream &s, T *dx, T *dgamma, T *dbeta, const T *dy, const T *x, const T *mean, const T *rstd,
                        const T *gamma, const T *beta, const BatchNorm &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_backward(s, dx, dgamma, dbeta, dy, x, mean, rstd, gamma, beta, p);
  const double n = double(p.batch) * p.length;
#pragma omp parallel for
  for (int c = 0; c < p.channels; ++c) {
    const T scale = gamma[c] * rstd[c];
    const auto normalised = [&](std::size_t i) { return (x[i] - mean[c]) * rstd[c]; };
    double sum = 0, sum_normalised = 0;
    for_channel(p, c, [&](std::size_t i) {
      dx[i] = dy[i] * activation_slope(p.act, gamma[c] * normalised(i) + beta[c]);
      sum += dx[i], sum_normalised += double(dx[i]) * normalised(i);
    });
    dbeta[c] += T(sum), dgamma[c] += T(sum_normalised);
    const T average = T(sum / n), average_normalised = T(sum_normalised / n);
    for_channel(p, c, [&](std::size_t i) { dx[i] = scale * (dx[i] - average - normalised(i) * average_normalised); });
  }
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void batchnorm_forward(Stream &, T *, T *, T *, T *, T *, const T *, const T *, const T *,                  \
                                  const BatchNorm &);                                                                  \
  template void batchnorm_infer(Stream &, T *, const T *, const T *, const T *, const T *, const T *,                  \
                                const BatchNorm &);                                                                    \
  template void batchnorm_backward(Stream &, T *, T *, T *, const T *, const T *, const T *, const T *, const T *,     \
                                   const T *, const BatchNorm &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
