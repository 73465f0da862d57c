// Procedural solids: the signals of three-dimensional fields, without a file. Solid i lies in the cube −1..1 with y
// upwards; it and which of the families it belongs to are drawn from i alone.
#pragma once
#include "dataset.h"
#include <array>
#include <functional>

namespace theta {

using Point3 = std::array<double, 3>;

// A solid as a function of a point: below 0 inside, above 0 outside, near the surface the distance to it, to first
// order at least.
using SignedDistance = std::function<double(const Point3 &)>;

// union: of two to four boxes and ellipsoids. superquadric (Barr, 1981). gear: a disk with teeth and a hole. chair,
// table: of boxes and cylinders. csg: two simple solids joined, cut from one another, or what they share.
std::vector<std::string> solid_families();
SignedDistance solid(const std::string &family, int index); // throws InputError for another family

// train: `solids` of them at `points` points that are the same for all and lie evenly (the additive sequence R3:
// Roberts, 2018). Throws InputError for a family or a signal that there is not.
Dataset make_solids(const DatasetOptions &);

// The points, [points, 3] in −1..1.
std::vector<float> even_points(int points);

// What a solid is at a point of signed distance d, as a byte: with `occupancy` 255 inside and 0 outside, with
// `distance` 255 to 0 from a band inside to a band outside. Half of it is the surface.
std::uint8_t signal_byte(double d, const DatasetOptions &);
void check_signal(const DatasetOptions &); // throws InputError

} // namespace theta
