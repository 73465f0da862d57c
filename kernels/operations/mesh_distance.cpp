#include "mesh_distance.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/triangle.h"
#include <algorithm>
#include <numbers>

namespace theta {

namespace cuda {
void mesh_distance(Stream &, float *winding, float *squared, const float *point, const float *corner, int points,
                   int triangles);
}

template <class T>
void mesh_distance(Stream &s, T *winding, T *squared, const T *point, const T *corner, int points, int triangles) {
  const double work = double(points) * triangles;
  const Span span(s, "mesh_distance", sizeof(T) * (5.0 * points + 9.0 * triangles), 160 * work);
  if constexpr (built_with_cuda && std::is_same_v<T, float>)
    if (s.is_cuda())
      return cuda::mesh_distance(s, winding, squared, point, corner, points, triangles);
  parallel_for(points, 40 * work, [&](long p) {
    const Vec3<T> at{point[3 * p], point[3 * p + 1], point[3 * p + 2]};
    T angle = 0, nearest = squared[p];
    for (int t = 0; t < triangles; ++t) {
      const T *c = corner + 9 * long(t);
      const Vec3<T> a = Vec3<T>{c[0], c[1], c[2]} - at, b = Vec3<T>{c[3], c[4], c[5]} - at,
                    d = Vec3<T>{c[6], c[7], c[8]} - at;
      angle += solid_angle(a, b, d);
      nearest = std::min(nearest, squared_distance(a, b, d));
    }
    winding[p] += angle / T(4 * std::numbers::pi), squared[p] = nearest;
  });
}

template void mesh_distance(Stream &, float *, float *, const float *, const float *, int, int);
template void mesh_distance(Stream &, double *, double *, const double *, const double *, int, int);

} // namespace theta
