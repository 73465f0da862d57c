#include "conv1d_gather.h"
#include "kernels/parts/partials.cuh"
#include "kernels/parts/tile_gemm.cuh"

namespace theta::cuda {

namespace {

// Position of sample n, channel c, place l in a [batch, channels, length] tensor.
__device__ std::size_t at(int n, int c, int l, int channels, int length) {
  return (std::size_t(n) * channels + c) * length + l;
}

// y: one row an output channel, one column an output position, k = (input channel, tap).
struct ForwardOperands {
  float *y;
  const float *x, *w, *bias;
  Conv1d p;
  int length, rows, columns, depth;

  __device__ float a(int o, int k) const { return w[std::size_t(o) * depth + k]; }
  __device__ float b(int k, int j) const {
    const int from = j % length * p.stride + k % p.kernel - p.padding;
    return from >= 0 && from < p.in_length ? x[at(j / length, k / p.kernel, from, p.in_channels, p.in_length)] : 0.0f;
  }
  __device__ void store(int o, int j, float sum) const {
    y[at(j / length, o, j % length, p.out_channels, length)] = sum + (bias ? bias[o] : 0.0f);
  }
};

// dx: one row an input channel, one column an input position, k = (output channel, tap).
struct DataOperands {
  float *dx;
  const float *dy, *w, *bias;
  Conv1d p;
  int length, rows, columns, depth;

  __device__ float a(int i, int k) const {
    return w[(std::size_t(k / p.kernel) * p.in_channels + i) * p.kernel + k % p.kernel];
  }
  __device__ float b(int k, int j) const {
    const int from = j % p.in_length + p.padding - k % p.kernel;
    const bool read = from >= 0 && from % p.stride == 0 && from / p.stride < length;
    return read ? dy[at(j / p.in_length, k / p.kernel, from / p.stride, p.out_channels, length)] : 0.0f;
  }
  __device__ void store(int i, int j, float sum) const {
    dx[at(j / p.in_length, i, j % p.in_length, p.in_channels, p.in_length)] = sum + (bias ? bias[i] : 0.0f);
  }
};

// A part of dw: one row an output channel, one column an (input channel, tap), k = output positions from `first` on.
struct WeightOperands {
  float *partial;
  const float *dy, *x;
  Conv1d p;
  int length, first, rows, columns, depth;

  __device__ float a(int o, int k) const {
    return dy[at((first + k) / length, o, (first + k) % length, p.out_channels, length)];
  }
  __device__ float b(int k, int j) const {
    const int n = (first + k) / length, from = (first + k) % length * p.stride + j % p.kernel - p.padding;
    return from >= 0 && from < p.in_length ? x[at(n, j / p.kernel, from, p.in_channels, p.in_length)] : 0.0f;
  }
  __device__ void store(int o, int j, float sum) const { partial[std::size_t(o) * columns + j] = sum; }
};

template <class Operands> __global__ void __launch_bounds__(tile_threads) data_kernel(Operands operands) {
  const int across = (operands.columns + tile_side - 1) / tile_side;
  multiply_tile(operands, int(blockIdx.x) / across, int(blockIdx.x) % across);
}

__global__ void __launch_bounds__(tile_threads) weight_kernel(WeightOperands operands, int part_depth) {
  const int whole = operands.depth;
  operands.first = int(blockIdx.y) * part_depth;
  operands.depth = whole - operands.first < part_depth ? whole - operands.first : part_depth;
  operands.partial += std::size_t(blockIdx.y) * operands.rows * operands.columns;
  const int across = (operands.columns + tile_side - 1) / tile_side;
  multiply_tile(operands, int(blockIdx.x) / across, int(blockIdx.x) % across);
}

// The sum over batch and positions is cut into parts so that small weights still fill the device: enough parts for 512
// blocks, each at least 256 long. A function of the shape alone, so that sums have one order.
int weight_parts(const Conv1d &p) {
  const int tiles = int(tiles_along(p.out_channels) * tiles_along(p.in_channels * p.kernel));
  const int longest = (p.batch * p.out_length() + 255) / 256;
  const int wanted = (512 + tiles - 1) / tiles;
  return wanted < longest ? wanted : longest;
}

template <class Operands> void launch_data(Stream &s, const Operands &operands) {
  launch(data_kernel<Operands>, tiles_along(operands.rows) * tiles_along(operands.columns), tile_threads,
         sizeof(GemmTiles), s, operands);
}

} // namespace

std::size_t conv1d_workspace(const Conv1d &p) {
  if (is_thin(p))
    return thin_weight_workspace(p);
  return is_for_tensor_cores(p) ? tensor_workspace(p) : std::size_t(weight_parts(p)) * p.w_size();
}

void conv1d_forward(Stream &s, float *y, const float *x, const float *w, const float *bias, float *workspace,
                    const Conv1d &p) {
  const int length = p.out_length();
  if (is_thin(p))
    thin_gather(s, forward_gather(p, y, x, w, bias));
  else if (is_for_tensor_cores(p))
    tensor_gather(s, forward_gather(p, y, x, w, bias), workspace);
  else
    launch_data(s,
                ForwardOperands{y, x, w, bias, p, length, p.out_channels, p.batch * length, p.in_channels * p.kernel});
}

void conv1d_backward_data(Stream &s, float *dx, const float *dy, const float *w, const float *bias, float *workspace,
                          const Conv1d &p) {
  if (is_thin(p))
    for_data_gathers(p, dx, dy, w, bias, [&](const Gather &g) { thin_gather(s, g); });
  else if (is_for_tensor_cores(p))
    for_data_gathers(p, dx, dy, w, bias, [&](const Gather &g) { tensor_gather(s, g, workspace); });
  else
    launch_data(s, DataOperands{dx, dy, w, bias, p, p.out_length(), p.in_channels, p.batch * p.in_length,
                                p.out_channels * p.kernel});
}

void conv1d_backward_weight(Stream &s, float *dw, const float *dy, const float *x, float *workspace, const Conv1d &p) {
  if (is_thin(p))
    return thin_backward_weight(s, dw, dy, x, workspace, p);
  if (is_for_tensor_cores(p))
    return tensor_backward_weight(s, dw, dy, x, workspace, p);
  const int length = p.out_length(), depth = p.batch * length, columns = p.in_channels * p.kernel;
  const int part_depth = (depth + weight_parts(p) - 1) / weight_parts(p), parts = (depth + part_depth - 1) / part_depth;
  const WeightOperands operands{workspace, dy, x, p, length, 0, p.out_channels, columns, depth};
  launch(weight_kernel, dim3(tiles_along(p.out_channels) * tiles_along(columns), unsigned(parts)), tile_threads,
         sizeof(GemmTiles), s, operands, part_depth);
  add_partials(s, dw, workspace, parts, p.w_size());
}

} // namespace theta::cuda
