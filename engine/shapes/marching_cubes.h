// From values on a grid to the surface where they pass a level (marching cubes: Lorensen & Cline, 1987).
#pragma once
#include "data/mesh_file.h"

namespace theta {

// value [side, side, side], x fastest, on the grid cube_grid(side); inside is above `level`. The mesh is closed, its
// triangles counter-clockwise seen from outside; where a body reaches the end of the grid, it is closed there. Which
// corners of a face belong together depends on the face alone, so that neighbours never disagree (Montani, Scateni &
// Scopigno, 1994: where two of its corners inside lie across, they are apart).
Mesh marching_cubes(const std::vector<float> &value, int side, float level);

// Points of a grid over the cube −1..1, its ends among them: [side³, 3], x fastest.
std::vector<float> cube_grid(int side);

} // namespace theta
