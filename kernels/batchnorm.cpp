#include "batchnorm.h"
#include "parallel.h"

namespace theta {

namespace cuda {
decltype(theta::batchnorm_forward<float>) batchnorm_forward;
decltype(theta::batchnorm_infer<float>) batchnorm_infer;
decltype(theta::batchnorm_again<float>) batchnorm_again;
decltype(theta::batchnorm_backward<float>) batchnorm_backward;
} // namespace cuda

namespace {

// Calls f(first) for the first element of channel c in every sample: `length` elements from there on belong to it.
template <class F> void for_rows(const BatchNorm &p, int c, F f) {
  for (int n = 0; n < p.batch; ++n)
    f((std::size_t(n) * p.channels + c) * p.length);
}

} // namespace

template <class T>
void batchnorm_forward(Stream &s, T *y, T *mean, T *rstd, T *running_mean, T *running_var, const T *x, const T *gamma,
                       const T *beta, const BatchNorm &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_forward(s, y, mean, rstd, running_mean, running_var, x, gamma, beta, p);
  const double n = double(p.batch) * p.length;
#pragma omp parallel for if (worth_threads(double(p.batch) * p.channels * p.length))
  for (int c = 0; c < p.channels; ++c) {
    double sum = 0, squares = 0;
    for_rows(p, c, [&](std::size_t first) {
      double row = 0;
#pragma omp simd reduction(+ : row)
      for (std::size_t i = first; i < first + p.length; ++i)
        row += x[i];
      sum += row;
    });
    const double m = sum / n;
    for_rows(p, c, [&](std::size_t first) {
      double row = 0;
#pragma omp simd reduction(+ : row)
      for (std::size_t i = first; i < first + p.length; ++i)
        row += (x[i] - m) * (x[i] - m);
      squares += row;
    });
    mean[c] = T(m), rstd[c] = T(1 / std::sqrt(squares / n + p.eps));
    running_mean[c] += T(p.momentum * (m - running_mean[c]));
    running_var[c] += T(p.momentum * (squares / (n - 1) - running_var[c]));
    const T scale = gamma[c] * rstd[c], shift = beta[c] - mean[c] * scale;
    for_rows(p, c, [&](std::size_t first) {
      for (std::size_t i = first; i < first + p.length; ++i)
        y[i] = activate(p.act, x[i] * scale + shift);
    });
  }
}

template <class T>
void batchnorm_again(Stream &s, T *y, const T *x, const T *mean, const T *rstd, const T *gamma, const T *beta,
                     const BatchNorm &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_again(s, y, x, mean, rstd, gamma, beta, p);
#pragma omp parallel for if (worth_threads(double(p.batch) * p.channels * p.length))
  for (int c = 0; c < p.channels; ++c) {
    const T scale = gamma[c] * rstd[c], shift = beta[c] - mean[c] * scale;
    for_rows(p, c, [&](std::size_t first) {
      for (std::size_t i = first; i < first + p.length; ++i)
        y[i] = activate(p.act, x[i] * scale + shift);
    });
  }
}

template <class T>
void batchnorm_infer(Stream &s, T *y, const T *x, const T *running_mean, const T *running_var, const T *gamma,
                     const T *beta, const BatchNorm &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_infer(s, y, x, running_mean, running_var, gamma, beta, p);
#pragma omp parallel for if (worth_threads(double(p.batch) * p.channels * p.length))
  for (int c = 0; c < p.channels; ++c) {
    const T scale = gamma[c] / std::sqrt(running_var[c] + T(p.eps)), shift = beta[c] - running_mean[c] * scale;
    for_rows(p, c, [&](std::size_t first) {
      for (std::size_t i = first; i < first + p.length; ++i)
        y[i] = activate(p.act, x[i] * scale + shift);
    });
  }
}

template <class T>
void batchnorm_backward(Stream &s, T *dx, T *dgamma, T *dbeta, const T *dy, const T *x, const T *mean, const T *rstd,
                        const T *gamma, const T *beta, const BatchNorm &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_backward(s, dx, dgamma, dbeta, dy, x, mean, rstd, gamma, beta, p);
  const double n = double(p.batch) * p.length;
#pragma omp parallel for if (worth_threads(double(p.batch) * p.channels * p.length))
  for (int c = 0; c < p.channels; ++c) {
    const T scale = gamma[c] * rstd[c];
    double sum = 0, sum_normalised = 0;
    for_rows(p, c, [&](std::size_t first) {
      for (std::size_t i = first; i < first + p.length; ++i)
        dx[i] = dy[i] * activation_slope(p.act, gamma[c] * ((x[i] - mean[c]) * rstd[c]) + beta[c]);
      double row = 0, row_normalised = 0;
#pragma omp simd reduction(+ : row, row_normalised)
      for (std::size_t i = first; i < first + p.length; ++i)
        row += dx[i], row_normalised += double(dx[i]) * ((x[i] - mean[c]) * rstd[c]);
      sum += row, sum_normalised += row_normalised;
    });
    dbeta[c] += T(sum), dgamma[c] += T(sum_normalised);
    const T average = T(sum / n), average_normalised = T(sum_normalised / n);
    for_rows(p, c, [&](std::size_t first) {
      for (std::size_t i = first; i < first + p.length; ++i)
        dx[i] = scale * (dx[i] - average - (x[i] - mean[c]) * rstd[c] * average_normalised);
    });
  }
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void batchnorm_forward(Stream &, T *, T *, T *, T *, T *, const T *, const T *, const T *,                  \
                                  const BatchNorm &);                                                                  \
  template void batchnorm_again(Stream &, T *, const T *, const T *, const T *, const T *, const T *,                  \
                                const BatchNorm &);                                                                    \
  template void batchnorm_infer(Stream &, T *, const T *, const T *, const T *, const T *, const T *,                  \
                                const BatchNorm &);                                                                    \
  template void batchnorm_backward(Stream &, T *, T *, T *, const T *, const T *, const T *, const T *, const T *,     \
                                   const T *, const BatchNorm &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
