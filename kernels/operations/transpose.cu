#include "kernels/device/launch.h"
#include "transpose.h"

namespace theta::cuda {

namespace {

constexpr int side = 32, threads = 256;

struct Tile {
  float at[side][side + 1]; // its columns lie in banks of their own
};

__global__ void transpose_kernel(float *y, const float *x, int rows, int cols, bool accumulate) {
  auto &tile = shared<Tile>();
  const int across = (cols + side - 1) / side, down = (rows + side - 1) / side;
  const unsigned b = blockIdx.x / unsigned(across * down), t = blockIdx.x % unsigned(across * down);
  const int r0 = int(t) / across * side, c0 = int(t) % across * side, lane = int(threadIdx.x) % side;
  const std::size_t from = std::size_t(b) * rows * cols;
  for (int i = int(threadIdx.x) / side; i < side; i += threads / side)
    if (r0 + i < rows && c0 + lane < cols)
      tile.at[i][lane] = x[from + std::size_t(r0 + i) * cols + c0 + lane];
  __syncthreads();
  for (int i = int(threadIdx.x) / side; i < side; i += threads / side)
    if (c0 + i < cols && r0 + lane < rows) {
      float &to = y[from + std::size_t(c0 + i) * rows + r0 + lane];
      to = accumulate ? to + tile.at[lane][i] : tile.at[lane][i];
    }
}

} // namespace

void transpose(Stream &s, float *y, const float *x, int batch, int rows, int cols, bool accumulate) {
  const unsigned blocks = unsigned(batch) * unsigned((rows + side - 1) / side) * unsigned((cols + side - 1) / side);
  if (blocks > 0)
    launch(transpose_kernel, blocks, threads, sizeof(Tile), s, y, x, rows, cols, accumulate);
}

} // namespace theta::cuda
