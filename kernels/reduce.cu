#include "each.cuh"
#include "reduce.h"
#include "warp.cuh"

namespace theta::cuda {

namespace {

constexpr unsigned threads = 256;
struct Partials {
  float sum[32];
};

__global__ void row_sum_kernel(float *out, const float *x, std::size_t cols, float scale) {
  auto &partials = shared<Partials>();
  const float *row = x + blockIdx.x * cols;
  float sum = 0;
  for (std::size_t c = threadIdx.x; c < cols; c += blockDim.x)
    sum += row[c];
  sum = block_reduce<Sum>(sum, partials.sum);
  if (threadIdx.x == 0)
    out[blockIdx.x] += scale * sum;
}

__global__ void row_max_abs_kernel(float *out, const float *x, std::size_t cols) {
  auto &partials = shared<Partials>();
  const float *row = x + blockIdx.x * cols;
  float largest = 0;
  for (std::size_t c = threadIdx.x; c < cols; c += blockDim.x) {
    const float a = fabsf(row[c]);
    largest = a <= 3.402823466e38f ? fmaxf(largest, a) : HUGE_VALF;
  }
  largest = block_reduce<Max>(largest, partials.sum);
  if (threadIdx.x == 0)
    out[blockIdx.x] = largest;
}

__global__ void channel_sum_kernel(float *out, const float *x, int batch, int channels, int length) {
  auto &partials = shared<Partials>();
  const std::size_t n = std::size_t(batch) * length;
  float sum = 0;
  for (std::size_t e = threadIdx.x; e < n; e += blockDim.x)
    sum += x[(e / length * channels + blockIdx.x) * length + e % length];
  sum = block_reduce<Sum>(sum, partials.sum);
  if (threadIdx.x == 0)
    out[blockIdx.x] += sum;
}

// partial[b] = Σ term(i) over block b's stretch of n elements.
template <class F> __global__ void stretch_kernel(float *partial, std::size_t n, F term) {
  auto &partials = shared<Partials>();
  const std::size_t step = (n + gridDim.x - 1) / gridDim.x, first = blockIdx.x * step;
  const std::size_t last = first + step < n ? first + step : n;
  float sum = 0;
  for (std::size_t i = first + threadIdx.x; i < last; i += blockDim.x)
    sum += term(i);
  sum = block_reduce<Sum>(sum, partials.sum);
  if (threadIdx.x == 0)
    partial[blockIdx.x] = sum;
}

// out[0] = finish(Σ partial), by one block.
template <class F> __global__ void finish_kernel(float *out, const float *partial, unsigned n, F finish) {
  auto &partials = shared<Partials>();
  float sum = 0;
  for (unsigned i = threadIdx.x; i < n; i += blockDim.x)
    sum += partial[i];
  sum = block_reduce<Sum>(sum, partials.sum);
  if (threadIdx.x == 0)
    out[0] = finish(sum);
}

template <class Term, class Finish>
void sum_in_stretches(Stream &s, float *out, std::size_t n, float *workspace, const Term &term, const Finish &finish) {
  const unsigned parts = n < partial_sums * threads ? blocks_for(n, threads) : unsigned(partial_sums);
  launch(stretch_kernel<Term>, parts, threads, sizeof(Partials), s, workspace, n, term);
  launch(finish_kernel<Finish>, 1u, threads, sizeof(Partials), s, out, workspace, parts, finish);
}

} // namespace

void row_sum(Stream &s, float *out, const float *x, int rows, std::size_t cols, double scale) {
  launch(row_sum_kernel, unsigned(rows), threads, sizeof(Partials), s, out, x, cols, scale);
}

void row_max_abs(Stream &s, float *out, const float *x, int rows, std::size_t cols) {
  launch(row_max_abs_kernel, unsigned(rows), threads, sizeof(Partials), s, out, x, cols);
}

void channel_sum(Stream &s, float *out, const float *x, int batch, int channels, int length) {
  if (length > 1) {
    launch(channel_sum_kernel, unsigned(channels), threads, sizeof(Partials), s, out, x, batch, channels, length);
    return;
  }
  each(s, std::size_t(channels), [=] __device__(std::size_t c) {
    float sum = 0;
    for (int n = 0; n < batch; ++n)
      sum += x[std::size_t(n) * channels + c];
    out[c] += sum;
  });
}

void global_norm(Stream &s, float *out, const float *x, std::size_t n, float *workspace) {
  sum_in_stretches(
      s, out, n, workspace, [=] __device__(std::size_t i) { return x[i] * x[i]; },
      [] __device__(float sum) { return sqrtf(sum); });
}

void mean_squared_error(Stream &s, float *loss, float *dy, const float *y, const float *target, std::size_t n,
                        float *workspace) {
  const float scale = 1 / float(n);
  sum_in_stretches(
      s, loss, n, workspace,
      [=] __device__(std::size_t i) {
        const float difference = y[i] - target[i];
        if (dy)
          dy[i] = 2 * scale * difference;
        return difference * difference;
      },
      [=] __device__(float sum) { return scale * sum; });
}

} // namespace theta::cuda
