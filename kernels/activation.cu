#include "activation.h"
#include "each.cuh"

namespace theta::cuda {

namespace {

constexpr unsigned tile_columns = 32, tile_rows = 8;
struct ColumnSums {
  float sum[tile_rows][tile_columns];
};

__global__ void backward_kernel(float *dx, float *dbias, const float *dy, const float *x, const float *bias,
                                BiasAct p) {
  auto &tile = shared<ColumnSums>();
  const int column = int(blockIdx.x * tile_columns + threadIdx.x);
  const std::size_t base = std::size_t(blockIdx.y) * p.rows * p.cols;
  const std::size_t bias_at = blockIdx.y * p.bias_stride + column;
  float sum = 0;
  if (column < p.cols) {
    const float b = bias[bias_at];
    for (int row = int(threadIdx.y); row < p.rows; row += int(tile_rows)) {
      const std::size_t i = base + std::size_t(row) * p.cols + column;
      const float d = dy[i] * activation_slope(p.act, x[i] + b);
      dx[i] = d;
      sum += d;
    }
  }
  tile.sum[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y == 0 && column < p.cols) {
    for (unsigned r = 1; r < tile_rows; ++r)
      sum += tile.sum[r][threadIdx.x];
    dbias[bias_at] += sum;
  }
}

} // namespace

void bias_act_forward(Stream &s, float *y, const float *x, const float *bias, const BiasAct &p) {
  each(s, std::size_t(p.groups) * p.rows * p.cols, [=] __device__(std::size_t i) {
    const std::size_t group = i / (std::size_t(p.rows) * p.cols), column = i % p.cols;
    y[i] = activate(p.act, x[i] + bias[group * p.bias_stride + column]);
  });
}

void bias_act_backward(Stream &s, float *dx, float *dbias, const float *dy, const float *x, const float *bias,
                       const BiasAct &p) {
  const dim3 grid(blocks_for(std::size_t(p.cols), tile_columns), unsigned(p.groups));
  launch(backward_kernel, grid, dim3(tile_columns, tile_rows), sizeof(ColumnSums), s, dx, dbias, dy, x, bias, p);
}

} // namespace theta::cuda
