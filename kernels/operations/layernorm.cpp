#include "layernorm.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/simd.h"
#include <algorithm>

namespace theta {

namespace cuda {
decltype(theta::layernorm_forward<float>) layernorm_forward;
decltype(theta::layernorm_forward<bf16>) layernorm_forward;
decltype(theta::layernorm_backward<float>) layernorm_backward;
decltype(theta::layernorm_backward<bf16>) layernorm_backward;
} // namespace cuda

namespace {

// Eight lanes of doubles on every processor, so that sums have the same bits: one register, or some.
constexpr int L = 8, W = simd::lanes<double>;
using Part = simd::Pack<double>;
struct Lanes {
  Part part[L / W] = {};
};
template <class F> inline Lanes each_of(F f) {
  Lanes y;
  for (int i = 0; i < L / W; ++i)
    y.part[i] = f(i);
  return y;
}
inline Lanes operator+(const Lanes &a, const Lanes &b) {
  return each_of([&](int i) { return a.part[i] + b.part[i]; });
}
inline Lanes operator*(const Lanes &a, const Lanes &b) {
  return each_of([&](int i) { return a.part[i] * b.part[i]; });
}
inline Lanes operator*(const Lanes &a, double b) {
  return each_of([&](int i) { return a.part[i] * b; });
}
inline Lanes operator-(const Lanes &a, double b) {
  return each_of([&](int i) { return a.part[i] - b; });
}
inline Lanes operator-(const Lanes &a, const Lanes &b) {
  return each_of([&](int i) { return a.part[i] - b.part[i]; });
}

// The first `count` elements, the rest 0.
template <class T> inline Lanes lanes_at(const T *from, int count) {
  return each_of([&](int i) {
    const int left = std::max(0, count - i * W);
    return __builtin_convertvector(simd::load_wide<simd::Pack<Wide<T>, W>>(from + i * W, left), Part);
  });
}
template <class T> inline void keep(T *to, const Lanes &x, int count) {
  using Rounded = simd::Pack<Wide<T>, W>;
  for (int i = 0; i < L / W; ++i)
    simd::store_rounded(to + i * W, __builtin_convertvector(x.part[i], Rounded), std::max(0, count - i * W));
}

double sum_of(const Lanes &lanes) {
  double x[L];
  std::memcpy(x, lanes.part, sizeof x);
  return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

// x but for what lies beyond.
Lanes some_of(Lanes x, int count) {
  for (int i = std::max(count, 0); i < L; ++i)
    x.part[i / W][i % W] = 0;
  return x;
}

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
    Lanes sum{}, squares{};
    for (int c = 0; c < cols; c += L)
      sum = sum + lanes_at(from + c, cols - c);
    const double m = sum_of(sum) / cols;
    for (int c = 0; c < cols; c += L) {
      const Lanes apart = some_of(lanes_at(from + c, cols - c) - m, cols - c);
      squares = squares + apart * apart;
    }
    const double scale = 1 / std::sqrt(sum_of(squares) / cols + eps);
    mean[r] = Wide<T>(m), rstd[r] = Wide<T>(scale);
    for (int c = 0; c < cols; c += L) {
      const int n = cols - c;
      keep(to + c, (lanes_at(from + c, n) - m) * scale * lanes_at(gamma + c, n) + lanes_at(beta + c, n), n);
    }
  });
}

template <class T>
void layernorm_backward(Stream &s, T *dx, Wide<T> *dgamma, Wide<T> *dbeta, const T *dy, const T *x, const Wide<T> *mean,
                        const Wide<T> *rstd, const Wide<T> *gamma, int rows, int cols) {
  const Span span(s, "layernorm_backward", 3.0 * rows * cols * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::layernorm_backward(s, dx, dgamma, dbeta, dy, x, mean, rstd, gamma, rows, cols);
  parallel_for((cols + L - 1) / L, double(rows) * cols, [&](int block) { // before dx, which may be dy, is written
    const int c = block * L, n = cols - c;
    Lanes sum{}, sum_normalised{};
    for (int r = 0; r < rows; ++r) {
      const std::size_t i = std::size_t(r) * cols + c;
      const Lanes d = lanes_at(dy + i, n);
      sum = sum + d;
      sum_normalised = sum_normalised + d * (lanes_at(x + i, n) - double(mean[r])) * double(rstd[r]);
    }
    for (int i = 0; i < std::min(n, L); ++i)
      dbeta[c + i] += Wide<T>(sum.part[i / W][i % W]), dgamma[c + i] += Wide<T>(sum_normalised.part[i / W][i % W]);
  });
  parallel_for(rows, double(rows) * cols, [&](int r) {
    const std::size_t base = std::size_t(r) * cols;
    const double m = double(mean[r]), scale = double(rstd[r]);
    Lanes sum{}, sum_normalised{};
    for (int c = 0; c < cols; c += L) {
      const int n = cols - c;
      const Lanes g = lanes_at(dy + base + c, n) * lanes_at(gamma + c, n);
      sum = sum + g;
      sum_normalised = sum_normalised + g * (lanes_at(x + base + c, n) - m) * scale;
    }
    const double mean_g = sum_of(sum) / cols, mean_normalised = sum_of(sum_normalised) / cols;
    for (int c = 0; c < cols; c += L) {
      const int n = cols - c;
      const Lanes g = lanes_at(dy + base + c, n) * lanes_at(gamma + c, n),
                  normalised = (lanes_at(x + base + c, n) - m) * scale;
      keep(dx + base + c, (g - mean_g - normalised * mean_normalised) * scale, n);
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
