// Points spread over a mesh.
#pragma once
#include "data/mesh_file.h"

namespace theta {

// `points` points, evenly likely everywhere on the surface, as planes [3, points]; the same for the same seed and
// stream. Throws Error for a mesh without area.
std::vector<float> surface_points(const Mesh &, int points, std::uint64_t seed, std::uint32_t stream);

// Signed volume: above 0 where triangles go round counter-clockwise seen from outside.
double volume_of(const Mesh &);

} // namespace theta
