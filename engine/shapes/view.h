// A mesh as a shaded picture.
#pragma once
#include "data/mesh_file.h"

namespace theta {

// Seen from the front, the right and somewhat above, y upwards, with the cube −1..1 filling the picture: [side², 3],
// red, green and blue in 0..1. Four samples a pixel; triangles hide one another by depth and are shaded smoothly.
std::vector<float> shaded_view(const Mesh &, int side);

} // namespace theta
