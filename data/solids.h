// Procedural solids: the signals of occupancy fields, without a file. Solid i is the union of two to four ellipsoids
// and boxes in the cube −1..1, drawn from i alone.
#pragma once
#include "dataset.h"

namespace theta {

// train: `count` solids, each a byte a point: 255 inside, 0 outside. The points are the same for all, and lie evenly
// (the additive sequence R3: Roberts, 2018).
Dataset make_solids(int count, int points);

} // namespace theta
