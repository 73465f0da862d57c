#include "activation.h"
#include "kernels/parts/vectors.cuh"

namespace theta::cuda {

namespace {

// Forward: Width neighbouring elements a thread, in 32-bit arithmetic: the launch cuts the groups so that it suffices.
template <int Width, class T> __global__ void forward_kernel(T *y, const T *x, const T *bias, unsigned n, BiasAct p) {
  const unsigned i = (blockIdx.x * blockDim.x + threadIdx.x) * Width;
  if (i >= n)
    return;
  const unsigned row = i / unsigned(p.cols), column = i - row * unsigned(p.cols), group = row / unsigned(p.rows);
  const T *b = bias + group * p.bias_stride + column;
  float v[Width];
  load<Width>(v, x + i);
#pragma unroll
  for (int e = 0; e < Width; ++e)
    v[e] = activate(p.act, bias ? v[e] + to_float(b[e]) : v[e], p.omega);
  store<Width>(y + i, v);
}

constexpr unsigned lanes = 32, tile_rows = 8;
template <int Width> struct ColumnSums { float sum[tile_rows][lanes][Width]; };

// Backward: a block takes 32·Width columns of one group and the rows [part·part_rows, + part_rows) of it; its warps
// walk down the rows. With one part the sums go to dbias, else to sums[part].
template <int Width, class T>
__global__ void backward_kernel(T *dx, float *dbias, float *sums, const T *dy, const T *x, const T *bias, BiasAct p,
                                int part_rows) {
  auto &tile = shared<ColumnSums<Width>>();
  const int column = int(blockIdx.x * lanes + threadIdx.x) * Width, part = int(blockIdx.y);
  const std::size_t group = blockIdx.z, base = group * p.rows * p.cols, bias_at = group * p.bias_stride + column;
  const int last = (part + 1) * part_rows < p.rows ? (part + 1) * part_rows : p.rows;
  float sum[Width] = {};
  if (column < p.cols) {
    float b[Width];
#pragma unroll
    for (int e = 0; e < Width; ++e)
      b[e] = bias ? to_float(bias[bias_at + e]) : 0.0f;
    for (int row = part * part_rows + int(threadIdx.y); row < last; row += int(tile_rows)) {
      const std::size_t i = base + std::size_t(row) * p.cols + column;
      float d[Width], v[Width];
      load<Width>(d, dy + i);
      load<Width>(v, x + i);
#pragma unroll
      for (int e = 0; e < Width; ++e) {
        d[e] *= activation_slope(p.act, v[e] + b[e], p.omega);
        sum[e] += d[e];
      }
      store<Width>(dx + i, d);
    }
  }
#pragma unroll
  for (int e = 0; e < Width; ++e)
    tile.sum[threadIdx.y][threadIdx.x][e] = sum[e];
  __syncthreads();
  if (threadIdx.y > 0 || column >= p.cols)
    return;
#pragma unroll
  for (int e = 0; e < Width; ++e) {
    for (unsigned r = 1; r < tile_rows; ++r)
      sum[e] += tile.sum[r][threadIdx.x][e];
    if (gridDim.y == 1)
      dbias[bias_at + e] += sum[e];
    else
      sums[(part * gridDim.z + group) * p.cols + column + e] = sum[e];
  }
}

// dbias[g][c] += Σ_part sums[part][g][c].
__global__ void add_sums_kernel(float *dbias, const float *sums, unsigned parts, unsigned n, int cols,
                                std::size_t bias_stride) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n)
    return;
  float sum = 0;
  for (unsigned part = 0; part < parts; ++part)
    sum += sums[std::size_t(part) * n + i];
  dbias[i / cols * bias_stride + i % cols] += sum;
}

template <int Width, class T> void forward(Stream &s, T *y, const T *x, const T *bias, const BiasAct &p) {
  const std::size_t group = std::size_t(p.rows) * p.cols;
  const std::size_t groups = std::max<std::size_t>(1, (std::size_t(1) << 31) / group); // in one launch
  for (std::size_t first = 0; first < std::size_t(p.groups); first += groups) {
    const auto n = unsigned(std::min(groups, p.groups - first) * group);
    launch(forward_kernel<Width, T>, blocks_for(n, 256 * Width), 256, 0, s, y + first * group, x + first * group,
           bias ? bias + first * p.bias_stride : nullptr, n, p);
  }
}

template <int Width, class T>
void backward(Stream &s, T *dx, float *dbias, const T *dy, const T *x, const T *bias, const BiasAct &p) {
  const unsigned across = blocks_for(std::size_t(p.cols), lanes * Width);
  // A grid's z side ends at 65,535 groups; few groups are cut along their rows, so that 1,024 blocks share the work.
  for (int first = 0; first < p.groups; first += 65535) {
    const int groups = std::min(65535, p.groups - first);
    const std::size_t base = std::size_t(first) * p.rows * p.cols, bias_base = first * p.bias_stride;
    const unsigned wanted = std::max(1u, 1024u / (across * unsigned(groups)));
    const unsigned parts = std::min(wanted, blocks_for(std::size_t(p.rows), 8 * tile_rows));
    const int part_rows = int(blocks_for(std::size_t(p.rows), parts));
    float *sums = parts > 1 ? scratch<float>(s, std::size_t(parts) * groups * p.cols) : nullptr;
    launch(backward_kernel<Width, T>, dim3(across, parts, unsigned(groups)), dim3(lanes, tile_rows),
           sizeof(ColumnSums<Width>), s, dx + base, dbias + bias_base, sums, dy + base, x + base,
           bias ? bias + bias_base : nullptr, p, part_rows);
    const auto n = unsigned(groups * p.cols);
    if (parts > 1)
      launch(add_sums_kernel, blocks_for(n, 256), 256, 0, s, dbias + bias_base, sums, parts, n, p.cols, p.bias_stride);
  }
}

template <class T> void any_forward(Stream &s, T *y, const T *x, const T *bias, const BiasAct &p) {
  if (p.cols % 4 == 0 && aligned16(y, x))
    forward<4>(s, y, x, bias, p);
  else
    forward<1>(s, y, x, bias, p);
}

template <class T>
void any_backward(Stream &s, T *dx, float *dbias, const T *dy, const T *x, const T *bias, const BiasAct &p) {
  if (p.cols % 4 == 0 && p.cols >= 128 && aligned16(dx, dy, x))
    backward<4>(s, dx, dbias, dy, x, bias, p);
  else
    backward<1>(s, dx, dbias, dy, x, bias, p);
}

} // namespace

void bias_act_forward(Stream &s, float *y, const float *x, const float *bias, const BiasAct &p) {
  any_forward(s, y, x, bias, p);
}
void bias_act_forward(Stream &s, bf16 *y, const bf16 *x, const bf16 *bias, const BiasAct &p) {
  any_forward(s, y, x, bias, p);
}
void bias_act_backward(Stream &s, float *dx, float *dbias, const float *dy, const float *x, const float *bias,
                       const BiasAct &p) {
  any_backward(s, dx, dbias, dy, x, bias, p);
}
void bias_act_backward(Stream &s, bf16 *dx, float *dbias, const bf16 *dy, const bf16 *x, const bf16 *bias,
                       const BiasAct &p) {
  any_backward(s, dx, dbias, dy, x, bias, p);
}

} // namespace theta::cuda
