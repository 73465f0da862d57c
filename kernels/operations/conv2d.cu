#include "conv2d_gather.h"
#include "kernels/parts/each.cuh"
#include "kernels/parts/partials.cuh"
#include "kernels/parts/tile_gemm.cuh"
#include "kernels/parts/warp.cuh"

namespace theta::cuda {

namespace {

__device__ inline std::size_t at(std::size_t plane, int y, int x, int height, int width) {
  return (plane * height + y) * width + x;
}

// Such operands as tile_gemm.cuh walks them: k = (channel, tap).
template <class Gathered> struct Tiled : Gathered {
  int depth;
  explicit Tiled(const Gathered &of) : Gathered(of), depth(of.channels * of.p.taps()) {}

  __device__ float a(int i, int k) const {
    const int square = this->p.taps();
    return this->weights(i)[std::ptrdiff_t(k / square) * this->of_channel() + k % square];
  }
  __device__ float b(int k, int j) const {
    const int square = this->p.taps();
    const auto place = this->place(j);
    const std::ptrdiff_t from = this->source(place, k % square);
    return from < 0 ? 0.0f : this->planes(place, k / square)[from];
  }
};

// A part of dw: one row an output channel, one column an (input channel, tap), k = output positions from `first` on.
struct WeightOperands {
  float *partial;
  const float *dy, *x;
  Conv2d p;
  int height, width, first, rows, columns, depth, group;

