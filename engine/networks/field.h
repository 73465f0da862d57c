// What a point enters a field as.
#pragma once
#include "network.h"

namespace theta {

struct FieldSettings {
  int octaves = 0;            // x enters as x, sin(2^k·π·x), cos(2^k·π·x) for k < octaves
  double omega = usual_omega; // of sine
};
inline int octaves_of(const NetworkShape &field) { return field.as<FieldSettings>().octaves; }

// How many numbers that is, of a point of so many coordinates; and how many coordinates a field's points have.
inline int field_inputs(int dimensions, int octaves) { return dimensions * (1 + 2 * octaves); }
inline int dimensions_of(const NetworkShape &shape) { return inputs_of(shape) / field_inputs(1, octaves_of(shape)); }

// [points, dimensions] -> [points, dimensions·(1 + 2·octaves)], each coordinate x followed by sin(2^k·π·x),
// cos(2^k·π·x) (Mildenhall et al., "NeRF", 2020, eq. 4).
std::vector<float> encoded(const std::vector<float> &points, int octaves);

} // namespace theta
