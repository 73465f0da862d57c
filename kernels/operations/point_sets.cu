#include "kernels/parts/warp.cuh"
#include "point_sets.h"

namespace theta::cuda {

namespace {

constexpr int block = 128;

struct Tile {
  float x[block], y[block], z[block], partial[32];
};

// A block a pair of sets: its threads take the points of one, those of the other pass through shared memory.
__global__ void nearest_points_kernel(float *d, const float *a, const float *b, int points) {
  auto &tile = shared<Tile>();
  const std::size_t size = 3 * std::size_t(points);
  const float *from = a + blockIdx.y * size, *to = b + blockIdx.x * size;
  const int thread = int(threadIdx.x);
  float sum = 0;
  for (int first = 0; first < points; first += block) {
    const int p = first + thread;
    const bool is_point = p < points;
    const float x = is_point ? from[p] : 0, y = is_point ? from[points + p] : 0,
                z = is_point ? from[2 * points + p] : 0;
    float least = INFINITY;
    for (int other = 0; other < points; other += block) {
      const int here = points - other < block ? points - other : block;
      if (thread < here) {
        tile.x[thread] = to[other + thread];
        tile.y[thread] = to[points + other + thread];
        tile.z[thread] = to[2 * points + other + thread];
      }
      __syncthreads();
      for (int q = 0; q < here; ++q) {
        const float dx = tile.x[q] - x, dy = tile.y[q] - y, dz = tile.z[q] - z;
        least = fminf(least, fmaf(dz, dz, fmaf(dy, dy, dx * dx)));
      }
      __syncthreads();
    }
    sum += is_point ? least : 0;
  }
  sum = block_reduce<Sum>(sum, tile.partial);
  if (thread == 0)
    d[blockIdx.y * gridDim.x + blockIdx.x] = sum / float(points);
}

} // namespace

void nearest_points(Stream &s, float *d, const float *a, const float *b, int na, int nb, int points) {
  launch(nearest_points_kernel, dim3(unsigned(nb), unsigned(na)), block, sizeof(Tile), s, d, a, b, points);
}

} // namespace theta::cuda
