// How far points are from a mesh, and whether they are inside of it.
#pragma once
#include "kernels/device/device.h"

namespace theta {

// Adds some of a mesh's triangles to what is known of every point:
//   winding[p] += Σ solid angle of a triangle seen from p, over 4π: inside of a closed mesh 1, outside 0; of an open one
//                 above and below ½ (generalised winding number: Jacobson, Kavan & Sorkine, 2013)
//   squared[p]  = min(squared[p], squared distance to every triangle)
//   point [points, 3]; corner [triangles, 3, 3], counter-clockwise seen from outside; winding, squared [points].
// Exact: every triangle for every point, in their order. FLOPs: about 160·points·triangles. Bytes: 20·points
// + 36·triangles.
template <class T>
void mesh_distance(Stream &, T *winding, T *squared, const T *point, const T *corner, int points, int triangles);

} // namespace theta
