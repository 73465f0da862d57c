// Convolutions with one input or one output channel. They are bound by memory: one input element meets 7 weights an
// output channel, so nothing is gained by tiles. Weights lie in shared memory, neighbouring threads take neighbouring
// positions, and the 7-fold reading of the input hits the first-level cache.
#include "conv1d_gather.h"
#include "kernels/parts/partials.cuh"
#include "kernels/parts/warp.cuh"
#include <algorithm>

namespace theta::cuda {

namespace {

constexpr int most_taps = 7, threads = 256, outputs = 16;

// What tap t of position j reads.
__device__ inline float input(const Gather &g, int n, int i, int j, int t) {
  const int at = j * g.in_step + g.in_first + t;
  return at >= 0 && at < g.in_length ? g.x[(std::size_t(n) * g.in_channels + i) * g.in_length + at] : 0.0f;
}
__device__ inline void store(const Gather &g, int n, int o, int j, float sum) {
  g.y[(std::size_t(n) * g.out_channels + o) * g.out_length + j * g.out_step + g.out_first] =
      sum + (g.bias ? g.bias[o] : 0.0f);
}

struct Weights {
  float w[1024][most_taps];
};

// One input channel: a thread keeps its 7 inputs and makes 16 output channels of one position.
__global__ void __launch_bounds__(threads) one_in_kernel(Gather g) {
  auto &weights = shared<Weights>();
  const int first = int(blockIdx.y) * outputs;
  const int last = first + outputs < g.out_channels ? first + outputs : g.out_channels;
  for (int e = int(threadIdx.x); e < (last - first) * g.taps; e += threads)
    weights.w[e / g.taps][e % g.taps] = g.weight(first + e / g.taps, 0, e % g.taps);
  __syncthreads();
  const int j = int(blockIdx.x) * threads + int(threadIdx.x), n = int(blockIdx.z);
  if (j >= g.count)
    return;
  float x[most_taps];
#pragma unroll
  for (int t = 0; t < most_taps; ++t)
    x[t] = t < g.taps ? input(g, n, 0, j, t) : 0.0f;
  for (int o = first; o < last; ++o) {
    float sum = 0;
#pragma unroll
    for (int t = 0; t < most_taps; ++t)
      if (t < g.taps)
        sum = fmaf(weights.w[o - first][t], x[t], sum);
    store(g, n, o, j, sum);
  }
}

// One output channel: a thread makes one position.
__global__ void __launch_bounds__(threads) one_out_kernel(Gather g) {
  auto &weights = shared<Weights>();
  for (int e = int(threadIdx.x); e < g.in_channels * g.taps; e += threads)
    weights.w[e / g.taps][e % g.taps] = g.weight(0, e / g.taps, e % g.taps);
  __syncthreads();
  const int j = int(blockIdx.x) * threads + int(threadIdx.x), n = int(blockIdx.z);
  if (j >= g.count)
    return;
  float sum = 0;
  for (int i = 0; i < g.in_channels; ++i)
#pragma unroll
    for (int t = 0; t < most_taps; ++t)
      if (t < g.taps)
        sum = fmaf(weights.w[i][t], input(g, n, i, j, t), sum);
  store(g, n, 0, j, sum);
}

struct Partials {
  float sum[32];
};

// One (output, input) channel a block column, a part of the positions a block row.
__global__ void __launch_bounds__(threads)
    weight_kernel(float *partial, const float *dy, const float *x, Conv1d p, int length, unsigned part_size) {
  auto &partials = shared<Partials>();
  const int o = int(blockIdx.x) / p.in_channels, i = int(blockIdx.x) % p.in_channels;
  const unsigned n = unsigned(p.batch) * unsigned(length), first = blockIdx.y * part_size;
  const unsigned last = first + part_size < n ? first + part_size : n;
  float sum[most_taps] = {};
  for (unsigned e = first + threadIdx.x; e < last; e += threads) {
    const unsigned sample = e / unsigned(length);
    const int l = int(e - sample * unsigned(length));
    const float d = dy[(std::size_t(sample) * p.out_channels + o) * length + l];
    const float *from = x + (std::size_t(sample) * p.in_channels + i) * p.in_length;
#pragma unroll
    for (int t = 0; t < most_taps; ++t) {
      const int at = l * p.stride + t - p.padding;
      if (t < p.kernel && at >= 0 && at < p.in_length)
        sum[t] = fmaf(d, from[at], sum[t]);
    }
  }
#pragma unroll
  for (int t = 0; t < most_taps; ++t) {
    const float all = block_reduce<Sum>(sum[t], partials.sum);
    if (threadIdx.x == 0 && t < p.kernel)
      partial[(blockIdx.y * gridDim.x + blockIdx.x) * p.kernel + t] = all;
  }
}

// Parts of the positions, each of at least 8,192, at most 128: a function of the shape alone.
unsigned parts_of(const Conv1d &p) { return std::min(128u, blocks_for(std::size_t(p.batch) * p.out_length(), 8192)); }

} // namespace

void thin_gather(Stream &s, const Gather &g) {
  const unsigned across = blocks_for(std::size_t(g.count), threads);
  for (int first = 0; first < g.batch; first += 65535) { // a grid's z side ends there
    Gather part = g;
    part.batch = std::min(65535, g.batch - first);
    part.x += std::size_t(first) * g.in_channels * g.in_length;
    part.y += std::size_t(first) * g.out_channels * g.out_length;
    const auto bytes = [&](int rows) { return sizeof(float) * std::size_t(most_taps) * rows; };
    if (g.in_channels == 1)
      launch(one_in_kernel, dim3(across, blocks_for(std::size_t(g.out_channels), outputs), unsigned(part.batch)),
             threads, bytes(outputs), s, part);
    else
      launch(one_out_kernel, dim3(across, 1, unsigned(part.batch)), threads, bytes(g.in_channels), s, part);
  }
}

std::size_t thin_weight_workspace(const Conv1d &p) { return std::size_t(parts_of(p)) * p.w_size(); }

void thin_backward_weight(Stream &s, float *dw, const float *dy, const float *x, float *workspace, const Conv1d &p) {
  const std::size_t n = std::size_t(p.batch) * p.out_length();
  const unsigned part_size = blocks_for(n, parts_of(p)), parts = blocks_for(n, part_size);
  launch(weight_kernel, dim3(unsigned(p.in_channels * p.out_channels), parts), threads, sizeof(Partials), s, workspace,
         dy, x, p, p.out_length(), part_size);
  add_partials(s, dw, workspace, int(parts), p.w_size());
}

} // namespace theta::cuda
