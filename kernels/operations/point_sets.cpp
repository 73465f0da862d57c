#include "point_sets.h"
#include "kernels/device/parallel.h"
#include <algorithm>
#include <limits>

namespace theta {

namespace cuda {
void nearest_points(Stream &, float *d, const float *a, const float *b, int na, int nb, int points);
}

namespace {

// The least squared distance of a point to a set's, in lanes that are compared at the end.
template <class T> T nearest_of(T x, T y, T z, const T *set, int points) {
  constexpr int lanes = 16;
  T least[lanes];
  std::fill(least, least + lanes, std::numeric_limits<T>::infinity());
  const T *sx = set, *sy = set + points, *sz = set + 2 * points;
  int q = 0;
  for (; q + lanes <= points; q += lanes)
#pragma omp simd
    for (int k = 0; k < lanes; ++k) {
      const T dx = sx[q + k] - x, dy = sy[q + k] - y, dz = sz[q + k] - z;
      const T squared = dx * dx + dy * dy + dz * dz;
      least[k] = squared < least[k] ? squared : least[k];
    }
  for (; q < points; ++q) {
    const T dx = sx[q] - x, dy = sy[q] - y, dz = sz[q] - z;
    least[0] = std::min(least[0], dx * dx + dy * dy + dz * dz);
  }
  return *std::min_element(least, least + lanes);
}

} // namespace

template <class T> void nearest_points(Stream &s, T *d, const T *a, const T *b, int na, int nb, int points) {
  const double pairs = double(na) * nb;
  const Span span(s, "nearest_points", sizeof(T) * (3.0 * (na + nb) * points + pairs), 8 * pairs * points * points);
  if constexpr (built_with_cuda && std::is_same_v<T, float>)
    if (s.is_cuda())
      return cuda::nearest_points(s, d, a, b, na, nb, points);
  parallel_for(na, nb, pairs * points * points, [&](long i, long j) {
    const T *from = a + 3 * i * points, *to = b + 3 * j * points;
    double sum = 0;
    for (int p = 0; p < points; ++p)
      sum += double(nearest_of(from[p], from[points + p], from[2 * points + p], to, points));
    d[i * nb + j] = T(sum / points);
  });
}

template void nearest_points(Stream &, float *, const float *, const float *, int, int, int);
template void nearest_points(Stream &, double *, const double *, const double *, int, int, int);

} // namespace theta