  __device__ float a(int o, int k) const {
    const int positions = height * width, j = first + k;
    return dy[(std::size_t(j / positions) * p.out_channels + group * rows + o) * positions + j % positions];
  }
  __device__ float b(int k, int j) const {
    const int square = p.taps(), t = j % square, from = first + k;
    const int row = seen(from / width % height, t / p.kernel, p.stride, p.above(), p.in_height),
              column = seen(from % width, t % p.kernel, p.stride, p.padding, p.in_width);
    if (row < 0 || column < 0)
      return 0;
    return x[at(std::size_t(from / (height * width)) * p.in_channels + group * p.in_group() + j / square, row, column,
                p.in_height, p.in_width)];
  }
  __device__ void store(int o, int j, float sum) const { partial[(std::size_t(group) * rows + o) * columns + j] = sum; }
};

template <class Operands> __global__ void __launch_bounds__(tile_threads) product_kernel(Operands operands) {
  operands.group = int(blockIdx.z);
  const int across = (operands.columns + tile_side - 1) / tile_side;
  multiply_tile(operands, int(blockIdx.x) / across, int(blockIdx.x) % across);
}

__global__ void __launch_bounds__(tile_threads) weight_kernel(WeightOperands operands, int part_depth) {
  const int whole = operands.depth;
  operands.group = int(blockIdx.z);
  operands.first = int(blockIdx.y) * part_depth;
  operands.depth = whole - operands.first < part_depth ? whole - operands.first : part_depth;
  operands.partial += std::size_t(blockIdx.y) * operands.p.w_size();
  const int across = (operands.columns + tile_side - 1) / tile_side;
  multiply_tile(operands, int(blockIdx.x) / across, int(blockIdx.x) % across);
}

template <class Gathered> void launch_product(Stream &s, const Gathered &gathered) {
  const Tiled<Gathered> operands(gathered);
  launch(product_kernel<Tiled<Gathered>>,
         dim3(tiles_along(operands.rows) * tiles_along(operands.columns), 1, unsigned(operands.p.groups)), tile_threads,
         sizeof(GemmTiles), s, operands);
}

// One channel in and out of every group.
bool is_depthwise(const Conv2d &p) { return p.in_group() == 1 && p.out_group() == 1; }

// A warp has a weight's gradient over one of `parts` stretches of the batch.
__global__ void __launch_bounds__(256) depthwise_weight_kernel(float *partial, const float *dy, const float *x,
                                                               Conv2d p, int height, int width, int parts) {
  const std::size_t item = std::size_t(blockIdx.x) * 8 + threadIdx.x / 32, weights = p.w_size();
  if (item >= weights * parts) // whole warps
    return;
  const int part = int(item / weights), square = p.taps(), t = int(item % square),
            channel = int(item % weights / square), positions = height * width;
  const int first = int(std::int64_t(p.batch) * part / parts), last = int(std::int64_t(p.batch) * (part + 1) / parts);
  float sum = 0;
  for (int n = first; n < last; ++n)
    for (int j = int(threadIdx.x) % 32; j < positions; j += 32) {
      const int row = seen(j / width, t / p.kernel, p.stride, p.above(), p.in_height),
                column = seen(j % width, t % p.kernel, p.stride, p.padding, p.in_width);
      const std::size_t plane = std::size_t(n) * p.in_channels + channel;
      if (row >= 0 && column >= 0)
        sum = fmaf(dy[plane * positions + j], x[at(plane, row, column, p.in_height, p.in_width)], sum);
    }
  sum = warp_reduce<Sum>(sum);
  if (threadIdx.x % 32 == 0)
    partial[item] = sum;
}

} // namespace

void conv2d_forward(Stream &s, float *y, const float *x, const float *w, const float *bias, const Conv2d &p) {
  const int height = p.out_height(), width = p.out_width(), square = p.taps();
  if (tensor_can(p))
    return tensor_forward(s, {y, x, w, bias, p});
  if (!is_depthwise(p))
    return launch_product(s, ForwardOperands(y, x, w, bias, p));
  each(s, p.y_size(), [=] __device__(std::size_t i) {
    const std::size_t plane = i / (height * width);
    const int channel = int(plane % p.out_channels);
    float sum = bias ? bias[channel] : 0;
    for (int t = 0; t < square; ++t) {
      const int row = seen(int(i / width % height), t / p.kernel, p.stride, p.above(), p.in_height),
                column = seen(int(i % width), t % p.kernel, p.stride, p.padding, p.in_width);
      if (row >= 0 && column >= 0)
        sum = fmaf(w[channel * square + t], x[at(plane, row, column, p.in_height, p.in_width)], sum);
    }
    y[i] = sum;
  });
}

void conv2d_backward_data(Stream &s, float *dx, const float *dy, const float *w, const Conv2d &p, bool accumulate) {
  const int height = p.out_height(), width = p.out_width(), square = p.taps();
  if (tensor_can(p))
    return tensor_backward_data(s, {dx, dy, w, p, accumulate});
  if (!is_depthwise(p))
    return launch_product(s, DataOperands(dx, dy, w, p, accumulate));
  each(s, p.x_size(), [=] __device__(std::size_t i) {
    const std::size_t plane = i / (p.in_height * p.in_width);
    const int channel = int(plane % p.in_channels);
    float sum = 0;
    for (int t = 0; t < square; ++t) {
      const int row = seer(int(i / p.in_width % p.in_height), t / p.kernel, p.stride, p.above(), height),
                column = seer(int(i % p.in_width), t % p.kernel, p.stride, p.padding, width);
      if (row >= 0 && column >= 0)
        sum = fmaf(w[channel * square + t], dy[at(plane, row, column, height, width)], sum);
    }
    dx[i] = accumulate ? dx[i] + sum : sum;
  });
}

void conv2d_backward_weight(Stream &s, float *dw, const float *dy, const float *x, float *workspace, const Conv2d &p) {
  if (tensor_can(p))
    return tensor_backward_weight(s, dw, dy, x, workspace, p);
  const int height = p.out_height(), width = p.out_width(), columns = p.in_group() * p.taps();
  const int depth = p.batch * height * width, wanted = conv2d_parts(p);
  int parts = wanted;
  if (is_depthwise(p)) {
    launch(depthwise_weight_kernel, blocks_for(p.w_size() * parts, 8), 256, 0, s, workspace, dy, x, p, height, width,
           parts);
  } else {
    const int part_depth = (depth + wanted - 1) / wanted;
    parts = (depth + part_depth - 1) / part_depth;
    const WeightOperands operands{workspace, dy, x, p, height, width, 0, p.out_group(), columns, depth, 0};
    launch(weight_kernel, dim3(tiles_along(p.out_group()) * tiles_along(columns), unsigned(parts), unsigned(p.groups)),
           tile_threads, sizeof(GemmTiles), s, operands, part_depth);
  }
  add_partials(s, dw, workspace, parts, p.w_size());
}

} // namespace theta::cuda
