// Distances between sets of points in space.
#pragma once
#include "kernels/device/device.h"

namespace theta {

// d[i, j] = mean over the points of set a_i of the squared distance to the nearest point of set b_j: one half of
// Chamfer's distance, which is this and the same the other way about.
//   a [na, 3, points], b [nb, 3, points]: the x of a set's points, then their y, then their z; d [na, nb].
// FLOPs: 8·na·nb·points². Bytes: 12·(na + nb)·points + 4·na·nb.
template <class T> void nearest_points(Stream &, T *d, const T *a, const T *b, int na, int nb, int points);

} // namespace theta
