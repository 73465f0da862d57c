#include "batchnorm.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/simd.h"

namespace theta {

namespace cuda {
decltype(theta::batchnorm_forward<float>) batchnorm_forward;
decltype(theta::batchnorm_infer<float>) batchnorm_infer;
decltype(theta::batchnorm_infer_backward<float>) batchnorm_infer_backward;
decltype(theta::batchnorm_backward<float>) batchnorm_backward;
decltype(theta::batchnorm_add_moments<float>) batchnorm_add_moments;
decltype(theta::batchnorm_settle<float>) batchnorm_settle;
template <class X>
void batchnorm_again(Stream &, float *, const X *, const float *, const float *, const float *, const float *,
                     const BatchNorm &);
template <class X>
void batchnorm_gradient_sums(Stream &, float *, float *, float *, const float *, const X *, const float *,
                             const float *, const float *, const float *, const BatchNorm &);
template <class X>
void batchnorm_gradient(Stream &, float *, const float *, const float *, const X *, const float *, const float *,
                        const float *, const float *, const BatchNorm &, double);
} // namespace cuda

namespace {

using namespace simd;

// Calls f(i, count) for every pack of elements [first, first + length): the last may be short.
template <class T, class F> void for_packs(std::size_t first, int length, F f) {
  for (int i = 0; i < length; i += lanes<T>)
    f(first + std::size_t(i), length - i);
}

// Calls f(first) for the first element of channel c in every sample: `length` elements from there on belong to it.
template <class F> void for_rows(const BatchNorm &p, int c, F f) {
  for (int n = 0; n < p.batch; ++n)
    f((std::size_t(n) * p.channels + c) * p.length);
}

template <class F> void for_channels(const BatchNorm &p, F f) {
  parallel_for(p.channels, double(p.batch) * p.channels * p.length, [&](int c) { f(c); });
}

struct Moments {
  double mean, squares; // Σ (x − mean)²
};

template <class T> Moments moments_of(const T *x, int c, const BatchNorm &p) {
  double sum = 0, squares = 0;
  for_rows(p, c, [&](std::size_t first) {
    sum += sum_in_double(std::size_t(p.length), [from = x + first](std::size_t i) { return double(from[i]); });
  });
  const double m = sum / (double(p.batch) * p.length);
  for_rows(p, c, [&](std::size_t first) {
    squares += sum_in_double(std::size_t(p.length), [from = x + first, m](std::size_t i) {
      return (double(from[i]) - m) * (double(from[i]) - m);
    });
  });
  return {m, squares};
}

template <class T>
void save_statistics(const Moments &of, int c, T *mean, T *rstd, T *running_mean, T *running_var, const BatchNorm &p) {
  const double n = double(p.batch) * p.length;
  mean[c] = T(of.mean), rstd[c] = T(1 / std::sqrt(of.squares / n + p.eps));
  running_mean[c] += T(p.momentum * (of.mean - running_mean[c]));
  running_var[c] += T(p.momentum * (of.squares / (n - 1) - running_var[c]));
}

template <class T, class X> void apply(T *y, const X *x, int c, T scale, T shift, const BatchNorm &p) {
  for_rows(p, c, [&](std::size_t first) {
    for_packs<T>(first, p.length, [&](std::size_t i, int count) {
      store_some(y + i, activate_with_slope(p.act, load_wide<Pack<T>>(x + i, count) * scale + shift).value, count);
    });
  });
}

// Σ g and Σ g·normalised of a channel, g = dy·act' of what went into the activation, kept in `kept` unless that is
// null: packs are added up along a row, rows in double.
struct GradientSums {
  double plain = 0, normalised = 0;
};
template <class T, class X>
GradientSums gradient_sums(T *kept, const T *dy, const X *x, int c, const T *mean, const T *rstd, const T *gamma,
                           const T *beta, const BatchNorm &p) {
  GradientSums all;
  for_rows(p, c, [&](std::size_t first) {
    RowSum<T> plain, times;
    for_packs<T>(first, p.length, [&](std::size_t i, int count) {
      const Pack<T> normalised = (load_wide<Pack<T>>(x + i, count) - mean[c]) * rstd[c];
      const Pack<T> g =
          load_wide<Pack<T>>(dy + i, count) * activate_with_slope(p.act, gamma[c] * normalised + beta[c]).slope;
      plain.add(int(i - first), g), times.add_product(int(i - first), g, normalised);
      if (kept)
        store_some(kept + i, g, count);
    });
    all.plain += plain.total(), all.normalised += times.total();
  });
  return all;
}

} // namespace

template <class T>
void batchnorm_forward(Stream &s, T *y, T *mean, T *rstd, T *running_mean, T *running_var, const T *x, const T *gamma,
                       const T *beta, const BatchNorm &p) {
  const Span span(s, "batchnorm_forward", 3.0 * p.batch * p.channels * p.length * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_forward(s, y, mean, rstd, running_mean, running_var, x, gamma, beta, p);
  for_channels(p, [&](int c) {
    save_statistics(moments_of(x, c, p), c, mean, rstd, running_mean, running_var, p);
    const T scale = gamma[c] * rstd[c];
    apply(y, x, c, scale, beta[c] - mean[c] * scale, p);
  });
}

template <class T, class X>
void batchnorm_again(Stream &s, T *y, const X *x, const T *mean, const T *rstd, const T *gamma, const T *beta,
                     const BatchNorm &p) {
  const Span span(s, "batchnorm_again", 1.0 * p.batch * p.channels * p.length * (sizeof(T) + sizeof(X)));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_again(s, y, x, mean, rstd, gamma, beta, p);
  for_channels(p, [&](int c) {
    const T scale = gamma[c] * rstd[c];
    apply(y, x, c, scale, beta[c] - mean[c] * scale, p);
  });
}

template <class T>
void batchnorm_infer(Stream &s, T *y, const T *x, const T *running_mean, const T *running_var, const T *gamma,
                     const T *beta, const BatchNorm &p) {
  const Span span(s, "batchnorm_infer", 2.0 * p.batch * p.channels * p.length * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_infer(s, y, x, running_mean, running_var, gamma, beta, p);
  for_channels(p, [&](int c) {
    const T scale = gamma[c] / std::sqrt(running_var[c] + T(p.eps));
    apply(y, x, c, scale, beta[c] - running_mean[c] * scale, p);
  });
}

template <class T>
void batchnorm_infer_backward(Stream &s, T *dx, const T *dy, const T *x, const T *running_mean, const T *running_var,
                              const T *gamma, const T *beta, const BatchNorm &p) {
  const Span span(s, "batchnorm_infer_backward", 3.0 * p.batch * p.channels * p.length * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_infer_backward(s, dx, dy, x, running_mean, running_var, gamma, beta, p);
  for_channels(p, [&](int c) {
    const T scale = gamma[c] / std::sqrt(running_var[c] + T(p.eps)), shift = beta[c] - running_mean[c] * scale;
    for_rows(p, c, [&](std::size_t first) {
      for_packs<T>(first, p.length, [&](std::size_t i, int count) {
        const Pack<T> slope = activate_with_slope(p.act, load_wide<Pack<T>>(x + i, count) * scale + shift).slope;
        store_some(dx + i, scale * load_wide<Pack<T>>(dy + i, count) * slope, count);
      });
    });
  });
}

template <class T>
void batchnorm_backward(Stream &s, T *dx, T *dgamma, T *dbeta, const T *dy, const T *x, const T *mean, const T *rstd,
                        const T *gamma, const T *beta, const BatchNorm &p) {
  const Span span(s, "batchnorm_backward", 5.0 * p.batch * p.channels * p.length * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_backward(s, dx, dgamma, dbeta, dy, x, mean, rstd, gamma, beta, p);
  const double n = double(p.batch) * p.length;
  for_channels(p, [&](int c) {
    const auto [sum, sum_normalised] = gradient_sums<T>(dx, dy, x, c, mean, rstd, gamma, beta, p);
    dbeta[c] += T(sum), dgamma[c] += T(sum_normalised);
    const T average = T(sum / n), average_normalised = T(sum_normalised / n), scale = gamma[c] * rstd[c];
    for_rows(p, c, [&](std::size_t first) {
      for_packs<T>(first, p.length, [&](std::size_t i, int count) {
        const Pack<T> normalised = (load_wide<Pack<T>>(x + i, count) - mean[c]) * rstd[c];
        store_some(dx + i, scale * (load_wide<Pack<T>>(dx + i, count) - average - normalised * average_normalised),
                   count);
      });
    });
  });
}

template <class T> void batchnorm_add_moments(Stream &s, T *moments, const T *x, double seen, const BatchNorm &piece) {
  const Span span(s, "batchnorm_add_moments", 1.0 * piece.batch * piece.channels * piece.length * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_add_moments(s, moments, x, seen, piece);
  for_channels(piece, [&](int c) {
    const Moments here = moments_of(x, c, piece);
    const double before = seen, n = double(piece.batch) * piece.length, all = before + n;
    T &mean = moments[2 * c], &squares = moments[2 * c + 1];
    const double apart = seen > 0 ? here.mean - mean : 0;
    mean = T(seen > 0 ? mean + apart * n / all : here.mean);
    squares = T((seen > 0 ? double(squares) : 0) + here.squares + apart * apart * before * n / all);
  });
}

template <class T>
void batchnorm_settle(Stream &s, T *mean, T *rstd, T *running_mean, T *running_var, const T *moments,
                      const BatchNorm &whole) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_settle(s, mean, rstd, running_mean, running_var, moments, whole);
  for (int c = 0; c < whole.channels; ++c)
    save_statistics({double(moments[2 * c]), double(moments[2 * c + 1])}, c, mean, rstd, running_mean, running_var,
                    whole);
}

template <class T, class X>
void batchnorm_gradient_sums(Stream &s, T *sums, T *dgamma, T *dbeta, const T *dy, const X *x, const T *mean,
                             const T *rstd, const T *gamma, const T *beta, const BatchNorm &p) {
  const Span span(s, "batchnorm_gradient_sums", 1.0 * p.batch * p.channels * p.length * (sizeof(T) + sizeof(X)));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_gradient_sums(s, sums, dgamma, dbeta, dy, x, mean, rstd, gamma, beta, p);
  for_channels(p, [&](int c) {
    const auto [sum, sum_normalised] = gradient_sums<T>(nullptr, dy, x, c, mean, rstd, gamma, beta, p);
    sums[2 * c] += T(sum), sums[2 * c + 1] += T(sum_normalised);
    dbeta[c] += T(sum), dgamma[c] += T(sum_normalised);
  });
}

template <class T, class X>
void batchnorm_gradient(Stream &s, T *dx, const T *sums, const T *dy, const X *x, const T *mean, const T *rstd,
                        const T *gamma, const T *beta, const BatchNorm &p, double n) {
  const Span span(s, "batchnorm_gradient", 1.0 * p.batch * p.channels * p.length * (2 * sizeof(T) + sizeof(X)));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::batchnorm_gradient(s, dx, sums, dy, x, mean, rstd, gamma, beta, p, n);
  for_channels(p, [&](int c) {
    const T average = T(sums[2 * c] / n), average_normalised = T(sums[2 * c + 1] / n), scale = gamma[c] * rstd[c];
    for_rows(p, c, [&](std::size_t first) {
      for_packs<T>(first, p.length, [&](std::size_t i, int count) {
        const Pack<T> normalised = (load_wide<Pack<T>>(x + i, count) - mean[c]) * rstd[c];
        const Pack<T> g =
            load_wide<Pack<T>>(dy + i, count) * activate_with_slope(p.act, gamma[c] * normalised + beta[c]).slope;
        store_some(dx + i, scale * (g - average - normalised * average_normalised), count);
      });
    });
  });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void batchnorm_forward(Stream &, T *, T *, T *, T *, T *, const T *, const T *, const T *,                  \
                                  const BatchNorm &);                                                                  \
  template void batchnorm_infer(Stream &, T *, const T *, const T *, const T *, const T *, const T *,                  \
                                const BatchNorm &);                                                                    \
  template void batchnorm_infer_backward(Stream &, T *, const T *, const T *, const T *, const T *, const T *,         \
                                         const T *, const BatchNorm &);                                                \
  template void batchnorm_backward(Stream &, T *, T *, T *, const T *, const T *, const T *, const T *, const T *,     \
                                   const T *, const BatchNorm &);                                                      \
  template void batchnorm_add_moments(Stream &, T *, const T *, double, const BatchNorm &);                            \
  template void batchnorm_settle(Stream &, T *, T *, T *, T *, const T *, const BatchNorm &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)
#undef THETA_INSTANTIATE

#define THETA_INSTANTIATE(T, X)                                                                                        \
  template void batchnorm_again(Stream &, T *, const X *, const T *, const T *, const T *, const T *,                  \
                                const BatchNorm &);                                                                    \
  template void batchnorm_gradient_sums(Stream &, T *, T *, T *, const T *, const X *, const T *, const T *,           \
                                        const T *, const T *, const BatchNorm &);                                      \
  template void batchnorm_gradient(Stream &, T *, const T *, const T *, const X *, const T *, const T *, const T *,    \
                                   const T *, const BatchNorm &, double);
THETA_INSTANTIATE(float, float)
THETA_INSTANTIATE(float, bf16)
THETA_INSTANTIATE(double, double)

} // namespace theta
