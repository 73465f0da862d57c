// What fields learn: a signal each, an image or a body. How its bytes become numbers, and in which order, is said here
// and nowhere else: fields learn values in ±1/2, for outputs that begin at 0; pictures have them in 0 to 1. A field
// gives the channels of a point one after another, an image has them in planes.
#pragma once
#include "data/dataset.h"
#include "engine/networks/network.h"
#include <cstdint>
#include <vector>

namespace theta {

inline constexpr double value_scale = 1 / 255.0, value_shift = -0.5;   // of a byte, as fields learn it
inline float shown(float value) { return value - float(value_shift); } // of a field's output, as pictures have it

// Of signal `signal` of the training part at `points`, as fields learn it: [points, channels].
std::vector<float> values_at(const Dataset &, std::size_t signal, const std::vector<std::size_t> &points);
// All of it as pictures have it, [pixels, channels]; and from there into planes, [channels, pixels].
std::vector<float> picture_of(const Dataset &, std::size_t signal);
std::vector<float> in_planes(const float *picture, std::size_t pixels, std::size_t channels);

// The centres of side x side pixels, [side², 2] in −1..1 as Dataset::coordinates has them.
std::vector<float> pixel_grid(int side);

// Whether networks of the shape learn signals; and give such data's channels at points of such data's dimensions.
bool is_field(const NetworkShape &);
bool is_field_of(const NetworkShape &, const DatasetSizes &);

} // namespace theta
