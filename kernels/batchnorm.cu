#include "batchnorm.h"
#include "each.cuh"
#include "warp.cuh"

namespace theta::cuda {

namespace {

constexpr unsigned threads = 512;

struct Partials {
  float first[32], second[32];
};

// Walks the elements of channel blockIdx.x: thread t takes elements t, t + blockDim.x, ... of its batch·length.
struct ChannelWalk {
  const BatchNorm &p;
  template <class F> __device__ void each(F f) const {
    const std::size_t n = std::size_t(p.batch) * p.length;
    for (std::size_t e = threadIdx.x; e < n; e += blockDim.x)
      f((e / p.length * p.channels + blockIdx.x) * p.length + e % p.length);
  }
};

__global__ void __launch_bounds__(threads)
    forward_kernel(float *y, float *mean, float *rstd, float *running_mean, float *running_var, const float *x,
                   const float *gamma, const float *beta, BatchNorm p) {
  auto &partials = shared<Partials>();
  const unsigned c = blockIdx.x;
  const ChannelWalk walk{p};
  const float n = float(p.batch) * float(p.length);
  float sum = 0, squares = 0;
  walk.each([&](std::size_t i) { sum += x[i]; });
  const float m = block_reduce<Sum>(sum, partials.first) / n;
  walk.each([&](std::size_t i) { squares += (x[i] - m) * (x[i] - m); });
  squares = block_reduce<Sum>(squares, partials.second);
  const float r = 1 / sqrtf(squares / n + float(p.eps));
  const float scale = gamma[c] * r, shift = beta[c] - m * scale;
  walk.each([&](std::size_t i) { y[i] = activate(p.act, x[i] * scale + shift); });
  if (threadIdx.x == 0) {
    mean[c] = m, rstd[c] = r;
    running_mean[c] += float(p.momentum) * (m - running_mean[c]);
    running_var[c] += float(p.momentum) * (squares / (n - 1) - running_var[c]);
  }
}

__global__ void __launch_bounds__(threads)
    backward_kernel(float *dx, float *dgamma, float *dbeta, const float *dy, const float *x, const float *mean,
                    const float *rstd, const float *gamma, const float *beta, BatchNorm p) {
  auto &partials = shared<Partials>();
  const unsigned c = blockIdx.x;
  const ChannelWalk walk{p};
  const float n = float(p.batch) * float(p.length), m = mean[c], r = rstd[c], g = gamma[c], b = beta[c];
  float sum = 0, sum_normalised = 0;
  walk.each([&](std::size_t i) {
    const float normalised = (x[i] - m) * r, d = dy[i] * activation_slope(p.act, g * normalised + b);
    dx[i] = d;
    sum += d, sum_normalised += d * normalised;
  });
  sum = block_reduce<Sum>(sum, partials.first);
  sum_normalised = block_reduce<Sum>(sum_normalised, partials.second);
  walk.each([&](std::size_t i) { dx[i] = g * r * (dx[i] - sum / n - (x[i] - m) * r * (sum_normalised / n)); });
  if (threadIdx.x == 0)
    dbeta[c] += sum, dgamma[c] += sum_normalised;
}

} // namespace

void batchnorm_forward(Stream &s, float *y, float *mean, float *rstd, float *running_mean, float *running_var,
                       const float *x, const float *gamma, const float *beta, const BatchNorm &p) {
  launch(forward_kernel, unsigned(p.channels), threads, sizeof(Partials), s, y, mean, rstd, running_mean, running_var,
         x, gamma, beta, p);
}

void batchnorm_infer(Stream &s, float *y, const float *x, const float *running_mean, const float *running_var,
                     const float *gamma, const float *beta, const BatchNorm &p) {
  each(s, std::size_t(p.batch) * p.channels * p.length, [=] __device__(std::size_t i) {
    const std::size_t c = i / p.length % p.channels;
    const float scale = gamma[c] / sqrtf(running_var[c] + float(p.eps));
    y[i] = activate(p.act, x[i] * scale + (beta[c] - running_mean[c] * scale));
  });
}

void batchnorm_backward(Stream &s, float *dx, float *dgamma, float *dbeta, const float *dy, const float *x,
                        const float *mean, const float *rstd, const float *gamma, const float *beta,
                        const BatchNorm &p) {
  launch(backward_kernel, unsigned(p.channels), threads, sizeof(Partials), s, dx, dgamma, dbeta, dy, x, mean, rstd,
         gamma, beta, p);
}

} // namespace theta::cuda
