#include "kernels/device/launch.h"
#include "kernels/parts/triangle.h"
#include "mesh_distance.h"

namespace theta::cuda {

namespace {

constexpr int block = 128;

struct Triangles {
  float corner[block][9];
};

// A thread a point; a block's triangles pass through shared memory, where all its threads read the same at once.
__global__ void mesh_distance_kernel(float *winding, float *squared, const float *point, const float *corner,
                                     int points, int triangles) {
  auto &tile = shared<Triangles>();
  const int p = int(blockIdx.x) * block + int(threadIdx.x);
  const bool is_point = p < points;
  Vec3<float> at{0, 0, 0};
  float angle = 0, nearest = 0;
  if (is_point) {
    at = {point[3 * p], point[3 * p + 1], point[3 * p + 2]};
    nearest = squared[p];
  }
  for (int first = 0; first < triangles; first += block) {
    const int here = triangles - first < block ? triangles - first : block;
    for (int i = int(threadIdx.x); i < 9 * here; i += block)
      tile.corner[i / 9][i % 9] = corner[9 * std::size_t(first) + std::size_t(i)];
    __syncthreads();
    for (int t = 0; is_point && t < here; ++t) {
      const float *c = tile.corner[t];
      const Vec3<float> a = Vec3<float>{c[0], c[1], c[2]} - at, b = Vec3<float>{c[3], c[4], c[5]} - at,
                        d = Vec3<float>{c[6], c[7], c[8]} - at;
      angle += solid_angle(a, b, d);
      const float distance = squared_distance(a, b, d);
      nearest = distance < nearest ? distance : nearest;
    }
    __syncthreads();
  }
  if (is_point) {
    winding[p] += angle * 0.0795774715459476679f; // over 4π
    squared[p] = nearest;
  }
}

} // namespace

void mesh_distance(Stream &s, float *winding, float *squared, const float *point, const float *corner, int points,
                   int triangles) {
  launch(mesh_distance_kernel, blocks_for(std::size_t(points), block), block, sizeof(Triangles), s, winding, squared,
         point, corner, points, triangles);
}

} // namespace theta::cuda
